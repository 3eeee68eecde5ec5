"""Reads a situation: Zuora's answers through the product's own reader, the store from its short form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sync_service.subscription.plan import LimioState
from sync_service.subscription.schedule.computed import compute_preview
from sync_service.subscription.schedule.coverage import preview_target_date
from sync_service.subscription.terms import Rules, TermOnDay
from sync_service.subscription.zuora import Preview, ZuoraState
from sync_service.zuora.payloads import read_account, read_preview_rows, read_subscription

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Situation:
    """One file of this folder."""

    title: str
    today: date
    rules: Rules
    zuora: ZuoraState
    before: LimioState
    expected: Mapping[str, Any]


def names() -> list[str]:
    """The situations: folder and file, without the ending."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.json"))


def read_raw(name: str) -> dict[str, Any]:
    """The file as it is, with exact numbers."""
    raw: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)
    return raw


def read(name: str) -> Situation:
    """The situation as values."""
    raw = read_raw(name)
    today = date.fromisoformat(raw["today"])
    rules = Rules(
        tenant_zone=ZoneInfo(raw.get("time zone", "Europe/London")), horizon_months=raw.get("horizon months", 12)
    )
    subscription = read_subscription(raw["zuora"]["subscription"])
    account, payer = raw["zuora"]["account"], raw["zuora"].get("paying account")
    return Situation(
        title=raw["title"],
        today=today,
        rules=rules,
        zuora=ZuoraState(
            subscription=subscription,
            account=read_account(account) if account else None,
            payer=read_account(payer) if payer else None,
            preview=_read_preview(raw["zuora"]["billing preview"], TermOnDay(subscription, today, rules)),
        ),
        before=_read_store(raw["limio before"]),
        expected=raw["expected"],
    )


def _read_preview(answer: Any, term: TermOnDay) -> Preview | None:
    if answer is None:
        return None
    if answer == "not permitted":
        return compute_preview(term)
    rows = read_preview_rows(answer, term.subscription.number)
    # Ours, not Zuora's: up to where an answer that may be cut was read again.
    until = answer.get("whole up to")
    return Preview(
        items=tuple(row.item for row in rows),
        target_date=preview_target_date(term),
        complete_until=until and date.fromisoformat(until),
    )


def _read_store(raw: Mapping[str, Any]) -> LimioState:
    subscription = raw["subscription"]
    return LimioState(
        subscription=subscription and {"id": "sub-1", "record_type": "subscription", **subscription},
        schedule=tuple(_entry(payment) for payment in raw.get("payments", ())),
        addresses=tuple(_address(address, index) for index, address in enumerate(raw.get("addresses", ()))),
        customer=raw.get("customer") and {"id": "cus-1", "record_type": "customer", "data": raw["customer"]},
        writes_customer=raw.get("another account writes the customer") is not True,
        customer_is_newer=raw.get("the customer was compared with a newer read") is True,
        linked_account_id=raw.get("account at the last read"),
        account_owner=raw.get("owner of the account"),
        account_customer=raw.get("customer of the account"),
    )


def _entry(payment: Mapping[str, Any]) -> dict[str, Any]:
    """A payment in Limio's shape; a `bare` one is of the older shape that has no more than an amount."""
    stamp, amount = f"{payment['on']}T00:00:00.000", payment["amount"]
    tax = Decimal(payment.get("tax", "0"))
    data: dict[str, Any] = {"date": stamp, "type": payment.get("type", "payment"), "amount": amount}
    if not payment.get("bare"):
        lines = payment.get("lines", {})
        data |= {
            "schedule_date": stamp,
            "amountWithoutTax": str(Decimal(amount) - tax),
            "taxAmount": int(tax) if tax == tax.to_integral_value() else float(tax),
            "unit_amount": amount,
            "quantity": 1,
            "currency": payment.get("currency", "GBP"),
            "description": payment.get("description", "Monthly Offer"),
            "lineItems": [
                {
                    "chargeName": line,
                    "amountWithoutTax": price,
                    "taxAmount": str(tax) if len(lines) == 1 else "0.00",
                    "quantity": 1,
                    "processingType": "Discount" if price.startswith("-") else "Charge",
                }
                for line, price in lines.items()
            ],
        }
    return {
        "id": payment.get("id", f"schedule-{payment['on']}"),
        "record_type": "schedule",
        "status": payment.get("status", "pending-external"),
        "data": data,
    }


def _address(address: Mapping[str, Any], index: int) -> dict[str, Any]:
    data = {key: value for key, value in address.items() if key not in ("kind", "start", "status")}
    return {
        "id": f"address-{index}",
        "record_type": "address",
        "relationship_type": address["kind"],
        "status": address.get("status", "active"),
        "start": address.get("start", "2026-01-01T09:30:00.000Z"),
        "data": data,
    }
