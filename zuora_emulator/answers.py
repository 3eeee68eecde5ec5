"""Zuora's JSON for subscriptions: the shapes of "Retrieve a subscription by key" and of recorded answers.

Amounts leave as JSON numbers, so Decimals turn into floats here and only here.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from zuora_emulator.periods import charged_and_processed, months_of
from zuora_emulator.records import Account, Charge, Contact, RatePlan, Segment, Subscription, Version, hex_id
from zuora_emulator.tenant import Tenant

Json = dict[str, Any]

#: What every charge has and the emulator never fills.
_CHARGE = dict.fromkeys(
    (
        *("subscriptionChargeDeliverySchedule", "numberOfDeliveries", "priceIncreasePercentage", "inputArgumentId"),
        *("chargeModelConfiguration", "includedUnits", "overagePrice", "discountClass", "specificListPriceBase"),
        *("ratingGroup", "prorationOption", "smoothingModel", "numberOfPeriods", "overageCalculationOption"),
        *("overageUnusedUnitsCreditOption", "unusedUnitsCreditRates", "usageRecordRatingOption", "triggerDate"),
        *("taxable", "taxCode", "discountApplyDetails"),
        *("originalListDiscountAmount", "originalListDiscountPercentage", "originalListPrice"),
    )
) | {"applyToBillingPeriodPartially": False, "isStackedDiscount": False, "reflectDiscountInNetAmount": False}

#: What every subscription has and the emulator never fills.
_SUBSCRIPTION = dict.fromkeys(
    (
        *("paymentTerm", "invoiceTemplateId", "invoiceTemplateName", "sequenceSetId", "sequenceSetName"),
        *("externallyManagedBy", "invoiceGroupNumber", "scheduledSuspendDate", "scheduledResumeDate"),
        *("communicationProfileId", "shipToContact"),
    )
)

_PLAN: Json = {
    "subscriptionProductFeatures": [],
    "externallyManagedPlanId": None,
    "isFromExternalCatalog": False,
}


def subscription(
    tenant: Tenant, of: Subscription, version: Version, *, detail: str = "last-segment", as_of: date | None = None
) -> Json:
    """One version; `detail` is Zuora's `charge-detail`, whose `specific-segment` is the one on `as_of`."""
    account, payer = tenant.accounts[version.account], tenant.accounts[version.invoice_owner]
    latest = version is of.latest
    return {
        "success": True,
        "id": version.id,
        "accountId": account.id,
        "accountNumber": account.number,
        "accountName": account.name,
        "invoiceOwnerAccountId": payer.id,
        "invoiceOwnerAccountNumber": payer.number,
        "invoiceOwnerAccountName": payer.name,
        "subscriptionNumber": version.number,
        "version": version.version,
        "revision": f"{version.version}.0",
        "termType": version.term_type,
        "contractEffectiveDate": text(version.start),
        "serviceActivationDate": text(version.start),
        "customerAcceptanceDate": text(version.start),
        "subscriptionStartDate": text(version.start),
        "subscriptionEndDate": text(version.term_end),
        "lastBookingDate": text(version.created.date()),
        "termStartDate": text(version.term_start),
        "termEndDate": text(version.term_end),
        "initialTerm": version.initial_term,
        "initialTermPeriodType": version.term_period,
        "currentTerm": version.current_term,
        "currentTermPeriodType": version.term_period,
        "autoRenew": version.auto_renew,
        "renewalSetting": version.renewal_setting,
        "renewalTerm": version.renewal_term,
        "renewalTermPeriodType": version.renewal_period or version.term_period,
        "currency": version.currency,
        "contractedMrr": float(sum((_mrr(version, each, each.segments[-1]) for each in version.charges), Decimal(0))),
        "totalContractedValue": 0,
        "notes": version.notes,
        "status": version.status_on(tenant.today) if latest else "Expired",
        **version.custom_fields,
        **contacts(tenant, account, version),
        "isLatestVersion": latest,
        "cancelReason": version.cancel_reason,
        "ratePlans": [_plan(version, plan, detail, as_of or tenant.today) for plan in version.rate_plans],
        "orderNumber": version.order_number,
        "statusHistory": status_history(version),
        "createTime": local_time(version.created),
        "updateTime": local_time(version.updated),
        **_SUBSCRIPTION,
        "invoiceSeparately": version.invoice_separately,
        "scheduledCancelDate": text(version.scheduled_cancel),
        "invoiceScheduleId": version.invoice_schedule_id,
        "totalNumberOfChargeSegments": sum(len(charge.segments) for charge in version.charges),
    }


