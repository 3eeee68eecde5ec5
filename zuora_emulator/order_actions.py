"""What each order action makes of a subscription's version. Pure: the order itself is `orders.place`.

An action returns the version after it, still with the ids of the one before, and itself as "Create an order" of Zuora's
API reference writes it. Refusals are Zuora's: a suspended subscription takes no change but its resumption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from zuora_emulator.fields import Fields, Refused
from zuora_emulator.periods import add_term, next_boundary
from zuora_emulator.records import Charge, RatePlan, Segment, Suspension, Version

#: The action as Zuora writes it, without its trigger dates.
Action = dict[str, Any]
Result = tuple[Version, list[Action]]


def renew(version: Version, fields: Fields) -> Result:
    """Another term: of the renewal term's length, or without an end where renewing makes it evergreen."""
    must_run(version, fields.today)
    if version.term_end is None:
        raise Refused("An evergreen subscription cannot be renewed.")
    after = replace(version, term_start=version.term_end)
    if version.renewal_setting == "RENEW_TO_EVERGREEN":
        after = replace(after, term_type="EVERGREEN", term_end=None, current_term=None, auto_renew=False)
    else:
        period = version.renewal_period or version.term_period
        term_end = add_term(version.term_end, version.renewal_term, period)
        after = replace(after, term_end=term_end, current_term=version.renewal_term, term_period=period)
    return after, [_action("RenewSubscription", version.term_end, renewSubscription={})]


def cancel(version: Version, fields: Fields) -> Result:
    """Cancel on a day: `on` is today, `term_end`, `period_end` (where billing ended), or a date; `reason` is a text."""
    must_run(version, fields.today)
    billed = [charge.billed_through for charge in version.charges if charge.billed_through]
    period_end = max(billed, default=fields.today)
    day = fields.day("on", fields.today, term_end=version.term_end, period_end=period_end)
    if day is None or day < version.start:
        raise Refused("The cancellation date must be on or after the start of the subscription.")
    after = replace(
        version,
        cancelled_on=day,
        term_end=day,
        cancel_reason=fields.text("reason"),
        rate_plans=_each_charge(version, lambda charge: _cut_at(charge, day)),
    )
    detail = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": day.isoformat()}
    return after, [_action("CancelSubscription", day, cancelSubscription=detail)]


def suspend(version: Version, fields: Fields) -> Result:
    """Suspend from `on` (today) until it is resumed, or until `until` where that is known already."""
    must_run(version, fields.today)
    day = fields.day("on", fields.today) or fields.today
    until = fields.day("until")
    if day < version.start or (version.term_end is not None and day >= version.term_end):
        raise Refused("The suspend date must lie within the term.")
    if any(each.end is None or each.end > day for each in version.suspensions):
        raise Refused("The suspend date cannot be earlier than the most recent resume date.")
    running = [charge for charge in version.charges if _runs_on(version, charge, day)]
    stopped = tuple((charge.number, charge.segments[-1].end) for charge in running)
    plans = _each_charge(version, lambda charge: _cut_at(charge, day))
    after = replace(
        version, suspensions=(*version.suspensions, Suspension(start=day, stopped=stopped)), rate_plans=plans
    )
    detail = {"suspendPolicy": "SpecificDate", "suspendSpecificDate": day.isoformat()}
    actions = [_action("Suspend", day, suspend=detail)]
    if until is not None:
        after, more = _resume_on(after, until, extend=False)
        actions += more
    return after, actions


def resume(version: Version, fields: Fields) -> Result:
    """Resume on `on` (today); `extend_term` adds the days of the suspension to the term."""
    if not version.suspensions or version.suspensions[-1].end is not None:
        raise Refused("The subscription is not suspended.")
    day = fields.day("on", max(fields.today, version.suspensions[-1].start))
    return _resume_on(version, day or fields.today, extend=bool(fields.flag("extend_term", False)))


