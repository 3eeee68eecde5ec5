"""What a plan comes to: payments that moved, got another price, came or went. By hand from the plans."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sync_service.subscription.digest import Payment, Touch, combine, digest, touches
from sync_service.subscription.plan import Cancel, Change, Create, FieldChange, SyncPlan, Update


def payment(day: str, amount: str = "9.99", currency: str = "GBP") -> dict[str, Any]:
    return {"data": {"date": f"{day}T00:00:00.000", "amount": amount, "currency": currency}}


def came(day: str, amount: str = "9.99") -> Create:
    return Create(record_type="schedule", document=payment(day, amount), reason="due")


def went(day: str, amount: str = "9.99") -> Cancel:
    return Cancel(record_type="schedule", id=f"schedule-{day}", document=payment(day, amount), reason="not due")


def repriced(entry: str, before: str, after: str) -> Update:
    change = FieldChange(path="data.amount", before=before, after=after)
    return Update(record_type="schedule", id=entry, fields=(change,), reason="another price")


def of(record_type: str, path: str, before: Any, after: Any) -> Update:
    return Update(
        record_type=record_type, id="x", fields=(FieldChange(path=path, before=before, after=after),), reason="differs"
    )


def plan(*changes: Change) -> SyncPlan:
    return SyncPlan(number="A", changes=changes)


def test_a_payment_that_goes_and_comes_with_its_amount_a_few_days_apart_has_moved() -> None:
    found = digest(plan(came("2026-12-21"), went("2026-12-25"), came("2027-01-21"), went("2027-01-25")))

    (group,) = found.payments
    assert group.is_moved
    assert [each.due for each in group.before] == [date(2026, 12, 25), date(2027, 1, 25)]
    assert [each.due for each in group.after] == [date(2026, 12, 21), date(2027, 1, 21)]
    assert found.sums() == {"GBP": Decimal(0)}
    assert found.lost() == (0, {})


def test_another_amount_or_a_day_far_away_is_no_move() -> None:
    dearer = digest(plan(came("2026-12-21", "10.99"), went("2026-12-25", "9.99")))
    far = digest(plan(came("2027-12-21"), went("2026-12-25")))

    same = digest(plan(came("2026-12-25"), went("2026-12-25")))
    for found in (dearer, far, same):
        assert [(bool(group.before), bool(group.after)) for group in found.payments] == [(False, True), (True, False)]
    assert dearer.sums() == {"GBP": Decimal("1.00")}
    assert far.lost() == (1, {"GBP": Decimal("9.99")})


def test_equal_price_changes_stand_together_with_their_days_from_the_store() -> None:
    known = {f"s{month}": Payment(due=date(2027, month, 21), amount=Decimal(50), currency="GBP") for month in (1, 2, 3)}
    changes = (repriced("s2", "49.90", "50.00"), repriced("s1", "49.90", "50.00"), repriced("s3", "10", "11"))

    found = digest(plan(*changes), known)

    assert [group.count for group in found.payments] == [2, 1]
    first = found.payments[0]
    assert not first.is_moved
    assert [each.due for each in first.after] == [date(2027, 1, 21), date(2027, 2, 21)]
    assert (first.before[0].amount, first.after[0].amount) == (Decimal("49.90"), Decimal("50.00"))
    assert found.sums() == {"GBP": Decimal("1.20")}


def test_a_payment_of_which_only_the_lines_changed_is_counted_and_not_lost() -> None:
    found = digest(plan(of("schedule", "data.lineItems", [], [{"amount": 1}])))

    assert (found.payments, found.relined) == ((), 1)


def test_values_and_things_stay_what_they_are() -> None:
    address = Create(record_type="address", document={"relationship_type": "billing", "data": {}}, reason="differs")
    found = digest(plan(of("subscription", "data.termEndDate", "2026-12-31", "2027-12-31"), address))

    (value,) = found.values
    assert (value.path, value.before, value.after) == ("data.termEndDate", "2026-12-31", "2027-12-31")
    assert [(thing.record_type, thing.came) for thing in found.things] == [("address", True)]


def test_what_a_plan_touches_is_told_for_finding_it_again() -> None:
    address = Create(record_type="address", document={}, reason="differs")

    assert touches([]) == frozenset()
    assert touches([came("2026-12-21")]) == {Touch.DATES}
    assert touches([repriced("s", "1", "2")]) == {Touch.AMOUNTS}
    assert touches([address, of("customer", "data.email", "a", "b")]) == {Touch.ADDRESS, Touch.CUSTOMER}
    assert touches([of("subscription", "status", "active", "cancelled")]) == {Touch.STATUS}
    assert touches([of("subscription", "data.attributes.autoRenew", True, False)]) == {Touch.RENEWAL}


def test_two_moments_differ_by_what_did_not_change_back() -> None:
    first = plan(of("subscription", "status", "active", "suspended"), came("2026-12-21"), repriced("s", "1.00", "2.00"))
    second = plan(
        of("subscription", "status", "suspended", "active"), went("2026-12-21"), repriced("s", "2.00", "3.00")
    )

    (change,) = combine([first, second]).changes

    assert isinstance(change, Update)
    assert [(field.path, field.before, field.after) for field in change.fields] == [("data.amount", "1.00", "3.00")]
    assert combine([]).changes == ()
