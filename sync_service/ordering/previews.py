"""What is read from Zuora for orders without placing one: what an order would cost, and the rate plans on sale.

A preview has the bodies that would place the order; nothing is placed or stored. Rate plans are read anew by the day,
by command, and where an order finds none that fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sync_service.commerce.case import Case
from sync_service.commerce.cost import cost_of_memos, question_of, schedule_of
from sync_service.commerce.fields import read_json, write_json
from sync_service.commerce.journeys import journeys
from sync_service.commerce.order import CannotBePlacedError, Order, Refusal
from sync_service.commerce.payload import read_order
from sync_service.commerce.steps import Heard, Plan
from sync_service.errors import (
    LockedInZuora,
    NotServed,
    PayloadInvalid,
    RequestRefused,
)
from sync_service.ordering.context import Looks, OrderContext, meet
from sync_service.queue import questions as asks
from sync_service.queue.limit import Share
from sync_service.queue.orders.acceptance import check_order, name_order
from sync_service.queue.story_lease import StoryLease, hold_story_lease
from sync_service.store.engine import Database
from sync_service.store.offers import write_rate_plans
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.products import fetch_rate_plans
from sync_service.zuora.reading import Reading
from sync_service.zuora.writing import hear

#: The time for everything that a preview asks of Zuora, in seconds.
PREVIEW_SECONDS = 60.0
#: Stands for all of them where it is in doubt whether Zuora is in trouble: what other calls meet decides.
_ALL_PREVIEWS = "order preview"


def preview_order(context: OrderContext, order: Order, reading: Reading, place: StoryLease) -> dict[str, Any]:
    """Zuora's preview, and the schedule that Limio would show of it. `place` is the caller's among Zuora's callers.

    Raises CannotBePlacedError where the order would be refused, RequestRefused where Zuora refuses the preview, and
    what `Reading.call` raises.
    """
    with context.database.reading() as session:
        case = check_order(session, context.settings, order)
    case = meet(replace(case, order=replace(order, names=name_order(case, "order-preview"))), reading, Looks(0))
    plan = journeys(case.order, case.state, case.catalog, case.options, case.today)
    if isinstance(plan, Refusal):
        raise CannotBePlacedError(*plan.problems)
    question = question_of(plan, case.today)
    if isinstance(question, Refusal):
        raise CannotBePlacedError(*question.problems)
    if question is None:
        return _shown({}, cost_of_memos(plan), plan)
    place.leave()
    answer = hear(reading, question.method, question.path, body=question.body_text)
    if answer.heard is Heard.SILENCE or answer.body is None:
        if answer.heard is Heard.LOCKED:
            raise LockedInZuora(answer.message)
        if answer.heard is Heard.SILENCE:
            raise NotServed(answer.message)
        raise RequestRefused(f"[{answer.code}] {answer.message}" if answer.code else answer.message)
    return _shown(answer.body, schedule_of(answer.body, _currency(case)), plan)


def answer_preview(context: OrderContext, taken: asks.Taken) -> None:
    """Answer a question of the web side, and give its place back. Raises nothing that belongs to the question."""
    reading = taken.place.counting(context.zuora.reading(PREVIEW_SECONDS))

    def find() -> Mapping[str, Any]:
        return preview_order(context, _asked_order(context, taken), reading, taken.place)

    asks.serve(context.database, context.share, taken, find, doubt=_ALL_PREVIEWS)


def _asked_order(context: OrderContext, taken: asks.Taken) -> Order:
    question = read_json(taken.question or "{}")
    zone = context.settings.tenant_time_zone
    order = read_order(question.get("order"), zone, may_refund=bool(question.get("may_refund")))
    if isinstance(order, Refusal):
        raise PayloadInvalid("The order cannot be read.")
    return replace(order, payer_account=question.get("payer_account"))


def _currency(case: Case) -> str | None:
    """The account's where there is one, else the offer's."""
    try:
        return case.account.currency
    except CannotBePlacedError:
        return case.offer().currency


def _shown(answer: Mapping[str, Any], schedule: list[dict[str, Any]], plan: Plan) -> dict[str, Any]:
    """In Limio's form, with what the order itself would warn of; Zuora's exact numbers become those of JSON."""
    plain = json.loads(write_json(answer))
    shown = {"preview": {"success": True, "previewResult": plain.get("previewResult", {})}, "schedule": schedule}
    return shown | ({"warnings": [each.message for each in plan.warnings]} if plan.warnings else {})


#: The time for all pages, in seconds.
REFRESH_SECONDS = 120.0


def refresh_catalog(database: Database, zuora: ZuoraClient, share: Share, *, wait_seconds: float = 0.0) -> int:
    """Let the store hold every rate plan that Zuora has; how many. Repeatable; read whole before anything is written.

    Raises BusyError where no place is free within `wait_seconds`, and what `fetch_rate_plans` raises.
    """
    with hold_story_lease(database, "catalog", share, wait_seconds=wait_seconds) as lease:
        return refresh_rate_plans(database, lease.counting(zuora.reading(REFRESH_SECONDS)))


def refresh_rate_plans(database: Database, reading: Reading) -> int:
    """The same under a call slot that the caller holds."""
    plans = fetch_rate_plans(reading)
    with database.transaction() as session:
        write_rate_plans(session, plans)
    return len(plans)
