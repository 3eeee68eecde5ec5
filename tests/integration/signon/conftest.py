"""A forged provider, and browsers that go there and come back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from werkzeug.test import TestResponse

from sync_service.access.users import Role, add_user
from sync_service.store.engine import Database
from sync_service.store.tables import AdminUserRow
from tests.integration.signon.forger import CLIENT_ID, CLIENT_SECRET, Forger, forger, honest_key
from tests.integration.web.admin import Visitor, visit

PUBLIC_URL = "http://127.0.0.1:8000"
ADA = "ada@example.com"


@dataclass
class Traveller:
    """A browser that signs in."""

    visitor: Visitor
    provider: Forger

    def leave(self, wanted: str = "/admin/runs") -> TestResponse:
        """Click on "Sign in with …"."""
        return self.visitor.get("/sign-on", query_string={"next": wanted})

    def come_back(self, given: dict[str, str]) -> TestResponse:
        """Be sent back with these parameters."""
        return self.visitor.get("/sign-on/back", query_string=given)

    def sign_in(self, wanted: str = "/admin/runs") -> TestResponse:
        """All the way; what the last page answers."""
        left = self.leave(wanted)
        assert left.status_code == 303, left.text
        return self.come_back(self.provider.authorize(left.location))

    @property
    def is_in(self) -> bool:
        """Whether the pages open."""
        return self.visitor.get("/account").status_code == 200


@pytest.fixture(scope="session")
def provider_key() -> RSAKey:
    """Made once, because it takes a while."""
    return honest_key()


@pytest.fixture
def provider(provider_key: RSAKey) -> Iterator[Forger]:
    """A provider, honest until told otherwise."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with forger(provider_key) as made:
        yield made


def travel(database: Database, provider: Forger, **changed: Any) -> Traveller:
    """A browser at a service that trusts `provider`."""
    settings = {
        "public_url": PUBLIC_URL,
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_name": "Example Login",
    }
    return Traveller(visit(database, **(settings | changed)), provider)


def know(database: Database, role: Role = Role.VIEWER, email: str = ADA) -> None:
    """Add a user who comes in by single sign-on alone."""
    add_user(database, email, role, with_password=False, actor="test")


def role_of(database: Database, email: str = ADA) -> str | None:
    """The role of a user here."""
    with database.reading() as session:
        row = session.get(AdminUserRow, email)
    return row.role if row else None
