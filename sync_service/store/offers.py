"""The catalog in the store: what an order's references lead to, and Zuora's rate plans as last read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import delete
from sqlmodel import col, select

from sync_service.commerce.catalog import Catalog, Offer, ProductCharge, RatePlan, read_offer, read_product_id
from sync_service.commerce.order import CatalogRef, Order
from sync_service.commerce.state import InStore
from sync_service.store.engine import Session
from sync_service.store.tables import CatalogItemRow, ProductRow, RatePlanRow
from sync_service.subscription.limio.arrivals import Arrival
from sync_service.subscription.limio.documents import data_of
from sync_service.subscription.plan import Document

Outcome = Literal["created", "updated", "unchanged", "kept"]


def read_catalog(session: Session, order: Order, store: InStore) -> Catalog:
    """What the order and the subscription's present offers and add-ons lead to."""
    items = {item.ref: item for item in _read_items(session, {*_ordered(order), *_held(store)})}
    newest = {CatalogRef(id=ref.id): item for ref, item in sorted(items.items(), key=lambda pair: _age(pair[1]))}
    inside = [read_offer(document) for document in _embedded(store)]
    paths = {bundle.product_path for offer in (*items.values(), *inside) for bundle in offer.bundles}
    if order.discount:
        paths.add(order.discount.product_path)
    return _catalog(session, {**newest, **items}, paths)


def read_whole_catalog(session: Session) -> Catalog:
    """Every version of every offer and add-on, with all products and rate plans."""
    items = {item.ref: item for item in map(_offer, session.exec(select(CatalogItemRow)))}
    return _catalog(session, items, {bundle.product_path for offer in items.values() for bundle in offer.bundles})


def newest_items(catalog: Catalog) -> list[Offer]:
    """The newest version of each offer and add-on, by path."""
    newest = {offer.ref.id: offer for offer in sorted(catalog.items.values(), key=_age)}
    return sorted(newest.values(), key=lambda offer: offer.path or offer.ref.id)


def write_arrival(session: Session, arrival: Arrival) -> Outcome:
    """Keep a part of the catalog that a load brings."""
    if arrival.record_type == "product":
        return _write_product(session, arrival.document)
    return _write_item(session, arrival.document)


def _write_item(session: Session, document: Document) -> Outcome:
    """One version of an offer or add-on. A version never changes in Limio; what an answer says besides it is taken."""
    offer = read_offer(document)
    key = (offer.ref.id, offer.ref.version or "")
    row = session.get(CatalogItemRow, key)
    if row is not None and row.document == document:
        return "unchanged"
    outcome: Outcome = "created" if row is None else "updated"
    row = row or CatalogItemRow(id=key[0], version=key[1], record_type="", changed="", document={})
    row.record_type, row.path, row.name = offer.record_type, offer.path, offer.name
    row.changed, row.document = _changed(document), dict(document)
    session.add(row)
    return outcome


def _write_product(session: Session, document: Document) -> Outcome:
    """An older answer changes nothing."""
    path = str(document.get("path") or data_of(document).get("path"))
    row, changed = session.get(ProductRow, path), _changed(document)
    if row is not None and row.document == document:
        return "unchanged"
    if row is not None and changed < row.changed:
        return "kept"
    outcome: Outcome = "created" if row is None else "updated"
    row = row or ProductRow(path=path, changed="", document={})
    row.zuora_product_id, row.changed, row.document = read_product_id(document), changed, dict(document)
    session.add(row)
    return outcome


def write_rate_plans(session: Session, plans: Sequence[RatePlan]) -> None:
    """Let the store hold exactly these. Repeatable."""
    session.exec(delete(RatePlanRow))
    now = session.now()
    for plan in plans:
        values = {key: value for key, value in asdict(plan).items() if key != "charges"}
        session.add(RatePlanRow(**values, charges=[_charge_json(charge) for charge in plan.charges], read_at=now))


def _catalog(session: Session, items: Mapping[CatalogRef, Offer], paths: Iterable[str]) -> Catalog:
    found = session.exec(select(ProductRow).where(col(ProductRow.path).in_(sorted(paths))))
    products = {row.path: row.zuora_product_id for row in found}
    ids = sorted({each for each in products.values() if each})
    plans: dict[str, tuple[RatePlan, ...]] = {}
    rows = session.exec(select(RatePlanRow).where(col(RatePlanRow.product_id).in_(ids)).order_by(col(RatePlanRow.id)))
    for row in rows:
        plans[row.product_id] = (*plans.get(row.product_id, ()), _rate_plan(row))
    return Catalog(items=items, products=products, rate_plans=plans)


def _read_items(session: Session, refs: Iterable[CatalogRef]) -> Iterator[Offer]:
    """All versions of what is referred to: a reference without a version means the newest."""
    ids = sorted({ref.id for ref in refs})
    yield from map(_offer, session.exec(select(CatalogItemRow).where(col(CatalogItemRow.id).in_(ids))))


def _ordered(order: Order) -> Iterator[CatalogRef]:
    for item in order.items:
        yield item.offer
        yield from item.add_ons
    yield from (update.item for update in order.updates)


def _held(store: InStore) -> Iterator[CatalogRef]:
    for document in _embedded(store):
        yield read_offer(document).ref
    code = data_of(store.gift_code).get("offer")
    if isinstance(code, Mapping) and code.get("id"):
        yield CatalogRef(id=str(code["id"]), version=code.get("version"))


def _embedded(store: InStore) -> Iterator[Document]:
    """The catalog items inside the subscription's offers and add-ons."""
    for document, key in (*((each, "offer") for each in store.offers), *((each, "add_on") for each in store.add_ons)):
        inside = data_of(document).get(key)
        if isinstance(inside, Mapping) and inside.get("id"):
            yield inside


def _offer(row: CatalogItemRow) -> Offer:
    return read_offer(row.document)


def _age(offer: Offer) -> tuple[str, str]:
    return _changed(offer.document), offer.ref.version or ""


def _changed(document: Document) -> str:
    """When Limio changed it; ISO timestamps in UTC compare as text."""
    data = data_of(document)
    values = (document.get("updated"), data.get("modified"), document.get("created"), data.get("created"))
    return next((value for value in values if isinstance(value, str)), "")


def _charge_json(charge: ProductCharge) -> dict[str, Any]:
    return {**asdict(charge), "prices": {currency: str(price) for currency, price in charge.prices.items()}}


def _rate_plan(row: RatePlanRow) -> RatePlan:
    charges = tuple(
        ProductCharge(**{**each, "prices": {currency: Decimal(price) for currency, price in each["prices"].items()}})
        for each in row.charges
    )
    return RatePlan(
        id=row.id,
        product_id=row.product_id,
        name=row.name,
        number=row.number,
        product_name=row.product_name,
        since=row.since,
        until=row.until,
        charges=charges,
    )
