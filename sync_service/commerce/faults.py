"""Why an offer or add-on could not be ordered: everything that its ordering would refuse, told before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import partial

from sync_service.commerce.catalog import Catalog, Offer, Sale, resolve
from sync_service.commerce.order import CannotBePlacedError, Problem
from sync_service.commerce.pricing import discount_of, discount_plan, plans_of
from sync_service.commerce.terms import terms_of


def faults_of(offer: Offer, catalog: Catalog, day: date) -> tuple[Problem, ...]:
    """All that is wrong with `offer` on `day`; empty where it can be ordered."""
    sales: tuple[Sale, ...] = ()
    found: list[Problem] = []
    try:
        sales = resolve(offer, catalog, day)
    except CannotBePlacedError as error:
        found += error.problems
    for step in _steps(offer, sales):
        try:
            step()
        except CannotBePlacedError as error:
            found += error.problems
    return tuple(dict.fromkeys(found))


def _steps(offer: Offer, sales: tuple[Sale, ...]) -> Iterator[Callable[[], object]]:
    if offer.is_discount:
        for sale in sales:
            yield partial(_discount, offer, sale)
        return
    if sales:
        yield partial(plans_of, offer, sales, Decimal(1))
    if offer.record_type == "offer" and not offer.is_one_time:
        yield partial(terms_of, offer)


def _discount(offer: Offer, sale: Sale) -> object:
    return discount_plan(sale.plan, discount_of(offer, sale.bundle), offer.label)
