"""The two questions that a sync asks of the store, made once for each kind of database from the tables' classes.

One by the number; the other only where the owner of an account decides whose the subscription is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

from sync_service.queue.limit import is_all_well
from sync_service.store.engine import clock
from sync_service.store.statement import table_of
from sync_service.store.tables import (
    AddOnRow,
    AddressRow,
    CalloutRow,
    CustomerRow,
    PartnerOrgRow,
    RelationRow,
    ScheduleRow,
    ScrubMarkRow,
    SubscriptionAliasRow,
    SubscriptionOfferRow,
    SubscriptionRow,
    SyncCauseRow,
    SyncRequestRow,
    SyncRunRow,
    WebhookEndpointRow,
    ZuoraAccountRow,
    ZuoraLinkRow,
)
from sync_service.subscription.hints import ReasonCode


class _Json:
    """Lists as one JSON text, in each database's words."""

    def __init__(self, dialect: str) -> None:
        self._is_sqlite = dialect == "sqlite"

    def all(self, *values: ColumnElement[Any]) -> ColumnElement[str]:
        """The values of all rows; several of one row are a list."""
        one = values[0] if len(values) == 1 else self._several(values)
        return func.json_group_array(one, type_=Text) if self._is_sqlite else cast(func.jsonb_agg(one), Text)

    def each(self, texts: ColumnElement[str]) -> FromClause:
        """The texts of a JSON list as rows."""
        if self._is_sqlite:
            return func.json_each(texts).table_valued("value")
        return func.jsonb_array_elements_text(cast(texts, JSONB)).table_valued("value")

    def one(self, *values: ColumnElement[Any]) -> ColumnElement[str]:
        """The values of one row as a list."""
        several = self._several(values)
        return several if self._is_sqlite else cast(several, Text)

    def text(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """A stored document as its text: read only where it is needed, and compared as it stands."""
        return type_coerce(column, Text) if self._is_sqlite else cast(column, Text)

    def document(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """A stored document as a part of such a list."""
        return func.json(column, type_=Text) if self._is_sqlite else column

    def documents(self, row_class: type[SQLModel], subscription_id: ColumnElement[str]) -> ColumnElement[str]:
        """All of a subscription's as a list: their texts as they are, a third of the work of a list of values."""
        table = table_of(row_class).c
        join = func.group_concat if self._is_sqlite else func.string_agg
        listed = _OPEN.concat(join(self.text(table.document), _COMMA, type_=Text)).concat(_CLOSE)
        found = select(listed).where(table.subscription_id == subscription_id)
        return found.correlate(_SUBSCRIPTION).scalar_subquery()

    def _several(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
        return func.json_array(*values, type_=Text) if self._is_sqlite else func.jsonb_build_array(*values)


#: As they stand, so that the database knows them when it plans.
_A_SUBSCRIPTION: ColumnElement[str] = literal_column("'subscription'")
_HELD: ColumnElement[str] = literal_column("'held'")
_ONE: ColumnElement[int] = literal_column("1")
_OPEN, _COMMA, _CLOSE = (literal_column(f"'{each}'", Text) for each in "[,]")
_NUMBER, _ACCOUNT = bindparam("number", type_=Text), bindparam("account", type_=Text)
_LINK, _SUBSCRIPTION, _CUSTOMER = table_of(ZuoraLinkRow), table_of(SubscriptionRow), table_of(CustomerRow)


#: Columns of a link that a sync does not read as they stand.
_OF_A_LINK_ALONE = ("read_began", "read_ended", "fingerprint")


@cache
def by_number(dialect: str) -> Select[Any]:
    """Everything that stands under a number; one row."""
    json_of, link, held = _Json(dialect), _LINK.c, _SUBSCRIPTION.c
    referred = select(held.id).where(held.reference == _NUMBER).order_by(held.id).limit(1).correlate(None)
    own_id = func.coalesce(link.subscription_id, referred.scalar_subquery())
    alone = select(_ONE.label("one")).subquery("alone")
    found = (
        alone.outerjoin(_LINK, link.number == _NUMBER)
        .outerjoin(_SUBSCRIPTION, held.id == own_id)
        .outerjoin(_CUSTOMER, _CUSTOMER.c.id == held.customer)
    )
    address, relation = table_of(AddressRow), table_of(RelationRow)
    used = (
        select(
            json_of.all(json_of.document(address.c.document), relation.c.relationship_type, relation.c.relationship_id)
        )
        .select_from(address.join(relation, relation.c.object_id == address.c.id))
        .where(relation.c.subscription_id == held.id, relation.c.record_type == AddressRow.record_type_name)
        .correlate(_SUBSCRIPTION)
    )
    cause, run = table_of(SyncCauseRow).c, table_of(SyncRunRow).c
    causes = select(
        json_of.all(cause.trigger, cause.actor, cause.callout_id, cause.found_as, cause.at, cause.seq, cause.id)
    ).where(
        cause.kind == bindparam("kind", type_=Text),
        cause.key == bindparam("key", type_=Text),
        cause.seq > bindparam("done_before"),
        cause.seq <= bindparam("seen"),
    )
    open_held = select(json_of.one(run.id, run.plan_hash)).where(
        run.kind == _A_SUBSCRIPTION,
        run.key == _NUMBER,
        run.outcome == _HELD,
    )
    org = table_of(PartnerOrgRow).c
    paying = (
        select(func.min(org.id))
        .where(
            org.is_invoice_owner.is_(True),
            org.zuora_account_id.in_((bindparam("payer", type_=Text), bindparam("payer_number", type_=Text))),
        )
        .having(func.count() == 1)
    )
    return select(
        *(column.label(f"link_{column.name}") for column in link if column.name not in _OF_A_LINK_ALONE),
        json_of.text(link.fingerprint).label("link_fingerprint"),
        held.id.label("subscription_id"),
        json_of.text(held.document).label("document"),
        held.owner.label("subscription_owner"),
        held.customer.label("subscription_customer"),
        held.partner_org,
        held.never_synced,
        json_of.text(_CUSTOMER.c.document).label("customer_document"),
        _is_newer(held.customer).label("is_newer"),
        _other_writer(json_of, dialect, held.customer).label("other_writer"),
        _is_marked(held.owner, held.customer).label("is_scrubbed"),
        _is_marked(held.id).label("is_marked"),
        json_of.documents(ScheduleRow, held.id).label("schedule"),
        json_of.documents(AddressRow, held.id).label("own_addresses"),
        used.scalar_subquery().label("shared_addresses"),
        causes.scalar_subquery().label("causes"),
        open_held.scalar_subquery().label("open_held"),
        case((held.partner_org.is_(None), paying.scalar_subquery())).label("paying_partner"),
        exists(select(_ONE).select_from(table_of(WebhookEndpointRow))).label("tells_others"),
        # What follows may change at any time without harm.
        is_all_well(dialect).label("all_well"),
        clock(dialect).label("at"),
    ).select_from(found)


@cache
def by_account(dialect: str) -> Select[Any]:
    """What else stands under the account of a number that Limio lacks or that has moved to it; one row.

    Its owner is that of the account's other subscriptions, else of a loaded sibling, else the one that it had before.
    """
    json_of, link, held, account = _Json(dialect), _LINK.c, _SUBSCRIPTION.c, table_of(ZuoraAccountRow).c
    linked = (
        select(_ONE.label("rank"), held.owner, held.customer)
        .select_from(_SUBSCRIPTION.join(_LINK, link.subscription_id == held.id))
        .where(link.account_id == _ACCOUNT, link.number != _NUMBER, held.owner.is_not(None))
        .order_by(link.started_on.asc().nulls_last(), link.number)
        .limit(1)
        .subquery()
    )
    siblings = select(json_of.each(bindparam("siblings", type_=Text)).c.value)
    loaded = (
        select(literal_column("2").label("rank"), held.owner, held.customer)
        .where(held.reference.in_(siblings), held.owner.is_not(None))
        .order_by(held.created, held.id)
        .limit(1)
        .subquery()
    )
    kept = select(literal_column("3").label("rank"), account.owner, account.customer).where(
        account.account_id == _ACCOUNT, account.owner.is_not(None)
    )
    each = union_all(select(linked), select(loaded), kept).subquery("each")
    holder = select(each.c.owner, each.c.customer).order_by(each.c.rank).limit(1).subquery("holder")
    subscription_id = bindparam("subscription_id", type_=Text)
    alone = select(_ONE.label("one")).subquery("alone")
    found = alone.outerjoin(holder, true()).outerjoin(_CUSTOMER, _CUSTOMER.c.id == holder.c.customer)
    return select(
        holder.c.owner,
        holder.c.customer,
        json_of.text(_CUSTOMER.c.document).label("customer_document"),
        _is_newer(holder.c.customer).label("is_newer"),
        _other_writer(json_of, dialect, holder.c.customer).label("other_writer"),
        _is_marked(holder.c.owner, holder.c.customer).label("is_scrubbed"),
        json_of.documents(SubscriptionOfferRow, subscription_id).label("offers"),
        json_of.documents(AddOnRow, subscription_id).label("add_ons"),
        _is_account_held().label("is_account_held"),
        _is_echoed().label("is_echoed"),
    ).select_from(found)


def _is_newer(customer_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the customer was compared with a read that ended after ours began: for another of its subscriptions."""
    held, link, request = _SUBSCRIPTION.alias(), _LINK.alias(), table_of(SyncRequestRow).alias()
    began: BindParameter[int] = bindparam("read_began")
    # A scalar: joined, SQLite would begin with the requests and read them all.
    compared_at = (
        select(request.c.compared_at)
        .where(request.c.kind == _A_SUBSCRIPTION, request.c.key == link.c.number)
        .scalar_subquery()
    )
    compared: Select[Any] = (
        select(_ONE)
        .select_from(held.join(link, link.c.subscription_id == held.c.id))
        .where(held.c.customer == customer_id, link.c.number != _NUMBER, compared_at >= began)
    )
    return or_(func.coalesce(_CUSTOMER.c.compared_until, 0) >= began, exists(compared))


def _other_writer(json_of: _Json, dialect: str, customer_id: ColumnElement[Any]) -> ColumnElement[str]:
    """Of the customer's other subscriptions the first by `Claimant.rank`."""
    held, link = _SUBSCRIPTION.alias(), _LINK.alias()
    number = link.c.number if dialect == "sqlite" else link.c.number.collate("C")
    first = (
        select(json_of.one(link.c.number, link.c.account_id, link.c.started_on, link.c.cancelled))
        .select_from(held.join(link, link.c.subscription_id == held.c.id))
        .where(held.c.customer == customer_id, link.c.number != _NUMBER)
        .order_by(link.c.cancelled, link.c.started_on.desc().nulls_last(), number.desc())
        .limit(1)
    )
    return first.scalar_subquery()


def _is_marked(*object_ids: ColumnElement[Any]) -> ColumnElement[bool]:
    mark = table_of(ScrubMarkRow).c
    return exists(select(mark.object_id).where(mark.object_id.in_(object_ids)))


def _is_account_held() -> ColumnElement[bool]:
    """Whether the store knows an owner for the account, so that Zuora need not be asked for its other numbers."""
    held, link, account = _SUBSCRIPTION.alias(), _LINK.alias(), table_of(ZuoraAccountRow).c
    linked = (
        select(_ONE)
        .select_from(held.join(link, link.c.subscription_id == held.c.id))
        .where(link.c.account_id == _ACCOUNT, link.c.number != _NUMBER, held.c.owner.is_not(None))
    )
    kept = select(account.account_id).where(account.account_id == _ACCOUNT, account.owner.is_not(None))
    return or_(exists(linked), exists(kept))


def _is_echoed() -> ColumnElement[bool]:
    """Whether a callout that an order of our own made named the number or another name of it.

    Two looks, each by its index: one with OR reads the callouts from end to end.
    """
    callout, alias = table_of(CalloutRow).c, table_of(SubscriptionAliasRow).c
    other, echo = table_of(CalloutRow).alias(), ReasonCode.ECHO.value
    by_number = select(callout.id).where(callout.key == _NUMBER, callout.reason_code == echo)
    by_alias = (
        select(other.c.id)
        .select_from(table_of(SubscriptionAliasRow).join(other, other.c.key == alias.alias))
        .where(alias.number == _NUMBER, other.c.reason_code == echo)
    )
    return or_(exists(by_number), exists(by_alias))
