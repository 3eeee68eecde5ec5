"""Values for tests: valid by default, each field replaceable by keyword.

The cast: Ada Byron pays 17.50 GBP a month in advance for A-S00000001, from 1 January 2026 for a year, on account A-1.
Tests that name no day mean 15 June 2026.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sync_service.subscription.plan import LimioState
from sync_service.subscription.schedule.periods import add_months
from sync_service.subscription.terms import Rules, TermOnDay
from sync_service.subscription.zuora import (
    ChargeSegment,
    Contact,
    Preview,
    PreviewItem,
    StatusPeriod,
    ZuoraAccount,
    ZuoraState,
    ZuoraSubscription,
)

TODAY = date(2026, 6, 15)
TERM_START, TERM_END = date(2026, 1, 1), date(2027, 1, 1)
LONDON = Rules(tenant_zone=ZoneInfo("Europe/London"), horizon_months=12)


def day(text: str) -> date:
    """A date from YYYY-MM-DD."""
    return date.fromisoformat(text)


def term_of(subscription: ZuoraSubscription, today: date = TODAY) -> TermOnDay:
    """The subscription's term on a day in London."""
    return TermOnDay(subscription, today, LONDON)


def a_contact(**fields: Any) -> Contact:
    """Ada Byron in London."""
    values: dict[str, Any] = {
        "first_name": "Ada",
        "last_name": "Byron",
        "address1": "12 St James's Square",
        "city": "London",
        "postal_code": "SW1Y 4JH",
        "country": "United Kingdom",
        "personal_email": "ada@example.com",
        "of_subscription": False,
    }
    return Contact(**(values | fields))


def an_account(**fields: Any) -> ZuoraAccount:
    """Account A-1 with Ada as bill-to and sold-to."""
    values: dict[str, Any] = {
        "id": "acc1",
        "number": "A-1",
        "name": "Ada Byron",
        "currency": "GBP",
        "bill_to": a_contact(),
        "sold_to": a_contact(),
    }
    return ZuoraAccount(**(values | fields))


def a_segment(number: str = "C-1", **fields: Any) -> ChargeSegment:
    """17.50 a month in advance from the first day of the subscription, billed up to 1 July 2026."""
    values: dict[str, Any] = {
        "charge_number": number,
        "name": "Monthly",
        "product_name": "Digital",
        "price": Decimal("17.50"),
        "billing_period": "Month",
        "billing_timing": "IN_ADVANCE",
        "billing_day": "ChargeTriggerDay",
        "effective_start": TERM_START,
        "effective_end": TERM_END,
        "charged_through": day("2026-07-01"),
    }
    return ChargeSegment(**(values | fields))


def a_subscription(**fields: Any) -> ZuoraSubscription:
    """A-S00000001: termed, renewing, active, with one segment."""
    values: dict[str, Any] = {
        "id": "8a8082c45aa81b51015ad68743ec0fdb",
        "number": "A-S00000001",
        "version": 1,
        "is_latest": True,
        "status": "Active",
        "account_id": "acc1",
        "account_number": "A-1",
        "start": TERM_START,
        "end": TERM_END,
        "term_start": TERM_START,
        "term_end": TERM_END,
        "auto_renew": True,
        "currency": "GBP",
        "status_history": (
            StatusPeriod(status="Active", start=TERM_START, end=TERM_END),
            StatusPeriod(status="OutOfTerm", start=TERM_END),
        ),
        "bill_to": a_contact(),
        "sold_to": a_contact(),
        "segments": (a_segment(),),
    }
    return ZuoraSubscription(**(values | fields))


def an_evergreen_subscription(**fields: Any) -> ZuoraSubscription:
    """The same without an end."""
    values: dict[str, Any] = {
        "term_type": "EVERGREEN",
        "end": None,
        "term_end": None,
        "auto_renew": False,
        "status_history": (StatusPeriod(status="Active", start=TERM_START),),
        "segments": (a_segment(effective_end=None),),
    }
    return a_subscription(**(values | fields))


def a_preview_item(start: str = "2026-07-01", amount: str | None = "17.50", **fields: Any) -> PreviewItem:
    """One month of the charge from `start`."""
    begins = day(start)
    values: dict[str, Any] = {
        "charge_number": "C-1",
        "charge_name": "Monthly",
        "product_name": "Digital",
        "service_start": begins,
        "service_end": date.fromordinal(add_months(begins, 1).toordinal() - 1),
        "amount": None if amount is None else Decimal(amount),
        "quantity": Decimal(1),
    }
    return PreviewItem(**(values | fields))


