"""Journeys that change the account and no subscription: addresses, payment methods, the customer's details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sync_service.commerce.build import Json, contact, segment
from sync_service.commerce.case import Case
from sync_service.commerce.order import PERSON_NAMES, OrderContact, ProblemCode, refuse
from sync_service.commerce.steps import Evidence, Judge, Need, Plan, Silence, Step, Take
from sync_service.subscription.contacts import is_same_country, is_same_state

#: A role of a contact and the field of the account that names it.
_ROLES = {"billing": "billToContactId", "delivery": "soldToContactId"}
#: What tells two contacts apart in Object Query, whose names are these.
_TELLING = ("firstName", "lastName", "address1", "city", "personalEmail")


def change_address(case: Case) -> Plan:
    """A new contact that becomes Bill To or Sold To.

    Never an edit: both may be one contact, and Zuora changes it for both.
    """
    role = case.order.address_type or "delivery"
    if role == "billing":
        _refuse_of_another_payer(case, "type")
    return Plan(steps=tuple(_new_contact(case, role, case.order.address or OrderContact())))


def change_payment(case: Case) -> Plan:
    """The order's payment method for what is paid from now on: the account's default, or the subscription's own."""
    payment = case.order.payment
    assert payment is not None  # noqa: S101 - read_order requires it
    if not payment.method_id:
        message = "Zuora's id of the payment method is required."
        raise refuse("payment.zuora.refId", ProblemCode.MISSING, message)
    _refuse_of_another_payer(case, "payment")
    steps = [
        Step(
            name="associate",
            method="PUT",
            path=f"/v1/payment-methods/{segment(payment.method_id)}",
            body={"accountKey": case.account.number},
        ),
        _use_method(case, payment.method_id),
    ]
    if case.order.billing:
        steps += _new_contact(case, "billing", case.order.billing)
    return Plan(steps=tuple(steps))


def change_default(case: Case) -> Plan:
    """One of the account's methods becomes its default."""
    payment = case.order.payment
    assert payment is not None  # noqa: S101 - read_order requires it
    _refuse_of_another_payer(case, "payment")
    gateway = {"paymentGateway": payment.gateway} if payment.gateway else {}
    body = {"defaultPaymentMethodId": payment.method_id, **gateway, **_auto_pay(case)}
    return Plan(steps=(_put_account(case, "account", body),))


def change_details(case: Case) -> Plan:
    """Name and email in the contacts themselves; Bill To, and Sold To where that is another contact.

    Not by way of the account, which would switch email delivery on.
    """
    customer = case.order.customer or OrderContact()
    body = contact(customer)
    account = case.account
    ids = dict.fromkeys(each for each in (account.bill_to.get("id"), account.sold_to.get("id")) if each)
    if not ids:
        raise refuse("", ProblemCode.UNKNOWN, "The account has no contact in Zuora.")
    if not body:
        raise refuse("customerDetails", ProblemCode.MISSING, "Name what changes: name or email.")
    return Plan(
        steps=tuple(
            Step(name=f"contact{index or ''}", method="PUT", path=f"/v1/contacts/{segment(str(key))}", body=body)
            for index, key in enumerate(ids)
        )
    )


def move_contacts(case: Case) -> list[Step]:
    """The addresses that another order brings along, where they differ from Zuora's; the order goes on without them.

    None where another account pays: the order has only read that one, and its contacts are not the customer's.
    """
    steps: list[Step] = []
    if _another_pays(case):
        return steps
    for role, person in (("billing", case.order.billing), ("delivery", case.order.delivery)):
        if person and _differs(person, _current(case, role)):
            steps += [replace(step, critical=False) for step in _new_contact(case, role, person)]
    return steps


def _another_pays(case: Case) -> bool:
    subscription = case.subscription
    return subscription.account_number != subscription.payer_number


def _refuse_of_another_payer(case: Case, field: str) -> None:
    """A partner or a parent company that pays has a billing address and payment methods of its own."""
    if _another_pays(case):
        message = f"Account {case.subscription.payer_number} pays for this subscription: change it there, in Zuora."
        raise refuse(field, ProblemCode.NOT_ALLOWED, message)


def _use_method(case: Case, method: str) -> Step:
    """Where Zuora is told which method pays: a profile or a field of the subscription, else the account."""
    profile, fields = case.profile(), case.payment_fields()
    if profile:
        body: Json = {"bulkPaymentOptionItems": [{"subscriptionId": case.subscription.id, **profile}]}
        return Step(name="profile", method="PUT", path="/v1/payment-profile", body=body)
    if fields:
        path = f"/v1/subscriptions/{segment(case.subscription.number)}/customFields"
        return Step(name="fields", method="PUT", path=path, body={"customFields": fields})
    payment = case.order.payment
    gateway = {"paymentGateway": payment.gateway} if payment and payment.gateway else {}
    return _put_account(case, "account", {"defaultPaymentMethodId": method, **gateway, **_auto_pay(case)})


def _auto_pay(case: Case) -> Json:
    """With auto pay the payment run pays open invoices by the new method."""
    return {} if case.options.disable_auto_pay else {"autoPay": True}


def _put_account(case: Case, name: str, body: Json, needs: tuple[Need, ...] = ()) -> Step:
    return Step(name=name, method="PUT", path=f"/v1/accounts/{segment(case.account.number)}", body=body, needs=needs)


def _new_contact(case: Case, role: str, person: OrderContact) -> list[Step]:
    """The contact, with the name and email of the present one where the order has none, and its new role."""
    account = case.account
    given = contact(person, postal_code="zipCode")
    current = _current(case, role)
    kept = {key: current[key] for _, _, key in PERSON_NAMES if current.get(key)}
    body = {"accountNumber": account.number, **kept, **given}
    if not body.get("firstName") or not body.get("lastName"):
        message = "First and last name are required: Zuora makes no contact without."
        raise refuse("address", ProblemCode.MISSING, message)
    match = {key: body[key] for key in _TELLING if key in body}
    query = f"filter[]=accountId.EQ:{segment(account.id)}&sort[]=createddate.DESC&pageSize=50"
    silence = Silence(
        evidence=Evidence.LISTED,
        path=f"/object-query/contacts?{query}",
        listed_in="data",
        match=match,
        made_at="createdDate",
    )
    name = f"{role}_contact"
    made = Step(name=name, method="POST", path="/v1/contacts", body=body, silence=silence, judge=Judge.MADE)
    need = Need(step=name, take=Take.ID, into=_ROLES[role])
    return [made, _put_account(case, f"{role}_account", {}, (need,))]


def _current(case: Case, role: str) -> Mapping[str, Any]:
    return case.account.bill_to if role == "billing" else case.account.sold_to


def _differs(person: OrderContact, current: Mapping[str, Any]) -> bool:
    """Whether the order says something else than Zuora has; Zuora answers countries by name."""
    for key, value in contact(person, postal_code="zipCode").items():
        known = str(current.get(key) or "").strip()
        if key == "country":
            same = is_same_country(value, known)
        elif key == "state":
            same = is_same_state(value, known, person.country)
        else:
            same = value.strip() == known
        if not same:
            return True
    return False
