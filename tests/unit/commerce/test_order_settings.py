"""Limio's settings for Zuora, from the environment to how orders are placed."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from sync_service.commerce.state import Options
from sync_service.errors import SettingsInvalid
from sync_service.queue.orders.acceptance import order_options
from sync_service.settings import load_settings


def options(**environ: str) -> Options:
    return order_options(load_settings(environ))


def test_without_settings_orders_are_placed_by_the_defaults_of_options() -> None:
    assert options() == Options(zone=ZoneInfo("UTC"))


def test_every_setting_reaches_the_orders() -> None:
    given = options(
        TENANT_TIME_ZONE="Europe/London",
        ORDER_ACCOUNT_MODEL="1-N",
        ORDER_COLLECT_PAYMENT="on",
        ORDER_PAYMENT_PROFILES="on",
        ORDER_ADVANCED_PAYMENT_MANAGER="on",
        ORDER_DISABLE_AUTO_PAY="on",
        ORDER_REFUND_CANCELLED="on",
        ORDER_INVOICE_PAYMENT_METHOD="f" * 32,
        ORDER_COMBINE_INVOICES="on",
        ORDER_ONE_SUBSCRIPTION="on",
        ORDER_RENEWAL_REMOVES_OLD_PLAN="off",
        ORDER_GIFT_REASON_CODE="Present",
        ORDER_GIFT_CODE_FIELD="Code__c",
        ORDER_CUSTOM_FIELDS="Order.Source__c, Subscription.CancellationReason__c",
    )

    assert given == Options(
        zone=ZoneInfo("Europe/London"),
        one_account_per_owner=True,
        collect_payment=True,
        payment_profiles=True,
        advanced_payment_manager=True,
        disable_auto_pay=True,
        refund_cancelled=True,
        invoice_payment_method_id="f" * 32,
        combine_invoices=True,
        one_subscription_per_order=True,
        renewal_removes_old_plan=False,
        gift_reason_code="Present",
        gift_code_field="Code__c",
        custom_fields=frozenset({"Order.Source__c", "Subscription.CancellationReason__c"}),
    )


@pytest.mark.parametrize("model", [{}, {"ORDER_ACCOUNT_MODEL": "1-1"}])
def test_the_advanced_payment_manager_needs_one_account_for_each_owner(model: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match="ORDER_ADVANCED_PAYMENT_MANAGER: needs ORDER_ACCOUNT_MODEL=1-N"):
        options(ORDER_ADVANCED_PAYMENT_MANAGER="on", **model)
