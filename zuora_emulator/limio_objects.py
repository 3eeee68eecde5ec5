"""The Limio objects of the subscriptions that Limio's shop ordered, in Limio's shapes: what a store is loaded from.

Limio and Zuora agree in all of it. Shapes are those of Limio's self-service pages and of "Get objects" of its API
reference: a subscription with its offers, schedule and add-ons inside, and a list of what is related to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from zuora_emulator.billing import Assumptions, Item, lines, round_money
from zuora_emulator.bulk import Bulk, BulkStock
from zuora_emulator.periods import add_months
from zuora_emulator.records import Account, Contact, Version, hex_id
from zuora_emulator.seeds import SEEDS, fill
from zuora_emulator.shop import limio_catalog
from zuora_emulator.tenant import Tenant

Json = dict[str, Any]

#: How far the schedule of a subscription without an end reaches, in months.
_HORIZON = 12
_CODES = {
    "United Kingdom": "GB",
    "United States": "US",
    "Japan": "JP",
    "France": "FR",
    "Germany": "DE",
    "New York": "NY",
    "California": "CA",
    "Virginia": "VA",
}
_SIGNS = {"GBP": "£", "USD": "$", "EUR": "€", "JPY": "¥"}
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


def limio_objects(today: date, *, seeds: str = "demo", bulk: Bulk | None = None) -> Iterator[Json]:
    """The catalog, identities, customers, subscriptions with what is inside them, and addresses; one object a line.

    `today`, `seeds` and `bulk` are those that the emulator is started with.
    """
    tenant = Tenant(today=today)
    numbers: list[str] = []
    if seeds == "demo":
        yield from limio_catalog()
        fill(tenant)
        numbers += [seed.number for seed in SEEDS if seed.is_limios]
    yield from _of_all(tenant, numbers)
    if bulk is not None and bulk.limios:
        stock = BulkStock(bulk, tenant)
        tenant.add_stock(stock)
        yield from _of_all(tenant, stock.numbers())


def _of_all(tenant: Tenant, numbers: Iterable[str]) -> Iterator[Json]:
    told: set[str] = set()
    for number in numbers:
        subscription = tenant.find_subscription(number)
        if subscription is None:
            continue
        version = subscription.latest
        account = tenant.accounts[version.account]
        person, receiver = _contact(tenant, account.bill_to), _contact(tenant, account.sold_to)
        who = person.personal_email or person.work_email or number
        if who not in told:
            told.add(who)
            yield from _owner(who, person, version)
        yield _subscription(tenant, who, version)
        yield {"related_to": f"sub-{hex_id('limio', number)}", "items": _addresses(who, version, person, receiver)}


def _contact(tenant: Tenant, key: str | None) -> Contact:
    contact = tenant.find_contact(key)
    if contact is None:
        raise LookupError("an account without a contact has no Limio objects")
    return contact


def _owner(who: str, person: Contact, version: Version) -> Iterator[Json]:
    name, since = f"{person.first_name} {person.last_name}", _time(version.start)
    owner = f"id-{hex_id('owner', who)}"
    envelope = {"status": "active", "owner": owner, "created": since, "updated": since, "mode": "production"}
    yield {**envelope, "id": owner, "record_type": "identity", "service": "limio", "name": name, "data": {}}
    yield {
        **envelope,
        "id": f"cus-{hex_id('customer', who)}",
        "record_type": "customer",
        "service": "limio",
        "name": name,
        "data": {"name": name, "email": person.personal_email or person.work_email},
    }


def _subscription(tenant: Tenant, who: str, version: Version) -> Json:
    plan = version.rate_plans[0]
    cancelled = version.cancelled_on is not None
    price = plan.charges[0].segments[0].price or Decimal(0)
    headline = f"{_SIGNS.get(version.currency, version.currency)}{_money(price, version.currency)}"
    shown = {"summary": {"headline": headline, "subline": headline}, "currency": version.currency}
    item = hex_id("order item", version.number)
    offer = {"name": plan.name, "quantity": 1, "details": "", "addOns": [], "products": [], "id": item}
    renewed = version.term_start != version.start
    data = {
        **offer,
        "startDate": _time(version.start),
        "termStartDate": f"{version.term_start}T00:00:00.000Z" if renewed else _time(version.start),
        "price": {**shown, "amount": float(price)},
        "purchaseCountry": _CODES.get(_country(tenant, version), "GB"),
        "attributes": {
            "gift": False,
            "external": False,
            "autoRenew": version.auto_renew and not cancelled,
        },
        "tracking": {"offers": [f"/offers2/{plan.name}"], "campaign": "/pages2/Home", "tag": "/tags/home"},
    }
    if version.term_end is not None:
        data["termEndDate"] = version.term_end.isoformat()
    envelope = _envelope(who, version)
    number = version.number
    return {
        **envelope,
        "id": f"sub-{hex_id('limio', number)}",
        "name": number,
        "reference": number,
        "record_type": "subscription",
        "status": "active",
        "start": _time(version.start),
        "customer": f"cus-{hex_id('customer', who)}",
        "ref": f"order-{hex_id('limio order', number)}/{item}",
        "data": data,
        "offers": [
            {
                **envelope,
                "id": f"subscription_offer-{hex_id('offer', number)}",
                "reference": _reference("offer", number),
                "record_type": "subscription_offer",
                "status": "active",
                "related": f"sub-{hex_id('limio', number)}",
                "customer": f"cus-{hex_id('customer', who)}",
                "data": {**offer, "start": _time(version.start), "price": {**shown, "amount": float(price)}},
            }
        ],
        "schedule": list(_schedule(tenant, who, version, plan.name)),
        "addOns": [],
    }


def _schedule(tenant: Tenant, who: str, version: Version, description: str) -> Iterator[Json]:
    """A payment for each day on which something is due, from the first on; while it renews, also at the term's end."""
    end = version.term_end or add_months(tenant.today, _HORIZON)
    renews = version.auto_renew and version.cancelled_on is None
    last = end if version.term_end is not None and renews else end - timedelta(days=1)
    by_day: dict[date, list[Item]] = defaultdict(list)
    assumed = Assumptions(target=end, evergreen=True)
    for item in lines(version, assumed, renews=renews and version.term_end is not None, billed_too=True):
        if item.due <= last:
            by_day[item.due].append(item)
    for day in sorted(by_day):
        yield _payment(who, version, description, day, by_day[day])


