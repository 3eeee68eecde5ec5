"""The term of a subscription: its status by date, a cancellation that is set, where it ends, what goes on. Pure.

The dates and words are those of Zuora's "Retrieve a subscription by key"; Limio's are those of its subscription object.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.plan import Document, FieldChange
from sync_service.subscription.schedule.periods import add_months
from sync_service.subscription.zuora import StatusPeriod, ZuoraSubscription

#: Limio's word for each of Zuora's (Limio's page "Subscription statuses in Limio and relation with Zuora"): out of term
#: stays active, and Limio knows no acceptance apart from activation. The spelling is that of Limio's objects API.
LIMIO_STATUS = {
    "Active": "active",
    "OutOfTerm": "active",
    "Cancelled": "cancelled",
    "Suspended": "suspended",
    "Pending Activation": "pending",
    "Pending Acceptance": "pending",
}
#: Not yet begun: Zuora bills nothing and may lack dates.
PENDING = frozenset({"Pending Activation", "Pending Acceptance"})
#: Where entries of one day contradict each other, the graver one counts.
_GRAVITY = ("Cancelled", "Suspended", "OutOfTerm")
#: A longer term is no plan of payments but a way to say that there is no end, as some tenants enter one.
_MAX_TERM_MONTHS = 120
#: How soon an answer that Zuora cut short is read again.
_CUT_SHORT = timedelta(days=28)


def status_on(subscription: ZuoraSubscription, day: date) -> str:
    """Zuora's status on `day`: the entry of `statusHistory` in force, else the top-level status.

    `Cancelled` counts from the subscription's end date on: an order that cancels later may show it at once.
    """
    in_force = [period for period in subscription.status_history if _covers(period, day)]
    status = max(in_force, key=_precedence).status if in_force else subscription.status
    end = subscription.end or subscription.term_end
    if status == "Cancelled" and end is not None and end > day:
        return "Active"
    return status


def _covers(period: StatusPeriod, day: date) -> bool:
    return (period.start is None or period.start <= day) and (period.end is None or day < period.end)


def _precedence(period: StatusPeriod) -> tuple[date, int, str]:
    gravity = -_GRAVITY.index(period.status) if period.status in _GRAVITY else -len(_GRAVITY)
    return period.start or date.min, gravity, period.status


def is_cancel_set(subscription: ZuoraSubscription) -> bool:
    """Whether the subscription is cancelled or will be: by status, by history or by schedule.

    A cancellation that was withdrawn leaves none of the three.
    """
    return (
        subscription.status == "Cancelled"
        or subscription.scheduled_cancel is not None
        or bool(_open_cancellations(subscription))
    )


def _open_cancellations(subscription: ZuoraSubscription) -> list[StatusPeriod]:
    return [each for each in subscription.status_history if each.status == "Cancelled" and each.end is None]


def cancel_date(subscription: ZuoraSubscription, today: date) -> date | None:
    """The first day that is no longer paid for, where a cancellation is set; None where none is, or no day is named.

    Zuora spells a later cancellation in two ways: as an entry of the history that begins later, or as a status that is
    `Cancelled` at once with an end date that is still to come.
    """
    end = subscription.end or subscription.term_end
    days = [subscription.scheduled_cancel]
    for entry in _open_cancellations(subscription):
        begun = entry.start is None or entry.start <= today
        days.append(max(entry.start or date.min, end) if begun and end else entry.start)
    if subscription.status == "Cancelled" and not _open_cancellations(subscription):
        days.append(end)
    return min((day for day in days if day is not None), default=None)


def end_of_term(subscription: ZuoraSubscription, today: date) -> date | None:
    """The day on which the term ends (exclusive): the cancellation where one is set, else Zuora's term end.

    None for a subscription without an end.
    """
    days = (subscription.term_end, cancel_date(subscription, today))
    return min((day for day in days if day is not None), default=None)


def end_of_schedule(subscription: ZuoraSubscription, today: date, rules: Rules) -> date:
    """Charges whose service starts before this day belong to the schedule: the term's end, else the horizon.

    The horizon holds for a term of more than ten years, too.
    """
    end = end_of_term(subscription, today)
    if end is None and is_cancel_set(subscription):
        return today
    horizon = add_months(today, rules.horizon_months)
    if end is None:
        return horizon
    return min(end, horizon) if _is_endless(subscription, end, today) else end


def _is_endless(subscription: ZuoraSubscription, end: date, today: date) -> bool:
    begin = subscription.term_start or subscription.start or today
    return end > add_months(begin, _MAX_TERM_MONTHS)


def will_go_on(subscription: ZuoraSubscription, today: date, rules: Rules) -> bool:
    """Whether payments come after the end of the schedule.

    It renews or has no end, and no cancellation is set; or its term ends behind the horizon.
    """
    end = end_of_term(subscription, today)
    if end is not None and end_of_schedule(subscription, today, rules) < end:
        return True
    if is_cancel_set(subscription):
        return False
    return subscription.auto_renew or subscription.term_type.upper() == "EVERGREEN" or subscription.term_end is None


def compare_terms(document: Document, subscription: ZuoraSubscription, today: date, rules: Rules) -> list[FieldChange]:
    """Term dates, auto-renew and status of a Limio subscription that differ from Zuora's.

    A date that Zuora does not tell leaves Limio's alone, but for the term end of a subscription that has none any more.
    """
    changes = []
    start, end = subscription.term_start, end_of_term(subscription, today)
    stored_start, stored_end = get_value(document, "data.termStartDate"), get_value(document, "data.termEndDate")
    if start is not None and not is_same_day(stored_start, start, rules):
        changes.append(FieldChange(path="data.termStartDate", before=stored_start, after=as_timestamp(start)))
    if end is not None and not is_same_day(stored_end, end, rules):
        changes.append(FieldChange(path="data.termEndDate", before=stored_end, after=end.isoformat()))
    if end is None and subscription.term_type.upper() == "EVERGREEN" and stored_end is not None:
        changes.append(FieldChange(path="data.termEndDate", before=stored_end, after=None))
    renews = subscription.auto_renew and not is_cancel_set(subscription)
    stored_renews = get_value(document, "data.attributes.autoRenew")
    if (False if stored_renews is None else stored_renews) is not renews:  # Limio's shop leaves a `false` out
        changes.append(FieldChange(path="data.attributes.autoRenew", before=stored_renews, after=renews))
    status = limio_status(subscription, today)
    if status is not None and document.get("status") != status:
        changes.append(FieldChange(path="status", before=document.get("status"), after=status))
    return changes


def limio_status(subscription: ZuoraSubscription, today: date) -> str | None:
    """The status that Limio shows today; None for a word of Zuora's that Limio has none for."""
    return LIMIO_STATUS.get(status_on(subscription, today))


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


