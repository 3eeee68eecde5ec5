"""Which of Zuora's fields we read: our name for each, its form, and whether we can do without it.

Names come from "Retrieve a subscription by key", "Retrieve an account" and "Generate a billing preview" of Zuora's API
reference, and from recorded answers where those say more. The schemas are walked by `Part.read`, not by `Schema.load`:
marshmallow's own loop takes 16 ms for the 200 charges of a long-lived subscription, at each sync, that one 5 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError

from sync_service.errors import PayloadInvalid
from sync_service.zuora.fields import Day, Flag, Number, Status, Text, Whole, ZuoraField


class ZuoraSchema(Schema):
    """One JSON object of Zuora's; its attributes have our names, `data_key` is Zuora's."""

    class Meta:
        unknown = EXCLUDE


class SubscriptionSchema(ZuoraSchema):
    """A subscription without its lists and contacts."""

    id = Text(required=True, data_key="id")
    number = Text(required=True, data_key="subscriptionNumber")
    version = Whole(required=True, data_key="version")
    is_latest = Flag(data_key="isLatestVersion")
    status = Status(required=True, data_key="status")
    account_id = Text(data_key="accountId")
    account_number = Text(data_key="accountNumber")
    account_name = Text(data_key="accountName")
    invoice_owner_id = Text(data_key="invoiceOwnerAccountId")
    invoice_owner_number = Text(data_key="invoiceOwnerAccountNumber")
    term_type = Text(required=True, data_key="termType")
    start = Day(data_key="subscriptionStartDate")
    end = Day(data_key="subscriptionEndDate")
    term_start = Day(data_key="termStartDate")
    term_end = Day(data_key="termEndDate")
    auto_renew = Flag(data_key="autoRenew")
    current_term = Whole(data_key="currentTerm")
    current_term_period = Text(data_key="currentTermPeriodType")
    renewal_term = Whole(data_key="renewalTerm")
    currency = Text(data_key="currency")
    scheduled_cancel = Day(data_key="scheduledCancelDate")
    scheduled_suspend = Day(data_key="scheduledSuspendDate")
    scheduled_resume = Day(data_key="scheduledResumeDate")
    # An integer by the specification, a text in Zuora's samples.
    invoice_schedule_id = Text(data_key="invoiceScheduleId")
    order_number = Text(data_key="orderNumber")
    update_time = Text(data_key="updateTime")
    create_time = Text(data_key="createTime")


class StatusPeriodSchema(ZuoraSchema):
    """An entry of `statusHistory`."""

    status = Status(required=True, data_key="status")
    start = Day(data_key="startDate")
    end = Day(data_key="endDate")


class RatePlanSchema(ZuoraSchema):
    """A rate plan without its charges."""

    plan_number = Text(data_key="subscriptionRatePlanNumber")
    plan_name = Text(data_key="ratePlanName")
    plan_id = Text(data_key="productRatePlanId")
    product_id = Text(data_key="productId")
    product_name = Text(data_key="productName")


class ChargeSchema(ZuoraSchema):
    """A charge with the fields of one of its segments, without its tiers."""

    charge_number = Text(required=True, data_key="number")
    segment = Whole(data_key="segment")
    name = Text(data_key="name")
    type = Text(required=True, data_key="type")
    model = Text(required=True, data_key="model")
    currency = Text(data_key="currency")
    price = Number(data_key="price")
    quantity = Number(data_key="quantity")
    unit_of_measure = Text(data_key="uom")
    billing_period = Text(data_key="billingPeriod")
    specific_billing_period = Whole(data_key="specificBillingPeriod")
    billing_timing = Text(data_key="billingTiming")
    billing_day = Text(data_key="billingDay")
    billing_period_alignment = Text(data_key="billingPeriodAlignment")
    list_price_base = Text(data_key="listPriceBase")
    proration_option = Text(data_key="prorationOption")
    tax_mode = Text(data_key="taxMode")
    effective_start = Day(data_key="effectiveStartDate")
    effective_end = Day(data_key="effectiveEndDate")
    charged_through = Day(data_key="chargedThroughDate")
    processed_through = Day(data_key="processedThroughDate")
    invoice_schedule_id = Text(data_key="invoiceScheduleId")
    end_condition = Text(data_key="endDateCondition")
    price_change = Text(data_key="priceChangeOption")


class TierSchema(ZuoraSchema):
    """One step of a tiered or volume price."""

    price = Number(data_key="price")


class PersonSchema(ZuoraSchema):
    """What a contact says of the person."""

    id = Text(data_key="id")
    first_name = Text(data_key="firstName")
    last_name = Text(data_key="lastName")
    address1 = Text(data_key="address1")
    address2 = Text(data_key="address2")
    city = Text(data_key="city")
    county = Text(data_key="county")
    state = Text(data_key="state")
    postal_code = Text(data_key="postalCode")
    country = Text(data_key="country")
    mobile_phone = Text(data_key="mobilePhone")
    work_phone = Text(data_key="workPhone")
    other_phone = Text(data_key="otherPhone")
    personal_email = Text(data_key="personalEmail")
    work_email = Text(data_key="workEmail")


class ContactSchema(PersonSchema):
    """A contact of an account or of a subscription, with both names of the postal code."""

    zip_code = Text(data_key="zipCode")
    of_subscription = Flag(data_key="isSpecifiedInSubscription")


class AccountSchema(ZuoraSchema):
    """An account's `basicInfo`."""

    id = Text(required=True, data_key="id")
    number = Text(required=True, data_key="accountNumber")
    name = Text(data_key="name")


