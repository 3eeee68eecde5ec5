"""What waits for a person: failures, held plans, held orders, webhooks that were given up, and checks that fail.

The same items stand in the inbox, are counted in the menu, and are told of by notifications.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import col, select

from sync_service.queue.backlog import HOPELESS, count_failed_by_code
from sync_service.queue.orders.lanes import OrderState
from sync_service.queue.outbox import DeliveryState
from sync_service.queue.runs.held import span_held
from sync_service.queue.status.findings import Finding, Severity
from sync_service.queue.status.heartbeats import ProcessRole
from sync_service.store.engine import Session
from sync_service.store.statement import within
from sync_service.store.tables import JobRow, OrderWorkRow, WebhookDeliveryRow, WebhookEndpointRow

#: Orders and deliveries that are counted; there may be more.
MAX_COUNTED = 1_000
#: Findings that only count what the inbox lists itself.
_LISTED = frozenset({"failed syncs", "held plans", "outbox", "webhooks", "orders"})
#: The job that asks for failures again (`jobs.upkeep`).
_AGAIN = "failed again"
_TITLES = {
    "gone from Zuora": "Zuora no longer has it",
    "unknown key": "Neither Limio nor Zuora knows the key",
    "not found in Zuora": "Zuora does not find it",
    "preview incomplete": "Zuora's billing preview lacks charges",
    "payload invalid": "Zuora's answer cannot be read",
    "request refused": "Zuora refused the request",
    "zuora failed": "Zuora had a problem of its own",
    "not served": "Zuora does not serve it",
    "locked in Zuora": "It was locked in Zuora each time",
    "conflict in store": "Another sync was in the way each time",
    "attempts exhausted": "The worker ended in every attempt",
    "unknown": "An earlier release gave it up and kept no reason",
}

_HELD_ORDERS = (
    select(OrderWorkRow.submitted_at)
    .where(OrderWorkRow.state == OrderState.HELD)
    .order_by(col(OrderWorkRow.submitted_at))
    .limit(MAX_COUNTED)
)
_DEAD = (
    select(WebhookDeliveryRow.endpoint_id, WebhookDeliveryRow.ended_at)
    .where(WebhookDeliveryRow.state == DeliveryState.DEAD)
    .order_by(col(WebhookDeliveryRow.ended_at).desc())
    .limit(MAX_COUNTED)
)
_ENDPOINTS = (
    select(WebhookEndpointRow.id, WebhookEndpointRow.url)
    .where(within(WebhookEndpointRow.id, "ids"))
    .order_by(col(WebhookEndpointRow.id))
)


class ItemKind(StrEnum):
    """What waits."""

    PROCESS = "process"
    CHECK = "check"
    HELD = "held"
    FAILED = "failed"
    ORDER = "order"
    WEBHOOK = "webhook"


@dataclass(frozen=True, kw_only=True)
class InboxItem:
    """One thing that a person should look at; several of a kind with one cause are one."""

    kind: ItemKind
    #: What tells it from others of its kind, over time: a code, an endpoint's id, a check's name.
    name: str
    title: str
    #: How many stand behind it; `most`: or more.
    count: int = 1
    most: bool = False
    says: str = ""
    remedy: str | None = None
    #: When the first and the last of them came, in ms by the database's clock, where that is known.
    first_at: int | None = None
    last_at: int | None = None
    #: When it is tried again by itself; None where it is not.
    next_at: int | None = None
    #: It hinders the work, or only deserves a look.
    is_bad: bool = True


def read_inbox(session: Session, findings: Sequence[Finding]) -> tuple[InboxItem, ...]:
    """Everything that waits, the worst first; `findings` as `read_findings` found them."""
    return (
        *_findings(findings),
        *_held(session),
        *_failures(session),
        *_orders(session),
        *_webhooks(session),
    )


def count_failing(findings: Sequence[Finding]) -> int:
    """Dead processes and failing checks, as the inbox lists them."""
    return sum(1 for item in _findings(findings) if item.is_bad)


def title_of(code: str | None) -> str:
    """What went wrong, plainly, by an error's code."""
    return _TITLES.get(code or "unknown", (code or "").capitalize())


def _findings(findings: Sequence[Finding]) -> Iterator[InboxItem]:
    roles = {role.value for role in ProcessRole}
    for finding in sorted(findings, key=lambda each: (each.verdict is not Severity.FAILED, each.name)):
        if finding.verdict in (Severity.FAILED, Severity.WARNING) and finding.name not in _LISTED:
            yield InboxItem(
                kind=ItemKind.PROCESS if finding.name in roles else ItemKind.CHECK,
                name=finding.name,
                title=finding.name.capitalize(),
                says=finding.says,
                remedy=finding.remedy,
                is_bad=finding.verdict is Severity.FAILED,
            )


def _held(session: Session) -> Iterator[InboxItem]:
    count, first, last = span_held(session)
    if count:
        yield InboxItem(
            kind=ItemKind.HELD,
            name="held",
            title="Changes that the safety stop holds",
            count=count,
            first_at=first,
            last_at=last,
        )


def _failures(session: Session) -> Iterator[InboxItem]:
    job = session.look_up(JobRow, name=_AGAIN)
    again = job.due_at if job is not None and not job.paused else None
    for group in count_failed_by_code(session):
        yield InboxItem(
            kind=ItemKind.FAILED,
            name=group.code,
            title=title_of(group.code),
            count=group.requests,
            first_at=group.since,
            last_at=group.last,
            next_at=None if group.code in HOPELESS else again,
        )


def _orders(session: Session) -> Iterator[InboxItem]:
    times = session.run(_HELD_ORDERS).scalars()
    if times:
        yield InboxItem(
            kind=ItemKind.ORDER,
            name="orders",
            title="Orders that need a decision",
            count=len(times),
            most=len(times) == MAX_COUNTED,
            first_at=times[0],
            last_at=times[-1],
        )


def _webhooks(session: Session) -> Iterator[InboxItem]:
    """For each endpoint what was given up."""
    ended: dict[str, list[int]] = {}
    for endpoint_id, at in session.run(_DEAD):
        ended.setdefault(endpoint_id, []).append(at or 0)
    total = sum(map(len, ended.values()))
    for endpoint in session.run(_ENDPOINTS, {"ids": ended}) if ended else ():
        times = ended[endpoint.id]
        yield InboxItem(
            kind=ItemKind.WEBHOOK,
            name=endpoint.id,
            title=f"Webhooks that {endpoint.url.split('://')[-1].partition('/')[0]} did not take",
            count=len(times),
            most=total == MAX_COUNTED,
            first_at=times[-1],
            last_at=times[0],
        )
