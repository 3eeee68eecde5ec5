"""What every command starts from: the settings of the environment, the database and the sync's context."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import click
from sqlalchemy.exc import ArgumentError

from sync_service.app import read_env_file, read_environment
from sync_service.errors import (
    NotConfigured,
    RateLimited,
    SettingsInvalid,
    StoreMissing,
    TokenRefused,
    ZuoraUnavailable,
)
from sync_service.log import set_up
from sync_service.ordering.context import OrderContext
from sync_service.ordering.placing import run_claim
from sync_service.ordering.previews import answer_preview
from sync_service.queue.limit import check_tenant
from sync_service.queue.submission import order_options
from sync_service.settings import Settings, find_unknown
from sync_service.store.engine import Database, connect
from sync_service.store.schema import check_schema
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.sync.story import SyncContext
from sync_service.sync.worker import IDENTIFY_SECONDS, Ordering
from sync_service.zuora.client import ZuoraClient


def read_settings() -> Settings:
    """The settings of the environment, and logging set up as they say."""
    settings = read_environment()
    set_up(settings.log_format)
    for name, meant in find_unknown(os.environ, read_env_file()).items():
        hint = f"; did you mean {meant}?" if meant else "; .env.example lists them."
        click.echo(f"Warning: {name} is not a setting{hint}", err=True)
    return settings


def open_database(settings: Settings, *, threads: int = 4, checked: bool = True, create: bool = False) -> Database:
    """The database; `checked` raises SchemaOutdated if it lacks migrations.

    Raises StoreMissing if the embedded database does not exist, unless the command may `create` it: a command that
    only reads must not leave an empty store in the folder where it was run by mistake.
    """
    path = settings.sqlite_path
    if path is not None and not create and not path.exists():
        raise StoreMissing(f"There is no store at {path.resolve()}: run `sync-service db upgrade` or set DATABASE_URL.")
    database = _connect(settings.database_url, pool_size=threads + 2)
    _close_at_the_end(database.engine.dispose)
    if checked:
        check_schema(database)
    return database


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
    _close_at_the_end(zuora.close)
    return zuora


def open_context(settings: Settings, *, threads: int = 4) -> SyncContext:
    """Database and Zuora client together. Raises NotConfigured where the tenant is not set."""
    database = open_database(settings, threads=threads)
    zuora = open_client(settings, threads=threads, store=database)
    if zuora is None:
        raise NotConfigured
    return SyncContext(database=database, zuora=zuora, settings=settings)


def open_order_context(context: SyncContext) -> OrderContext:
    """What orders are placed with, on the store and the client of syncs."""
    return OrderContext(
        database=context.database,
        zuora=context.zuora,
        settings=context.settings,
        options=order_options(context.settings),
    )


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


def _connect(url: str, *, pool_size: int) -> Database:
    try:
        return connect(url, pool_size=pool_size)
    except ModuleNotFoundError as error:
        raise SettingsInvalid(f"DATABASE_URL: {error.name} is missing: install sync-service[postgres]") from error
    except OSError as error:
        raise SettingsInvalid(f"DATABASE_URL: {error.filename}: {error.strerror}") from error
    except (ArgumentError, ValueError) as error:  # what they say may quote the password
        raise SettingsInvalid("DATABASE_URL: must be like postgresql://user:password@host:5432/name") from error


def _check_tenant(store: Database | None, tenant: str) -> None:
    if store is not None:
        with store.reading() as session:
            check_tenant(session, tenant)


def _close_at_the_end(close: Callable[[], None]) -> None:
    """When the command is over."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(close)


class SubscriptionKey(click.ParamType[str]):
    """A subscription key as people type it: trimmed, and refused if Zuora could never have made it."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The normalised key. Ends the command if it is impossible."""
        key = normalise_key(str(value))
        problem = why_impossible(key)
        if problem:
            self.fail(problem, param, ctx)
        return key


KEY = SubscriptionKey()