def _resume_on(version: Version, day: date, *, extend: bool) -> Result:
    *before, last = version.suspensions
    if day < last.start:
        raise Refused("The resume date must be on or after the suspend date.")
    ends = dict(last.stopped)

    def go_on(charge: Charge) -> Charge:
        if charge.number not in ends or (charge.type == "OneTime" and day > charge.segments[0].start):
            return charge
        *earlier, stopped = charge.segments
        end = ends[charge.number]
        if stopped.end == stopped.start:  # it had not begun
            return replace(charge, segments=(*earlier, replace(stopped, start=max(stopped.start, day), end=end)))
        if day == last.start:
            return replace(charge, segments=(*earlier, replace(stopped, end=end)))
        return replace(charge, segments=(*charge.segments, replace(stopped, start=day, end=end)))

    after = replace(version, suspensions=(*before, replace(last, end=day)), rate_plans=_each_charge(version, go_on))
    if extend and version.term_end is not None:
        after = replace(after, term_end=version.term_end + (day - last.start))
    detail = {"resumePolicy": "SpecificDate", "resumeSpecificDate": day.isoformat(), "extendsTerm": extend}
    return after, [_action("Resume", day, resume=detail)]


def change_terms(version: Version, fields: Fields) -> Result:
    """Terms and conditions: `auto_renew`, `renewal_term`, `renewal_setting`, `notes`, and the term's own `term_end`."""
    must_run(version, fields.today)
    auto_renew = bool(fields.flag("auto_renew", version.auto_renew))
    term = fields.whole("renewal_term", version.renewal_term) or 0
    setting = fields.text("renewal_setting", version.renewal_setting) or version.renewal_setting
    term_end = fields.day("term_end", version.term_end)
    after = replace(
        version,
        auto_renew=auto_renew,
        renewal_term=term,
        renewal_setting=setting,
        term_end=term_end,
        notes=fields.text("notes", version.notes),
    )
    renewal_terms = [{"period": term, "periodType": version.term_period}]
    detail: Action = {"autoRenew": auto_renew, "renewalSetting": setting, "renewalTerms": renewal_terms}
    if term_end != version.term_end and term_end is not None:
        detail["lastTerm"] = {"termType": "TERMED", "endDate": term_end.isoformat()}
    return after, [_action("TermsAndConditions", fields.today, termsAndConditions=detail)]


def change_contacts(version: Version, fields: Fields) -> Result:
    """Point the subscription at other contacts: `bill_to`, `sold_to`, each the id of a contact."""
    must_run(version, fields.today)
    bill_to, sold_to = fields.text("bill_to"), fields.text("sold_to")
    detail = {name: key for name, key in (("billToContactId", bill_to), ("soldToContactId", sold_to)) if key}
    after = replace(version, bill_to=bill_to or version.bill_to, sold_to=sold_to or version.sold_to)
    return after, [_action("TermsAndConditions", fields.today, termsAndConditions=detail)]


def change_price(version: Version, fields: Fields) -> Result:
    """Another `price`, `quantity`, `percent` or `amount` (of a discount) for a `charge` (the first) from `on`.

    `on` is by default where billing ended, so that nothing billed changes. Makes a new segment.
    """
    must_run(version, fields.today)
    wanted = fields.text("charge")
    candidates = [charge for charge in version.charges if wanted in (charge.number, charge.name, None)]
    charge = next((each for each in candidates if wanted or _runs_on(version, each, fields.today)), None)
    if charge is None:
        raise Refused("There is no such charge.", 50000040)
    day = fields.day(
        "on", charge.billed_through or fields.today, next_period=next_boundary(version, charge, fields.today)
    )
    day = max(day or fields.today, charge.segments[0].start)
    plan = next(each for each in version.rate_plans if charge in each.charges)
    after = update_charge(
        version,
        charge,
        day,
        lambda segment: replace(
            segment,
            price=fields.number("price", segment.price),
            quantity=fields.number("quantity", segment.quantity) or segment.quantity,
            discount_percentage=fields.number("percent", segment.discount_percentage),
            discount_amount=fields.number("amount", segment.discount_amount),
        ),
    )
    update = {"chargeNumber": charge.number, "effectiveDate": {"specificTriggerDate": day.isoformat()}}
    detail = {
        "subscriptionRatePlanNumber": plan.number,
        "specificUpdateDate": day.isoformat(),
        "chargeUpdates": [update],
    }
    return after, [_action("UpdateProduct", day, updateProduct=detail)]


