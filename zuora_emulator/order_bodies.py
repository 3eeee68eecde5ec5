"""Order actions as "Create an order" of Zuora's API reference has them: what each makes of a subscription's version.

`order_actions` knows the effects; here the bodies are read. Names that a body has beyond these are passed over, as
Zuora does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from zuora_emulator import order_actions as effects
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.periods import add_term
from zuora_emulator.records import RatePlan, Version, hex_id
from zuora_emulator.subscribing import reprice, subscribe
from zuora_emulator.tenant import Tenant

Json = dict[str, Any]
_UNITS = ("Month", "Year", "Day", "Week")
_SETTINGS = ("RENEW_WITH_SPECIFIC_TERM", "RENEW_TO_EVERGREEN")


def apply(tenant: Tenant, version: Version, action: Fields) -> tuple[Version, Json]:
    """The version after an action, and the action as "Retrieve an order" shows it. Raises Refused."""
    kind = action.need("type")
    if kind not in _ACTIONS:
        raise Refused(f"Invalid value for type: {kind}", 40000020)
    key, effect = _ACTIONS[kind]
    after, more = effect(tenant, version, action.inner(key) or Fields({}, today=action.today), action)
    return after, told(action, key, more)


def told(action: Fields, key: str, more: Json) -> Json:
    """An action as "Retrieve an order" shows it: as it was asked for, and what it led to."""
    detail = {**(action.raw(key) or {}), **more}
    if "chargeOverrides" in detail:
        detail["chargeOverrides"] = [shown_override(each) for each in detail["chargeOverrides"]]
    return {
        "type": action.need("type"),
        "changeReason": action.text("changeReason"),
        "triggerDates": action.raw("triggerDates") or [],
        "customFields": action.raw("customFields") or {},
        key: detail,
    }


def shown_override(override: Json) -> Json:
    """An override as orders show it: recorded orders write its first name otherwise than requests do."""
    rest = {name: value for name, value in override.items() if name != "productRatePlanChargeId"}
    return {"productRateplanChargeId": override.get("productRatePlanChargeId"), **rest}


def effective_day(action: Fields) -> date:
    """The contract effective date of an action, today by default. Raises Refused."""
    for trigger in action.inner_list("triggerDates"):
        if trigger.text("name") == "ContractEffective":
            return trigger.day("triggerDate", action.today) or action.today
    return action.today


def read_terms(asked: Fields, prefix: str = "renewal") -> Json:
    """What `renewalSetting`, `renewalTerms` and `autoRenew` say, as fields of a version. Raises Refused."""
    said: Json = {}
    if (auto_renew := asked.flag("autoRenew")) is not None:
        said["auto_renew"] = auto_renew
    if asked.text(f"{prefix}Setting"):
        said["renewal_setting"] = asked.one_of(f"{prefix}Setting", _SETTINGS, _SETTINGS[0])
    for term in asked.inner_list(f"{prefix}Terms")[:1]:
        said["renewal_term"] = term.whole("period") or 0
        said["renewal_period"] = term.one_of("periodType", _UNITS, "Month")
    return said


def _add(tenant: Tenant, version: Version, asked: Fields, action: Fields) -> tuple[Version, Json]:
    day = effective_day(action)
    if day < version.start or (version.term_end is not None and day > version.term_end):
        raise Refused("The contract effective date must lie within the term of the subscription.", 40000020)
    plan = subscribe(tenant.catalog, asked, start=day, currency=version.currency, make_number=tenant.next_number)
    after, _ = effects.add_product(version, Fields({}, today=tenant.today), plan)
    return after, {"subscriptionRatePlanNumber": plan.number, "productRatePlanId": plan.product_rate_plan_id}


def _remove(tenant: Tenant, version: Version, asked: Fields, action: Fields) -> tuple[Version, Json]:
    plan = _plan_of(version, asked)
    words = {"plan": plan.number, "on": effective_day(action).isoformat()}
    after, _ = effects.remove_product(version, Fields(words, today=tenant.today))
    return after, {"subscriptionRatePlanNumber": plan.number}


def _update(tenant: Tenant, version: Version, asked: Fields, action: Fields) -> tuple[Version, Json]:
    effects.must_run(version, tenant.today)
    number = _plan_of(version, asked).number
    day = asked.day("specificUpdateDate") or effective_day(action)
    for update in asked.inner_list("chargeUpdates"):
        plan = next(each for each in version.rate_plans if each.number == number)
        key = update.need("chargeNumber")
        charge = next((each for each in plan.charges if each.number == key), None)
        if charge is None:
            raise Refused(f"The rate plan {number} has no charge {key}.", 40000020)
        pricing = update.inner("pricing")
        if pricing is not None:
            version = effects.update_charge(
                version,
                charge,
                day,
                lambda segment, of=charge, by=pricing: reprice(of, segment, by),  # type: ignore[misc]
            )
    return version, {"subscriptionRatePlanNumber": number, "specificUpdateDate": day.isoformat()}


def _terms(tenant: Tenant, version: Version, asked: Fields, _: Fields) -> tuple[Version, Json]:
    effects.must_run(version, tenant.today)
    after = replace(version, **read_terms(asked))
    if (term := asked.inner("lastTerm")) is not None:
        after = _last_term(after, term)
    pointed: Json = {}
    for role, name in (("bill_to", "billToContact"), ("sold_to", "soldToContact")):
        if (contact := asked.text(f"{name}Id")) is not None:
            if tenant.find_contact(contact) is None:
                raise Refused(f"Cannot find entity by key: '{contact}'.", 40000040)
            pointed[role] = contact
        if asked.flag(f"clearingExisting{name[0].upper()}{name[1:]}"):
            pointed[role] = None
    after = replace(after, **pointed)
    if (day := asked.day("scheduledCancelDate")) is not None:
        after = replace(after, scheduled_cancel=day)
    if asked.flag("clearingScheduledCancelDate"):
        after = replace(after, scheduled_cancel=None)
    return with_profile(tenant, after, asked.inner("paymentProfile")), {}


def with_profile(tenant: Tenant, version: Version, profile: Fields | None) -> Version:
    """The version with a payment profile. Raises Refused where its method or gateway is not there."""
    if profile is None:
        return version
    method = profile.text("paymentMethodId") or version.payment_method
    gateway = profile.text("paymentGatewayId") or version.payment_gateway
    if method:
        tenant.payment_methods.need(method)
    if gateway:
        tenant.payment_methods.need_gateway(gateway)
    return replace(version, payment_method=method, payment_gateway=gateway)


def _last_term(version: Version, term: Fields) -> Version:
    """The version with another current term; its new start does not lie before the present one."""
    if term.one_of("termType", ("TERMED", "EVERGREEN"), "TERMED") == "EVERGREEN":
        return replace(version, term_type="EVERGREEN", term_end=None, current_term=None)
    start = term.day("startDate", version.term_start) or version.term_start
    if start < version.term_start:
        raise Refused("The start of the last term must not be before the start of the current term.", 40000020)
    end, period = term.day("endDate"), term.whole("period")
    unit = term.one_of("periodType", _UNITS, version.term_period)
    if end is None and not period:
        raise Refused("lastTerm needs a period or an endDate", 40000022)
    after = replace(version, term_type="TERMED", term_start=start, term_end=end or add_term(start, period or 0, unit))
    return replace(after, current_term=period, term_period=unit) if period else after


def _renew(tenant: Tenant, version: Version, _asked: Fields, _action: Fields) -> tuple[Version, Json]:
    if version.renewal_term == 0 and version.renewal_setting != "RENEW_TO_EVERGREEN":
        raise Refused("The renewal term is 0: the subscription cannot be renewed.", 40000030)
    return effects.renew(version, Fields({}, today=tenant.today))[0], {}


def _cancel(tenant: Tenant, version: Version, asked: Fields, action: Fields) -> tuple[Version, Json]:
    match asked.need("cancellationPolicy"):
        case "EndOfCurrentTerm":
            words = {"on": "term_end"}
        case "EndOfLastInvoicePeriod":
            words = {"on": "period_end"}
        case "SpecificDate":
            words = {"on": asked.need("cancellationEffectiveDate")}
        case policy:
            raise Refused(f"Invalid value for cancellationPolicy: {policy}", 40000020)
    reason = action.text("changeReason")
    after, _ = effects.cancel(version, Fields({**words, "reason": reason}, today=tenant.today))
    day = after.cancelled_on or tenant.today
    later = [each.name for each in version.charges if each.is_discount and each.segments[-1].start > day]
    if later:
        raise Refused(f"The discount {later[0]} begins after the cancellation; remove it first.", 40000030)
    return after, {"cancellationEffectiveDate": day.isoformat()}


def _suspend(tenant: Tenant, version: Version, asked: Fields, _: Fields) -> tuple[Version, Json]:
    billed = [each.billed_through for each in version.charges if each.billed_through]
    match asked.need("suspendPolicy"):
        case "Today":
            day = tenant.today
        case "EndOfLastInvoicePeriod":
            day = max(billed, default=tenant.today)
        case "FixedPeriodsFromToday":
            day = _periods_from(tenant.today, asked, "suspend")
        case _:
            day = asked.day("suspendSpecificDate", tenant.today) or tenant.today
    return effects.suspend(version, Fields({"on": day.isoformat()}, today=tenant.today))[0], {}


def _resume(tenant: Tenant, version: Version, asked: Fields, _: Fields) -> tuple[Version, Json]:
    suspended = version.suspensions[-1].start if version.suspensions else tenant.today
    match asked.need("resumePolicy"):
        case "Today":
            day = tenant.today
        case "SuspendDate":
            day = suspended
        case "FixedPeriodsFromSuspendDate":
            day = _periods_from(suspended, asked, "resume")
        case "FixedPeriodsFromToday":
            day = _periods_from(tenant.today, asked, "resume")
        case _:
            day = asked.day("resumeSpecificDate", tenant.today) or tenant.today
    words = {"on": day.isoformat(), "extend_term": asked.flag("extendsTerm", False)}
    return effects.resume(version, Fields(words, today=tenant.today))[0], {}


def _periods_from(day: date, asked: Fields, what: str) -> date:
    unit = asked.one_of(f"{what}PeriodsType", _UNITS, "Day")
    return add_term(day, asked.whole(f"{what}Periods") or 0, unit)


def _transfer(tenant: Tenant, version: Version, asked: Fields, _: Fields) -> tuple[Version, Json]:
    owner = asked.text("destinationAccountNumber") or version.account
    payer = asked.text("destinationInvoiceAccountNumber") or owner
    for number in (owner, payer):
        found = tenant.find_account(number)
        if found is None:
            raise Refused(f"Cannot find entity by key: '{number}'.", 40000040)
        if found.currency != version.currency:
            raise Refused("A subscription is not transferred to an account of another currency.", 40000030)
    return effects.transfer_owner(version, Fields({}, today=tenant.today), owner, payer)[0], {}


def _plan_of(version: Version, asked: Fields) -> RatePlan:
    """The rate plan that an action names, by its number or by its id in the present version."""
    number, key = asked.text("subscriptionRatePlanNumber"), asked.text("ratePlanId")
    for plan in version.rate_plans:
        if plan.number == number or (key and hex_id(version.id, plan.number) == key):
            if plan.last_change == "Remove":
                raise Refused(f"The rate plan {plan.number} has been removed.", 40000030)
            return plan
    raise Refused(f"The subscription has no rate plan {number or key}.", 40000040)


_Effect = Callable[[Tenant, Version, Fields, Fields], tuple[Version, Json]]
_ACTIONS: dict[str, tuple[str, _Effect]] = {
    "AddProduct": ("addProduct", _add),
    "RemoveProduct": ("removeProduct", _remove),
    "UpdateProduct": ("updateProduct", _update),
    "TermsAndConditions": ("termsAndConditions", _terms),
    "RenewSubscription": ("renewSubscription", _renew),
    "CancelSubscription": ("cancelSubscription", _cancel),
    "Suspend": ("suspend", _suspend),
    "Resume": ("resume", _resume),
    "OwnerTransfer": ("ownerTransfer", _transfer),
}
