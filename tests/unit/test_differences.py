"""How a stored plan reads: each sentence beside a plan of which it is not true."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.subscription.digest import Payment
from sync_service.web.admin.differences import difference, summarise


def schedule(change: str, day: str, amount: str = "9.99") -> dict[str, Any]:
    document = {"data": {"date": f"{day}T00:00:00.000", "amount": amount, "currency": "GBP"}}
    return {"change": change, "record_type": "schedule", "id": day, "document": document, "reason": "x"}


def update(record_type: str, path: str, before: Any, after: Any, object_id: str = "s") -> dict[str, Any]:
    fields = [{"path": path, "before": before, "after": after}]
    return {
        "change": "update",
        "record_type": record_type,
        "id": object_id,
        "fields": fields,
        "reason": "Zuora differs.",
    }


def plan(*changes: dict[str, Any]) -> dict[str, Any]:
    for change in changes:
        if change["change"] == "create":
            change.pop("id", None)
    return {"number": "A", "changes": list(changes), "notes": []}


def test_a_moved_payment_is_told_as_moved() -> None:
    moved = plan(schedule("create", "2026-12-21"), schedule("cancel", "2026-12-25"))

    assert difference(moved).sentence == "payment of £9.99 moved 25 Dec 2026 → 21 Dec 2026"
    (row,) = difference(moved).rows
    assert (row.what, row.before, row.after) == ("1 payment of £9.99 moved", "25 Dec 2026", "21 Dec 2026")
    assert summarise(moved)[1] == ""


def test_a_payment_that_is_gone_is_not_told_as_moved() -> None:
    gone = plan(schedule("cancel", "2026-12-25"), schedule("cancel", "2027-01-25"))

    assert difference(gone).sentence == "2 payments of £9.99 removed, 25 Dec 2026 – 25 Jan 2027"
    assert summarise(gone)[1] == "2 payments, £19.98"
    assert difference(gone).sums == ("−£19.98",)


def test_equal_price_changes_are_one_line_with_currency_days_and_sum() -> None:
    months = range(1, 9)
    known = {f"s{n}": Payment(due=date(2027, n, 21), amount=Decimal("50.00"), currency="GBP") for n in months}
    dearer = plan(*(update("schedule", "data.amount", "49.90", "50.00", f"s{n}") for n in months))

    assert difference(dearer, known).sentence == "8 payments £49.90 → £50.00"
    found = difference(dearer, known)
    (row,) = found.rows
    assert row.what == "8 payments, 21 Jan 2027 – 21 Aug 2027"
    assert (row.before, row.after) == ("£49.90", "£50.00 (+£0.10 each)")
    assert row.more[0] == "21 Jan 2027"
    assert len(row.more) == 8
    assert found.sums == ("+£0.80",)


def test_values_of_a_subscription_read_as_days_and_switches() -> None:
    changed = plan(
        update("subscription", "data.termEndDate", "2026-12-31", "2027-12-31"),
        update("subscription", "data.attributes.autoRenew", True, False),
        update("customer", "data.email", None, "a@example.com"),
    )

    assert difference(changed).sentence == (
        "Term end date 31 Dec 2026 → 31 Dec 2027; Auto-renew on → off; Email address — → a@example.com"
    )


def test_more_than_three_changes_are_counted_in_the_sentence_and_all_in_the_difference() -> None:
    changed = plan(*(update("subscription", f"data.field{n}", n, n + 1) for n in range(5)))

    assert difference(changed).sentence.endswith("; 2 more")
    assert len(difference(changed).rows) == 5


def test_of_an_address_only_what_differs_is_shown_and_the_rest_is_folded() -> None:
    def address(city: str) -> dict[str, Any]:
        return {"relationship_type": "delivery", "data": {"address1": "1 High Street", "city": city, "country": "GB"}}

    changed = plan({"change": "create", "record_type": "address", "document": address("Bath"), "reason": "differs"})

    (row,) = difference(changed, addresses=[address("London"), address("Bath")]).rows
    assert (row.what, row.before, row.after) == ("Delivery address", "City: London", "City: Bath")
    assert row.more == ("Address: 1 High Street (unchanged)", "Country: GB (unchanged)")
    # Not written yet, as in a preview: what stands is the one before.
    (preview,) = difference(changed, addresses=[address("London")]).rows
    assert preview.before == "City: London"
    # Nothing is said of a before that is not known.
    (first,) = difference(changed, addresses=[]).rows
    assert (first.kind, first.before) == ("added", "")
    assert difference(changed).sentence == "delivery address changed"


def test_nothing_is_said_of_a_plan_that_changes_nothing() -> None:
    assert difference(None).sentence == ""
    assert difference(plan()).sentence == ""
    assert not difference(plan())
    assert summarise(None) == ("", "")