def contacts(tenant: Tenant, account: Account, version: Version | None = None) -> Json:
    """`billToContact` and `soldToContact`: a subscription's own, else its account's, with the mark that tells which."""
    answer: Json = {}
    for name in ("bill_to", "sold_to"):
        own = getattr(version, name) if version else None
        found = tenant.find_contact(own or getattr(account, name))
        shape = contact(account, found) if found else None
        if shape is not None and version is not None:
            shape |= {"postalCode": shape["zipCode"], "isSpecifiedInSubscription": own is not None}
        answer["billToContact" if name == "bill_to" else "soldToContact"] = shape
    return answer


def contact(account: Account, of: Contact) -> Json:
    """A contact as "Retrieve a contact" has it, without `success`."""
    return {
        "id": of.id,
        "address1": of.address1,
        "address2": of.address2,
        "city": of.city,
        "country": of.country,
        "county": of.county,
        "fax": None,
        "state": of.state,
        "zipCode": of.postal_code,
        "firstName": of.first_name,
        "lastName": of.last_name,
        "nickname": None,
        "workEmail": of.work_email,
        "personalEmail": of.personal_email,
        "homePhone": of.home_phone,
        "mobilePhone": of.mobile_phone,
        "otherPhone": of.other_phone,
        "otherPhoneType": None,
        "taxRegion": None,
        "workPhone": of.work_phone,
        "contactDescription": None,
        "accountId": account.id,
        "accountNumber": account.number,
    }


def status_history(version: Version) -> list[Json]:
    """Active from the start, suspended in between, and at last cancelled, out of term, or still going on."""
    history: list[Json] = []
    begun, status = version.start, version.base_status

    def turn(day: date, to: str) -> None:
        nonlocal begun, status
        if day > begun or not history:
            history.append({"startDate": text(begun), "endDate": text(day), "status": status})
        begun, status = day, to

    for each in version.suspensions:
        if each.end == each.start or (version.term_end is not None and each.start >= version.term_end):
            continue
        turn(each.start, "Suspended")
        if each.end is not None and (version.term_end is None or each.end < version.term_end):
            turn(each.end, "Active")
    if version.cancelled_on is not None:
        turn(version.cancelled_on, "Cancelled")
    elif version.term_end is not None:
        turn(version.term_end, "OutOfTerm")
    return [*history, {"startDate": text(begun), "endDate": None, "status": status}]


def text(day: date | None) -> str | None:
    """A date as Zuora prints it."""
    return None if day is None else day.isoformat()


