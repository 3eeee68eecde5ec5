"""Names on Limio's wire that no document or recorded answer shows: our inference, in one place to be corrected."""

from __future__ import annotations

from collections.abc import Mapping

from sync_service.commerce.order import OrderType

#: `order_type` as sent to what it means. The journeys "Refund", "Credit memo" and "Set default payment method" are
#: documented without their wire names.
ORDER_TYPES: Mapping[str, OrderType] = {
    **{each.value: each for each in OrderType},
    "credit_memo_order": OrderType.CREDIT_MEMO,
    "default_payment": OrderType.CHANGE_DEFAULT_PAYMENT,
    "change_default_payment_method": OrderType.CHANGE_DEFAULT_PAYMENT,
}
#: Where the amount of a refund, a credit memo or an invoice payment may stand; the first that is there counts.
AMOUNTS = ("amount", "payment.amount", "refund.amount", "creditMemo.amount", "credit_memo.amount")
#: Where the quantity of a credit memo may stand whose add-on adjusts by quantity.
QUANTITIES = ("quantity", "creditMemo.quantity", "credit_memo.quantity")
#: The reason of an order, which Zuora gets as CancellationReason__c or as a memo's reason code.
REASONS = ("data.reason.id", "reason.id", "reason")
#: The attribute of an offer that "Requires Service Activation".
REQUIRES_ACTIVATION = "requires_service_activation__limio"
#: The value of `renewal_type` beside TERMED.
EVERGREEN = "EVERGREEN"
#: An offer document's `status` that says that it is no longer sold. Any other counts as published.
NOT_PUBLISHED = frozenset({"archived", "deleted", "draft", "inactive", "unpublished"})
#: A gift code's countries that it may not be redeemed in.
DISALLOWED_COUNTRIES = "disallowed_countries"
