"""One transaction of a load: each arriving object is created, merged into the one that is there, or left out.

What it brings of a customer who was erased is taken in without personal values, like what was there before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, select

from sync_service.store.engine import Session
from sync_service.store.object_rows import OBJECT_ROWS, new_row, write_document
from sync_service.store.offers import Outcome, write_arrival
from sync_service.store.statement import in_batches
from sync_service.store.tables import CustomerRow, LimioObject, RelationRow, ScrubMarkRow, SubscriptionRow, ZuoraLinkRow
from sync_service.subscription.limio.arrivals import CATALOG_TYPES, Arrival, LineProblem
from sync_service.subscription.limio.columns import derive_columns
from sync_service.subscription.limio.documents import RELATED_TO_SUBSCRIPTION, merge, moment_of
from sync_service.subscription.limio.personal import erase_object, personal_values
from sync_service.subscription.plan import Document

#: What several subscriptions share by their own `owner`, `customer` and `ref`, not by belonging to one.
_BELONG_TO_NONE = frozenset({"identity", "customer", "subscription"})

_Rows = dict[tuple[str, str], LimioObject]


@dataclass(kw_only=True)
class LoadedBatch:
    """What became of the arrivals of one transaction, to be counted once that is committed."""

    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    problems: list[LineProblem] = field(default_factory=list)
    #: Addresses that belong to no subscription, by line, and those that turned out to belong to one.
    unattached: dict[str, int] = field(default_factory=dict)
    attached: set[str] = field(default_factory=set)
    #: Subscriptions that must not be loaded; what hangs on them is left out without a word.
    refused: set[str] = field(default_factory=set)


def load_batch(session: Session, arrivals: Sequence[Arrival], refused: Iterable[str], *, at: int) -> LoadedBatch:
    """Take `arrivals` in, in their order; locks are taken in the order of `object_rows.OBJECT_ROWS`, as a sync does.

    `at` is now, in ms.
    """
    batch = LoadedBatch(refused=set(refused))
    rows = _lock_rows(session, arrivals)
    imported = _imported_references(session, arrivals)
    fresh: list[LimioObject] = []
    touched: list[LimioObject] = []
    for arrival in arrivals:
        if arrival.record_type in CATALOG_TYPES:
            batch.outcomes.append((arrival.record_type, write_arrival(session, arrival)))
            continue
        if _is_refused(arrival, rows, imported, batch):
            continue
        key = (arrival.record_type, arrival.id)
        row, outcome = _take_in(session, arrival, rows.get(key))
        if key not in rows:
            rows[key] = row
            fresh.append(row)
        if outcome in ("created", "updated"):
            touched.append(row)
        batch.outcomes.append((arrival.record_type, outcome))
        _note_problems(arrival, row, batch)
    order = list(OBJECT_ROWS)
    for row in sorted(fresh, key=lambda new: (order.index(new.record_type_name), new.id)):
        session.add(row)
    session.flush()
    erase_scrubbed(session, touched, at=at)
    _forget_fingerprints(session, touched)
    return batch


def _lock_rows(session: Session, arrivals: Iterable[Arrival]) -> _Rows:
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for arrival in arrivals:
        wanted[arrival.record_type].add(arrival.id)
        if arrival.subscription_id is not None:
            wanted["subscription"].add(arrival.subscription_id)
        if arrival.record_type == "subscription":  # an erasure of its customer waits for us, or we for it
            for person, name in (("customer", "customer"), ("identity", "owner")):
                if isinstance(id := arrival.document.get(name), str):
                    wanted[person].add(id)
    rows: _Rows = {}
    for record_type, row_class in OBJECT_ROWS.items():
        for ids in in_batches(sorted(wanted[record_type])):
            found = select(row_class).where(col(row_class.id).in_(ids)).order_by(col(row_class.id)).with_for_update()
            rows |= {(record_type, row.id): row for row in session.exec(found)}
    return rows


def _imported_references(session: Session, arrivals: Iterable[Arrival]) -> Mapping[str, str]:
    """Which subscription a sync made, by the number that is its reference."""
    references = {
        reference
        for arrival in arrivals
        if arrival.record_type == "subscription" and isinstance(reference := arrival.document.get("reference"), str)
    }
    imported: dict[str, str] = {}
    for some in in_batches(sorted(references)):
        made = select(SubscriptionRow).where(
            col(SubscriptionRow.reference).in_(some),
            col(SubscriptionRow.external).is_(True),
            col(SubscriptionRow.synced_at).is_not(None),
        )
        imported |= {str(row.reference): row.id for row in session.exec(made)}
    return imported


def _is_refused(arrival: Arrival, rows: _Rows, imported: Mapping[str, str], batch: LoadedBatch) -> bool:
    """One number is one subscription: the one that a sync imported stays, with all that was synced since."""
    if arrival.subscription_id in batch.refused:
        return True
    if arrival.record_type != "subscription" or ("subscription", arrival.id) in rows:
        return False
    other = imported.get(str(arrival.document.get("reference")))
    if other is None:
        return False
    batch.refused.add(arrival.id)
    message = f"{arrival.id} has the reference of {other}, which was imported from Zuora: left out."
    batch.problems.append(LineProblem(arrival.line, message))
    return True


def _take_in(session: Session, arrival: Arrival, row: LimioObject | None) -> tuple[LimioObject, Outcome]:
    belongs_to = None if arrival.record_type in _BELONG_TO_NONE else arrival.subscription_id
    if row is None:
        made = new_row(arrival.record_type, arrival.document, subscription_id=belongs_to, synced_at=None)
        return made, "created"
    document: Document = arrival.document
    other_use = belongs_to is not None and _is_other_use(row, belongs_to, document)
    if other_use:
        document = {key: value for key, value in document.items() if not key.startswith("relationship_")}
    outcome = _merge_into(row, document)
    if belongs_to is not None and _attach(session, row, belongs_to, arrival.document, other_use=other_use):
        outcome = "updated"
    return row, outcome


def _is_other_use(row: LimioObject, subscription_id: str, document: Document) -> bool:
    """One address may serve two subscriptions, or be billing and delivery address; each use names its relationship."""
    if row.subscription_id is None:
        return False
    use = document.get("relationship_type")
    return row.subscription_id != subscription_id or (
        isinstance(use, str) and use != row.document.get("relationship_type")
    )


def _merge_into(row: LimioObject, document: Document) -> Outcome:
    """The later version counts; two of one time, of which one may be a summary, complete each other."""
    theirs, ours = _version_of(document), _version_of(row.document)
    if row.synced_at is not None or (theirs is not None and ours is not None and theirs < ours):
        return "unchanged" if merge(row.document, document) == row.document else "kept"
    later = theirs is not None and (ours is None or theirs > ours)
    merged = merge(row.document, document) if later else merge(document, row.document)
    if merged == row.document:
        return "unchanged" if later or merge(row.document, document) == merged else "kept"
    write_document(row, merged, synced_at=None)
    return "updated"


def _version_of(document: Document) -> Any:
    """Limio's addresses have no `updated`: there a change is a new object."""
    return moment_of(document.get("updated")) or moment_of(document.get("created"))


