"""The amounts and line items inside one schedule entry: read, compared, merged and written. Pure.

Amounts are texts with the currency's decimals, only `taxAmount` beside them is a number (Limio's self-service pages).
Compared is what a sync owns: amounts as decimals, the currency, and lines by charge name. What an entry does not say
(older ones have a bare amount) cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.subscription.limio.documents import data_of, get_value
from sync_service.subscription.plan import Document, FieldChange
from sync_service.subscription.schedule.due import Line
from sync_service.subscription.schedule.money import as_json_number, format_amount, parse_amount, round_amount

#: The status of a payment that Zuora bills; the shop's own are not ours to change.
OURS = "pending-external"


@dataclass(slots=True)
class _Stored:
    """A line item as it stands in an entry."""

    name: str
    amount: Decimal | None
    tax: Decimal | None
    quantity: Decimal | None
    raw: Mapping[str, Any]


def total_of(lines: Sequence[Line]) -> Decimal:
    """What the lines cost with tax; without, where Zuora does not tell the tax of one of them."""
    taxes = sum((line.tax for line in lines), Decimal(0)) if _is_tax_known(lines) else Decimal(0)
    return sum((line.amount for line in lines), Decimal(0)) + taxes


def _is_tax_known(lines: Sequence[Line]) -> bool:
    return all(line.tax_known for line in lines)


def amount_of(entry: Document, lines: Sequence[Line]) -> Decimal | None:
    """The entry's amount as it compares with `total_of(lines)`; None where it has none that we can read."""
    data = data_of(entry)
    amount = parse_amount(data.get("amount"))
    if _is_tax_known(lines):
        return amount
    tax, without = parse_amount(data.get("taxAmount")), parse_amount(data.get("amountWithoutTax"))
    if without is not None:
        return without
    return amount - tax if amount is not None and tax is not None else amount


def agrees(entry: Document, lines: Sequence[Line], currency: str | None) -> bool:
    """Whether an entry whose amount agrees says the same as `lines` in everything else that is ours."""
    data = data_of(entry)
    tax, told = parse_amount(data.get("taxAmount")), data.get("currency")
    if tax is not None and _is_tax_known(lines) and tax != sum(line.tax for line in lines):
        return False
    if told and currency and told != currency:
        return False
    stored = _stored_lines(entry)
    return stored is None or _lines_agree(stored, lines)


def _lines_agree(stored: Sequence[_Stored], lines: Sequence[Line]) -> bool:
    left = list(stored)
    for line in lines:
        same = next((each for each in left if _is_same(each, line)), None)
        if same is None:
            return False
        left.remove(same)
    return not left


def _is_same(stored: _Stored, line: Line) -> bool:
    if (stored.name, stored.amount) != (line.name, line.amount):
        return False
    if line.tax_known and stored.tax is not None and stored.tax != line.tax:
        return False
    return None in (stored.quantity, line.quantity) or stored.quantity == line.quantity


def _stored_lines(entry: Document) -> list[_Stored] | None:
    """The entry's line items; None where it has none or they are no objects."""
    items = data_of(entry).get("lineItems")
    if not isinstance(items, list) or not items or not all(isinstance(item, Mapping) for item in items):
        return None
    return [
        _Stored(
            name=str(item.get("chargeName") or "").strip(),
            amount=parse_amount(item.get("amountWithoutTax")),
            tax=parse_amount(item.get("taxAmount")),
            quantity=parse_amount(item.get("quantity")),
            raw=item,
        )
        for item in items
    ]


def merge_lines(entry: Document, lines: Sequence[Line], currency: str | None) -> tuple[Line, ...] | None:
    """`lines`, and the entry's own that none of them stands for, because they are billed.

    None where the entry does not say which lines its amount is made of.
    """
    stored = _stored_lines(entry)
    if stored is None or any(each.amount is None for each in stored):
        return None
    kept = _without(stored, lines)
    merged = [*lines, *(_as_line(each, currency) for each in kept)]
    return tuple(sorted(merged, key=lambda line: line.order))


def _without(stored: Sequence[_Stored], lines: Sequence[Line]) -> list[_Stored]:
    """The stored lines that are left when each of `lines` takes its own: the same if there, else one of its name."""
    left, open_lines = list(stored), []
    for line in lines:
        same = next((each for each in left if _is_same(each, line)), None)
        if same is None:
            open_lines.append(line)
        else:
            left.remove(same)
    for line in open_lines:
        named = next((each for each in left if each.name == line.name), None)
        if named is not None:
            left.remove(named)
    return left


