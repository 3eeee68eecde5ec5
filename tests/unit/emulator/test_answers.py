"""The shapes of Zuora's answers. Names of fields are those of samples of Zuora's API reference and of recordings."""

from __future__ import annotations

from datetime import date
from typing import Any

from tests.unit.emulator.tenants import TODAY, a_tenant, act, billed, subscribe
from zuora_emulator import account_answers, answers, people
from zuora_emulator.billing import Assumptions, preview
from zuora_emulator.fields import Fields
from zuora_emulator.order_records import By
from zuora_emulator.tenant import Tenant

#: What a recorded answer of 2026 has at its top, without custom fields.
RECORDED = """success id accountId accountNumber accountName invoiceOwnerAccountId invoiceOwnerAccountNumber
    invoiceOwnerAccountName subscriptionNumber version revision termType invoiceSeparately contractEffectiveDate
    serviceActivationDate customerAcceptanceDate subscriptionStartDate subscriptionEndDate lastBookingDate termStartDate
    termEndDate initialTerm initialTermPeriodType currentTerm currentTermPeriodType autoRenew renewalSetting renewalTerm
    renewalTermPeriodType currency contractedMrr totalContractedValue notes status billToContact soldToContact
    paymentTerm invoiceTemplateId invoiceTemplateName sequenceSetId sequenceSetName isLatestVersion cancelReason
    ratePlans orderNumber externallyManagedBy statusHistory invoiceGroupNumber createTime updateTime scheduledCancelDate
    scheduledSuspendDate scheduledResumeDate communicationProfileId totalNumberOfChargeSegments"""
#: And what a charge there has.
RECORDED_CHARGE = """
    id originalChargeId productRatePlanChargeId number name productRatePlanChargeNumber type model uom version
    currency billingDay listPriceBase billingPeriod specificBillingPeriod billingTiming billingPeriodAlignment quantity
    prorationOption segment effectiveStartDate effectiveEndDate processedThroughDate chargedThroughDate done triggerDate
    triggerEvent endDateCondition upToPeriodsType upToPeriods specificEndDate mrr dmrc tcv dtcv originalOrderDate
    amendedByOrderOn description salesPrice taxable taxCode taxMode isLastSegment tiers discountApplyDetails
    pricingSummary price discountAmount discountPercentage applyDiscountTo discountLevel"""


def shown(tenant: Tenant, number: str = "A-S1", **more: Any) -> Any:
    of = tenant.subscriptions[number]
    return answers.subscription(tenant, of, of.latest, **more)


def charges_of(shape: Any) -> Any:
    return [charge for plan in shape["ratePlans"] for charge in plan["ratePlanCharges"]]


def test_a_subscription_has_every_field_that_recordings_have() -> None:
    tenant = a_tenant()
    subscribe(tenant)

    shape = shown(tenant)

    assert set() == set(RECORDED.split()) - shape.keys()
    assert set() == set(RECORDED_CHARGE.split()) - charges_of(shape)[0].keys()


def test_dates_and_numbers_are_printed_as_zuora_prints_them() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    billed(tenant)

    shape = shown(tenant)

    assert (shape["termStartDate"], shape["termEndDate"], shape["revision"]) == ("2026-01-15", "2027-01-15", "1.0")
    charge = charges_of(shape)[0]
    assert (charge["price"], charge["pricingSummary"], charge["quantity"]) == (9.99, "GBP9.99", 1.0)
    assert (charge["chargedThroughDate"], charge["processedThroughDate"]) == ("2026-12-15", "2026-11-15")
    assert len(shape["updateTime"]) == 19
    assert shape["updateTime"][:11] == "2026-11-20 "


def test_the_last_segment_alone_is_shown_unless_more_is_asked_for() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    billed(tenant)
    act(tenant, "change_price", price="12.00")

    def prices(**more: Any) -> list[float]:
        return [charge["price"] for charge in charges_of(shown(tenant, **more))]

    assert prices() == [12.0]
    assert prices(detail="current-segment") == [9.99]
    assert prices(detail="specific-segment", as_of=date(2026, 12, 20)) == [12.0]
    assert prices(detail="specific-segment", as_of=date(2025, 1, 1)) == []
    everything = charges_of(shown(tenant, detail="all-segments"))[0]["chargeSegments"]
    assert [(each["segment"], each["price"], each["isLastSegment"]) for each in everything] == [
        (1, 9.99, False),
        (2, 12.0, True),
    ]


