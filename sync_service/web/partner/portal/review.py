"""The page before an order: what is ordered, from when, and what it costs, by Zuora's preview or by our estimate.

A worker asks Zuora. The estimate stands while Zuora has not answered, and the page says which of the two it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import render_template

from sync_service.commerce.cost import Due, due_until
from sync_service.commerce.order import CannotBePlacedError
from sync_service.partner.baskets import BasketView, SubscriptionLocked
from sync_service.partner.orders import PartnerOrders, is_zuora_away
from sync_service.queue.questions import MOST_OPEN, TooManyAsked
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.subscription.limio.documents import read_day
from sync_service.web.partner.portal.acting import agent
from sync_service.web.waiting import Questions

#: How long the page waits for Zuora's preview, in seconds.
_PATIENCE = 4.0


@dataclass(frozen=True, kw_only=True)
class BasketLine:
    """An item of a basket as a row."""

    #: Add or Remove.
    action: str
    name: str
    quantity: int
    amount: Any
    #: None: at once.
    day: date | None


class Review:
    """Shows baskets of both kinds before they are ordered."""

    def __init__(self, settings: Settings, database: Database, questions: Questions, orders: PartnerOrders) -> None:
        self._settings = settings
        self._database = database
        self._questions = questions
        self._orders = orders

    def show(self, view: BasketView, payload: Mapping[str, Any], **page: Any) -> str:
        """The page of a basket, which `payload` would order."""
        order = view.document["order"]
        with self._database.reading() as session:
            today = self._settings.day_at(session.now())
            is_away = is_zuora_away(session, self._settings)
        return render_template(
            "partner/review.html",
            rows=[_row(each, today) for each in order["orderItems"]],
            total=order["total"],
            due=None if is_away else self._ask(payload, today),
            is_away=is_away,
            **page,
        )

    def _ask(self, payload: Mapping[str, Any], today: date) -> Due | None:
        """What Zuora says is due today; None where it does not say it now."""
        try:
            ask_id = self._orders.ask_preview(agent(), payload, most=MOST_OPEN)
        except (TooManyAsked, CannotBePlacedError, SubscriptionLocked):
            return None
        found = self._questions.wait(ask_id, _PATIENCE).found or {}
        return due_until(found["schedule"], today) if "schedule" in found else None


def _row(item: Mapping[str, Any], today: date) -> BasketLine:
    day = read_day(item["effective_date"])
    return BasketLine(
        action=item["orderItemActionType"].capitalize(),
        name=item["name"],
        quantity=item["quantity"],
        amount=item["price"].get("amount") if item["orderItemActionType"] == "add" else None,
        day=day if day and day > today else None,
    )
