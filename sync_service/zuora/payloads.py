"""Zuora's answers read into the domain's values.

Unknown fields are ignored, what we need and do not find is named in PayloadInvalid. How an answer came is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sync_service.subscription.zuora import (
    ChargeSegment,
    Contact,
    PreviewItem,
    StatusPeriod,
    Tier,
    ZuoraAccount,
    ZuoraSubscription,
)
from sync_service.zuora.schemas import (
    AccountSchema,
    BillingAndPaymentSchema,
    ChargeSchema,
    ContactSchema,
    CreditMemoItemSchema,
    InvoiceItemSchema,
    Part,
    RatePlanSchema,
    StatusPeriodSchema,
    SubscriptionSchema,
    TierSchema,
)


@dataclass(frozen=True, kw_only=True)
class PreviewRow:
    """One line of an account's billing preview and the subscription that it belongs to."""

    subscription_number: str
    item: PreviewItem


def read_subscription(payload: Mapping[str, Any]) -> ZuoraSubscription:
    """Read the answer of "Retrieve a subscription by key", whatever `charge-detail` it was asked with.

    Without `isLatestVersion` (older answers) a version counts as the latest unless it is `Expired`, which only
    superseded versions are. Raises PayloadInvalid; an answer without rate plans is read for all else.
    """
    whole = Part(payload, "subscription")
    values = {"account_id": None, "account_number": None} | whole.read(SubscriptionSchema)
    values.setdefault("is_latest", values["status"] != "Expired")
    history = [{"start": None} | entry.read(StatusPeriodSchema) for entry in whole.parts("statusHistory")]
    return ZuoraSubscription(
        **values,
        status_history=tuple(StatusPeriod(**entry) for entry in history),
        **_read_contacts(whole),
        segments=tuple(segment for plan in whole.parts("ratePlans") for segment in _read_segments(plan)),
        names_rate_plans=payload.get("ratePlans") is not None,
        answer=payload,
    )


def read_account(payload: Mapping[str, Any]) -> ZuoraAccount:
    """Read the answer of "Retrieve an account", each part that it has. Raises PayloadInvalid."""
    whole = Part(payload, "account")
    basic, billing = whole.part("basicInfo"), whole.part("billingAndPayment")
    return ZuoraAccount(
        **(basic.read(AccountSchema) if basic else {}),
        **(billing.read(BillingAndPaymentSchema) if billing else {}),
        **_read_contacts(whole),
    )


def read_preview_rows(payload: Mapping[str, Any], number: str | None = None) -> tuple[PreviewRow, ...]:
    """Read the answer of "Generate a billing preview": the lines of one subscription number, or all.

    The preview is the whole account's. With a number, lines of other subscriptions are passed over unread, so that one
    odd line does not stop its neighbours. Without `invoiceItems` it has no lines: Zuora leaves the list out where
    nothing is due up to the target date. Raises PayloadInvalid.
    """
    whole = Part(payload, "billing preview")
    lines = [(part, _read_charged) for part in whole.parts("invoiceItems")]
    lines += [(part, _read_credited) for part in whole.parts("creditMemoItems")]
    rows = []
    for part, read in lines:
        # Old answers know only subscriptionName, which is the number.
        named = part.value.get("subscriptionNumber") or part.value.get("subscriptionName")
        if not isinstance(named, str):
            raise part.refusal("subscriptionNumber", "is missing")
        if number is None or named.strip() == number:
            rows.append(PreviewRow(subscription_number=named.strip(), item=read(part)))
    return tuple(rows)


def _read_charged(part: Part) -> PreviewItem:
    values = part.read(InvoiceItemSchema)
    if "amount" not in values and values.get("charge_type") != "Usage":
        raise part.refusal("chargeAmount", "is missing")
    return _make_item(values)


def _read_credited(part: Part) -> PreviewItem:
    """A credit memo's line with the opposite sign: Zuora prints what is given back as positive."""
    values = part.read(CreditMemoItemSchema)
    with_tax = values.pop("amount_with_tax", None)
    without_tax = values.pop("amount", with_tax)
    if without_tax is None:
        raise part.refusal("amount", "is missing")
    values["amount"] = -without_tax
    if with_tax is not None:
        values["tax_amount"] = without_tax - with_tax
    return _make_item(values)


def _make_item(values: dict[str, Any]) -> PreviewItem:
    values = {"charge_number": None, "service_end": values["service_start"]} | values
    if values.get("charge_type") == "Usage":
        # The cost of usage is unknown before it is used: Zuora's amount is of what was uploaded so far.
        values["amount"] = None
    return PreviewItem(**values)


def _read_segments(plan: Part) -> Iterator[ChargeSegment]:
    """Every segment of a rate plan: `chargeSegments` where the answer has them, else the charge as it stands.

    A segment repeats what may differ between segments, the rest stands at its charge. A field that the segment has,
    null or not, is the segment's.
    """
    names = plan.read(RatePlanSchema)
    for charge in plan.parts("ratePlanCharges"):
        for segment in [each.over(charge) for each in charge.parts("chargeSegments")] or [charge]:
            tiers = tuple(Tier(**tier.read(TierSchema)) for tier in segment.parts("tiers"))
            yield ChargeSegment(**names, **segment.read(ChargeSchema), tiers=tiers)


def _read_contacts(whole: Part) -> dict[str, Any]:
    """Both contacts, which are mostly the same person: read once then."""
    bill_to = _read_contact(whole, "billToContact")
    same = whole.value.get("billToContact") == whole.value.get("soldToContact")
    return {"bill_to": bill_to, "sold_to": bill_to if same else _read_contact(whole, "soldToContact")}


def _read_contact(whole: Part, key: str) -> Contact | None:
    """A contact; None where it is absent or says nothing at all.

    The postal code is `zipCode` on accounts and has either name inside a subscription.
    """
    part = whole.part(key)
    if part is None:
        return None
    values = part.read(ContactSchema)
    if not values.keys() - {"of_subscription"}:
        return None
    zip_code = values.pop("zip_code", None)
    return Contact(**{"postal_code": zip_code} | values)
