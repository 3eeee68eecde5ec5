"""What every command starts from: the settings of the environment, the database and the key that it was given."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click
from sqlalchemy.exc import ArgumentError

from sync_service.errors import SettingsInvalid, StoreMissing
from sync_service.settings import Settings, find_unknown
from sync_service.settings.environment import read_env_file, read_environment
from sync_service.store.engine import Database, connect
from sync_service.store.schema import check_schema
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.telemetry.log import set_up


def read_settings() -> Settings:
    """The settings of the environment, and logging set up as they say."""
    settings = read_environment()
    set_up(settings.log_format)
    for name, meant in find_unknown(os.environ, read_env_file()).items():
        hint = f"; did you mean {meant}?" if meant else "; .env.example lists them."
        click.echo(f"Warning: {name} is not a setting{hint}", err=True)
    return settings


def open_database(
    settings: Settings, *, threads: int = 4, checked: bool = True, create: bool = False, by_index: bool = False
) -> Database:
    """The database; `checked` raises SchemaOutdated if it lacks migrations, `by_index` is as of `connect`.

    Raises StoreMissing if the embedded database does not exist, unless the command may `create` it: a command that
    only reads must not leave an empty store in the folder where it was run by mistake.
    """
    path = settings.sqlite_path
    if path is not None and not create and not path.exists():
        raise StoreMissing(f"There is no store at {path.resolve()}: run `sync-service db upgrade` or set DATABASE_URL.")
    database = _connect(settings.database_url, pool_size=threads + 2, by_index=by_index)
    close_at_the_end(database.engine.dispose)
    if checked:
        check_schema(database)
    return database


def open_store() -> Database:
    """The database of the settings in force. Raises as `open_database` does."""
    return open_database(read_settings())


def _connect(url: str, *, pool_size: int, by_index: bool) -> Database:
    try:
        return connect(url, pool_size=pool_size, by_index=by_index)
    except ModuleNotFoundError as error:
        raise SettingsInvalid(f"DATABASE_URL: {error.name} is missing: install sync-service[postgres]") from error
    except OSError as error:
        raise SettingsInvalid(f"DATABASE_URL: {error.filename}: {error.strerror}") from error
    except (ArgumentError, ValueError) as error:  # what they say may quote the password
        raise SettingsInvalid("DATABASE_URL: must be like postgresql://user:password@host:5432/name") from error


def close_at_the_end(close: Callable[[], None]) -> None:
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
