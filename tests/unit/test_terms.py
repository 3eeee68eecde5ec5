"""Status by date, cancellations, the end of the term and the next look."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sync_service.subscription.terms import Rules, compare_terms, is_same_day
from sync_service.subscription.zuora import StatusPeriod, ZuoraSubscription
from tests.unit.builders import a_limio_subscription, a_subscription, an_evergreen_subscription, day, term_of

UTC = Rules(tenant_zone=ZoneInfo("UTC"), horizon_months=12)


def history(*periods: tuple[str, str | None, str | None]) -> tuple[StatusPeriod, ...]:
    """`statusHistory` from (status, start, end)."""
    return tuple(
        StatusPeriod(status=status, start=start and day(start), end=end and day(end))  # type: ignore[arg-type]
        for status, start, end in periods
    )


def cancelled_at(on: str, **fields: Any) -> ZuoraSubscription:
    """Cancelled from `on` as recorded answers show it: both ends and the history name the day."""
    values = {
        "end": day(on),
        "term_end": day(on),
        "status_history": history(("Active", "2026-01-01", on), ("Cancelled", on, None)),
    }
    return a_subscription(**(values | fields))


LATER = "2026-09-01"
#: Zuora's two spellings of a cancellation that is still to come, and the scheduled one of terms and conditions.
LATER_CANCELLATIONS = {
    "active with a history that ends": cancelled_at(LATER, status="Active"),
    "cancelled at once, with the history": cancelled_at(LATER, status="Cancelled"),
    "cancelled at once, without a history": cancelled_at(LATER, status="Cancelled", status_history=()),
    "cancelled at once, in the history too": cancelled_at(
        LATER,
        status="Cancelled",
        status_history=history(("Active", "2026-01-01", "2026-06-10"), ("Cancelled", "2026-06-10", None)),
    ),
    "scheduled": a_subscription(scheduled_cancel=day(LATER)),
    "in the history alone": a_subscription(
        status_history=history(("Active", "2026-01-01", LATER), ("Cancelled", LATER, None))
    ),
}


@pytest.mark.parametrize("spelling", LATER_CANCELLATIONS)
def test_until_a_later_cancellation_the_subscription_is_active_and_ends_on_its_day(spelling: str) -> None:
    subscription = LATER_CANCELLATIONS[spelling]

    assert term_of(subscription).limio_status == "active"
    assert term_of(subscription).cancel_date == day(LATER)
    assert term_of(subscription).end == day(LATER)
    assert subscription.is_cancel_set
    assert not term_of(subscription).goes_on


@pytest.mark.parametrize("spelling", [key for key in LATER_CANCELLATIONS if key.startswith(("active", "cancelled"))])
def test_on_its_day_the_cancellation_takes_effect(spelling: str) -> None:
    subscription = LATER_CANCELLATIONS[spelling]

    assert term_of(subscription, day("2026-08-31")).limio_status == "active"
    assert term_of(subscription, day(LATER)).status == (
        "Cancelled" if subscription.status_history else subscription.status
    )
    assert term_of(subscription, day(LATER)).limio_status == "cancelled"


def test_a_withdrawn_cancellation_leaves_nothing_set() -> None:
    subscription = a_subscription()

    assert not subscription.is_cancel_set
    assert term_of(subscription).cancel_date is None
    assert term_of(subscription).goes_on


@pytest.mark.parametrize(
    ("status", "periods", "expected"),
    [
        # Limio's page on statuses: within a term and out of term are both active.
        ("Active", [("Active", "2026-01-01", "2027-01-01"), ("OutOfTerm", "2027-01-01", None)], "active"),
        ("Active", [("Active", "2025-01-01", "2026-01-01"), ("OutOfTerm", "2026-01-01", None)], "active"),
        ("Suspended", [("Active", "2026-01-01", "2026-06-01"), ("Suspended", "2026-06-01", None)], "suspended"),
        ("Active", [("Active", "2026-01-01", "2026-07-01"), ("Suspended", "2026-07-01", None)], "active"),
        (
            "Suspended",
            [
                ("Active", "2026-01-01", "2026-05-01"),
                ("Suspended", "2026-05-01", "2026-06-15"),
                ("Active", "2026-06-15", None),
            ],
            "active",
        ),
        ("Pending Activation", [], "pending"),
        ("Pending Acceptance", [], "pending"),
        ("Suspended", [], "suspended"),
        ("Frozen", [], None),
        # Two entries of one day: the one that began last, and of those the graver one.
        ("Active", [("Active", "2026-01-01", None), ("Suspended", "2026-06-01", None)], "suspended"),
        ("Active", [("Suspended", "2026-06-01", None), ("Active", "2026-06-01", None)], "suspended"),
    ],
)
def test_the_history_entry_in_force_today_decides_the_status(
    status: str, periods: list[tuple[str, str | None, str | None]], expected: str | None
) -> None:
    for order in (periods, periods[::-1]):
        assert term_of(a_subscription(status=status, status_history=history(*order))).limio_status == expected


def test_what_goes_on_after_the_schedule_is_a_renewal_or_no_end_at_all() -> None:
    assert term_of(a_subscription(auto_renew=True)).goes_on
    assert not term_of(a_subscription(auto_renew=False)).goes_on
    assert term_of(an_evergreen_subscription()).goes_on
    assert not term_of(an_evergreen_subscription(scheduled_cancel=day("2026-08-01"))).goes_on


def test_the_schedule_ends_with_the_term_else_with_the_horizon() -> None:
    assert term_of(a_subscription()).schedule_end == day("2027-01-01")
    assert term_of(an_evergreen_subscription()).schedule_end == day("2027-06-15")
    assert term_of(an_evergreen_subscription(scheduled_cancel=day("2026-08-01"))).schedule_end == day("2026-08-01")


@pytest.mark.parametrize(
    ("stored", "rules", "same"),
    [
        ("2026-01-01T09:30:00.000Z", UTC, True),
        ("2026-01-01", UTC, True),
        ("2026-01-01T00:00:00.000", UTC, True),
        ("2025-12-31T23:30:00.000Z", UTC, False),
        # Half an hour before midnight in UTC is the new year in Berlin.
        ("2025-12-31T23:30:00.000Z", Rules(tenant_zone=ZoneInfo("Europe/Berlin"), horizon_months=12), True),
        # Honolulu is ten hours behind: its last evening of the year is the first morning in UTC, and both count.
        ("2026-01-01T05:00:00.000Z", Rules(tenant_zone=ZoneInfo("Pacific/Honolulu"), horizon_months=12), True),
        ("2026-01-02T05:00:00.000Z", Rules(tenant_zone=ZoneInfo("Pacific/Honolulu"), horizon_months=12), True),
        ("2026-01-02T11:00:00.000Z", Rules(tenant_zone=ZoneInfo("Pacific/Honolulu"), horizon_months=12), False),
        ("2025-12-31T10:30:00.000Z", Rules(tenant_zone=ZoneInfo("Pacific/Kiritimati"), horizon_months=12), True),
        ("soon", UTC, False),
        (None, UTC, False),
        (20260101, UTC, False),
    ],
)
def test_a_stored_start_means_zuoras_date_in_utc_or_in_the_tenants_zone(stored: Any, rules: Rules, same: bool) -> None:
    assert is_same_day(stored, day("2026-01-01"), rules) is same


def changes_of(document: dict[str, Any], subscription: ZuoraSubscription) -> dict[str, Any]:
    return {change.path: change.after for change in compare_terms(document, term_of(subscription))}


def test_an_agreeing_term_keeps_its_stored_time() -> None:
    assert changes_of(a_limio_subscription(), a_subscription()) == {}


def test_a_renewed_term_moves_both_dates() -> None:
    renewed = a_subscription(term_start=day("2027-01-01"), term_end=day("2028-01-01"), end=day("2028-01-01"))

    assert changes_of(a_limio_subscription(), renewed) == {
        "data.termStartDate": "2027-01-01T00:00:00.000Z",
        "data.termEndDate": "2028-01-01",
    }


def test_a_cancellation_that_is_set_turns_auto_renew_off_though_zuora_leaves_its_flag() -> None:
    assert changes_of(a_limio_subscription(), cancelled_at(LATER)) == {
        "data.termEndDate": LATER,
        "data.attributes.autoRenew": False,
    }


def test_auto_renew_that_limio_does_not_say_is_off_and_said_only_when_it_is_on() -> None:
    """Limio's shop leaves the attribute out of subscriptions that do not renew (its self-service sample)."""
    silent = a_limio_subscription(data={"attributes": {"gift": False}})

    assert changes_of(silent, a_subscription(auto_renew=False)) == {}
    assert changes_of(silent, a_subscription(auto_renew=True)) == {"data.attributes.autoRenew": True}