def as_timestamp(day: date) -> str:
    """`day` as Limio writes a term's start."""
    return f"{day.isoformat()}T00:00:00.000Z"


def next_look(subscription: ZuoraSubscription, today: date, rules: Rules, *, cut_short: bool) -> date | None:
    """The next day on which Zuora's answer changes by itself; None where no such day is known.

    That is a boundary in `statusHistory`, a scheduled cancellation, suspension or resumption, the end of the term, and
    where the schedule ends at the horizon the day on which that has moved on so far that one month is left.
    """
    days = [day for period in subscription.status_history for day in (period.start, period.end)]
    days += [subscription.scheduled_cancel, subscription.scheduled_suspend, subscription.scheduled_resume]
    end = end_of_term(subscription, today)
    days += [subscription.term_end, end]
    if (end is None and not is_cancel_set(subscription)) or (end and end_of_schedule(subscription, today, rules) < end):
        days.append(add_months(today, max(rules.horizon_months - 1, 1)))
    if cut_short:
        days.append(today + _CUT_SHORT)
    return min((day for day in days if day is not None and day > today), default=None)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a tenant decides about its comparisons: TENANT_TIME_ZONE and EVERGREEN_HORIZON_MONTHS."""

    tenant_zone: ZoneInfo
    #: How many months of coming payments a subscription without an end has.
    horizon_months: int
