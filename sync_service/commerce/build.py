"""The bodies that Zuora is sent. One builder serves the preview and the order itself.

Names and types are those of Zuora's OpenAPI file; values that no document of Limio's shows are our inference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from sync_service.commerce.order import CONTACT_NAMES, OrderContact
from sync_service.commerce.state import Options
from sync_service.commerce.steps import CallClass, Evidence, Judge, Silence, Step, StepKind

Json = dict[str, Any]

_DATES = ("ContractEffective", "ServiceActivation", "CustomerAcceptance")
#: The order of actions on one day: terms first, then what goes, then what comes ("How Limio events update Zuora").
_RANKS = {"TermsAndConditions": 0, "RenewSubscription": 0, "RemoveProduct": 1, "AddProduct": 2}


def contact(person: OrderContact, *, postal_code: str = "postalCode") -> Json:
    """A contact; the field of the postal code is `zipCode` outside of orders."""
    body = {postal_code if name == "postal_code" else key: getattr(person, name) for name, _, key in CONTACT_NAMES}
    return {key: value for key, value in body.items() if value}


def action(kind: str, day: date, content: tuple[str, Json], *, needs_activation: bool = False) -> Json:
    """One order action of `day`; one that waits for its service activation has the contract date only."""
    names = _DATES[:1] if needs_activation else _DATES
    dates = [{"name": name, "triggerDate": day.isoformat()} for name in names]
    return {"type": kind, "triggerDates": dates, content[0]: content[1]}


def create_subscription(
    day: date,
    number: str,
    terms: Json,
    plans: Sequence[Json],
    options: Options,
    *,
    profile: Json | None = None,
    needs_activation: bool = False,
    accounts: Json | None = None,
) -> Json:
    """The action that makes a subscription with our own number.

    `accounts` names its owner and its payer, if they are not the order's account.
    """
    content: Json = {
        "subscriptionNumber": number,
        **(accounts or {}),
        "invoiceSeparately": not options.combine_invoices,
        "terms": terms,
        "subscribeToRatePlans": list(plans),
    }
    if profile:
        content["paymentProfile"] = profile
    return action("CreateSubscription", day, ("createSubscription", content), needs_activation=needs_activation)


def add_product(day: date, plan: Json) -> Json:
    """The action that adds a rate plan."""
    return action("AddProduct", day, ("addProduct", plan))


def remove_product(day: date, number: str) -> Json:
    """The action that ends a rate plan of the subscription, by its number."""
    return action("RemoveProduct", day, ("removeProduct", {"subscriptionRatePlanNumber": number}))


def update_quantity(day: date, plan_number: str, updates: Sequence[Json]) -> Json:
    """The action that changes charges of a rate plan of the subscription."""
    content = {"subscriptionRatePlanNumber": plan_number, "chargeUpdates": list(updates)}
    return action("UpdateProduct", day, ("updateProduct", content))


def change_terms(day: date, terms: Json) -> Json:
    """The action that changes terms and conditions."""
    return action("TermsAndConditions", day, ("termsAndConditions", terms))


def renew(day: date) -> Json:
    """The action that begins the next term."""
    return action("RenewSubscription", day, ("renewSubscription", {}))


def cancel(today: date, day: date) -> Json:
    """The action that cancels at `day`; it is agreed upon today."""
    content = {"cancellationPolicy": "SpecificDate", "cancellationEffectiveDate": day.isoformat()}
    return action("CancelSubscription", today, ("cancelSubscription", content))


def in_order(actions: Iterable[Json]) -> list[Json]:
    """Ascending by date, within a date terms, removals, additions."""
    return sorted(actions, key=lambda each: (each["triggerDates"][0]["triggerDate"], _RANKS.get(each["type"], 0)))


NO_BILLING: Json = {"runBilling": False, "collectPayment": False}


def bill(day: date, *, collect: bool) -> Json:
    """Processing options that bill up to `day` at once, and collect what is billed."""
    return {"runBilling": True, "collectPayment": collect, "billingOptions": {"targetDate": day.isoformat()}}


def custom(fields: Json) -> Json:
    """The part of a body that holds custom fields, where there are any."""
    return {"customFields": fields} if fields else {}


def order_body(
    number: str, today: date, account: Json, processing: Json, subscriptions: Sequence[Json], fields: Json
) -> Json:
    """The body of `POST /v1/orders`; `account` is its new or existing account, `fields` the order's custom fields."""
    return {
        "orderNumber": number,
        "orderDate": today.isoformat(),
        **custom(fields),
        **account,
        "processingOptions": processing,
        "subscriptions": list(subscriptions),
    }


def changes(number: str, actions: Iterable[Json], fields: Json) -> Json:
    """The part of an order that changes one subscription; `fields` are its custom fields."""
    return {
        "subscriptionNumber": number,
        **custom(fields),
        "orderActions": in_order(actions),
    }


def preview_body(body: Json, through: date) -> Json:
    """The body of `POST /v1/orders/preview` for the body of an order: what it would bill up to `through`."""
    account = body.get("newAccount")
    ours = {"existingAccountNumber": body["existingAccountNumber"]} if account is None else _preview_account(account)
    subscriptions = [
        {key: value for key, value in each.items() if key != "customFields"} for each in body["subscriptions"]
    ]
    return {
        "orderDate": body["orderDate"],
        **ours,
        "subscriptions": subscriptions,
        "previewOptions": {
            "previewTypes": ["BillingDocs"],
            "previewThruType": "SpecificDate",
            "specificPreviewThruDate": through.isoformat(),
        },
    }


def order_step(name: str, body: Json, *, kind: StepKind = StepKind.SEND, may_replan: bool = False) -> Step:
    """The call that places `body`; after silence the order is found by its own number."""
    return Step(
        name=name,
        kind=kind,
        method="POST",
        path="/v1/orders",
        body=body,
        call_class=CallClass.ORDERS,
        judge=Judge.ORDER,
        silence=Silence(evidence=Evidence.EXISTS, path=f"/v1/orders/{segment(body['orderNumber'])}"),
        may_replan=may_replan,
    )


def preview_step(body: Json, through: date, judge: Judge) -> Step:
    """The call that previews `body`; it changes nothing, so that silence after it needs no look-up."""
    return Step(
        name="preview",
        method="POST",
        path="/v1/orders/preview",
        body=preview_body(body, through),
        call_class=CallClass.ORDERS,
        judge=judge,
    )


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


def _preview_account(account: Json) -> Json:
    where = ("address1", "address2", "city", "county", "state", "postalCode", "country")
    sold_to = account.get("soldToContact") or account["billToContact"]
    contact_ = {key: sold_to[key] for key in where if key in sold_to}
    info = {"billCycleDay": account["billCycleDay"], "currency": account["currency"]}
    return {"previewAccountInfo": {**info, **({"soldToContact": contact_} if contact_ else {})}}
