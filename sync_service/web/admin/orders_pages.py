"""The pages of orders: the list, and one order with its calls, what it waits for, and what a person may choose."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, flash, render_template, request, url_for
from sqlmodel import col, select
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.commerce.steps import Choice
from sync_service.queue.orders.lanes import OPEN_STATES, NotToDecide, OrderState, decide, find_work, hurry
from sync_service.queue.orders.steps import read_steps
from sync_service.store.audit import record_action
from sync_service.store.engine import Session
from sync_service.store.tables import OrderWorkRow
from sync_service.web.admin.context import PAGE, PageContext, ask_first, before_id, chosen, one_page
from sync_service.web.admin.guard import operators_only, who
from sync_service.web.page_parts import see_other

STATES = tuple(state.value for state in OrderState)
#: What a person may choose of an order that is held: the button, and what it means.
CHOICES = {
    Choice.RETRY: ("Try the step again", "The step is sent to Zuora once more."),
    Choice.COUNT_AS_DONE: ("Count it as done", "It goes on as if Zuora had answered: look in Zuora first."),
    Choice.FAIL: ("Give up", "What was done is undone where that is possible, and the order fails."),
}


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses under /admin/orders."""
    database = context.database

    @blueprint.get("/orders")
    def orders() -> str:
        state, before = chosen("state", STATES), before_id()
        with database.reading() as session:
            rows, more = one_page(_read(session, [state] if state else STATES, before))
        return render_template("admin/orders.html", rows=rows, more=more, state=state, states=STATES)

    @blueprint.get("/orders/<key>")
    def order(key: str) -> str:
        with database.reading() as session:
            row = find_work(session, key) if key.isprintable() else None
            if row is None:
                raise NotFound("There is no such order.")
            calls = read_steps(session, row.order_id)
        return render_template(
            "admin/order.html",
            order=row,
            calls=calls,
            choices=[(Choice(each).value, *CHOICES[Choice(each)]) for each in row.choices],
            is_open=row.state in OPEN_STATES,
        )

    @blueprint.post("/orders/<key>/decide")
    @operators_only
    def decide_order(key: str) -> AnyResponse | str:
        wanted = request.form.get("choice", "")
        if wanted in CHOICES and wanted != Choice.RETRY:
            name, text = CHOICES[Choice(wanted)]
            back = url_for("admin.order", key=key)
            if page := ask_first(f"{name}?", text, name, back=back):
                return page
        with database.transaction(lock_timeout_ms=5000) as session:
            row = find_work(session, key) if key.isprintable() else None
            if row is None:
                raise NotFound("There is no such order.")
            if wanted == "now" and row.state in OPEN_STATES:
                hurry(session, row, actor=who().email)
                flash(f"{row.number} is tried at once.")
            else:
                try:
                    decide(session, row, Choice(wanted), actor=who().email)
                    flash(f"{row.number} goes on at its turn.")
                except (ValueError, NotToDecide):
                    flash(f"{row.number} was not changed: it is {row.state} now, and this is no choice for it.")
                    return see_other("admin.order", key=row.order_id)
            record_action(session, who().email, f"order {wanted}", row.number)
            return see_other("admin.order", key=row.order_id)


def _read(session: Session, states: Sequence[str], before: int | None) -> list[OrderWorkRow]:
    """The latest of each state, by the index of states, and of all these the latest."""
    found: list[OrderWorkRow] = []
    for state in states:
        theirs = select(OrderWorkRow).where(OrderWorkRow.state == state)
        if before is not None:
            theirs = theirs.where(OrderWorkRow.submitted_at < before)
        found += session.exec(theirs.order_by(col(OrderWorkRow.submitted_at).desc()).limit(PAGE + 1))
    return sorted(found, key=lambda row: -row.submitted_at)[: PAGE + 1]
