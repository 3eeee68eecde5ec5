"""What people are told of the inbox outside of the pages: new items and recoveries, kept until they are sent.

An item is told of once, and again when its count has grown after a while; its end is told when it has stayed away.
What may pass by itself is told only when it has lasted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlmodel import col, select

from sync_service.queue.retry import back_off
from sync_service.queue.status.inbox import InboxItem, ItemKind
from sync_service.store.engine import Session
from sync_service.store.tables import AdminUserRow, InboxSeenRow, NotificationChoiceRow, NotificationRow

MINUTE_MS = 60_000
#: A check or process must be unwell, and anything must have been gone, for so long before it is told.
SETTLE_MS = 2 * MINUTE_MS
#: Between two messages to one person in one way; what comes meanwhile goes with the next.
QUIET_MS = 15 * MINUTE_MS
#: An item whose count grew is told again after so long.
AGAIN_MS = 60 * MINUTE_MS
#: Then a message that no receiver takes is given up.
MAX_ATTEMPTS = 12
BACKOFF_MS, BACKOFF_CAP_MS = MINUTE_MS, 60 * MINUTE_MS
#: Sent and given up ones are kept so long.
KEEP_MS = 30 * 86_400_000
#: Things of one message; more wait for the next.
MAX_TOLD = 100
#: What the addresses of people's webhooks are encrypted for, and how long one may be.
PURPOSE, LONGEST_ADDRESS = "notifications", 2_000
_LASTING = frozenset({ItemKind.PROCESS, ItemKind.CHECK})
_FORGET = "DELETE FROM notification WHERE state <> 'pending' AND at < :before"


class Way(StrEnum):
    """How a person is told."""

    MAIL = "mail"
    WEBHOOK = "webhook"


@dataclass(frozen=True, kw_only=True)
class Message:
    """All that one person is to be told now in one way."""

    email: str
    way: Way
    rows: tuple[NotificationRow, ...]


def note_inbox(session: Session, items: Iterable[InboxItem]) -> int:
    """Compare the inbox with what people know, and keep what each is to be told; returns how many things."""
    now = session.now()
    seen = {(row.kind, row.name): row for row in session.exec(select(InboxSeenRow))}
    told: list[tuple[InboxSeenRow, bool]] = []
    for item in items:
        row = seen.pop((item.kind, item.name), None)
        if row is None:
            row = InboxSeenRow(kind=item.kind, name=item.name, title=item.title, count=item.count, since=now)
            session.add(row)
        row.title, row.count, row.missing_since = item.title, item.count, None
        if _is_to_tell(row, now):
            row.told_at, row.told_count = now, row.count
            told.append((row, False))
    for row in seen.values():
        row.missing_since = row.missing_since or now
        if now - row.missing_since >= SETTLE_MS:
            if row.told_at is not None:
                told.append((row, True))
            session.delete(row)
    people = _read_people(session)
    made = [
        NotificationRow(
            email=person.email,
            way=way,
            kind=row.kind,
            title=row.title,
            count=row.count,
            recovered=recovered,
            at=now,
            due_at=now,
        )
        for row, recovered in told
        for person in people
        if row.kind in person.kinds
        for way in ways_of(person)
    ]
    session.add_all(made)
    session.run(_FORGET, {"before": now - KEEP_MS})
    return len(made)


def read_due(session: Session) -> list[Message]:
    """What is to be sent now: for each person and way one message, and none within QUIET_MS of the last."""
    now, row = session.now(), NotificationRow
    mine = col(row.email).in_(_active())
    due = select(row).where(row.state == "pending", row.due_at <= now, mine).order_by(col(row.due_at), col(row.id))
    waiting: dict[tuple[str, str], list[NotificationRow]] = {}
    for each in session.exec(due.limit(10 * MAX_TOLD)):
        waiting.setdefault((each.email, each.way), []).append(each)
    return [
        Message(email=email, way=Way(way), rows=tuple(rows[:MAX_TOLD]))
        for (email, way), rows in waiting.items()
        if now - _last_sent(session, email, way) >= QUIET_MS
    ]


def settle(session: Session, ids: Collection[int], *, error: str | None, jitter: float) -> None:
    """Note how a message ended: sent, or to be tried again later."""
    now = session.now()
    for row in session.exec(select(NotificationRow).where(col(NotificationRow.id).in_(ids))):
        row.attempts, row.error = row.attempts + 1, error
        if error is None:
            row.state, row.sent_at = "sent", now
        elif row.attempts >= MAX_ATTEMPTS:
            row.state = "dead"
        else:
            row.due_at = now + back_off(BACKOFF_MS, BACKOFF_CAP_MS, row.attempts, jitter)


def read_choice(session: Session, email: str) -> NotificationChoiceRow:
    """What a person chose; of one who chose nothing, nothing."""
    return session.get(NotificationChoiceRow, email) or NotificationChoiceRow(email=email)


def ways_of(choice: NotificationChoiceRow) -> Sequence[Way]:
    """How a person wants to be told."""
    return [way for way, wanted in ((Way.MAIL, choice.by_mail), (Way.WEBHOOK, choice.webhook)) if wanted]


def queue_trial(session: Session, choice: NotificationChoiceRow) -> int:
    """Have a person told something now in each way that was chosen; returns how many."""
    now, ways = session.now(), ways_of(choice)
    for way in ways:
        session.add(
            NotificationRow(
                email=choice.email,
                way=way,
                kind="trial",
                title="A trial that you asked for",
                count=1,
                at=now,
                due_at=now,
            )
        )
    return len(ways)


def read_latest(session: Session, email: str) -> Sequence[NotificationRow]:
    """What a person was told last, newest first."""
    row = NotificationRow
    mine = [
        select(row.id)
        .where(row.email == email, row.way == way, row.state == state)
        .order_by(col(row.id).desc())
        .limit(10)
        for way in Way
        for state in ("pending", "sent", "dead")
    ]
    ids = [each for statement in mine for each in session.exec(statement)]
    return session.exec(select(row).where(col(row.id).in_(ids)).order_by(col(row.id).desc()).limit(10)).all()


def _is_to_tell(row: InboxSeenRow, now: int) -> bool:
    if row.told_at is None:
        return row.kind not in _LASTING or now - row.since >= SETTLE_MS
    return row.count > row.told_count and now - row.told_at >= AGAIN_MS


def _read_people(session: Session) -> Sequence[NotificationChoiceRow]:
    """The choices of those who may log in."""
    choice = NotificationChoiceRow
    return session.exec(select(choice).where(col(choice.email).in_(_active())).order_by(choice.email)).all()


def _active() -> Any:
    return select(AdminUserRow.email).where(col(AdminUserRow.disabled_at).is_(None))


def _last_sent(session: Session, email: str, way: str) -> int:
    row = NotificationRow
    sent = select(row.sent_at).where(row.email == email, row.way == way, row.state == "sent", row.kind != "trial")
    return session.exec(sent.order_by(col(row.sent_at).desc()).limit(1)).first() or 0
