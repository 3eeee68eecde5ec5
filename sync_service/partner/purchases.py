"""Baskets that buy a new subscription: one offer with the add-ons that go with it (Limio's page "Partner checkout")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sync_service.commerce.basket.holding import Holding, nothing_yet
from sync_service.commerce.basket.items import Basket, WantedItem, apply_items, refuse
from sync_service.commerce.basket.shown import show_purchase
from sync_service.commerce.order import CannotBePlacedError, Refusal
from sync_service.partner.basket_rows import Agent, check_seen, fill, find_basket, make_room, new_basket, wanted_of
from sync_service.partner.holdings import read_stock
from sync_service.queue.submission import LOCK_TIMEOUT_MS
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow
from sync_service.subscription.limio.documents import timestamp_of


class Purchases:
    """What partners are about to buy."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def open(
        self, agent: Agent, wanted: Sequence[WantedItem], *, country: str | None = None, external_id: str | None = None
    ) -> BasketRow:
        """A new basket. Raises CannotBePlacedError."""
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            row = new_basket(agent, None, session.now())
            row.external_id = external_id
            self._fill(session, agent, row, wanted, country)
            make_room(session, agent, None)
            session.add(row)
            return row

    def change(self, agent: Agent, basket_id: str | None, wanted: Sequence[WantedItem]) -> BasketRow:
        """Let the basket be all that is wanted. Raises BasketUnknown and CannotBePlacedError."""
        with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
            row = find_basket(session, agent, basket_id, buys=True, lock=True)
            if row.state != "active":
                refuse("This basket was ordered; open another.", field="order.checkoutId")
            self._fill(session, agent, row, wanted, row.document["order"].get("country"))
            session.add(row)
            return row

    def check(self, session: Session, agent: Agent, row: BasketRow) -> list[dict[str, Any]]:
        """The basket as an order's `orderItems`. Raises CannotBePlacedError with what has changed since it was seen."""
        country = row.document["order"].get("country")
        basket = check_seen(row, self._apply(session, agent, wanted_of(row), country)[1])
        offers = [item for item in basket.items if item.record_type == "offer"]
        if not offers:
            refuse("An add-on is bought with an offer.")
        add_ons = [item.offer.ref for item in basket.items if item.record_type == "add_on"]
        return [
            {
                "offer": {"id": item.offer.ref.id, "version": item.offer.ref.version},
                "quantity": item.quantity,
                "addOns": [{"id": ref.id, "version": ref.version} for ref in add_ons],
            }
            for item in offers
        ]

    def _apply(
        self, session: Session, agent: Agent, wanted: Sequence[WantedItem], country: str | None
    ) -> tuple[Holding, Basket | Refusal]:
        today = self._settings.day_at(session.now())
        stock = read_stock(session, agent.scope, currency=None, country=country, today=today)
        first = stock.on_sale.find(wanted[0].item_id) if wanted else None
        currency = first.currency if first else None
        on_sale = stock.on_sale.priced_in(currency)
        for each in wanted:
            if each.record_type == "add_on" and each.quantity not in (None, 1):
                refuse("Of an add-on one is bought with a new subscription; more can be added to it afterwards.")
        holding = nothing_yet(currency=currency, country=country)
        return holding, apply_items(holding, on_sale, wanted, today, stock.rates)

    def _fill(
        self, session: Session, agent: Agent, row: BasketRow, wanted: Sequence[WantedItem], country: str | None
    ) -> None:
        holding, basket = self._apply(session, agent, wanted, country)
        if isinstance(basket, Refusal):
            raise CannotBePlacedError(*basket.problems)
        now = session.now()
        today = self._settings.day_at(now)
        at = timestamp_of(now)
        shown = show_purchase(holding, basket, basket_id=row.id, external_id=row.external_id, today=today, at=at)
        fill(row, wanted, basket, shown, now)
