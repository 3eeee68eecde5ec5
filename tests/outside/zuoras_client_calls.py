"""What Zuora's own client does with orders at an address. Run by the Python that has it; says what it saw as JSON.

    python zuoras_client_calls.py URL CLIENT_ID CLIENT_SECRET NUMBER PLAN OTHER_PLAN TODAY

NUMBER is a subscription that another client ordered; the plans are of the catalog.
"""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from typing import Any

from zuora_sdk import Configuration, CreateOrderRequest, PreviewOrderRequest
from zuora_sdk.zuora_client import ZuoraClient


def triggers(day: str) -> list[dict[str, str]]:
    """The three trigger dates of an action."""
    return [
        {"name": name, "trigger_date": day} for name in ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
    ]


def created(plan: str, day: str) -> dict[str, Any]:
    """A subscription for a year."""
    year = {"period": 12, "period_type": "Month"}
    terms = {"initial_term": {**year, "term_type": "TERMED"}, "renewal_terms": [year]}
    terms |= {"renewal_setting": "RENEW_WITH_SPECIFIC_TERM", "auto_renew": True}
    plans = [{"product_rate_plan_id": plan}]
    return {
        "type": "CreateSubscription",
        "trigger_dates": triggers(day),
        "create_subscription": {"terms": terms, "subscribe_to_rate_plans": plans},
    }


def main(url: str, client_id: str, secret: str, number: str, plan: str, other: str, today: str) -> dict[str, Any]:
    """Read what is there, preview, place, change and cancel; every answer in short."""
    client = ZuoraClient(client_id, secret, None, Configuration(host=url))
    client.initialize()
    orders, subscriptions = client.orders_api(), client.subscriptions_api()
    found = subscriptions.get_subscription_by_key(number)
    account = found.account_number

    def place(*actions: dict[str, Any], subscription: str | None = None, **options: Any) -> Any:
        part: dict[str, Any] = {"order_actions": list(actions)}
        if subscription:
            part["subscription_number"] = subscription
        request = CreateOrderRequest(
            order_date=today, existing_account_number=account, subscriptions=[part], processing_options=options
        )
        return orders.create_order(request)

    thru = str(date.fromisoformat(today) + timedelta(days=20))
    preview = orders.preview_order(
        PreviewOrderRequest(
            order_date=today,
            existing_account_number=account,
            subscriptions=[{"order_actions": [created(plan, today)]}],
            preview_options={
                "preview_types": ["BillingDocs"],
                "preview_thru_type": "SpecificDate",
                "specific_preview_thru_date": thru,
            },
        )
    )
    sale = place(created(plan, today), run_billing=True, collect_payment=True)
    mine = sale.subscriptions[0].subscription_number
    added = {"type": "AddProduct", "trigger_dates": triggers(today), "add_product": {"product_rate_plan_id": other}}
    place(added, subscription=mine)
    changed = subscriptions.get_subscription_by_key(mine)
    ended = {"cancellation_policy": "SpecificDate", "cancellation_effective_date": today}
    cancel = {"type": "CancelSubscription", "trigger_dates": triggers(today), "cancel_subscription": ended}
    credit = place(cancel, subscription=mine, run_billing=True)
    order = orders.get_order(found.order_number).order
    return {
        "read back": {
            "number": found.subscription_number,
            "status": str(found.status),
            "plans": [each.rate_plan_name for each in found.rate_plans],
            "order": found.order_number,
            "source": order.custom_fields.get("Source__c"),
            "actions": [str(each.type) for each in order.subscriptions[0].order_actions],
        },
        "previewed": preview.preview_result.invoices[0].amount,
        "paid": str(sale.paid_amount),
        "plans after the change": [each.rate_plan_name for each in changed.rate_plans],
        "credited": len(credit.credit_memo_numbers),
        "status at the end": str(subscriptions.get_subscription_by_key(mine).status),
        "orders": len(orders.get_orders_by_subscription_number(mine).orders),
    }


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(main(*sys.argv[1:]), default=str) + "\n")