def _as_line(stored: _Stored, currency: str | None) -> Line:
    return Line(
        name=stored.name,
        amount=round_amount(stored.amount or Decimal(0), currency),
        tax=round_amount(stored.tax or Decimal(0), currency),
        processing_type=str(stored.raw.get("processingType") or "Charge"),
        product=str(stored.raw.get("productName") or ""),
        description=str(stored.raw.get("chargeDescription") or ""),
        quantity=stored.quantity,
    )


def share_lines(entries: Sequence[Document], lines: Sequence[Line]) -> tuple[list[tuple[Line, ...]], tuple[Line, ...]]:
    """Which of `lines` belong to which entry, by charge name, and which belong to none.

    An entry without line items goes by its description. Lines that are there already go first, so that a line of
    the same name elsewhere does not take their place.
    """
    offers = [_stored_lines(entry) or [_by_description(entry)] for entry in entries]
    shares: list[list[Line]] = [[] for _ in entries]
    left = list(lines)
    for match in (_is_same, lambda stored, line: stored.name == line.name):
        for line in list(left):
            place = next(
                ((index, each) for index, offer in enumerate(offers) for each in offer if match(each, line)), None
            )
            if place is not None:
                index, taken = place
                offers[index].remove(taken)
                shares[index].append(line)
                left.remove(line)
    return [tuple(sorted(share, key=lambda line: line.order)) for share in shares], tuple(left)


def _by_description(entry: Document) -> _Stored:
    return _Stored(
        name=str(get_value(entry, "data.description") or "").strip(),
        amount=parse_amount(get_value(entry, "data.amount")),
        tax=None,
        quantity=None,
        raw={},
    )


def payment(day: date, lines: Sequence[Line], currency: str | None, description: Any = None) -> dict[str, Any]:
    """A payment that Zuora bills, called by `description`, else by the largest line's product or name."""
    stamp = f"{day.isoformat()}T00:00:00.000"
    largest = max(lines, key=lambda line: (line.amount, line.order), default=Line(name="", amount=Decimal(0)))
    is_named = isinstance(description, str) and description.strip()
    shown = description if is_named else largest.product or largest.name
    named = {"date": stamp, "schedule_date": stamp, "type": "payment", "description": shown}
    return {"status": OURS, "data": {**named, **_payment_data(lines, currency)}}


def _payment_data(lines: Sequence[Line], currency: str | None) -> dict[str, Any]:
    """Everything in an entry's `data` that follows from its lines, in Limio's shape."""
    without, tax = sum((line.amount for line in lines), Decimal(0)), sum((line.tax for line in lines), Decimal(0))
    total = format_amount(without + tax, currency)
    data = {
        "amount": total,
        "amountWithoutTax": format_amount(without, currency),
        "taxAmount": as_json_number(tax),
        "unit_amount": total,
        "quantity": 1,
        "currency": currency,
        "lineItems": [_line_item(line, currency) for line in lines],
    }
    return data if currency else {key: value for key, value in data.items() if key != "currency"}


def _line_item(line: Line, currency: str | None) -> dict[str, Any]:
    return {
        "amountWithoutTax": format_amount(line.amount, currency),
        "taxAmount": format_amount(line.tax, currency),
        "quantity": 1 if line.quantity is None else as_json_number(line.quantity),
        "processingType": line.processing_type,
        "chargeName": line.name,
        "productName": line.product,
        "chargeDescription": line.description,
    }


def own_changes(entry: Document, lines: Sequence[Line], currency: str | None) -> list[FieldChange]:
    """The fields of ours that have to change for `entry` to say what `lines` say; none where it does already."""
    amount = amount_of(entry, lines)
    if amount is not None and amount == total_of(lines) and agrees(entry, lines, currency):
        return []
    changes = []
    for key, after in _payment_data(lines, currency).items():
        before = get_value(entry, f"data.{key}")
        if before != after and (key == "lineItems" or key == "currency" or parse_amount(before) != parse_amount(after)):
            changes.append(FieldChange(path=f"data.{key}", before=before, after=after))
    return changes
