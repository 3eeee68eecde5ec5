"""What the store knows of the things on a page of Zuora's list, read at once, and what sweeps remember of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Text, and_, cast
from sqlmodel import col, func, select

from sync_service.queue.requests import Kind
from sync_service.queue.runs.history import FoundAs, Outcome
from sync_service.store.engine import Database, Session
from sync_service.store.statement import in_batches
from sync_service.store.tables import (
    CalloutRow,
    SubscriptionAliasRow,
    SubscriptionRow,
    SweepSeenRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
    ZuoraLinkRow,
)
from sync_service.subscription.fingerprint import Fingerprint
from sync_service.subscription.hints import ReasonCode
from sync_service.subscription.listed import LastSeen
from sync_service.subscription.trigger import Trigger

_REMEMBER = """
INSERT INTO sweep_seen (kind, key, facts, at) VALUES (:kind, :key, :facts, {now})
ON CONFLICT (kind, key) DO UPDATE SET facts = excluded.facts, at = excluded.at
"""

_FORGET = "DELETE FROM sweep_seen WHERE kind = :kind AND at < {now} - :age"


@dataclass(frozen=True)
class OpenRequest:
    """A request that is still open."""

    running: bool
    full: bool

    def covers(self, *, full: bool) -> bool:
        """Whether its run, which has not begun, will read all that is wanted."""
        return not self.running and (self.full or not full)


@dataclass(frozen=True)
class Sight:
    """What a sweep acted on before, and when (ms by the database's clock)."""

    facts: str
    at: int


@dataclass(frozen=True)
class News:
    """The numbers of which a callout has told, and those whose plan waits for a person, since their last good run."""

    announced: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()

    def classify(self, number: str) -> FoundAs:
        """What a difference of `number` counts as."""
        if number in self.undecided:
            return FoundAs.HELD
        return FoundAs.ANNOUNCED if number in self.announced else FoundAs.DRIFT


def read_news(session: Session, ids: Mapping[str, str], read_began: Mapping[str, int]) -> News:
    """What happened to numbers, given with Zuora's latest ids, since their last good runs began."""
    told, held = read_announcements(session, ids), read_undecided(session, list(ids))
    return News(
        # Of one millisecond the request came before the claim: one that came after it waits for another run.
        announced=frozenset(number for number, at in told.items() if at > read_began.get(number, 0)),
        undecided=frozenset(number for number, at in held.items() if at >= read_began.get(number, 0)),
    )


def read_last(session: Session, numbers: Collection[str]) -> dict[str, tuple[LastSeen, int]]:
    """What the last good runs of `numbers` left behind, and when each began."""
    link, request = ZuoraLinkRow, SyncRequestRow
    of_number = and_(col(request.kind) == Kind.SUBSCRIPTION.value, col(request.key) == col(link.number))
    rows = session.exec(
        select(link, request.equal_from).outerjoin(request, of_number).where(col(link.number).in_(numbers))
    )
    return {row.number: (_last_seen(row), max(row.read_began, equal_from or 0)) for row, equal_from in rows}


def read_fingerprints(session: Session, account_ids: Sequence[str]) -> dict[str, dict[str, Fingerprint | None]]:
    """By account the numbers that were read as its own or as paid by it, each with its fingerprint."""
    row, found = ZuoraLinkRow, dict[str, dict[str, Fingerprint | None]]()
    for ids in in_batches(account_ids):
        for account in (row.account_id, row.payer_id):
            rows = select(account, row.number, row.fingerprint).where(col(account).in_(ids))
            for account_id, number, fingerprint in session.exec(rows):
                found.setdefault(account_id or "", {})[number] = Fingerprint.from_json(fingerprint)
    return found


def read_references(session: Session, numbers: Collection[str]) -> set[str]:
    """Those of `numbers` that Limio has a subscription for, read before or not."""
    row = SubscriptionRow
    return {number or "" for number in session.exec(select(row.reference).where(col(row.reference).in_(numbers)))}


def read_waiting(session: Session, numbers: Sequence[str]) -> dict[str, OpenRequest]:
    """The open requests among `numbers`."""
    row, now, found = SyncRequestRow, session.now(), dict[str, OpenRequest]()
    for some in in_batches(numbers):
        rows = select(row.key, row.lease_until, row.full).where(
            row.kind == Kind.SUBSCRIPTION.value, col(row.key).in_(some), col(row.due_at).is_not(None)
        )
        for key, until, full in session.exec(rows):
            found[key] = OpenRequest(running=(until or 0) > now, full=bool(full))
    return found


def read_echoes(session: Session, ids: Mapping[str, str]) -> dict[str, list[int]]:
    """When callouts of orders of our own named each number (ms); `ids` are numbers with Zuora's latest id.

    However often one was sent again, it counts once.
    """
    names = _names(session, ids)
    callout, echoes = CalloutRow, dict[str, list[int]]()
    notification = func.coalesce(callout.notification_id, cast(callout.id, Text))
    for keys in in_batches(list(names)):
        first = (
            select(callout.key, func.min(callout.received_at))
            .where(col(callout.key).in_(keys), callout.reason_code == ReasonCode.ECHO)
            .group_by(col(callout.key), notification)
        )
        for key, at in session.exec(first):
            echoes.setdefault(names[key], []).append(at)
    return echoes


def read_announcements(session: Session, ids: Mapping[str, str]) -> dict[str, int]:
    """When Zuora last told of each number (ms) by an accepted callout; `ids` are numbers with Zuora's latest id."""
    cause, told = SyncCauseRow, dict[str, int]()
    names = _names(session, ids)
    for keys in in_batches(list(names)):
        latest = select(cause.key, func.max(cause.at)).where(
            col(cause.kind).in_((Kind.SUBSCRIPTION.value, Kind.ALIAS.value)),
            col(cause.key).in_(keys),
            col(cause.trigger).in_([trigger for trigger in Trigger if trigger.is_from_zuora]),
        )
        for key, at in session.exec(latest.group_by(col(cause.key))):
            told[names[key]] = max(at, told.get(names[key], 0))
    return told


def read_undecided(session: Session, numbers: Sequence[str]) -> dict[str, int]:
    """The numbers whose plan was held, or dropped by a person, and when (ms); a good run since then has ended it."""
    run, found = SyncRunRow, dict[str, int]()
    for keys in in_batches(numbers):
        held = select(run.key, func.max(run.ended_at)).where(
            run.kind == Kind.SUBSCRIPTION.value,
            col(run.key).in_(keys),
            col(run.outcome).in_((Outcome.HELD, Outcome.DROPPED)),
        )
        found |= dict(session.exec(held.group_by(col(run.key))).all())
    return found


def read_sights(session: Session, kind: str, keys: Collection[str]) -> dict[str, Sight]:
    """What sweeps remember of `keys`."""
    row = SweepSeenRow
    rows = session.exec(select(row.key, row.facts, row.at).where(row.kind == kind, col(row.key).in_(keys)))
    return {key: Sight(facts, at) for key, facts, at in rows}


def remember(database: Database, kind: str, facts: Mapping[str, str]) -> None:
    """Remember what was seen of each key, in key order; writes nothing for nothing. Repeatable."""
    if not facts:
        return
    values = [{"kind": kind, "key": key, "facts": facts[key]} for key in sorted(facts)]
    with database.transaction() as session:
        session.run(_REMEMBER, values)


def forget_sights(database: Database, kind: str, *, older_than_ms: int) -> None:
    """Forget what was seen of a kind longer ago than that."""
    values = {"kind": kind, "age": older_than_ms}
    with database.transaction() as session:
        session.run(_FORGET, values)


def read_last_error_codes(session: Session, requests: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str | None]:
    """With what error the last run in the history of each (kind, key) ended; without those that have none."""
    row, found = SyncRunRow, dict[tuple[str, str], str | None]()
    for kind in {kind for kind, _ in requests}:
        keys = [key for of, key in requests if of == kind]
        last = select(func.max(row.id)).where(row.kind == kind, col(row.key).in_(keys)).group_by(col(row.key))
        runs = session.exec(select(row.key, row.error_code).where(col(row.id).in_(last)))
        found |= {(kind, key): code for key, code in runs}
    return found


def _names(session: Session, ids: Mapping[str, str]) -> dict[str, str]:
    """All keys that stand for the numbers of `ids`, each with its number."""
    alias = SubscriptionAliasRow
    known = session.exec(select(alias.alias, alias.number).where(col(alias.number).in_(list(ids)))).all()
    return {number: number for number in ids} | {id: number for number, id in ids.items()} | dict(known)


def _last_seen(row: ZuoraLinkRow) -> LastSeen:
    return LastSeen(row.version, row.zuora_id, row.account_id, Fingerprint.from_json(row.fingerprint))
