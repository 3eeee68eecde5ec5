"""An order as it comes in: read, checked, worked out as a whole, and only then put into the tenant.

Source: "Create an order" of Zuora's API reference. Nothing of an order stays where any part of it is refused, an
account that it was to make included.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from zuora_emulator import settling
from zuora_emulator.account_bodies import Owner, check_custom_fields, new_account, owner_of
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.order_bodies import apply, effective_day, read_terms, shown_override, told, with_profile
from zuora_emulator.order_records import By, Part, commit, creation
from zuora_emulator.periods import add_term
from zuora_emulator.records import Account, Version, hex_id
from zuora_emulator.settling import Options, Settlement, settle
from zuora_emulator.subscribing import subscribe
from zuora_emulator.tenant import LIMIO_USER, Tenant

Json = dict[str, Any]
_ADDRESSES = re.compile(r"[#?/]")
_UNITS = ("Month", "Year", "Day", "Week")


def place(tenant: Tenant, body: Json, *, troubles: frozenset[str] = frozenset()) -> tuple[Json, Json]:
    """Place an order: the answer, and the order as it is kept. Raises Refused, and then nothing has changed."""
    day = Fields(body, today=tenant.today).day("orderDate")
    if day is None:
        raise Refused("orderDate is missing", 40000022)
    asked = Fields(body, today=day)  # an action without a contract effective date has the order's
    number = _number_of(tenant, asked)
    custom = check_custom_fields(tenant, "Order", asked.raw("customFields"))
    options = Options.read(asked.inner("processingOptions") or Fields({}, today=tenant.today))
    owner = owner_of(tenant, asked)
    parts = parts_of(tenant, asked, owner.account)
    changes = [(part.before.latest if part.before else None, part.after) for part in parts]
    made = settle(tenant, owner.account, changes, options, order=number, method=owner.method, troubles=troubles)
    if options.run_billing:
        parts = [
            replace(part, after=settling.billed(before, part.after, options.target))
            for part, (before, _) in zip(parts, changes, strict=True)
        ]
    for brought in (owner, *(part.owner for part in parts if part.owner)):
        brought.put(tenant)
    made.put(tenant)
    said = {
        "orderDate": day.isoformat(),
        "existingAccountNumber": owner.account.number,
        "status": "Pending" if any(_waits(part.after) for part in parts) else "Completed",
        "description": asked.text("description"),
        "category": asked.text("category") or (None if all(part.before for part in parts) else "NewSales"),
        "reasonCode": asked.text("reasonCode"),
        "customFields": {**dict.fromkeys(tenant.custom_fields["Order"]), **custom},
    }
    order = commit(tenant, parts, By(user=LIMIO_USER), number=number, said=said)
    return _answer(tenant, order, owner.account, made), order


def _number_of(tenant: Tenant, asked: Fields) -> str:
    number = asked.text("orderNumber")
    if number is None:
        return tenant.next_number("O-")
    if len(number) > 100 or _ADDRESSES.search(number):
        raise Refused("orderNumber has at most 100 characters, and none of # ? /", 40000020)
    if number in tenant.orders:
        raise Refused(f"The order number {number} already exists.", 40000020)
    return number


def parts_of(tenant: Tenant, asked: Fields, account: Account) -> list[Part]:
    """What an order's body does to each of its subscriptions. Raises Refused."""
    given = asked.inner_list("subscriptions")
    if not given:
        raise Refused("subscriptions is missing", 40000022)
    return [_part(tenant, each, account) for each in given]


def _part(tenant: Tenant, asked: Fields, account: Account) -> Part:
    custom = check_custom_fields(tenant, "Subscription", asked.raw("customFields"))
    todo = asked.inner_list("orderActions")
    if not todo:
        raise Refused("orderActions is missing", 40000022)
    done: list[Json] = []
    key = asked.text("subscriptionNumber")
    before = owner = None
    if todo[0].text("type") == "CreateSubscription":
        owner, version, action = _created(tenant, todo.pop(0), account, key)
        done.append(action)
    else:
        before = tenant.find_subscription(key or "")
        if before is None or before.number != key:
            raise Refused(f"Cannot find entity by key: '{key}'.", 40000040)
        version = before.latest
        if version.invoice_owner != account.number:
            message = "Can not process subscription whose InvoiceOwner is different from the given Account Number"
            raise Refused(f"{message}.", 58730020)
    for each in todo:
        version, action = apply(tenant, version, each)
        done.append(action)
    version = replace(version, custom_fields={**version.custom_fields, **custom})
    return Part(before=before, after=version, actions=done, custom_fields=custom, owner=owner)


