"""The term of a subscription: its status by date, a cancellation that is set, where it ends, what goes on. Pure.

The dates and words are those of Zuora's "Retrieve a subscription by key"; Limio's are those of its subscription object.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from sync_service.subscription.limio.documents import get_value, midnight
from sync_service.subscription.plan import Document, FieldChange
from sync_service.subscription.schedule.charges import Charge, charges_of
from sync_service.subscription.schedule.periods import add_months
from sync_service.subscription.zuora import StatusPeriod, ZuoraSubscription

#: Limio's word for each of Zuora's (Limio's page "Subscription statuses in Limio and relation with Zuora"): out of term
#: stays active, and Limio knows no acceptance apart from activation. The spelling is that of Limio's objects API.
_LIMIO_STATUS = {
    "Active": "active",
    "OutOfTerm": "active",
    "Cancelled": "cancelled",
    "Suspended": "suspended",
    "Pending Activation": "pending",
    "Pending Acceptance": "pending",
}
_PENDING = frozenset({"Pending Activation", "Pending Acceptance"})
#: Where entries of one day contradict each other, the graver one counts.
_GRAVITY = ("Cancelled", "Suspended", "OutOfTerm")
#: A longer term is no plan of payments but a way to say that there is no end, as some tenants enter one.
_MAX_TERM_MONTHS = 120
#: How soon an answer that Zuora cut short is read again.
_CUT_SHORT = timedelta(days=28)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a tenant decides about its comparisons: TENANT_TIME_ZONE and EVERGREEN_HORIZON_MONTHS."""

    tenant_zone: ZoneInfo
    #: How many months of coming payments a subscription without an end has.
    horizon_months: int


@dataclass(frozen=True)
class TermOnDay:
    """A subscription on one day of the tenant's: where it stands, where it ends, what comes after; computed once."""

    subscription: ZuoraSubscription
    today: date
    rules: Rules

    @cached_property
    def status(self) -> str:
        """Zuora's status on the day: the entry of `statusHistory` in force, else the top-level status.

        `Cancelled` counts from the subscription's end date on: an order that cancels later may show it at once.
        """
        in_force = [period for period in self.subscription.status_history if _covers(period, self.today)]
        status = max(in_force, key=_precedence).status if in_force else self.subscription.status
        end = self.subscription.end or self.subscription.term_end
        return "Active" if status == "Cancelled" and end is not None and end > self.today else status

    @property
    def limio_status(self) -> str | None:
        """The status that Limio shows on the day; None for a word of Zuora's that Limio has none for."""
        return _LIMIO_STATUS.get(self.status)

    @property
    def is_pending(self) -> bool:
        """Not yet begun: Zuora bills nothing and may lack dates."""
        return self.status in _PENDING

    @cached_property
    def cancel_date(self) -> date | None:
        """The first day that is no longer paid for, where a cancellation is set; None without one or without its day.

        Zuora spells a later cancellation in two ways: as an entry of the history that begins later, or as a status
        that is `Cancelled` at once with an end date that is still to come.
        """
        end, cancellations = self.subscription.end or self.subscription.term_end, self.subscription.cancellations
        days = [self.subscription.scheduled_cancel]
        for entry in cancellations:
            begun = entry.start is None or entry.start <= self.today
            days.append(max(entry.start or date.min, end) if begun and end else entry.start)
        if self.subscription.status == "Cancelled" and not cancellations:
            days.append(end)
        return _first(days)

    @cached_property
    def end(self) -> date | None:
        """The day on which the term ends (exclusive): the cancellation where one is set, else Zuora's term end.

        None for a subscription without an end.
        """
        return _first((self.subscription.term_end, self.cancel_date))

    @cached_property
    def schedule_end(self) -> date:
        """Charges whose service starts before this day belong to the schedule: the term's end, else the horizon.

        The horizon holds for a term of more than ten years, too.
        """
        if self.end is None and self.subscription.is_cancel_set:
            return self.today
        horizon = add_months(self.today, self.rules.horizon_months)
        if self.end is None:
            return horizon
        begin = self.subscription.term_start or self.subscription.start or self.today
        return min(self.end, horizon) if self.end > add_months(begin, _MAX_TERM_MONTHS) else self.end

    @property
    def _ends_at_horizon(self) -> bool:
        return self.schedule_end < self.end if self.end is not None else not self.subscription.is_cancel_set

    @property
    def goes_on(self) -> bool:
        """Whether payments come after the end of the schedule.

        It renews or has no end, and no cancellation is set; or its term ends behind the horizon.
        """
        return (
            self._ends_at_horizon
            or self.renews
            or (self.subscription.is_evergreen and not self.subscription.is_cancel_set)
        )

    @property
    def renews(self) -> bool:
        """Auto-renew as Limio shows it: Zuora leaves its flag where a cancellation is set."""
        return self.subscription.auto_renew and not self.subscription.is_cancel_set

    @cached_property
    def suspended_from(self) -> date | None:
        """The day from which nothing must be due: a suspension that is not over, not one long resumed."""
        periods = [each for each in self.subscription.status_history if each.status == "Suspended"]
        days = [each.start or date.min for each in periods if each.end is None or each.end > self.today]
        scheduled = self.subscription.scheduled_suspend
        if scheduled is not None and scheduled >= self.today:
            days.append(scheduled)
        return min(days, default=date.min if self.subscription.status == "Suspended" else None)

    @cached_property
    def charges(self) -> tuple[Charge, ...]:
        """The charges over all of their segments."""
        return charges_of(self.subscription)

    def next_look(self, *, cut_short: bool) -> date | None:
        """The next day on which Zuora's answer changes by itself; None where no such day is known.

        That is a boundary in `statusHistory`, a scheduled cancellation, suspension or resumption, the end of the term,
        and where the schedule ends at the horizon the day on which that has moved on so far that one month is left.
        """
        subscription = self.subscription
        days = [day for period in subscription.status_history for day in (period.start, period.end)]
        days += [subscription.scheduled_cancel, subscription.scheduled_suspend, subscription.scheduled_resume]
        days += [subscription.term_end, self.end]
        if self._ends_at_horizon:
            days.append(add_months(self.today, max(self.rules.horizon_months - 1, 1)))
        if cut_short:
            days.append(self.today + _CUT_SHORT)
        return _first(day for day in days if day is not None and day > self.today)