def local_time(moment: datetime) -> str:
    """A time as v1 prints it: the tenant's, without its offset."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def number(value: Decimal | None) -> float | None:
    """A JSON number."""
    return None if value is None else float(value)


def charge_id(version: Version, charge: Charge) -> str:
    """The id of a charge, another one in each version."""
    return hex_id(version.id, charge.number)


def _plan(version: Version, plan: RatePlan, detail: str, as_of: date) -> Json:
    shape: Json = {
        **_PLAN,
        "id": hex_id(version.id, plan.number),
        "productId": plan.product_id,
        "productName": plan.product_name,
        "productSku": f"SKU-{plan.product_id[:8]}",
        "productRatePlanId": plan.product_rate_plan_id,
        "productRatePlanNumber": f"PRP-{plan.product_rate_plan_id[:8]}",
        "ratePlanName": plan.name,
        "subscriptionRatePlanNumber": plan.number,
        "originalRatePlanId": hex_id("rate plan", plan.number),
        "ratePlanCharges": [],
    }
    if plan.last_change is not None:
        shape["lastChangeType"] = plan.last_change
    for charge in plan.charges:
        segments = list(enumerate(charge.segments, start=1))
        shown = segments[-1:]
        if detail in ("current-segment", "specific-segment"):
            shown = [each for each in segments if _covers(version, each[1], as_of)][-1:]
        for place, segment in shown:
            answer = {**_charge(version, plan, charge), **_segment(version, charge, segment, place)}
            if detail == "all-segments":
                answer["chargeSegments"] = [_segment(version, charge, each, index) for index, each in segments]
            shape["ratePlanCharges"].append(answer)
    return shape


def _covers(version: Version, segment: Segment, day: date) -> bool:
    end = version.segment_end(segment)
    return segment.start <= day and (end is None or day < end)


def _charge(version: Version, plan: RatePlan, charge: Charge) -> Json:
    product_charge = plan.product_charge_id(charge)
    return {
        **_CHARGE,
        "id": charge_id(version, charge),
        "originalChargeId": hex_id("charge", charge.number),
        "productRatePlanChargeId": product_charge,
        "productRatePlanChargeNumber": f"PRPC-{product_charge[:8]}",
        "number": charge.number,
        "name": charge.name,
        "description": charge.description,
        "type": charge.type,
        "model": charge.model,
        "uom": charge.unit_of_measure,
        "version": version.version,
        "currency": version.currency,
        "priceChangeOption": "NoChange",
        "applyDiscountTo": charge.apply_discount_to,
        "discountLevel": charge.discount_level,
        "billingDay": charge.billing_day,
        "listPriceBase": charge.list_price_base if charge.type == "Recurring" else None,
        "billingPeriod": charge.billing_period,
        "specificBillingPeriod": charge.specific_billing_period,
        "billingTiming": charge.billing_timing,
        "billingPeriodAlignment": "AlignToCharge",
        "endDateCondition": charge.end_date_condition,
        "upToPeriods": charge.up_to and charge.up_to[0],
        "upToPeriodsType": charge.up_to and charge.up_to[1],
        "triggerEvent": "ContractEffective",
        "taxMode": None if charge.tax_rate is None else "TaxInclusive",
        "originalOrderDate": text(version.start),
        "amendedByOrderOn": text(version.created.date()) if version.version > 1 else None,
        "invoiceScheduleId": charge.invoice_schedule_id,
    }


def _segment(version: Version, charge: Charge, segment: Segment, place: int) -> Json:
    end = version.segment_end(segment)
    charged, processed = charged_and_processed(version, charge, segment)
    last = segment is charge.segments[-1]
    mrr = _mrr(version, charge, segment)
    return {
        "id": charge_id(version, charge) if last else hex_id(charge_id(version, charge), place),
        "segment": place,
        "isLastSegment": last,
        "effectiveStartDate": text(segment.start),
        "effectiveEndDate": text(end),
        "chargedThroughDate": text(charged),
        "processedThroughDate": text(processed),
        "done": charged is not None and end is not None and charged >= end and end != version.term_end,
        "specificEndDate": text(segment.end) if charge.end_date_condition == "Specific_End_Date" else None,
        "price": number(segment.price),
        "salesPrice": number(segment.price),
        "quantity": number(segment.quantity),
        "discountAmount": number(segment.discount_amount),
        "discountPercentage": number(segment.discount_percentage),
        "tiers": [
            {
                "tier": step,
                "startingUnit": number(tier.starting_unit),
                "endingUnit": number(tier.ending_unit),
                "price": number(tier.price),
                "priceFormat": tier.price_format,
            }
            for step, tier in enumerate(segment.tiers, start=1)
        ]
        or None,
        "pricingSummary": _summary(version, charge, segment),
        "mrr": float(mrr),
        "dmrc": 0.0,
        "tcv": 0.0,
        "dtcv": 0.0,
    }


def _summary(version: Version, charge: Charge, segment: Segment) -> str:
    if segment.discount_percentage is not None:
        return f"{segment.discount_percentage}% discount"
    if segment.discount_amount is not None:
        return f"{version.currency}{segment.discount_amount} fixed amount discount"
    unit = f" / {charge.unit_of_measure}" if charge.unit_of_measure else ""
    return f"{version.currency}{segment.price}{unit}" if segment.price is not None else ""


def _mrr(version: Version, charge: Charge, segment: Segment) -> Decimal:
    months = months_of(version, charge) if charge.type == "Recurring" else None
    if months is None or segment.price is None:
        return Decimal(0)
    return (segment.price * segment.quantity / months).quantize(Decimal("0.000000001")).normalize()
