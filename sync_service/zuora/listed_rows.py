"""Rows of Zuora's lists read into values: Object Query's names of fields, which ZOQL has with a capital.

Sources: "List subscriptions", "List accounts" and "List contacts" of Zuora's API reference. A row without what
identifies it is refused; everything else may be absent, since nulls are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from marshmallow import ValidationError

from sync_service.subscription.listed import ListedAccount, ListedContact, ListedSubscription
from sync_service.subscription.zuora import Contact
from sync_service.zuora.fields import Day, Flag, Status, Text, Whole, ZuoraField
from sync_service.zuora.parts import Part
from sync_service.zuora.schemas import ZuoraSchema


class Moment(ZuoraField[datetime]):
    """A time with its offset, such as 2026-06-05T06:00:35+01:00; without one it is taken as UTC."""

    def read(self, value: Any) -> datetime | None:
        """The time, or None for a blank text."""
        if not isinstance(value, str):
            raise ValidationError("is not a time")
        text = value.strip()
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError("is not a time") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class SubscriptionRowSchema(ZuoraSchema):
    """A subscription's row; its number is called `name`."""

    id = Text(required=True, data_key="id")
    number = Text(required=True, data_key="name")
    version = Whole(required=True, data_key="version")
    is_latest = Flag(data_key="isLatestVersion")
    status = Status(required=True, data_key="status")
    account_id = Text(data_key="accountId")
    term_start = Day(data_key="termStartDate")
    term_end = Day(data_key="termEndDate")
    auto_renew = Flag(data_key="autoRenew")
    updated = Moment(required=True, data_key="updatedDate")
    created = Moment(data_key="originalCreatedDate")


class AccountRowSchema(ZuoraSchema):
    """An account's row."""

    id = Text(required=True, data_key="id")
    name = Text(data_key="name")
    currency = Text(data_key="currency")
    bill_cycle_day = Whole(data_key="billCycleDay")
    bill_to = Text(data_key="billToId")
    sold_to = Text(data_key="soldToId")
    updated = Moment(data_key="updatedDate")


class ContactRowSchema(ZuoraSchema):
    """A contact's row: whose it is, and since when it is as it is."""

    id = Text(required=True, data_key="id")
    account_id = Text(required=True, data_key="accountId")
    updated = Moment(data_key="updatedDate")


class ContactValuesSchema(ZuoraSchema):
    """What a contact's row says of the person."""

    id = Text(data_key="id")
    first_name = Text(data_key="firstName")
    last_name = Text(data_key="lastName")
    address1 = Text(data_key="address1")
    address2 = Text(data_key="address2")
    city = Text(data_key="city")
    county = Text(data_key="county")
    state = Text(data_key="state")
    postal_code = Text(data_key="postalCode")
    country = Text(data_key="country")
    mobile_phone = Text(data_key="mobilePhone")
    work_phone = Text(data_key="workPhone")
    other_phone = Text(data_key="otherPhone")
    personal_email = Text(data_key="personalEmail")
    work_email = Text(data_key="workEmail")


def read_listed_subscription(row: Mapping[str, Any]) -> ListedSubscription:
    """Raises PayloadInvalid."""
    values = {"is_latest": None, "account_id": None} | Part(row, "list of subscriptions").read(SubscriptionRowSchema)
    return ListedSubscription(**values)


def read_listed_account(row: Mapping[str, Any]) -> ListedAccount:
    """Raises PayloadInvalid."""
    return ListedAccount(**Part(row, "list of accounts").read(AccountRowSchema))


def read_listed_contact(row: Mapping[str, Any]) -> ListedContact:
    """Raises PayloadInvalid."""
    part = Part(row, "list of contacts")
    return ListedContact(**part.read(ContactRowSchema), contact=Contact(**part.read(ContactValuesSchema)))


@cache
def _names(kind: type[ZuoraSchema]) -> tuple[str, ...]:
    return tuple(field.data_key or name for name, field in kind().load_fields.items())


SUBSCRIPTION_FIELDS = _names(SubscriptionRowSchema)
ACCOUNT_FIELDS = _names(AccountRowSchema)
CONTACT_FIELDS = tuple(dict.fromkeys((*_names(ContactRowSchema), *_names(ContactValuesSchema))))