def _covers(period: StatusPeriod, day: date) -> bool:
    return (period.start is None or period.start <= day) and (period.end is None or day < period.end)


def _precedence(period: StatusPeriod) -> tuple[date, int, str]:
    gravity = -_GRAVITY.index(period.status) if period.status in _GRAVITY else -len(_GRAVITY)
    return period.start or date.min, gravity, period.status


def _first(days: Iterable[date | None]) -> date | None:
    return min((day for day in days if day is not None), default=None)


def compare_terms(document: Document, term: TermOnDay) -> list[FieldChange]:
    """Term dates, auto-renew and status of a Limio subscription that differ from Zuora's.

    A date that Zuora does not tell leaves Limio's alone, but for the term end of a subscription that has none any more.
    """
    changes = []
    start, end, status = term.subscription.term_start, term.end, term.limio_status
    stored_start, stored_end = get_value(document, "data.termStartDate"), get_value(document, "data.termEndDate")
    if start is not None and not is_same_day(stored_start, start, term.rules):
        changes.append(FieldChange(path="data.termStartDate", before=stored_start, after=midnight(start)))
    if end is not None and not is_same_day(stored_end, end, term.rules):
        changes.append(FieldChange(path="data.termEndDate", before=stored_end, after=end.isoformat()))
    if end is None and term.subscription.is_evergreen and stored_end is not None:
        changes.append(FieldChange(path="data.termEndDate", before=stored_end, after=None))
    stored_renews = get_value(document, "data.attributes.autoRenew")
    if (False if stored_renews is None else stored_renews) is not term.renews:  # Limio's shop leaves a `false` out
        changes.append(FieldChange(path="data.attributes.autoRenew", before=stored_renews, after=term.renews))
    if status is not None and document.get("status") != status:
        changes.append(FieldChange(path="status", before=document.get("status"), after=status))
    return changes


def is_same_day(stored: object, day: date, rules: Rules) -> bool:
    """Whether a Limio date or timestamp means `day`: by its own date, or in UTC or the tenant's zone where it has one.

    Limio's `termStartDate` is a moment in UTC, made from the shopper's clock.
    """
    if not isinstance(stored, str):
        return False
    try:
        moment = datetime.fromisoformat(stored.strip())
        if moment.tzinfo is None:
            return moment.date() == day
        return day in (moment.astimezone(UTC).date(), moment.astimezone(rules.tenant_zone).date())
    except (ValueError, OverflowError):
        return False