class BillingAndPaymentSchema(ZuoraSchema):
    """An account's `billingAndPayment`."""

    currency = Text(data_key="currency")
    bill_cycle_day = Whole(data_key="billCycleDay")


class PreviewLineSchema(ZuoraSchema):
    """What both kinds of lines of a billing preview have."""

    charge_number = Text(data_key="chargeNumber")
    charge_type = Text(data_key="chargeType")
    processing_type = Text(data_key="processingType")
    service_start = Day(required=True, data_key="serviceStartDate")
    service_end = Day(data_key="serviceEndDate")
    quantity = Number(data_key="quantity")
    unit_of_measure = Text(data_key="unitOfMeasure")


class InvoiceItemSchema(PreviewLineSchema):
    """A line of the coming invoices."""

    charge_name = Text(data_key="chargeName")
    product_name = Text(data_key="productName")
    charge_description = Text(data_key="chargeDescription")
    amount = Number(data_key="chargeAmount")
    tax_amount = Number(data_key="taxAmount")


class CreditMemoItemSchema(PreviewLineSchema):
    """A line of the coming credit memos, only in tenants with Invoice Settlement; `amount` may include the tax."""

    charge_name = Text(data_key="skuName")
    charge_description = Text(data_key="comment")
    amount = Number(data_key="amountWithoutTax")
    amount_with_tax = Number(data_key="amount")


#: A refusal names no more problems than a person reads.
_MAX_PROBLEMS = 5


class Part:
    """A JSON object and where it stands, such as `ratePlans[0].ratePlanCharges[2]` of a subscription."""

    __slots__ = ("value", "what", "where")

    def __init__(self, value: Any, what: str, where: str = "") -> None:
        """`what` is the answer's kind, in words. Raises PayloadInvalid where the value is no JSON object."""
        self.what, self.where = what, where
        if not isinstance(value, Mapping):
            raise PayloadInvalid(f"{where or 'the answer'} is no JSON object in Zuora's {what}")
        self.value = value

    def read(self, kind: type[ZuoraSchema]) -> dict[str, Any]:
        """The schema's fields by our names; null, absent and blank ones are left out.

        Raises PayloadInvalid that names every field in the way.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        get = self.value.get
        for name, key, read, is_required in _fields(kind):
            raw = get(key)
            try:
                value = None if raw is None else read(raw)
            except ValidationError as error:
                problems.append(f"{self._place(key)} {error.messages[0]}")
                continue
            if value is not None:
                values[name] = value
            elif is_required:
                problems.append(f"{self._place(key)} is missing")
        if problems:
            raise PayloadInvalid(f"{'; '.join(problems[:_MAX_PROBLEMS])} in Zuora's {self.what}")
        return values

    def part(self, key: str) -> Part | None:
        """The JSON object under `key`, None where it is null or absent."""
        value = self.value.get(key)
        return None if value is None else Part(value, self.what, self._place(key))

    def parts(self, key: str) -> list[Part]:
        """The JSON objects of the list under `key`, none where it is null or absent."""
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refusal(key, "is no list")
        return [Part(each, self.what, f"{self._place(key)}[{index}]") for index, each in enumerate(value)]

    def over(self, other: Part) -> Part:
        """This object with the fields of `other` for those that it lacks."""
        return Part({**other.value, **self.value}, self.what, self.where)

    def refusal(self, key: str, reason: str) -> PayloadInvalid:
        """The error that names the field under `key`."""
        return PayloadInvalid(f"{self._place(key)} {reason} in Zuora's {self.what}")

    def _place(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key


@cache
def _fields(kind: type[ZuoraSchema]) -> tuple[tuple[str, str, Callable[[Any], Any], bool], ...]:
    """A schema's fields: our name, Zuora's name, the reader of a value that is not null, whether it must be there."""
    return tuple(
        (name, field.data_key or name, field.read, field.required)
        for name, field in kind().load_fields.items()
        if isinstance(field, ZuoraField)
    )
