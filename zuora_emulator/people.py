"""Accounts and contacts: what a person changes there without an order, so that no subscription gets a new version."""

from __future__ import annotations

from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

from zuora_emulator import orders
from zuora_emulator.answers import Json
from zuora_emulator.fields import Fields, Refused
from zuora_emulator.order_records import By
from zuora_emulator.records import Account, Contact, hex_id
from zuora_emulator.tenant import Tenant

#: What a contact says.
CONTACT_FIELDS = tuple(
    each.name for each in fields_of(Contact) if each.name not in ("id", "account_number", "created", "updated")
)


#: How Zuora's addresses name those fields; orders say `postalCode`, accounts and contacts `zipCode`.
CONTACT_NAMES = {
    "firstName": "first_name",
    "lastName": "last_name",
    "address1": "address1",
    "address2": "address2",
    "city": "city",
    "county": "county",
    "state": "state",
    "zipCode": "postal_code",
    "postalCode": "postal_code",
    "country": "country",
    "workEmail": "work_email",
    "personalEmail": "personal_email",
    "workPhone": "work_phone",
    "mobilePhone": "mobile_phone",
    "homePhone": "home_phone",
    "otherPhone": "other_phone",
}


def create_account(tenant: Tenant, fields: Fields) -> Json:
    """A new account of `name` in `currency` (GBP) with one contact for both roles; `number` is by default the next.

    The contact's fields are `first_name`, `last_name`, `address1`, `city`, `postal_code`, `country`, …;
    `sold_to_…` gives a second contact its own.
    """
    number = fields.text("number") or tenant.next_number("A")
    if tenant.find_account(number):
        raise Refused(f"The account number {number} is in use.", 50000020)
    bill_to = make_contact(tenant, number, "bill to", _read(fields))
    other = _read(fields, "sold_to_")
    sold_to = make_contact(tenant, number, "sold to", {**_read(fields), **other}) if other else bill_to
    name = fields.text("name") or f"{bill_to.first_name} {bill_to.last_name}".strip()
    account = Account(
        id=hex_id("account", number),
        number=number,
        name=name or number,
        currency=fields.text("currency", "GBP") or "GBP",
        bill_to=bill_to.id,
        sold_to=sold_to.id,
        bill_cycle_day=fields.whole("bill_cycle_day", 1) or 1,
        crm_id=fields.text("crm_id") or "",
        created=tenant.now(),
        updated=tenant.now(),
    )
    fields.finish()
    tenant.put_account(account)
    return {"account": account.number, "id": account.id}


def make_contact(tenant: Tenant, account: str, role: str, said: dict[str, Any]) -> Contact:
    """Put a new contact into the tenant."""
    return tenant.put_contact(new_contact(tenant, account, role, said))


def new_contact(tenant: Tenant, account: str, role: str, said: dict[str, Any]) -> Contact:
    """A contact of an account, not yet put into the tenant."""
    serial = sum(each.account_number == account for each in tenant.contacts.values())
    now = tenant.now()
    key = hex_id("contact", account, role, serial)
    return Contact(id=key, account_number=account, created=now, updated=now, **said)


def read_contact(asked: Fields) -> dict[str, Any]:
    """What a contact in a body of Zuora's says; a blank empties a field. Raises Refused without a name."""
    return {name: asked.text(theirs) for theirs, name in CONTACT_NAMES.items() if theirs in asked.names()}


def change_contact(tenant: Tenant, fields: Fields, by: By) -> Json:
    """Other values for the contact of `key`, an account or a subscription; answers which account was touched.

    `which` is `bill_to`, `sold_to` or `both`. `how` is `edit`, in place: no version and no update of a subscription; or
    `new`: another contact. `of` is `account`, or `subscription` for its own contact, which takes an order.
    """
    key = fields.need("key")
    which = fields.one_of("which", ("bill_to", "sold_to", "both"), "both")
    how = fields.one_of("how", ("edit", "new"), "edit")
    of = fields.one_of("of", ("account", "subscription"), "account")
    said = _read(fields)
    if not said:
        raise Refused(f"nothing to change; give some of: {', '.join(CONTACT_FIELDS)}", 50000022)
    fields.finish()
    roles = ("bill_to", "sold_to") if which == "both" else (which,)
    if of == "subscription":
        return _change_own(tenant, orders.need_subscription(tenant, key), roles, how, said, by)
    account = _account_of(tenant, key)
    changed: dict[str, Any] = {}
    for role in roles:
        contact = tenant.find_contact(getattr(account, role))
        if contact is None or how == "new":
            before = _values(contact) if contact else {}
            changed[role] = make_contact(tenant, account.number, role, {**before, **said}).id
        else:
            tenant.put_contact(replace(contact, updated=tenant.now(), **said))
    if changed:
        tenant.put_account(replace(account, updated=tenant.now(), **changed))
    return {"account": account.number, "id": account.id}


def rename_account(tenant: Tenant, fields: Fields) -> Json:
    """Another `name` for the account of `key`."""
    account = _account_of(tenant, fields.need("key"))
    name = fields.need("name")
    fields.finish()
    tenant.put_account(replace(account, name=name, updated=tenant.now()))
    return {"account": account.number, "id": account.id}


def _change_own(
    tenant: Tenant, subscription: Any, roles: tuple[str, ...], how: str, said: dict[str, Any], by: By
) -> Json:
    version = subscription.latest
    account = tenant.accounts[version.account]
    pointed: dict[str, str] = {}
    for role in roles:
        own = tenant.find_contact(getattr(version, role))
        if own is not None and how == "edit":
            tenant.put_contact(replace(own, updated=tenant.now(), **said))
            continue
        before = own or tenant.find_contact(getattr(account, role))
        pointed[role] = make_contact(tenant, account.number, role, {**(_values(before) if before else {}), **said}).id
    answer: Json = {"account": account.number, "id": account.id}
    if pointed:
        asked = Fields(pointed, today=tenant.today)
        answer["order"] = orders.place(tenant, subscription, "change_contacts", asked, by)
    return answer


def _account_of(tenant: Tenant, key: str) -> Account:
    """The account with this key, or the owner of the subscription with it. Raises Refused."""
    account = tenant.find_account(key)
    return account or tenant.accounts[orders.need_subscription(tenant, key).latest.account]


def _read(fields: Fields, prefix: str = "") -> dict[str, Any]:
    """What the request says of a contact; a dash empties a value."""
    said = {name: fields.text(prefix + name) for name in CONTACT_FIELDS}
    return {name: (None if value == "-" else value) for name, value in said.items() if value is not None}


def _values(contact: Contact) -> dict[str, Any]:
    return {name: getattr(contact, name) for name in CONTACT_FIELDS}
