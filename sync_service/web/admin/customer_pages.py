"""A customer's page: who, what they hold and will pay, what happened, and one button that syncs all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flask import Response, redirect, render_template, request, url_for
from sqlmodel import col, select
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.fate import Fate, Stage, Ticket, judge
from sync_service.queue.limit import Share
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.runs.history import Outcome
from sync_service.queue.stream.page import whose
from sync_service.store.audit import record_action
from sync_service.store.engine import Session
from sync_service.store.tables import (
    CustomerRow,
    OrderRow,
    OrderWorkRow,
    SubscriptionRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
)
from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.context import AdminPages
from sync_service.web.admin.detail import read_plan_name
from sync_service.web.admin.filters import read_shown
from sync_service.web.admin.finding import FoundSubscription, complete
from sync_service.web.admin.guard import who
from sync_service.web.admin.payments import (
    MAX_COMING,
    DrawnPayment,
    ScheduledPayment,
    draw_timeline,
    read_coming,
)
from sync_service.web.admin.progress import why_waiting
from sync_service.web.admin.words import OUTCOMES
from sync_service.web.answers import answer
from sync_service.web.customer_invoices import find_customer
from sync_service.web.page_parts import get, post, whole

#: Subscriptions that the page shows and the button syncs; a business that holds more is backfilled by its account.
MOST = 500
#: Subscriptions whose payments the page shows, and accounts and orders that it names.
MAX_SHOWN = 25
#: Payments on the line of all subscriptions.
MAX_DOTS = 200


@dataclass(frozen=True, kw_only=True)
class CustomerHolding:
    """One subscription of a customer: what it is, and the payments to come, the next one first."""

    found: FoundSubscription
    plan: str
    coming: tuple[ScheduledPayment, ...]


@dataclass(frozen=True, kw_only=True)
class CustomerOrder:
    """An order of the customer's, as Limio has it and as it went."""

    number: str
    kind: str
    state: str
    #: When it was submitted: ms where we placed it, else Limio's text.
    at: int | str | None
    #: Its entry in the stream; None for one that we did not place.
    entry: str | None


@dataclass(frozen=True, kw_only=True)
class SyncOfAll:
    """How a sync of all of a customer's subscriptions goes."""

    first_cause: int
    fates: tuple[Fate, ...]
    #: Why nothing is taken up, where nothing is done yet.
    waits: str = ""

    @property
    def total(self) -> int:
        """How many were asked for."""
        return len(self.fates)

    @property
    def done(self) -> int:
        """How many have ended, well or not."""
        return sum(each.stage is Stage.ENDED for each in self.fates)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.done == self.total

    @property
    def failed(self) -> tuple[Fate, ...]:
        """Those that need attention."""
        return tuple(each for each in self.fates if each.error is not None or each.is_held)

    @property
    def text(self) -> str:
        """How it goes, in words."""
        if not self.is_done:
            return f"{self.done} of {self.total} done. {self.waits}".strip()
        well = Counter(each.outcome for each in self.fates if each not in self.failed and each.outcome is not None)
        changed = sum(count for outcome, count in well.items() if outcome.is_applied)
        parts = [f"{changed} changed"] if changed else []
        for outcome, count in sorted(well.items()):
            if not outcome.is_applied:
                word = OUTCOMES[outcome][0]
                parts.append(f"{count} {word[:1].lower()}{word[1:]}")
        parts += [f"{len(self.failed)} did not work"] if self.failed else []
        begin = "Done" if self.total == 1 else f"All {self.total} done"
        return f"{begin}: {', '.join(parts)}."


