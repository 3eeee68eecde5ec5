"""The service in real processes, for each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import Service
from tests.acceptance.tenant import Tenant


@pytest.fixture
def open_service(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes a service on an empty database, with a tenant of `subscriptions` on `accounts`; both end with the test."""
    made: list[Service] = []

    def make(*, subscriptions: int = 0, accounts: int = 0, seed: int = 0, **settings: object) -> Service:
        tenant = Tenant(tmp_path, subscriptions=subscriptions, accounts=accounts, seed=seed)
        try:
            made.append(Service(tmp_path, database_url, tenant, **settings))
        except BaseException:
            tenant.stop()
            raise
        return made[-1]

    yield make
    for service in made:
        service.stop()
        service.tenant.stop()