def test_a_renewal_into_evergreen_takes_the_end_away() -> None:
    assert changes_of(a_limio_subscription(), an_evergreen_subscription()) == {
        "data.termEndDate": None,
        "data.attributes.autoRenew": False,
    }


def test_dates_that_zuora_does_not_tell_yet_change_nothing() -> None:
    pending = a_subscription(status="Pending Activation", status_history=(), term_start=None, term_end=None, end=None)

    assert changes_of(a_limio_subscription(), pending) == {"status": "pending"}


def test_an_initial_subscription_becomes_active() -> None:
    assert changes_of(a_limio_subscription(status="initial"), a_subscription()) == {"status": "active"}


@pytest.mark.parametrize(
    ("subscription", "looks_on"),
    [
        (a_subscription(), "2027-01-01"),
        (cancelled_at(LATER), LATER),
        (a_subscription(scheduled_suspend=day("2026-07-03")), "2026-07-03"),
        (a_subscription(scheduled_resume=day("2026-08-03")), "2026-08-03"),
        (a_subscription(scheduled_cancel=day("2026-06-16")), "2026-06-16"),
        (
            a_subscription(
                status_history=history(("Suspended", "2026-06-01", "2026-07-20"), ("Active", "2026-07-20", None))
            ),
            "2026-07-20",
        ),
        # Twelve months of horizon, less one.
        (an_evergreen_subscription(), "2027-05-15"),
        (cancelled_at("2026-06-01", status="Cancelled"), None),
    ],
)
def test_the_next_look_is_on_the_day_that_zuoras_answer_changes_by_itself(
    subscription: ZuoraSubscription, looks_on: str | None
) -> None:
    assert term_of(subscription).next_look(cut_short=False) == (looks_on and day(looks_on))


def test_a_preview_that_was_cut_short_is_looked_at_again_within_a_month() -> None:
    assert term_of(a_subscription()).next_look(cut_short=True) == day("2026-07-13")
