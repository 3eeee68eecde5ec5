"""Days survive every zone: Zuora names days of the tenant's calendar, Limio moments in UTC and days without a zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from sync_service.subscription.plan import Create, LimioState
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.terms import Rules, TermOnDay, compare_terms
from sync_service.subscription.zuora import Preview, ZuoraState
from tests.unit.builders import (
    TERM_END,
    TODAY,
    a_limio_subscription,
    a_preview_item,
    a_subscription,
)

#: Whole hours from the date line to the date line; the names of these zones count westwards.
WHOLE_HOURS = [f"Etc/GMT{-hours:+d}" for hours in range(-12, 15)]
#: Zones whose clocks go forward and back: at midnight (Beirut, Santiago), by half an hour (Lord Howe), and the others.
SUMMER_TIME = [
    *("Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Beirut"),
    *("America/Santiago", "Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns"),
]
zones = st.sampled_from([*WHOLE_HOURS, *SUMMER_TIME])


def edges(zone: ZoneInfo, year: int) -> list[date]:
    """The days of a year on which the zone's clocks change, and their neighbours."""
    days = [date(year, 1, 1) + timedelta(days=index) for index in range(365)]
    offsets = [datetime(day.year, day.month, day.day, tzinfo=zone).utcoffset() for day in days]
    changes = [day for day, before, after in zip(days, offsets, offsets[1:], strict=False) if before != after]
    return [day + timedelta(days=shift) for day in changes for shift in (-1, 0, 1, 2)] or days[:1]


@st.composite
def days_in_zones(draw: st.DrawFn) -> tuple[date, ZoneInfo]:
    """Any day, or a day around which the clocks change."""
    zone = ZoneInfo(draw(zones))
    any_day = st.dates(date(2000, 1, 1), date(2037, 12, 31))
    at_an_edge = st.integers(2020, 2030).flatmap(lambda year: st.sampled_from(edges(zone, year)))
    return draw(any_day | at_an_edge), zone


def stored_at(day: date, zone: ZoneInfo, minute: int) -> str:
    """A moment of `day` by the clocks of the zone, as Limio stores it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    next_day = day + timedelta(days=1)
    end = datetime(next_day.year, next_day.month, next_day.day, tzinfo=zone).astimezone(UTC)
    moment = midnight + (end - midnight) * minute / (24 * 60)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(days_in_zones(), st.integers(0, 24 * 60 - 1))
def test_a_start_stored_at_any_time_of_the_tenants_day_is_kept(found: tuple[date, ZoneInfo], minute: int) -> None:
    day, zone = found
    rules = Rules(tenant_zone=zone, horizon_months=12)
    data = {"termStartDate": stored_at(day, zone, minute), "termEndDate": TERM_END.isoformat()}

    changes = compare_terms(
        a_limio_subscription(data=data), TermOnDay(a_subscription(term_start=day, term_end=TERM_END), TODAY, rules)
    )

    assert "data.termStartDate" not in {change.path for change in changes}


@given(days_in_zones(), st.integers(0, 24 * 60 - 1))
def test_a_start_two_days_off_is_corrected_to_zuoras_day(found: tuple[date, ZoneInfo], minute: int) -> None:
    day, zone = found
    rules = Rules(tenant_zone=zone, horizon_months=12)
    data = {"termStartDate": stored_at(day + timedelta(days=2), zone, minute), "termEndDate": TERM_END.isoformat()}

    changes = compare_terms(
        a_limio_subscription(data=data), TermOnDay(a_subscription(term_start=day, term_end=TERM_END), TODAY, rules)
    )

    assert [change.after for change in changes if change.path == "data.termStartDate"] == [f"{day}T00:00:00.000Z"]


@given(days_in_zones())
def test_every_day_that_is_written_is_the_day_that_zuora_named(found: tuple[date, ZoneInfo]) -> None:
    day, zone = found
    last = day + timedelta(days=400)
    line = a_preview_item(day.isoformat())
    zuora = ZuoraState(
        subscription=a_subscription(start=day, end=last, term_start=day, term_end=last, segments=(), status_history=()),
        preview=Preview(items=(line,), target_date=last + timedelta(days=40)),
    )

    plan = reconcile(LimioState(), zuora, day, Rules(tenant_zone=zone, horizon_months=12))

    created = {change.record_type: change.document for change in plan.changes if isinstance(change, Create)}
    assert created["schedule"]["data"]["date"] == f"{day}T00:00:00.000"
    assert created["subscription"]["data"]["termStartDate"] == f"{day}T00:00:00.000Z"
    assert created["subscription"]["data"]["termEndDate"] == last.isoformat()


@given(st.dates(date(2000, 1, 1), date(2037, 12, 31)), st.integers(-12, 14), st.integers(0, 24 * 60 - 1))
def test_a_start_stored_with_any_offset_is_the_moment_that_it_names(day: date, hours: int, minute: int) -> None:
    """Limio writes UTC; a load may hold another offset for the same moment."""
    stored = stored_at(day, ZoneInfo("UTC"), minute).replace("Z", "+00:00")
    elsewhere = datetime.fromisoformat(stored).astimezone(timezone(timedelta(hours=hours))).isoformat()
    data = {"termStartDate": elsewhere, "termEndDate": TERM_END.isoformat()}
    rules = Rules(tenant_zone=ZoneInfo("UTC"), horizon_months=12)

    changes = compare_terms(
        a_limio_subscription(data=data), TermOnDay(a_subscription(term_start=day, term_end=TERM_END), TODAY, rules)
    )

    assert "data.termStartDate" not in {change.path for change in changes}
