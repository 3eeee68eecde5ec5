"""How this tenant wants its orders placed: Limio's Zuora settings as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True)
class Options:
    """Names in brackets are those of Limio's settings page."""

    #: The zone of Zuora's dates.
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))
    #: 1-N: new subscriptions go on the owner's account where its currency is theirs; else every one gets its own.
    one_account_per_owner: bool = False
    #: New, Switch and Renew bill and collect at once ("Collect payment on order (if payment method specified)").
    collect_payment: bool = False
    #: New and Change Payment write payment profiles ("Enable Zuora Payment Profiles").
    payment_profiles: bool = False
    #: Payment method and gateway go into custom fields of the subscription (Advanced Payment Manager; 1-N only).
    advanced_payment_manager: bool = False
    #: A new default payment method does not switch auto pay on ("Disable Auto Pay for Payment Method Updates").
    disable_auto_pay: bool = False
    #: "Automatically refund cancelled subscriptions".
    refund_cancelled: bool = False
    #: "Zuora Payment Method ID for Invoice Payments".
    invoice_payment_method_id: str | None = None
    #: Subscriptions of one account may share an invoice ("Combine invoices").
    combine_invoices: bool = False
    #: All offers of an order in one subscription.
    one_subscription_per_order: bool = False
    #: Renewing with another offer also removes the old rate plan, as Zuora's own tutorial does; Limio names Add and
    #: Renew only.
    renewal_removes_old_plan: bool = True
    #: The reason code of the debit memo that a gift makes.
    gift_reason_code: str = "Gifting"
    #: The debit memo's custom field that holds the gift code.
    gift_code_field: str = "GiftCode__c"
    #: The custom fields that the tenant has, as `Order.Source__c`; what is not there is not sent.
    custom_fields: frozenset[str] = frozenset()
