"""What a partner's checkout is sent: Limio's shapes of its bodies, with every wrong field named."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from flask import request
from marshmallow import EXCLUDE, Schema, ValidationError, post_load, validate, validates_schema
from marshmallow import fields as typed
from werkzeug.exceptions import BadRequest

from sync_service.commerce.basket.items import WantedItem
from sync_service.commerce.fields import MAX_ENTRIES, MAX_TEXT, find_unkeepable
from sync_service.commerce.order import UpdateAction
from sync_service.web.answers import read_body

#: Of external_id (Limio's partner API).
_EXTERNAL = validate.Regexp(
    re.compile(r"\A[0-9a-zA-Z_-]{1,128}\Z"), error="must be 1 to 128 letters, digits, hyphens and underscores"
)
#: No partner sells more of anything.
_MOST = 10**9
_SHORT = validate.Length(1, MAX_TEXT)


class _Quantity(typed.Integer):
    """A whole number from 1 on; a JSON number and nothing that looks like one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
            raise ValidationError("must be a whole number from 1 on")
        return value


class _RecordType(typed.String):
    """`offer`, or `add_on` under either of its names: the SDK writes that one, the API `addon`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        named = validate.OneOf(["offer", "addon", "add_on"])(super()._deserialize(value, attr, data, **kwargs))
        return "offer" if named == "offer" else "add_on"


class BodyPart(Schema):
    """Fields that we do not know are left alone."""

    class Meta:
        unknown = EXCLUDE


class _CatalogItem(BodyPart):
    id = typed.String(required=True, validate=_SHORT)


class ItemBody(BodyPart):
    """One item: `offerId`, or the whole offer as Limio's SDK sends it. Read-only fields count for nothing."""

    action = typed.String(
        required=True, data_key="orderItemActionType", validate=validate.OneOf([each.value for each in UpdateAction])
    )
    record_type = _RecordType(required=True, data_key="type")
    offer_id = typed.String(data_key="offerId", validate=_SHORT)
    offer = typed.Nested(_CatalogItem)
    quantity = _Quantity()

    @validates_schema
    def name_the_offer(self, data: Mapping[str, Any], **_: Any) -> None:
        """Either name will do."""
        if "offer_id" not in data and "offer" not in data:
            raise ValidationError("is required", "offerId")

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> WantedItem:
        """The value."""
        return WantedItem(
            action=UpdateAction(data["action"]),
            record_type=data["record_type"],
            item_id=data.get("offer_id") or data["offer"]["id"],
            quantity=data.get("quantity"),
        )


class BoughtItem(BodyPart):
    """An offer or add-on of a new subscription; the published version is bought."""

    offer = typed.Nested(_CatalogItem, required=True)
    #: Limio's page wants it once add-ons are in.
    record_type = _RecordType(data_key="type", load_default="offer")
    quantity = _Quantity()

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> WantedItem:
        """The value."""
        return WantedItem(
            action=UpdateAction.ADD,
            record_type=data["record_type"],
            item_id=data["offer"]["id"],
            quantity=data.get("quantity"),
        )


class _Subscription(BodyPart):
    id = typed.String(validate=_SHORT)
    name = typed.String(validate=_SHORT)


class _NamedSubscription(_Subscription):
    @validates_schema
    def name_it(self, data: Mapping[str, Any], **_: Any) -> None:
        """By id or by reference."""
        if not data:
            raise ValidationError("is required, or name", "id")


class _Target(BodyPart):
    offer_id = typed.String(data_key="offerId", validate=_SHORT)


class _Order(BodyPart):
    order_type = typed.String(required=True, validate=validate.Equal("update_subscription"))
    external_id = typed.String(validate=_EXTERNAL)
    checkout_id = typed.String(data_key="checkoutId", validate=_SHORT)
    items = typed.List(
        typed.Nested(ItemBody), data_key="orderItems", load_default=list, validate=validate.Length(max=MAX_ENTRIES)
    )


class _Initiated(_Order):
    subscription = typed.Nested(_NamedSubscription, required=True, data_key="forSubscription")
    target = typed.Nested(_Target, data_key="forSubscriptionOffer", load_default=dict)


class _Updated(_Order):
    subscription = typed.Nested(_Subscription, required=True, data_key="forSubscription")


class Initiate(BodyPart):
    """The body that opens a basket."""

    order = typed.Nested(_Initiated, required=True)
    tracking = typed.Dict(load_default=dict)


class UpdateBody(BodyPart):
    """The body that changes one."""

    order = typed.Nested(_Updated, required=True)
    tracking = typed.Dict(load_default=dict)


class _Purchase(BodyPart):
    order_type = typed.String(load_default="new", validate=validate.Equal("new"))
    external_id = typed.String(validate=_EXTERNAL)
    checkout_id = typed.String(data_key="checkoutId", validate=_SHORT)
    country = typed.String(allow_none=True, load_default=None, validate=_SHORT)
    tracking = typed.Dict(load_default=dict)
    items = typed.List(
        typed.Nested(BoughtItem), required=True, data_key="orderItems", validate=validate.Length(max=MAX_ENTRIES)
    )


class Purchase(BodyPart):
    """The body that opens or changes a basket that buys a new subscription."""

    order = typed.Nested(_Purchase, required=True)


class _Checkout(BodyPart):
    checkout_id = typed.String(data_key="checkoutId", validate=_SHORT)


class Named(BodyPart):
    """A body that names a basket, or leaves that to the cookie."""

    order = typed.Nested(_Checkout, load_default=dict)


def load(schema: Schema) -> Any:
    """The body as `schema` reads it. Raises BadRequest with every field that is wrong."""
    try:
        body = json.loads(read_body(request))
        if not isinstance(body, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise BadRequest("The body must be a JSON object.") from None
    unkeepable = list(islice(find_unkeepable(body), MAX_ENTRIES))
    if unkeepable:
        raise BadRequest(" ".join(problem.message for problem in unkeepable))
    try:
        return schema.load(body)
    except ValidationError as error:
        raise BadRequest(" ".join(_sentences(error.messages, ""))) from None


def _sentences(messages: Any, path: str) -> Iterator[str]:
    """`order.orderItems[0].quantity: must be …` of each field."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            here = f"{path}[{name}]" if isinstance(name, int) else path if name == "_schema" else f"{path}.{name}"
            yield from _sentences(inner, here.lstrip("."))
        return
    for text in messages if isinstance(messages, list) else [messages]:
        yield f"{path}: {str(text).rstrip('.')}." if path else f"{str(text).rstrip('.')}."
