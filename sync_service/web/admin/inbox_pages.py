"""The inbox: everything that waits for a person in one list, and what people decide about it, one or many at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import flash, g, redirect, render_template, request, url_for
from sqlmodel import col, select
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.steps import Choice
from sync_service.errors import UnknownKey
from sync_service.queue.backlog import list_failed
from sync_service.queue.orders.lanes import NotToDecide, OrderState, decide, find_work, list_work
from sync_service.queue.requests import Cause, Kind
from sync_service.queue.runs.decisions import (
    DecisionRefused,
    dismiss_failed,
    list_decisions,
    list_released,
    retry_all,
    retry_some,
    settle_held,
)
from sync_service.queue.runs.held import list_held
from sync_service.queue.status.health import read_findings
from sync_service.queue.status.inbox import InboxItem, ItemKind, read_inbox, title_of
from sync_service.queue.stream.branches import EntryKind, Spot
from sync_service.queue.stream.details import read_customers, read_entries
from sync_service.store.audit import record_action
from sync_service.store.engine import Session
from sync_service.store.tables import SyncRequestRow, SyncRunRow, WebhookEndpointRow
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.context import PAGE, AdminPages, ask_first, one_page
from sync_service.web.admin.differences import summarise
from sync_service.web.admin.guard import who
from sync_service.web.admin.orders_pages import CHOICES
from sync_service.web.admin.telling import Told, tell, words_of
from sync_service.web.page_parts import get, post, see_other, whole
from sync_service.webhooks.delivery_log import forget_dead, replay_dead

#: Plans that one decision is about, and customers of a group of failures that are named.
MAX_DECIDED, MAX_NAMED = 500, 5
#: Held plans on a page.
MAX_HELD = 30
_WORDS = {"release": "released", "drop": "dropped"}


@dataclass(frozen=True, kw_only=True)
class HeldPlan:
    """A plan that waits for a decision: whose it is, what it would do, and the payments that would go."""

    run: SyncRunRow
    customer: tuple[str, str] | None
    changes: str
    lost: str


@dataclass(frozen=True, kw_only=True)
class FailedGroup:
    """Failures with one cause, and some of those that it befell."""

    item: InboxItem
    rows: tuple[tuple[SyncRequestRow, tuple[str, str] | None], ...]


class InboxPages(AdminPages):
    """The addresses under /admin/inbox."""

    @get("/inbox")
    def inbox(self) -> str:
        """The list, with one held plan open beside it where the address names one."""
        with self._database.reading() as session:
            items = read_inbox(session, read_findings(session, self._context.settings, g.frame.callouts))
            held, more = one_page(list_held(session, limit=MAX_HELD + 1, after=_after()), MAX_HELD)
            opened = _open(session, request.args.get("open", ""))
            shown = {
                "items": items,
                "held": _held(session, held),
                "more": more,
                "after": f"{held[-1].ended_at}-{held[-1].id}" if held else "",
                "released": list_released(session, limit=PAGE),
                "groups": [_group(session, item) for item in items if item.kind is ItemKind.FAILED],
                "orders": list_work(session, limit=PAGE, states=[OrderState.HELD]),
                "opened": opened,
                "decided": [(act, words_of(act.action)) for act in list_decisions(session)],
            }
        return render_template("admin/inbox.html", **shown, kinds=ItemKind, most=MAX_DECIDED, choices=CHOICES)

    @get("/inbox/failed")
    def failed(self) -> str:
        """One group of failures, or all of them."""
        code = request.args.get("code", "")
        after = (request.args.get("kind", ""), request.args.get("after", ""))
        if not "".join((code, *after)).isprintable():
            code, after = "", ("", "")
        with self._database.reading() as session:
            rows, more = one_page(list_failed(session, limit=PAGE + 1, after=after, code=code or None))
            customers = read_customers(session, [row.key for row in rows])
        return render_template(
            "admin/failed.html",
            rows=[(row, customers.get(row.key)) for row in rows],
            more=more,
            code=code,
            title=title_of(code) if code else "All failures",
        )

    @post("/inbox/failed/<any(retry,dismiss):decision>")
    def decide_failed(self, decision: str) -> str | AnyResponse:
        """Try those again that are ticked, or all of a cause; or forget one that was never synced."""
        chosen = [_read_choice(word) for word in request.form.getlist("chosen")[:MAX_DECIDED]]
        if decision == "dismiss":
            return self._dismiss(chosen)
        if request.form.get("all"):
            text = "Each is queued again, behind callouts, and may be given up again for the same reason."
            if page := ask_first("Retry all of them?", text, "Retry all", back=_back()):
                return page
            count = retry_all(self._database, _person(), code=request.form.get("code") or None)
        elif chosen:
            count = retry_some(self._database, chosen, _person())
        else:
            flash("Tick what is to be tried again.")
            return redirect(_back(), 303)
        noun = "request is" if count == 1 else "requests are"
        flash(f"{count} {noun} queued for another try." if count else "None of them was given up any more.")
        return redirect(_back(), 303)

    @post(f"/inbox/orders/<any({','.join(CHOICES)}):choice>")
    def decide_orders(self, choice: str) -> str | AnyResponse:
        """Choose how the orders that are ticked go on; several, or more than another try, only after a question."""
        keys = [key for key in request.form.getlist("chosen") if key.isprintable()][:PAGE]
        if not keys:
            flash("Tick the orders that you decide about.")
            return see_other("admin.inbox")
        if len(keys) > 1 or choice != Choice.RETRY:
            name, about = CHOICES[Choice(choice)]
            many = "1 order" if len(keys) == 1 else f"{len(keys)} orders"
            if page := ask_first(f"{name}: {many}?", about, name, back=url_for("admin.inbox")):
                return page
        done, refused = list[str](), list[str]()
        for key in keys:
            with self._database.transaction(lock_timeout_ms=5000) as session:
                row = find_work(session, key)
                if row is None:
                    continue
                try:
                    decide(session, row, Choice(choice), actor=who().email)
                except NotToDecide:
                    refused.append(row.number)
                    continue
                record_action(session, who().email, f"order {choice}", row.number)
                done.append(row.number)
        if done:
            flash(f"{_name(done, 'orders')} {'goes' if len(done) == 1 else 'go'} on: {CHOICES[Choice(choice)][0]}.")
        if refused:
            flash(
                f"{_name(refused, 'orders')} left as {'it was' if len(refused) == 1 else 'they were'}: no such choice."
            )
        return see_other("admin.inbox")

    @post("/inbox/webhooks/<any(replay,dismiss):decision>")
    def decide_webhooks(self, decision: str) -> str | AnyResponse:
        """Send what one endpoint did not take again, or forget it."""
        endpoint_id = request.form.get("endpoint", "")
        with self._database.reading() as session:
            endpoint = session.get(WebhookEndpointRow, endpoint_id) if endpoint_id.isprintable() else None
        if endpoint is None:
            raise NotFound("There is no such endpoint.")
        if decision == "dismiss":
            text = "What was given up for this endpoint is deleted, and never sent to it."
            if page := ask_first(
                f"Dismiss what {endpoint.url} did not take?", text, "Dismiss", back=url_for("admin.inbox")
            ):
                return page
            count = forget_dead(self._database, endpoint_id=endpoint.id)
        else:
            count = replay_dead(self._database, endpoint_id=endpoint.id)
        action = "webhooks replayed" if decision == "replay" else "webhooks dismissed"
        self.record(action, f"{count} of {endpoint.id}")
        noun = "delivery is" if count == 1 else "deliveries are"
        flash(f"{count} {noun} {'sent again' if decision == 'replay' else 'dismissed'}.")
        return see_other("admin.inbox")

    @post("/inbox/held/<any(release,drop):decision>")
    def decide_held(self, decision: str) -> str | AnyResponse:
        """Release or drop what is ticked, or all; several only after they were shown with what they come to."""
        keys = [key for key in request.form.getlist("chosen") if key.isprintable()][:MAX_DECIDED]
        if request.form.get("all"):
            with self._database.reading() as session:
                keys = [run.key for run in list_held(session, limit=MAX_DECIDED)]
        if not keys:
            flash("Tick what you decide about.")
            return see_other("admin.inbox")
        if len(keys) > 1 and not request.form.get("confirmed"):
            return self._confirm(decision, keys)
        decided = settle_held(self._database, keys, _person(), release=decision == "release")
        if decided.done:
            names = decided.done[0] if len(decided.done) == 1 else f"{len(decided.done)} changes"
            is_are = "is" if len(decided.done) == 1 else "are"
            waits = "; each waits for its sync, which passes the safety stop" if decision == "release" else ""
            flash(f"{names} {is_are} {_WORDS[decision]}{waits}.")
        for refusal in decided.refused[:MAX_NAMED]:
            flash(refusal)
        if len(decided.refused) > MAX_NAMED:
            flash(f"And {len(decided.refused) - MAX_NAMED} more were not decided.")
        return see_other("admin.inbox")

    def _confirm(self, decision: str, keys: Sequence[str]) -> str:
        with self._database.reading() as session:
            run = SyncRunRow
            theirs = select(run).where(run.kind == Kind.SUBSCRIPTION, col(run.key).in_(keys), run.outcome == "held")
            held = _held(session, session.exec(theirs.order_by(col(run.ended_at), col(run.id))).all())
        return render_template("admin/confirm_held.html", decision=decision, held=held, asked=len(keys))

    def _dismiss(self, chosen: Sequence[tuple[Kind, str]]) -> AnyResponse:
        done = 0
        for kind, key in chosen:
            try:
                dismiss_failed(self._database, key, _person(), kind=kind)
                done += 1
            except (UnknownKey, DecisionRefused) as error:
                flash(str(error))
        if done:
            flash("1 request is dismissed." if done == 1 else f"{done} requests are dismissed.")
        elif not chosen:
            flash("Tick what is to be dismissed.")
        return redirect(_back(), 303)


def _name(numbers: Sequence[str], noun: str) -> str:
    return numbers[0] if len(numbers) == 1 else f"{len(numbers)} {noun}"


def _after() -> tuple[int, int]:
    """The held plan that the page begins behind; the beginning where the address names none."""
    at, _, run_id = request.args.get("after", "").partition("-")
    return whole(at) or 0, whole(run_id) or 0


def _open(session: Session, run_id: str) -> Told | None:
    """The plan that is shown beside the list."""
    named = whole(run_id)
    spots = [] if named is None else [Spot(at=0, kind=EntryKind.RUN, id=str(named))]
    told = tell(session, read_entries(session, spots))
    return told[0] if told else None


def _held(session: Session, runs: Sequence[SyncRunRow]) -> list[HeldPlan]:
    customers = read_customers(session, [run.key for run in runs])
    held = []
    for run in runs:
        changes, lost = summarise(run.plan)
        held.append(HeldPlan(run=run, customer=customers.get(run.key), changes=changes, lost=lost))
    return held


def _group(session: Session, item: InboxItem) -> FailedGroup:
    rows = list_failed(session, limit=MAX_NAMED, code=item.name)
    customers: Mapping[str, tuple[str, str]] = read_customers(session, [row.key for row in rows])
    return FailedGroup(item=item, rows=tuple((row, customers.get(row.key)) for row in rows))


def _read_choice(word: str) -> tuple[Kind, str]:
    kind, _, key = word.partition(" ")
    try:
        return Kind(kind), key if key.isprintable() else ""
    except ValueError:
        raise BadRequest("There is no such kind of request.") from None


def _back() -> str:
    """The page that the form stood on: the group's, or the inbox."""
    code = request.form.get("from_group")
    return url_for("admin.failed", code=code) if code else url_for("admin.inbox")


def _person() -> Cause:
    return Cause(Trigger.ADMIN, actor=who().email)
