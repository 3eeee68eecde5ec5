"""What syncs and orders are run with: the database, Zuora's client and the settings together."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from sync_service.cli.wiring import close_at_the_end, open_database
from sync_service.errors import NotConfigured, RateLimited, TokenRefused, ZuoraUnavailable
from sync_service.ordering.context import OrderContext
from sync_service.ordering.placing import run_claim
from sync_service.ordering.previews import answer_preview
from sync_service.queue.limit import check_tenant
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.sync.attempt import SyncContext
from sync_service.sync.worker import IDENTIFY_SECONDS, Ordering
from sync_service.zuora.client import ZuoraClient


def open_client(settings: Settings, *, threads: int = 4, store: Database | None = None) -> ZuoraClient | None:
    """The Zuora client; None where the tenant is not set. With a `store` it talks to that store's tenant only."""
    if not settings.reaches_zuora:
        return None
    zuora = ZuoraClient(
        settings.zuora_base_url,
        settings.zuora_client_id,
        settings.zuora_client_secret,
        entity_id=settings.zuora_entity_id,
        org_ids=settings.zuora_org_ids,
        pool_size=threads,
        check_tenant=partial(_check_tenant, store),
    )
    close_at_the_end(zuora.close)
    return zuora


def open_context(settings: Settings, *, threads: int = 4, by_index: bool = False) -> SyncContext:
    """Database and Zuora client together; `by_index` is as of `connect`.

    Raises NotConfigured where the tenant is not set.
    """
    database = open_database(settings, threads=threads, by_index=by_index)
    zuora = open_client(settings, threads=threads, store=database)
    if zuora is None:
        raise NotConfigured
    return SyncContext(database=database, zuora=zuora, settings=settings)


def open_order_context(context: SyncContext) -> OrderContext:
    """What orders are placed with, on the store and the client of syncs."""
    return OrderContext(database=context.database, zuora=context.zuora, settings=context.settings)


def open_ordering(context: SyncContext) -> Ordering:
    """What a worker does with orders."""
    orders = open_order_context(context)
    return Ordering(place=partial(run_claim, orders), preview=partial(answer_preview, orders))


def refuse_other_tenant(context: SyncContext) -> None:
    """Raise WrongTenant before anything is asked for with the credentials of another tenant than the store's.

    Where Zuora does not say who it is, whatever comes next meets the same.
    """
    with suppress(TokenRefused, RateLimited, ZuoraUnavailable):
        context.zuora.tenant(context.zuora.reading(IDENTIFY_SECONDS))


def _check_tenant(store: Database | None, tenant: str) -> None:
    if store is not None:
        with store.reading() as session:
            check_tenant(session, tenant)