class CustomerPages(AdminPages):
    """The addresses under /admin/customers."""

    @get("/customers/<customer_id>")
    def customer(self, customer_id: str) -> str:
        """Who, and all that they hold."""
        asked = whole(request.args.get("asked", ""))
        with self._database.reading() as session:
            customer = find_customer(session, customer_id)
            rows = _read_subscriptions(session, customer_id)
            found = tuple(complete(session, rows[:MOST]))
            held = read_holdings(session, found, self._context.today(session))
            numbers = [each.number for each in found if each.number]
            today = self._context.today(session)
            stream = read_shown(self._context, session, whose=whose(session, numbers))
            orders = _read_orders(session, customer, numbers)
            progress = None if asked is None else read_sync_of_all(session, self._context.share, found, asked)
        drawn = _drawn(held)
        is_part = len(drawn) < sum(len(each.coming) for each in held)
        accounts = {each.link.account_id: each.link for each in found if each.link and each.link.account_id}
        return render_template(
            "admin/customer.html",
            customer=customer,
            rows=found,
            held=held,
            timeline=draw_timeline(drawn, today=today, term_start=None, term_end=None) if drawn else None,
            drawn_until=drawn[-1].due if drawn and is_part else None,
            max_coming=MAX_COMING,
            next_payment=min((each.coming[0] for each in held if each.coming), key=_due, default=None),
            accounts=tuple(accounts.values())[:MAX_SHOWN],
            orders=orders,
            stream=stream,
            zuora=self._context.zuora,
            more=len(rows) > MOST,
            most=MOST,
            progress=progress,
        )

    @post("/customers/<customer_id>/sync")
    def sync_all(self, customer_id: str) -> AnyResponse:
        """Queue them all as a person's wish, together or not at all."""
        with self._database.transaction(lock_timeout_ms=5000) as session:
            find_customer(session, customer_id)
            rows = _read_subscriptions(session, customer_id)[:MOST]
            numbers = sorted({found.number for found in complete(session, rows) if found.number})
            if not numbers:
                raise BadRequest("None of this customer's subscriptions has a number yet that Zuora could know.")
            last = session.exec(select(SyncCauseRow.id).order_by(col(SyncCauseRow.id).desc()).limit(1)).first() or 0
            cause = Cause(Trigger.ADMIN, actor=who().email)
            for number in numbers:  # in key order, as every caller that queues several
                enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.PERSON, full=True)
            record_action(session, who().email, "sync all", f"{customer_id}, {len(numbers)}")
        place = url_for("admin.customer", customer_id=customer_id, asked=last + 1)
        return redirect(f"{place}#progress", 303)

    @get("/customers/<customer_id>/progress/<int(max=9223372036854775807):first_cause>")
    def all_progress(self, customer_id: str, first_cause: int) -> Response:
        """For the page's script."""
        with self._database.reading() as session:
            found = tuple(complete(session, _read_subscriptions(session, customer_id)[:MOST]))
            progress = read_sync_of_all(session, self._context.share, found, first_cause)
        if progress is None:
            raise NotFound("There is no such request.")
        told = {"done": progress.is_done, "text": progress.text, "value": progress.done, "max": progress.total}
        return answer(200, told)


def read_sync_of_all(
    session: Session, share: Share, rows: tuple[FoundSubscription, ...], first_cause: int
) -> SyncOfAll | None:
    """The progress of what was requested here since the cause `first_cause`; None if nothing was."""
    numbers = sorted({found.number for found in rows if found.number})
    cause, run = SyncCauseRow, SyncRunRow
    asked = select(cause).where(
        cause.kind == "subscription",
        col(cause.key).in_(numbers),
        col(cause.id) >= first_cause,
        cause.trigger == "admin",
    )
    wanted: dict[str, SyncCauseRow] = {}
    for each in session.exec(asked.order_by(col(cause.id))):
        wanted.setdefault(each.key, each)
    if not wanted:
        return None
    ran = select(run).where(run.kind == "subscription", col(run.key).in_(list(wanted)))
    first: dict[str, SyncRunRow] = {}
    for each_run in session.exec(ran.where(run.seq_to >= _lowest(wanted)).order_by(col(run.id))):
        seq = wanted[each_run.key].seq
        if each_run.seq_from < seq <= each_run.seq_to:
            first.setdefault(each_run.key, each_run)
    requests = select(SyncRequestRow).where(
        SyncRequestRow.kind == "subscription", col(SyncRequestRow.key).in_(list(wanted))
    )
    rows_by_key = {row.key: row for row in session.exec(requests)}
    now = session.now()
    fates = tuple(_judge(rows_by_key[number], wanted[number].seq, first.get(number), now) for number in sorted(wanted))
    waits = ""
    if not any(row.lease_until for row in rows_by_key.values()):
        waits = why_waiting(session, share, min(each.at for each in wanted.values()))
    return SyncOfAll(first_cause=first_cause, fates=fates, waits=waits)


