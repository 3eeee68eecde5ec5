"""The fields of objects, as "Describe an object" of Zuora's API reference lists them and as events carry them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from zuora_emulator.answers import Json
from zuora_emulator.records import Account, Contact

#: The standard fields of an order.
ORDER_FIELDS = (
    "CancelReason",
    "Category",
    "CreatedById",
    "CreatedDate",
    "Description",
    "Id",
    "OrderDate",
    "OrderNumber",
    "State",
    "Status",
    "UpdatedById",
    "UpdatedDate",
)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_BLANK: dict[str, Any] = {"id": "", "created": _NEVER, "updated": _NEVER}


def account_values(account: Account) -> dict[str, str]:
    """What an event says of an account; its balance is not kept and always nothing."""
    return _texts(
        "Account",
        {
            "Id": account.id,
            "AccountNumber": account.number,
            "Name": account.name,
            "Currency": account.currency,
            "BillCycleDay": account.bill_cycle_day,
            "BillToId": account.bill_to,
            "SoldToId": account.sold_to,
            "CrmId": account.crm_id,
            "Balance": 0,
            "CreatedDate": account.created,
            "UpdatedDate": account.updated,
        },
    )


def contact_values(contact: Contact, account_id: str) -> dict[str, str]:
    """What an event says of a contact."""
    return _texts(
        "Contact",
        {
            "Id": contact.id,
            "AccountId": account_id,
            "FirstName": contact.first_name,
            "LastName": contact.last_name,
            "Address1": contact.address1,
            "Address2": contact.address2,
            "City": contact.city,
            "County": contact.county,
            "State": contact.state,
            "PostalCode": contact.postal_code,
            "Country": contact.country,
            "WorkEmail": contact.work_email,
            "PersonalEmail": contact.personal_email,
            "WorkPhone": contact.work_phone,
            "MobilePhone": contact.mobile_phone,
            "HomePhone": contact.home_phone,
            "CreatedDate": contact.created,
            "UpdatedDate": contact.updated,
        },
    )


def order_values(order: Json, order_fields: Iterable[str]) -> dict[str, str]:
    """What an event says of an order: its standard fields, and of the custom ones those that the tenant has."""
    custom = {name: order["customFields"].get(name) for name in order_fields}
    said = {
        "OrderNumber": order["orderNumber"],
        "OrderDate": order["orderDate"],
        "Status": order["status"],
        "CreatedById": order["createdBy"],
        "UpdatedById": order["updatedBy"],
    }
    return _texts("Order", {**dict.fromkeys(ORDER_FIELDS), **said, **custom})


def describe(name: str, custom_fields: Mapping[str, Iterable[str]]) -> bytes | None:
    """The XML in which Zuora describes an object; None for one that the emulator does not know."""
    standard = _FIELDS.get(name)
    if standard is None:
        return None
    fields = (*standard, *custom_fields.get(name, ()))
    rows = "".join(
        f"<field><name>{escape(field)}</name><label>{escape(field)}</label><selectable>true</selectable>"
        f"<type>text</type><contexts><context>export</context></contexts></field>"
        for field in fields
    )
    related = '<related-objects><object href="/v1/describe/account"><name>Account</name></object></related-objects>'
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<object><name>{name}</name><label>{name}</label>'
    return f"{head}<fields>{rows}</fields>{related}</object>".encode()


def _texts(prefix: str, values: dict[str, object]) -> dict[str, str]:
    return {f"{prefix}.{name}": _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


_ACCOUNT_FIELDS = tuple(
    name.partition(".")[2]
    for name in account_values(Account(**_BLANK, number="", name="", currency="", bill_to=None, sold_to=None))
)
_CONTACT_FIELDS = tuple(name.partition(".")[2] for name in contact_values(Contact(**_BLANK, account_number=""), ""))
_FIELDS = {
    "Order": ORDER_FIELDS,
    "Account": _ACCOUNT_FIELDS,
    "Contact": _CONTACT_FIELDS,
    "Subscription": ("Id", "Name", "Status", "Version", "TermStartDate", "TermEndDate", "AutoRenew", "Notes"),
    "RatePlan": ("Id", "Name", "ProductRatePlanId", "SubscriptionId"),
    "CreditMemo": ("Id", "Number", "Amount", "Currency", "ReasonCode", "Status", "UnappliedAmount"),
    "DebitMemo": ("Id", "Number", "Amount", "Balance", "Currency", "ReasonCode", "Status"),
}