def _attach(session: Session, row: LimioObject, subscription_id: str, document: Document, *, other_use: bool) -> bool:
    """Let the object belong to the subscription, also where it has another already. True where that is new."""
    if row.subscription_id is None:
        row.subscription_id = subscription_id
        return True
    if not other_use or row.record_type_name in RELATED_TO_SUBSCRIPTION - {"event"}:
        return False
    use = document.get("relationship_type")
    relation = RelationRow(
        subscription_id=subscription_id,
        object_id=row.id,
        relationship_type=use if isinstance(use, str) else "",
        relationship_id=str(document.get("relationship_id") or "") or None,
        record_type=row.record_type_name,
    )
    known = (relation.subscription_id, relation.object_id, relation.relationship_type)
    if session.get(RelationRow, known) is not None:
        return False
    session.add(relation)
    session.flush()
    return True


def _note_problems(arrival: Arrival, row: LimioObject, batch: LoadedBatch) -> None:
    unfit = derive_columns(arrival.record_type, arrival.document).unfit
    if unfit:
        message = f"{arrival.id}: kept, but the store cannot use its {', '.join(unfit)}."
        batch.problems.append(LineProblem(arrival.line, message))
    if arrival.record_type in RELATED_TO_SUBSCRIPTION - {"event"} and row.subscription_id is None:
        batch.problems.append(LineProblem(arrival.line, f"{arrival.id} names no subscription that it is related to."))
    if isinstance(row, SubscriptionRow) and row.reference is None and "reference" not in unfit:
        message = f"{arrival.id} has no reference: no sync can find it in Zuora. Give it its Zuora number as reference."
        batch.problems.append(LineProblem(arrival.line, message))
    if arrival.record_type == "address":
        if row.subscription_id is None:
            batch.unattached[arrival.id] = arrival.line
        else:
            batch.attached.add(arrival.id)


