"""An entry of the stream in words: what happened, who and what caused it, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sync_service.queue.orders.lanes import OrderState
from sync_service.queue.runs.history import FoundAs, Outcome
from sync_service.queue.stream.branches import EntryKind
from sync_service.queue.stream.details import Came, Entries, HistoryEntry
from sync_service.store.engine import Session
from sync_service.store.object_rows import read_addresses
from sync_service.store.tables import AdminActionRow, CalloutRow, OrderWorkRow, SyncCauseRow, SyncRunRow
from sync_service.subscription.plan import Document
from sync_service.web.admin.differences import Difference, difference
from sync_service.web.admin.words import cut, span, trigger

_NO_DIFFERENCE = Difference()
_ACTS = {
    "sync": "pressed Sync",
    "sync all": "pressed Sync all",
    "preview": "asked for a preview",
    "retry": "asked for another try",
    "retry all": "asked for another try of many",
    "dismiss": "dismissed the failed request",
    "release held": "released the held change",
    "drop held": "dropped the held change",
    "order retry": "had the order's step tried again",
    "order count_as_done": "counted the order's step as done",
    "order fail": "gave up the order",
    "order now": "had the order tried at once",
    "webhooks replayed": "had webhooks sent again",
    "webhooks dismissed": "dismissed webhooks that were given up",
    "webhook added": "made a webhook endpoint",
    "webhook changed": "changed a webhook endpoint",
    "webhook tested": "tested a webhook endpoint",
    "webhook disabled": "disabled a webhook endpoint",
    "webhook enabled": "enabled a webhook endpoint",
    "webhook removed": "removed a webhook endpoint",
    "webhook secret rotated": "gave a webhook endpoint a new secret",
    "client added": "made an API client",
    "client revoked": "revoked an API client",
    "client secret rotated": "gave an API client a new secret",
    "client secret ended": "ended an API client's old secret",
    "backfill": "started a backfill",
    "dry run": "started a dry run",
    "export": "exported",
    "log in": "logged in",
    "log in refused": "was refused",
}
_HELD = frozenset({Outcome.HELD, Outcome.RELEASED, Outcome.DROPPED, Outcome.SUPERSEDED})
_OUTCOMES: Mapping[str, str] = {
    Outcome.LEFT_OUT: "Not imported.",
    Outcome.NOT_IN_ZUORA: "Zuora has never had it.",
    Outcome.RESOLVED: "The key proved to be another name of a subscription.",
    Outcome.SCRUBBED: "Personal data was erased.",
}
_ORDER_WORDS = {
    OrderState.SUBMITTED: "waits for its turn",
    OrderState.RUNNING: "is being placed",
    OrderState.WAITING: "waits for another try",
    OrderState.HELD: "waits for a person's decision",
    OrderState.COMPLETE: "was placed in Zuora",
    OrderState.FAILED: "failed",
}


@dataclass(frozen=True, kw_only=True)
class Related:
    """Another entry that belongs to one."""

    kind: str
    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """One entry for a page."""

    entry: HistoryEntry
    #: The word of its badge.
    badge: str
    sentence: str
    who: str = ""
    why: str = ""
    took: str = ""
    is_wrong: bool = False
    difference: Difference = _NO_DIFFERENCE
    related: tuple[Related, ...] = ()

    @property
    def anchor(self) -> str:
        """Its name on a page."""
        return f"{self.entry.spot.kind.value}-{self.entry.spot.id}"


def tell(session: Session, read: Entries) -> list[Told]:
    """All of a page in words."""
    addresses = _read_addresses(session, read.entries)
    return [_tell(entry, read, addresses) for entry in read.entries]


def _tell(entry: HistoryEntry, read: Entries, addresses: Mapping[str, Sequence[Document]]) -> Told:
    match entry.spot.kind:
        case EntryKind.RUN:
            return _tell_run(entry, entry.row, read, addresses.get(entry.row.subscription_id or "", ()))
        case EntryKind.CALLOUT:
            return _tell_callout(entry, entry.row)
        case EntryKind.ORDER:
            return _tell_order(entry, entry.row)
        case EntryKind.ACT:
            return _tell_act(entry, entry.row)


def _tell_run(entry: HistoryEntry, run: SyncRunRow, read: Entries, addresses: Sequence[Document]) -> Told:
    related = [
        Related(kind=EntryKind.CALLOUT, id=str(callout.id), text=_name_callout(callout)) for callout in entry.callouts
    ]
    changes = difference(run.plan, read.payments, addresses)
    return Told(
        entry=entry,
        badge=run.outcome,
        sentence=tell_outcome(run, changes.sentence),
        who=_who(run, entry),
        why=_why(entry),
        took=_took(run, entry),
        is_wrong=bool(run.error),
        difference=changes,
        related=tuple(related),
    )


def tell_outcome(run: SyncRunRow, changes: str) -> str:
    """What came of a run whose plan comes to `changes`."""
    if run.outcome in (Outcome.FAILED, Outcome.RETRIED):
        begin = "Failed" if run.outcome == Outcome.FAILED else "Failed, and is tried again"
        return f"{begin}: {run.error or run.error_code or 'for an unknown reason'}"
    if run.outcome in _HELD:
        return f"{_tell_decision(run)}: {changes or 'nothing that is shown here'}"
    notes = " ".join((run.plan or {}).get("notes", ()))
    match run.outcome:
        case Outcome.CHANGED:
            return changes or "Something was written that is not shown here"
        case Outcome.IMPORTED:
            return f"Imported from Zuora: {changes}" if changes else "Imported from Zuora"
        case Outcome.UNCHANGED:
            return "Read from Zuora; the held change stands" if run.plan_hash else "Read from Zuora; nothing differed"
        case Outcome.LISTED:
            return f"{run.listed or 0} subscriptions of the account were queued"
    return f"{_OUTCOMES.get(run.outcome, cut(run.outcome).capitalize())} {notes}".strip()


def _tell_decision(run: SyncRunRow) -> str:
    by = f" by {run.decided_by}" if run.decided_by else " with a sync that a person asked for"
    match run.outcome:
        case Outcome.RELEASED:
            return f"Was held, then released{by}"
        case Outcome.DROPPED:
            return f"Was held, then dropped{by if run.decided_by else ''}"
        case Outcome.SUPERSEDED:
            return "Was held until Zuora's answer changed"
    return "Waits for a decision"


def _who(run: SyncRunRow, entry: HistoryEntry) -> str:
    """The people behind it: who made the order in Zuora, else who or what asked for the sync."""
    makers = dict.fromkeys(callout.created_by for callout in entry.callouts if callout.created_by)
    if makers and run.trigger in ("callout", "workflow", "event"):
        return f"{', '.join(cut(each, 60) for each in makers)} in Zuora"
    asked = trigger(run.trigger)
    return f"{asked}, {cut(run.actor, 120)}" if run.actor else asked


def _why(entry: HistoryEntry) -> str:
    orders = dict.fromkeys(callout.order_number for callout in entry.callouts if callout.order_number)
    if orders:
        return f"order {', '.join(cut(each, 60) for each in orders)}"
    if entry.callouts:
        return "a callout that names no order"
    about = dict.fromkeys(words for cause in entry.causes if (words := _found(cause)))
    return "; ".join(about)


_FOUND_AS = frozenset(FoundAs)


def _found(cause: SyncCauseRow) -> str:
    return FoundAs(cause.found_as).about if cause.found_as in _FOUND_AS else ""


def _took(run: SyncRunRow, entry: HistoryEntry) -> str:
    calls = "1 call" if run.calls == 1 else f"{run.calls} calls"
    words = f"{span(run.ended_at - run.began_at)}, {calls} to Zuora"
    if entry.callouts and run.outcome in (Outcome.CHANGED, Outcome.IMPORTED):
        first = min(callout.received_at for callout in entry.callouts)
        words = f"{words}; written {span(max(0, run.ended_at - first))} after the callout"
    return words


def _tell_callout(entry: HistoryEntry, callout: CalloutRow) -> Told:
    reason = callout.reason or callout.reason_code or ""
    related: tuple[Related, ...] = ()
    match callout.verdict:
        case "accepted":
            words = f"{_name_callout(callout)}; {_fate(entry.came)}"
            if entry.came is not None and entry.came.run_id is not None:
                related = (Related(kind=EntryKind.RUN, id=str(entry.came.run_id), text="the sync"),)
        case "ignored":
            words = f"{_name_callout(callout)}; ignored: {reason or 'no reason was kept'}"
        case _:
            words = f"A callout was {cut(callout.verdict, 40)}: {reason or 'no reason was kept'}"
    return Told(
        entry=entry,
        badge=callout.verdict,
        sentence=words,
        who=f"{cut(callout.created_by, 120)} in Zuora" if callout.created_by else "Zuora",
        why=f"source {cut(callout.source, 60)}" if callout.source else _say_sender(callout.sender),
        is_wrong=callout.verdict == "rejected",
        related=related,
    )


def _name_callout(callout: CalloutRow) -> str:
    if callout.order_number:
        return f"Zuora reported order {cut(callout.order_number, 60)}"
    return "Zuora reported a change"


def _fate(came: Came | None) -> str:
    if came is None:
        return "its sync is not known any more"
    if came.run_id is not None:
        return f"its sync ended as {came.outcome}"
    return "read, and nothing differed" if came.is_served else "its sync has not ended"


def _tell_order(entry: HistoryEntry, order: OrderWorkRow) -> Told:
    state = next((each for each in OrderState if each == order.state), None)
    words = _ORDER_WORDS[state] if state else cut(order.state, 40)
    failed = order.state in (OrderState.FAILED, OrderState.HELD)
    error = f": {order.error}" if order.error and failed else ""
    is_over = order.state in (OrderState.COMPLETE, OrderState.FAILED) and order.ended_at is not None
    return Told(
        entry=entry,
        badge=order.state,
        sentence=f"Order {cut(order.number, 60)} ({cut(order.order_type, 60).replace('_', ' ')}) {words}{error}",
        who=cut(order.client or "unknown", 120),
        why="placed in Limio",
        took=span(max(0, (order.ended_at or 0) - order.submitted_at)) if is_over else "",
        is_wrong=failed,
    )


def words_of(action: str) -> str:
    """What a person did, as the words after the name."""
    return _ACTS.get(action, cut(action, 60))


def _tell_act(entry: HistoryEntry, act: AdminActionRow) -> Told:
    words = words_of(act.action)
    words = f"{words[:1].upper()}{words[1:]}"
    return Told(
        entry=entry,
        badge="decision" if "held" in act.action else "person",
        sentence=words,
        who=cut(act.actor, 120),
        why=_say_sender(act.sender),
    )


def _say_sender(sender: str | None) -> str:
    return f"from {cut(sender, 60)}" if sender else ""


def _read_addresses(session: Session, entries: Sequence[HistoryEntry]) -> Mapping[str, Sequence[Document]]:
    """All addresses of the subscriptions whose address a run of the page changed."""
    wanted = {
        entry.row.subscription_id
        for entry in entries
        if entry.spot.kind is EntryKind.RUN
        and entry.row.subscription_id
        and any(change.get("record_type") == "address" for change in (entry.row.plan or {}).get("changes", ()))
    }
    return {each: read_addresses(session, each) for each in wanted if each}
