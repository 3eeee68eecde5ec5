"""Databases to measure on: the service's schema, filled from Limio as a real one starts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from tests.bench.processes import Ground, settings
from zuora_emulator.bulk import Bulk
from zuora_emulator.limio_objects import limio_objects


def numbers(count: int) -> list[str]:
    """The numbers of the first so many subscriptions of the emulator's bulk."""
    return list(map(Bulk(count=count, limios=True).number, range(count)))


def loaded_store(ground: Ground, dialect: str, count: int) -> str:
    """The address of a new database that holds what Limio has of so many subscriptions."""
    url = ground.new_database(dialect)
    ground.command("db", "upgrade", environ=settings(url))
    if count:
        ground.command("load", str(_objects(ground, count)), environ=settings(url))
    return url


def _objects(ground: Ground, count: int) -> str:
    path = ground.folder / f"limio-{count}.jsonl"
    if not path.exists():
        with path.open("w") as file:
            bulk = Bulk(count=count, limios=True)
            for each in limio_objects(datetime.now(UTC).date(), seeds="none", bulk=bulk):
                file.write(json.dumps(each) + "\n")
    return str(path)