def update_charge(version: Version, charge: Charge, day: date, change: Callable[[Segment], Segment]) -> Version:
    """A charge with another segment from `day` on."""
    running = next((each for each in reversed(charge.segments) if each.start <= day), charge.segments[0])
    changed = replace(change(running), start=max(day, charge.segments[0].start))
    kept = tuple(replace(each, end=day) if each is running else each for each in charge.segments if each.start < day)
    plan = next(each for each in version.rate_plans if charge in each.charges)
    after = replace(charge, segments=(*kept, changed))
    charges = tuple(after if each is charge else each for each in plan.charges)
    return _with_plan(version, plan, replace(plan, last_change="Update", charges=charges))


def add_product(version: Version, fields: Fields, plan: RatePlan) -> Result:
    """Add a rate plan, made by `charges.make_plan`."""
    must_run(version, fields.today)
    after = replace(version, rate_plans=(*version.rate_plans, plan))
    detail = {"productRatePlanId": plan.product_rate_plan_id, "subscriptionRatePlanNumber": plan.number}
    return after, [_action("AddProduct", plan.charges[0].segments[0].start, addProduct=detail)]


def remove_product(version: Version, fields: Fields) -> Result:
    """Remove a rate `plan` (its number or name; by default the last one added) from `on` (today)."""
    must_run(version, fields.today)
    wanted = fields.text("plan")
    living = [plan for plan in version.rate_plans if plan.last_change != "Remove"]
    plan = next((each for each in reversed(living) if wanted in (each.number, each.name, None)), None)
    if plan is None:
        raise Refused("There is no such rate plan.", 50000040)
    day = fields.day("on", fields.today) or fields.today
    cut = tuple(_cut_at(charge, day) for charge in plan.charges)
    after = _with_plan(version, plan, replace(plan, last_change="Remove", charges=cut))
    return after, [_action("RemoveProduct", day, removeProduct={"subscriptionRatePlanNumber": plan.number})]


def transfer_owner(version: Version, fields: Fields, account: str, invoice_owner: str) -> Result:
    """Another owner, and another account that pays."""
    must_run(version, fields.today)
    after = replace(version, account=account, invoice_owner=invoice_owner, bill_to=None, sold_to=None)
    detail = {"destinationAccountNumber": account, "destinationInvoiceAccountNumber": invoice_owner}
    return after, [_action("OwnerTransfer", fields.today, ownerTransfer=detail)]


def must_run(version: Version, today: date) -> None:
    """Refuse what a cancelled or suspended subscription does not take. Raises Refused."""
    if version.cancelled_on is not None:
        raise Refused("The subscription has been cancelled; withdraw the cancellation first.")
    if version.status_on(today) == "Suspended":
        raise Refused("The subscription is suspended; resume it first.")


def _each_charge(version: Version, change: Callable[[Charge], Charge]) -> tuple[RatePlan, ...]:
    return tuple(replace(plan, charges=tuple(map(change, plan.charges))) for plan in version.rate_plans)


def _with_plan(version: Version, plan: RatePlan, after: RatePlan) -> Version:
    return replace(version, rate_plans=tuple(after if each is plan else each for each in version.rate_plans))


def _runs_on(version: Version, charge: Charge, day: date) -> bool:
    """Whether the charge goes on at `day` or begins later."""
    end = version.segment_end(charge.segments[-1])
    return end is None or end > day


def _cut_at(charge: Charge, day: date) -> Charge:
    """The charge ended on `day`; what would have begun later never takes effect."""
    kept: list[Segment] = [each for each in charge.segments if each.start < day] or [charge.segments[0]]
    last = kept[-1]
    if last.end is None or last.end > day:
        kept[-1] = replace(last, end=max(day, last.start))
    return replace(charge, segments=tuple(kept))


def _action(kind: str, day: date, **detail: Any) -> Action:
    names = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    return {
        "type": kind,
        "sequence": 0,
        "changeReason": None,
        "triggerDates": [{"name": name, "triggerDate": day.isoformat()} for name in names],
        "customFields": {},
        **detail,
    }
