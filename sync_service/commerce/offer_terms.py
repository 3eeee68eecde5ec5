"""The terms of an offer, as Limio writes them and as Zuora's orders need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from dateutil.relativedelta import relativedelta

from sync_service.commerce import wire
from sync_service.commerce.catalog import Offer, unsellable

#: Limio's units and Zuora's.
UNITS = {"months": "Month", "years": "Year", "weeks": "Week", "days": "Day"}
#: How long one of Zuora's units is.
LENGTHS = {
    "Month": relativedelta(months=1),
    "Year": relativedelta(years=1),
    "Week": relativedelta(weeks=1),
    "Day": relativedelta(days=1),
}


@dataclass(frozen=True, kw_only=True)
class Term:
    """One term. `unit` is Zuora's word; None in both: evergreen."""

    length: int | None = None
    unit: str | None = None

    @property
    def is_evergreen(self) -> bool:
        """Without an end."""
        return self.length is None


@dataclass(frozen=True, kw_only=True)
class OfferTerms:
    """The first term of an offer, those that follow it, and whether they follow by themselves."""

    initial: Term
    renewal: Term
    auto_renew: bool


def terms_of(offer: Offer, auto_renew: bool | None = None) -> OfferTerms:
    """The terms that `offer` sells; `auto_renew` is the order's own wish, which outranks the offer's.

    `initial_term__limio` is the first term and `term__limio` those that follow; with an external price `term__limio` is
    both ("Manage your pricing"). Raises CannotBePlacedError where the offer has none.
    """
    renewal = _read(offer, "term__limio")
    initial = None if offer.has_external_price else _read(offer, "initial_term__limio")
    first = initial or renewal
    if first is None:
        raise unsellable(f"{offer.label} has no term: set term__limio.")
    if auto_renew is None:
        auto_renew = _renews_by_itself(offer)
    return OfferTerms(initial=first, renewal=renewal or first, auto_renew=auto_renew)


def initial_terms(terms: OfferTerms) -> dict[str, Any]:
    """`terms` of a CreateSubscription action."""
    if terms.initial.is_evergreen:
        return {"initialTerm": {"termType": "EVERGREEN"}}
    return {"initialTerm": {"termType": "TERMED", **_period(terms.initial)}, **_renewal(terms)}


def terms_from(day: date, terms: OfferTerms) -> dict[str, Any]:
    """`termsAndConditions` that begin a new term of the offer's length on `day`."""
    start = {"startDate": day.isoformat()}
    if terms.initial.is_evergreen:
        return {"lastTerm": {"termType": "EVERGREEN", **start}}
    return {"lastTerm": {"termType": "TERMED", **start, **_period(terms.initial)}, **_renewal(terms)}


def _renewal(terms: OfferTerms) -> dict[str, Any]:
    if terms.renewal.is_evergreen:
        return {"renewalSetting": "RENEW_TO_EVERGREEN", "autoRenew": terms.auto_renew}
    return {
        "renewalSetting": "RENEW_WITH_SPECIFIC_TERM",
        "renewalTerms": [_period(terms.renewal)],
        "autoRenew": terms.auto_renew,
    }


def _period(term: Term) -> dict[str, Any]:
    return {"period": term.length, "periodType": term.unit}


def _renews_by_itself(offer: Offer) -> bool:
    """Offers from before the attribute existed say it by who renews: EXTERNAL is Zuora."""
    said = offer.attributes.get("autoRenew__limio")
    if isinstance(said, bool):
        return said
    term = offer.attributes.get("term__limio")
    return isinstance(term, Mapping) and term.get("renewal_trigger") == "EXTERNAL"


def _read(offer: Offer, name: str) -> Term | None:
    value = offer.attributes.get(name)
    if not isinstance(value, Mapping) or not value:
        return None
    if value.get("renewal_type") == wire.EVERGREEN:
        return Term()
    unit = UNITS.get(str(value.get("type")))
    try:
        length = int(str(value.get("length")))
    except ValueError:
        length = 0
    if unit is None or length < 1:
        raise unsellable(f"{offer.label}: {name} must have a length of 1 or more and a type of {', '.join(UNITS)}.")
    return Term(length=length, unit=unit)
