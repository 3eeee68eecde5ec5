"""How far a preview reaches, and what must not be missing from it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from sync_service.errors import PreviewIncomplete
from sync_service.subscription.schedule.charges import charges_of
from sync_service.subscription.schedule.coverage import (
    as_billed_by_now,
    check_preview_complete,
    days_covered,
    preview_target_date,
)
from sync_service.subscription.zuora import ChargeSegment, StatusPeriod, Tier, ZuoraSubscription
from tests.unit.builders import (
    TODAY,
    a_preview,
    a_preview_item,
    a_segment,
    a_subscription,
    an_evergreen_subscription,
    day,
    term_of,
)

OTHER = a_preview_item(charge_number="C-OTHER", charge_name="Other")
LAST_IN_ARREARS = a_segment(billing_timing="IN_ARREARS", charged_through=day("2026-06-01"), effective_end=TODAY)
#: A preview with a line of another charge alone, whole.
WITHOUT = a_preview(OTHER)


def is_complete(subscription: ZuoraSubscription, preview: Any = WITHOUT) -> bool:
    try:
        check_preview_complete(term_of(subscription), preview)
    except PreviewIncomplete:
        return False
    return True


def with_segments(*segments: ChargeSegment, **fields: Any) -> ZuoraSubscription:
    return a_subscription(segments=segments, **fields)


def suspended(start: str, end: str | None = None) -> tuple[StatusPeriod, ...]:
    return (
        StatusPeriod(status="Active", start=day("2026-01-01"), end=day(start)),
        StatusPeriod(status="Suspended", start=day(start), end=end and day(end)),  # type: ignore[arg-type]
    )


MUST_BE_DUE = {
    "monthly, billed up to July": with_segments(a_segment()),
    "never billed": with_segments(a_segment(charged_through=None)),
    "one day left": with_segments(a_segment(charged_through=day("2026-12-31"))),
    "in arrears": with_segments(a_segment(billing_timing="IN_ARREARS")),
    "tiered, without a price of its own": with_segments(
        a_segment(model="Tiered", price=None, tiers=(Tier(price=Decimal(2)),))
    ),
    "billed in one segment, not in the next": with_segments(
        a_segment(effective_end=day("2026-07-01")),
        a_segment(segment=2, effective_start=day("2026-07-01"), charged_through=None),
    ),
    "free at first, then not": with_segments(
        a_segment(price=Decimal(0), effective_end=day("2026-09-01"), charged_through=None),
        a_segment(segment=2, effective_start=day("2026-09-01"), charged_through=None),
    ),
    "suspended later": with_segments(a_segment(), status_history=suspended("2026-09-01")),
    "suspended once and resumed": with_segments(a_segment(), status_history=suspended("2026-02-01", "2026-03-01")),
    "cancelled later": with_segments(a_segment(effective_end=day("2026-09-01")), scheduled_cancel=day("2026-09-01")),
    "evergreen, whose charges have no end": an_evergreen_subscription(),
}


@pytest.mark.parametrize("case", MUST_BE_DUE)
def test_a_charge_that_must_be_due_and_has_no_line_makes_the_preview_incomplete(case: str) -> None:
    with pytest.raises(PreviewIncomplete, match=r"Monthly \(C-1\)"):
        check_preview_complete(term_of(MUST_BE_DUE[case]), WITHOUT)


@pytest.mark.parametrize("case", MUST_BE_DUE)
def test_one_line_of_the_charge_is_enough(case: str) -> None:
    assert is_complete(MUST_BE_DUE[case], a_preview(OTHER, a_preview_item("2026-08-01")))


NEED_NOT_BE_DUE = {
    "billed to its end": with_segments(a_segment(charged_through=day("2027-01-01"))),
    "billed beyond its end": with_segments(a_segment(effective_end=day("2026-06-20"))),
    "free": with_segments(a_segment(price=Decimal(0))),
    "for no unit at all": with_segments(a_segment(model="PerUnit", quantity=Decimal(0))),
    "a discount": with_segments(a_segment(model="DiscountPercentage")),
    "one-time": with_segments(a_segment(type="OneTime", charged_through=None)),
    "usage": with_segments(a_segment(type="Usage", charged_through=None)),
    "by an invoice schedule of its own": with_segments(a_segment(invoice_schedule_id="is-1")),
    "by the subscription's invoice schedule": with_segments(a_segment(), invoice_schedule_id="is-1"),
    "not triggered yet": with_segments(a_segment(effective_start=None, charged_through=None)),
    "beginning with the next term": with_segments(
        a_segment(effective_start=day("2027-01-01"), effective_end=day("2028-01-01"), charged_through=None)
    ),
    "free from where billing stopped": with_segments(
        a_segment(effective_end=day("2026-08-01")),
        a_segment(segment=2, price=Decimal(0), effective_start=day("2026-07-01"), charged_through=None),
    ),
    "suspended now": with_segments(a_segment(), status="Suspended", status_history=suspended("2026-06-01")),
    "suspended, without the day since when": with_segments(a_segment(), status="Suspended", status_history=()),
    "suspended from where billing stopped": with_segments(a_segment(), scheduled_suspend=day("2026-07-01")),
    "cancelled where billing stopped": with_segments(a_segment(), scheduled_cancel=day("2026-07-01")),
    "not activated": with_segments(a_segment(charged_through=None), status="Pending Activation", status_history=()),
    "removed before it began": with_segments(
        a_segment(effective_start=day("2026-07-01"), effective_end=day("2026-07-01"), charged_through=None)
    ),
}


@pytest.mark.parametrize("case", NEED_NOT_BE_DUE)
def test_a_charge_that_need_not_be_due_may_be_missing(case: str) -> None:
    assert is_complete(NEED_NOT_BE_DUE[case])


def test_all_missing_charges_are_named() -> None:
    two = with_segments(a_segment("C-2", name="Print"), a_segment("C-1"))

    with pytest.raises(PreviewIncomplete, match=r"Monthly \(C-1\), Print \(C-2\)"):
        check_preview_complete(term_of(two), WITHOUT)


def test_a_line_without_a_charge_number_counts_by_its_name() -> None:
    """Old recorded previews lack some."""
    assert is_complete(a_subscription(), a_preview(a_preview_item(charge_number=None)))


def test_what_lies_beyond_a_preview_cut_short_is_not_missing() -> None:
    later = with_segments(a_segment(charged_through=day("2026-10-01")))

    assert is_complete(later, a_preview(OTHER, complete_until=day("2026-10-01")))
    assert not is_complete(later, a_preview(OTHER, complete_until=day("2026-10-02")))


def test_arrears_that_fall_due_beyond_a_preview_cut_short_are_not_missing() -> None:
    arrears = with_segments(a_segment(billing_timing="IN_ARREARS"))

    assert is_complete(arrears, a_preview(OTHER, complete_until=day("2026-08-01")))
    assert not is_complete(arrears, a_preview(OTHER, complete_until=day("2026-08-02")))


@pytest.mark.parametrize(
    ("subscription", "target"),
    [
        (a_subscription(), "2027-02-01"),
        (with_segments(a_segment(), a_segment("C-2", billing_period="Quarter")), "2027-04-01"),
        (with_segments(a_segment(), a_segment("C-2", billing_period="Annual")), "2028-01-01"),
        # A plan that is over bills nothing more.
        (with_segments(a_segment(), a_segment("C-2", billing_period="Annual", effective_end=TODAY)), "2027-02-01"),
        (with_segments(), "2027-01-01"),
        (an_evergreen_subscription(), "2027-07-15"),
        (a_subscription(scheduled_cancel=day("2026-08-10")), "2026-09-10"),
        # Over already: nothing before today need be asked for.
        (a_subscription(term_end=day("2026-03-01"), end=day("2026-03-01")), "2026-07-15"),
        # Cancelled today, with a last period in arrears that is still to be billed, or that is billed.
        (with_segments(LAST_IN_ARREARS, term_end=TODAY, end=TODAY), "2026-07-15"),
        (with_segments(replace(LAST_IN_ARREARS, charged_through=TODAY), term_end=TODAY, end=TODAY), "2026-06-15"),
    ],
)
def test_the_preview_reaches_one_longest_billing_period_beyond_the_schedule(
    subscription: ZuoraSubscription, target: str
) -> None:
    assert preview_target_date(term_of(subscription)) == day(target)


def test_a_whole_preview_covers_every_day() -> None:
    assert days_covered(term_of(a_subscription()), a_preview()) == day("9999-12-31")


def test_a_preview_that_was_asked_for_less_covers_what_it_was_asked_for() -> None:
    short = a_preview(target_date=day("2026-09-30"))

    assert days_covered(term_of(a_subscription()), short) == day("2026-10-01")


def billed_up_to(subscription: ZuoraSubscription, *starts: str) -> list[str]:
    """Up to where the segments count as billed when the preview's lines begin on these days."""
    charges = as_billed_by_now(charges_of(subscription), a_preview(*map(a_preview_item, starts)), term_of(subscription))
    return [str(segment.charged_through) for charge in charges for segment in charge.segments]


def test_a_charge_counts_as_billed_up_to_where_its_lines_begin() -> None:
    assert billed_up_to(a_subscription(), "2026-09-01", "2026-08-01") == ["2026-08-01"]
    assert billed_up_to(a_subscription(), "2026-07-01") == ["2026-07-01"]


def test_lines_that_begin_after_a_suspension_do_not_bill_it() -> None:
    suspended = a_subscription(status_history=(StatusPeriod(status="Suspended", start=day("2026-07-01")),))

    assert billed_up_to(suspended, "2026-09-01") == ["2026-07-01"]


def test_a_free_stretch_without_lines_is_not_taken_for_billed() -> None:
    free = a_segment(
        segment=2,
        price=Decimal(0),
        effective_start=day("2026-07-01"),
        effective_end=day("2026-08-01"),
        charged_through=None,
    )
    before = a_segment(effective_end=day("2026-07-01"))
    after = a_segment(segment=3, effective_start=day("2026-08-01"), charged_through=None)

    assert billed_up_to(a_subscription(segments=(before, free, after)), "2026-08-01") == ["2026-07-01", "None", "None"]