def _payment(who: str, version: Version, description: str, day: date, items: list[Item]) -> Json:
    currency, stamp = version.currency, f"{day}T00:00:00.000"
    net = sum((item.amount for item in items), Decimal(0))
    tax = sum((item.tax for item in items), Decimal(0))
    key = f"schedule-{hex_id('schedule', version.number, day)}"
    return {
        **_envelope(who, version),
        "id": key,
        "reference": _reference("schedule", version.number, day),
        "record_type": "schedule",
        "status": "pending-external",
        "related": f"sub-{hex_id('limio', version.number)}",
        "process_hash": "emulator/production/limio/pending-external",
        "process_key": f"pending-external/{stamp}/limio/{key}",
        "data": {
            "date": stamp,
            "schedule_date": stamp,
            "type": "payment",
            "description": description,
            "amount": _money(net + tax, currency),
            "amountWithoutTax": _money(net, currency),
            "taxAmount": float(tax) if tax else 0,
            "unit_amount": _money(net + tax, currency),
            "quantity": 1,
            "currency": currency,
            "lineItems": [
                {
                    "amountWithoutTax": _money(item.amount, currency),
                    "taxAmount": _money(item.tax, currency),
                    "quantity": int(item.quantity),
                    "processingType": "Discount" if item.charge.is_discount else "Charge",
                    "chargeName": item.charge.name,
                    "productName": item.plan.product_name,
                    "chargeDescription": item.charge.description,
                }
                for item in items
            ],
        },
    }


def _addresses(who: str, version: Version, person: Contact, receiver: Contact) -> list[Json]:
    return [_address(who, version, "billing", person), _address(who, version, "delivery", receiver)]


def _address(who: str, version: Version, kind: str, contact: Contact) -> Json:
    key = f"address-{hex_id('address', version.number, kind)}"
    data = {
        "firstName": contact.first_name,
        "lastName": contact.last_name,
        "address1": contact.address1 or "",
        "address2": contact.address2 or "",
        "city": contact.city or "",
        "state": _CODES.get(contact.state or "", contact.state or ""),
        "postalCode": contact.postal_code or "",
        "country": _CODES.get(contact.country or "", contact.country or ""),
    }
    phones = {"phone": contact.mobile_phone, "workPhone": contact.work_phone, "workEmail": contact.work_email}
    data |= {name: value for name, value in phones.items() if value}
    return {
        **_envelope(who, version),
        "id": key,
        "record_type": "address",
        "status": "active",
        "related": key,
        "relationship_id": f"rel-{hex_id('relation', key)}",
        "relationship_type": kind,
        "start": _time(version.start),
        "data": data,
    }


def _envelope(who: str, version: Version) -> Json:
    since = _time(version.start)
    owner = f"id-{hex_id('owner', who)}"
    return {"service": "limio", "owner": owner, "mode": "production", "created": since, "updated": since}


def _country(tenant: Tenant, version: Version) -> str:
    account: Account = tenant.accounts[version.account]
    return _contact(tenant, account.bill_to).country or ""


def _time(day: date) -> str:
    return f"{day}T09:30:00.000Z"


def _money(amount: Decimal, currency: str) -> str:
    return str(round_money(amount, currency))


def _reference(*parts: object) -> str:
    """Twelve letters and digits, as Limio makes them."""
    value = int(hex_id("reference", *parts), 16)
    return "".join(_LETTERS[value >> (5 * place) & 31] for place in range(12))
