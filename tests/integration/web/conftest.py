"""The application on each database, and the people who call it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlmodel import SQLModel
from werkzeug.test import TestResponse

from sync_service.access.clients import OBJECTS_SCOPE, SYNC_SCOPE, add_client
from sync_service.app import create_app
from sync_service.settings import Settings
from sync_service.store.engine import Database
from tests.databases import read_table

SYNC = "/api/plugins/zuora/sync/subscription/"

METRICS_TOKEN = "a token for monitoring"
SETTINGS = Settings(
    callout_username="zuora",
    callout_password="correct horse",
    callout_hmac_header="X-Signature",
    callout_hmac_secret="signing secret",
    callout_hmac_prefix="sha256=",
    callout_secret_header="X-Callout-Secret",
    callout_secret="header secret",
    zuora_integration_users=("2c92a0ff1234567890abcdef12345678",),
    secret_key="k" * 40,
    metrics_token=METRICS_TOKEN,
)


def basic(name: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


MONITORING = {"Authorization": f"Bearer {METRICS_TOKEN}"}
ZUORA = basic("zuora", "correct horse")


@dataclass
class Web:
    """The application as the world sees it, and its database."""

    database: Database
    client: FlaskClient

    def rows(self, row_class: type[SQLModel]) -> list[Any]:
        """All rows of a table."""
        return read_table(self.database, row_class)

    def token(self, *scopes: str, callout: bool = False, name: str = "salesforce") -> dict[str, str]:
        """The header of a new client's token."""
        wanted = scopes or (SYNC_SCOPE, OBJECTS_SCOPE)
        client_id, secret = add_client(self.database, name, wanted, callout, actor="a test")
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        answer = self.client.post("/oauth2/token", data=form)
        assert answer.status_code == 200, answer.json
        return {"Authorization": f"Bearer {answer.json['access_token']}"}

    def callout(self, key: str = "A-S00000271", **headers: str) -> TestResponse:
        """Zuora calls, with the right password."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(SYNC + key, headers={**ZUORA, **named})


def build(database: Database, threads: int = 8, **changed: Any) -> Web:
    """The application with some settings changed."""
    app = create_app(replace(SETTINGS, **changed), database, threads=threads, check=lambda _: None)
    return Web(database, app.test_client())


@pytest.fixture
def web(database: Database) -> Web:
    """The application on each database."""
    return build(database)


@pytest.fixture
def sqlite_web(sqlite_database: Database) -> Web:
    """The application where the kind of database makes no difference."""
    return build(sqlite_database)