def read_holdings(session: Session, rows: tuple[FoundSubscription, ...], today: date) -> tuple[CustomerHolding, ...]:
    """The first of `rows` with their plans and payments."""
    return tuple(
        CustomerHolding(
            found=found,
            plan=read_plan_name(session, found.subscription),
            coming=read_coming(session, found.subscription.id, today),
        )
        for found in rows[:MAX_SHOWN]
    )


def _drawn(held: Sequence[CustomerHolding]) -> list[DrawnPayment]:
    """The next MAX_DOTS payments, each with its plan, up to the day until which those of every plan are known."""
    known_until = min((each.coming[-1].due or date.max for each in held if len(each.coming) > MAX_COMING), default=None)
    payments = [
        DrawnPayment(entry.due, f"{entry.amount}, {each.plan or each.found.number}", "coming")
        for each in held
        for entry in each.coming
        if entry.due and (known_until is None or entry.due < known_until)
    ]
    return sorted(payments, key=lambda payment: payment.due)[:MAX_DOTS]


def _due(entry: ScheduledPayment) -> date:
    return entry.due or date.max


def _read_orders(session: Session, customer: CustomerRow, numbers: Sequence[str]) -> list[CustomerOrder]:
    """The latest orders of the customer's subscriptions, those that we placed first."""
    work, placed = OrderWorkRow, list[CustomerOrder]()
    for number in numbers[:MAX_SHOWN]:
        theirs = select(work).where(work.subscription_number == number)
        for row in session.exec(theirs.order_by(col(work.submitted_at).desc()).limit(MAX_SHOWN)):
            state = CustomerOrder(
                number=row.number, kind=row.order_type, state=row.state, at=row.submitted_at, entry=row.order_id
            )
            placed.append(state)
    known = {each.number for each in placed}
    loaded: list[CustomerOrder] = []
    if customer.owner:
        rows = session.exec(select(OrderRow).where(OrderRow.owner == customer.owner).limit(MAX_SHOWN))
        for order in rows:
            if order.reference not in known:
                kind = get_value(order.document, "order_type") or get_value(order.document, "data.order_type")
                shown = CustomerOrder(
                    number=order.reference or order.id,
                    kind=str(kind or ""),
                    state=order.status or "",
                    at=order.created,
                    entry=None,
                )
                loaded.append(shown)
    placed.sort(key=lambda each: each.at if isinstance(each.at, int) else 0, reverse=True)
    loaded.sort(key=lambda each: str(each.at), reverse=True)
    return (placed + loaded)[:MAX_SHOWN]


def _lowest(wanted: dict[str, SyncCauseRow]) -> int:
    return min(each.seq for each in wanted.values())


def _judge(row: SyncRequestRow, seq: int, run: SyncRunRow | None, now: int) -> Fate:
    is_held = run is not None and run.outcome == Outcome.HELD
    return judge(row, Ticket(Kind.SUBSCRIPTION, row.key, seq), run, now=now, is_held=is_held)


def _read_subscriptions(session: Session, customer_id: str) -> list[SubscriptionRow]:
    row = SubscriptionRow
    theirs = select(row).where(row.customer == customer_id).order_by(col(row.id)).limit(MOST + 1)
    return list(session.exec(theirs))