def test_an_old_version_is_expired_and_no_longer_the_latest() -> None:
    tenant = a_tenant()
    old = subscribe(tenant)
    act(tenant, "renew")

    found = tenant.find_version(old.id)
    assert found is not None
    shape = answers.subscription(tenant, *found)

    assert (shape["status"], shape["isLatestVersion"], shape["version"]) == ("Expired", False, 1)


def test_a_charge_keeps_its_number_and_first_id_over_versions_and_gets_a_new_id() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    before = charges_of(shown(tenant))[0]
    act(tenant, "renew")
    after = charges_of(shown(tenant))[0]

    assert (before["number"], before["originalChargeId"]) == (after["number"], after["originalChargeId"])
    assert before["id"] != after["id"]


def test_contacts_are_the_accounts_until_the_subscription_has_its_own() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    assert shown(tenant)["soldToContact"]["isSpecifiedInSubscription"] is False
    assert shown(tenant)["soldToContact"]["firstName"] == "Ada"

    said = {"key": "A-S1", "which": "sold_to", "how": "new", "of": "subscription", "first_name": "Bo"}
    people.change_contact(tenant, Fields(said, today=TODAY), By())

    shape = shown(tenant)
    assert tuple(shape["soldToContact"][name] for name in ("firstName", "lastName", "isSpecifiedInSubscription")) == (
        "Bo",
        "Byron",
        True,
    )
    assert (shape["billToContact"]["firstName"], shape["billToContact"]["isSpecifiedInSubscription"]) == ("Ada", False)
    assert shape["version"] == 2


def test_editing_a_contact_in_place_moves_neither_version_nor_update_time() -> None:
    tenant = a_tenant()
    subscribe(tenant)
    before = shown(tenant)

    said = {"key": "A-S1", "which": "bill_to", "postal_code": "EC1A 1BB"}
    people.change_contact(tenant, Fields(said, today=TODAY), By())

    after = shown(tenant)
    assert (after["billToContact"]["zipCode"], after["billToContact"]["postalCode"]) == ("EC1A 1BB", "EC1A 1BB")
    assert [before[name] for name in ("id", "version", "updateTime")] == [
        after[name] for name in ("id", "version", "updateTime")
    ]


def test_an_account_has_its_contacts_and_the_blocks_of_the_sample() -> None:
    tenant = a_tenant()

    shape = account_answers.account(tenant, tenant.accounts["A1"])

    assert {
        "basicInfo",
        "billingAndPayment",
        "metrics",
        "metricsData",
        "billToContact",
        "soldToContact",
    } <= shape.keys()
    assert (shape["basicInfo"]["accountNumber"], shape["billingAndPayment"]["currency"]) == ("A1", "GBP")
    assert "isSpecifiedInSubscription" not in shape["billToContact"]
    assert shape["billToContact"]["id"] == shape["soldToContact"]["id"]


def test_a_preview_line_has_the_fields_of_the_sample_and_an_inclusive_end() -> None:
    tenant = a_tenant()
    version = subscribe(tenant, start="2026-11-15")

    items = preview([version], Assumptions(target=TODAY))
    (row,) = account_answers.preview(tenant, tenant.accounts["A1"], items, 300)["invoiceItems"]

    sample = """id subscriptionName subscriptionId subscriptionNumber serviceStartDate serviceEndDate chargeAmount
        chargeDescription chargeName chargeNumber chargeId productName quantity taxAmount unitOfMeasure chargeDate
        chargeType processingType appliedToItemId numberOfDeliveries"""
    assert set(sample.split()) == row.keys()
    assert (row["serviceStartDate"], row["serviceEndDate"], row["chargeAmount"]) == ("2026-11-15", "2026-12-14", 9.99)


def test_lines_given_by_hand_stand_for_the_computed_ones_and_the_cap_cuts() -> None:
    tenant = a_tenant()
    version = subscribe(tenant)
    tenant.preview_rows["A-S1"] = [{"chargeName": "By hand", "chargeAmount": 1}] * 5

    rows = account_answers.preview(tenant, tenant.accounts["A1"], preview([version], Assumptions(target=TODAY)), 3)[
        "invoiceItems"
    ]

    assert [row["chargeName"] for row in rows] == ["By hand"] * 3
    assert rows[0]["subscriptionNumber"] == "A-S1"