def _created(tenant: Tenant, action: Fields, account: Account, outer: str | None) -> tuple[Owner, Version, Json]:
    """The owner of a subscription, its first version, and the action as orders show it. Raises Refused."""
    asked = action.inner("createSubscription") or Fields({}, today=tenant.today)
    number = asked.text("subscriptionNumber") or outer or tenant.next_number("A-S")
    if _ADDRESSES.search(number) or len(number) > 100:
        raise Refused("subscriptionNumber has at most 100 characters, and none of # ? /", 40000020)
    if tenant.find_subscription(number):
        raise Refused(f"The subscription number {number} already exists.", 40000020)
    owner = _owner_of(tenant, asked, account)
    payer = _account_of(tenant, asked.text("invoiceOwnerAccountNumber"), account)
    if payer.number != account.number:
        raise Refused("The invoice owner must be the account of the order.", 58730020)
    terms = asked.inner("terms")
    first = terms.inner("initialTerm") if terms else None
    if terms is None or first is None:
        raise Refused("terms.initialTerm is missing", 40000022)
    day = effective_day(action)
    is_evergreen = first.one_of("termType", ("TERMED", "EVERGREEN"), "TERMED") == "EVERGREEN"
    unit = first.one_of("periodType", _UNITS, "Month")
    start = first.day("startDate", day) or day
    length = None if is_evergreen else first.whole("period", 12)
    end = None if is_evergreen else first.day("endDate") or add_term(start, length or 0, unit)
    now = tenant.now()
    plans = asked.inner_list("subscribeToRatePlans")
    rate_plans = tuple(
        subscribe(tenant.catalog, each, start=day, currency=account.currency, make_number=tenant.next_number)
        for each in plans
    )
    if not rate_plans:
        raise Refused("subscribeToRatePlans is missing", 40000022)
    version = Version(
        id=hex_id("subscription", number, 1),
        number=number,
        version=1,
        account=owner.account.number,
        invoice_owner=payer.number,
        term_type="EVERGREEN" if is_evergreen else "TERMED",
        start=day,
        term_start=start,
        term_end=end,
        initial_term=length,
        current_term=length,
        term_period=unit,
        currency=account.currency,
        base_status="Pending Activation" if _lacks_activation(tenant, action) else "Active",
        bill_to=asked.text("billToContactId"),
        sold_to=asked.text("soldToContactId"),
        rate_plans=rate_plans,
        notes=asked.text("notes"),
        invoice_separately=bool(asked.flag("invoiceSeparately", False)),
        created=now,
        updated=now,
        **{"auto_renew": not is_evergreen, "renewal_term": length or 0, **read_terms(terms)},
    )
    version = with_profile(tenant, version, asked.inner("paymentProfile"))
    shown = creation(version)["createSubscription"]
    shown["subscribeToRatePlans"] = [
        {**entry, "chargeOverrides": [shown_override(dict(each)) for each in given.raw("chargeOverrides") or []]}
        for entry, given in zip(shown["subscribeToRatePlans"], plans, strict=True)
    ]
    return owner, version, told(action, "createSubscription", shown)


def _owner_of(tenant: Tenant, asked: Fields, account: Account) -> Owner:
    """Who owns a new subscription: the order's account, another one, or one that is made with it. Raises Refused."""
    given, key = asked.inner("newSubscriptionOwnerAccount"), asked.text("subscriptionOwnerAccountNumber")
    if given is None:
        return Owner(account=_account_of(tenant, key, account))
    if key is not None:
        raise Refused("Name subscriptionOwnerAccountNumber or newSubscriptionOwnerAccount, not both.", 40000020)
    return new_account(tenant, given)


def _account_of(tenant: Tenant, key: str | None, otherwise: Account) -> Account:
    if key is None or key == otherwise.number:
        return otherwise
    found = tenant.find_account(key)
    if found is None:
        raise Refused(f"Cannot find entity by key: '{key}'.", 40000040)
    return found


def _lacks_activation(tenant: Tenant, action: Fields) -> bool:
    """Whether the triggers of a new subscription leave out the service activation that the tenant asks for."""
    named = {each.text("name") for each in action.inner_list("triggerDates")}
    return tenant.requires_activation and "ContractEffective" in named and "ServiceActivation" not in named


def _waits(version: Version) -> bool:
    return version.base_status.startswith("Pending")


def _answer(tenant: Tenant, order: Json, account: Account, made: Settlement) -> Json:
    subscriptions = []
    for part in order["subscriptions"]:
        latest = tenant.subscriptions[part["subscriptionNumber"]].latest
        subscriptions.append(
            {
                "subscriptionNumber": latest.number,
                "subscriptionOwnerId": tenant.accounts[latest.account].id,
                "subscriptionOwnerNumber": latest.account,
                "status": latest.status_on(tenant.today),
            }
        )
    return {
        "success": True,
        "orderNumber": order["orderNumber"],
        "accountNumber": account.number,
        "status": order["status"],
        "subscriptions": subscriptions,
        **settling.answer_of(made),
    }