def months(first: str, count: int) -> list[str]:
    """`count` days a month apart from `first`, as YYYY-MM-DD."""
    return [add_months(day(first), index).isoformat() for index in range(count)]


def a_preview(*items: PreviewItem, **fields: Any) -> Preview:
    """The six months that are left of the term, whole."""
    default = items or tuple(a_preview_item(start) for start in months("2026-07-01", 6))
    values: dict[str, Any] = {"items": default, "target_date": day("2027-02-01")}
    return Preview(**(values | fields))


def a_zuora_state(**fields: Any) -> ZuoraState:
    """Subscription, account and preview that belong together."""
    values: dict[str, Any] = {"subscription": a_subscription(), "account": an_account(), "preview": a_preview()}
    return ZuoraState(**(values | fields))


def a_limio_subscription(**fields: Any) -> dict[str, Any]:
    """What Limio holds when it agrees; `data` fields may be given as `data={...}` and are merged."""
    data = {
        "name": "Monthly Offer",
        "startDate": "2026-01-01T09:30:00.000Z",
        "termStartDate": "2026-01-01T09:30:00.000Z",
        "termEndDate": "2027-01-01",
        "attributes": {"autoRenew": True, "external": False},
    } | fields.pop("data", {})
    values: dict[str, Any] = {
        "id": "sub-1",
        "record_type": "subscription",
        "name": "A-S00000001",
        "reference": "A-S00000001",
        "status": "active",
        "owner": "id-1",
        "customer": "cus-1",
        "data": data,
    }
    return values | fields


def a_line_item(name: str = "Monthly", amount: str = "17.50", **fields: Any) -> dict[str, Any]:
    """A line of a schedule entry as Limio keeps it."""
    values: dict[str, Any] = {
        "amountWithoutTax": amount,
        "taxAmount": "0.00",
        "quantity": 1,
        "processingType": "Charge",
        "chargeName": name,
        "productName": "Digital",
        "chargeDescription": "",
    }
    return values | fields


def an_entry(on: str = "2026-07-01", amount: str = "17.50", **fields: Any) -> dict[str, Any]:
    """A payment on a day, with one line; `data` fields may be given as `data={...}` and are merged."""
    data = {
        "date": f"{on}T00:00:00.000",
        "schedule_date": f"{on}T00:00:00.000",
        "type": "payment",
        "description": "Monthly Offer",
        "amount": amount,
        "amountWithoutTax": amount,
        "taxAmount": 0,
        "unit_amount": amount,
        "quantity": 1,
        "currency": "GBP",
        "lineItems": [a_line_item(amount=amount)],
    } | fields.pop("data", {})
    values: dict[str, Any] = {
        "id": f"schedule-{on}",
        "record_type": "schedule",
        "status": "pending-external",
        "data": {key: value for key, value in data.items() if value is not None},
    }
    return values | fields


def an_address(kind: str = "billing", **fields: Any) -> dict[str, Any]:
    """Ada's address as Limio keeps it; `data` fields may be given as `data={...}` and are merged."""
    data = {
        "firstName": "Ada",
        "lastName": "Byron",
        "address1": "12 St James's Square",
        "address2": "",
        "city": "London",
        "state": "",
        "postalCode": "SW1Y 4JH",
        "country": "GB",
    } | fields.pop("data", {})
    values: dict[str, Any] = {
        "id": f"address-{kind}",
        "record_type": "address",
        "relationship_type": kind,
        "status": "active",
        "start": "2026-01-01T09:30:00.000Z",
        "data": data,
    }
    return values | fields


def a_customer(**data: Any) -> dict[str, Any]:
    """Ada as Limio's customer."""
    return {
        "id": "cus-1",
        "record_type": "customer",
        "status": "active",
        "data": {"name": "Ada Byron", "email": "ada@example.com"} | data,
    }


def a_limio_state(**fields: Any) -> LimioState:
    """What the store holds when it agrees with `a_zuora_state()`: all payments of the term, and that of the renewal."""
    values: dict[str, Any] = {
        "subscription": a_limio_subscription(),
        "schedule": tuple(an_entry(on) for on in months("2026-01-01", 13)),
        "addresses": (an_address("billing"), an_address("delivery")),
        "customer": a_customer(),
        "linked_account_id": "acc1",
        "account_owner": "id-1",
        "account_customer": "cus-1",
    }
    return LimioState(**(values | fields))