def _forget_fingerprints(session: Session, touched: Iterable[LimioObject]) -> None:
    """The next sync of what was loaded reads everything: an unchanged Zuora says nothing of a changed store."""
    rows = list(touched)
    subscriptions = {row.id if isinstance(row, SubscriptionRow) else row.subscription_id for row in rows}
    customers = [row.id for row in rows if isinstance(row, CustomerRow)]
    for some in in_batches(sorted(customers)):
        theirs = select(SubscriptionRow.id).where(col(SubscriptionRow.customer).in_(some))
        subscriptions.update(session.exec(theirs).all())
    for some in in_batches(sorted(filter(None, subscriptions))):
        links = select(ZuoraLinkRow).where(col(ZuoraLinkRow.subscription_id).in_(some))
        for link in session.exec(links.order_by(col(ZuoraLinkRow.number))):
            if link.fingerprint:
                link.fingerprint = {}


def erase_scrubbed(session: Session, touched: Collection[LimioObject], *, at: int) -> None:
    """Erase those of `touched` that belong to an erased customer, and what waited for their subscriptions to come.

    `at` is now, in ms. Ask after the locks are taken. Written as a sync writes, so that no later load brings more.
    """
    if session.exec(select(ScrubMarkRow.object_id).limit(1)).first() is None:
        return
    used = _subscriptions_of(session, touched)
    names = {id: {sub.id, sub.customer, sub.owner} for id, sub in _read_subscriptions(session, used).items()}
    of = {row.id: {row.id, row.owner}.union(*(names.get(id, ()) for id in used[row.id])) for row in touched}
    marked = _read_marked(session, set[str | None]().union(*of.values()))
    scrubbed = {row.id: row for row in touched if of[row.id] & marked}
    for row in _read_waiting(session, [id for id, row in scrubbed.items() if isinstance(row, SubscriptionRow)]):
        scrubbed.setdefault(row.id, row)
    known = set[str]().union(*(personal_values(row.record_type_name, row.document) for row in scrubbed.values()))
    for row in scrubbed.values():
        document = erase_object(row.record_type_name, row.document, known)
        if document != row.document:
            write_document(row, document, synced_at=at)
    session.flush()


def _subscriptions_of(session: Session, touched: Collection[LimioObject]) -> dict[str, set[str]]:
    """By object the subscriptions that it belongs to, a shared address to several."""
    used = {row.id: {row.id} if isinstance(row, SubscriptionRow) else {row.subscription_id or ""} for row in touched}
    for relation in session.exec(select(RelationRow).where(col(RelationRow.object_id).in_(list(used)))):
        used[relation.object_id].add(relation.subscription_id)
    return used


def _read_subscriptions(session: Session, used: dict[str, set[str]]) -> dict[str, SubscriptionRow]:
    ids = sorted(set[str]().union(*used.values()) - {""})
    return {row.id: row for row in session.exec(select(SubscriptionRow).where(col(SubscriptionRow.id).in_(ids)))}


def _read_marked(session: Session, names: Collection[str | None]) -> set[str]:
    ids = sorted(name for name in names if name is not None)
    return set(session.exec(select(ScrubMarkRow.object_id).where(col(ScrubMarkRow.object_id).in_(ids))))


def _read_waiting(session: Session, subscription_ids: Collection[str]) -> Iterator[LimioObject]:
    """Objects of subscriptions, which may have been loaded before these."""
    for row_class in OBJECT_ROWS.values() if subscription_ids else ():
        yield from session.exec(select(row_class).where(col(row_class.subscription_id).in_(list(subscription_ids))))
