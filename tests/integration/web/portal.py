"""Partners' people at the portal, in a browser of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from sync_service.partner.organisations import Partners
from sync_service.store.engine import Database
from tests.integration.web.admin import form_token
from tests.integration.web.conftest import build
from tests.partner_world import PartnerWorld, open_partner_world

#: The users of the two organisations.
USERS = {"N": "ann@north.example", "C": "carl@coast.example"}


@dataclass
class PortalVisitor:
    """A browser at the portal."""

    client: FlaskClient
    #: The codes that the log showed.
    codes: list[str] = field(default_factory=list)

    def get(self, path: str = "", **kwargs: Any) -> TestResponse:
        return self.client.get(f"/partner{path}", **kwargs)

    def post(self, path: str, form: Mapping[str, Any] | None = None, *, page: str = "") -> TestResponse:
        """Send a form with the token of a page that this browser just saw."""
        return self.client.post(f"/partner{path}", data={"form_token": form_token(self.get(page)), **(form or {})})

    def ask_for_code(self, email: str) -> TestResponse:
        """Ask for a code; what the log shows of it is kept."""
        with capture_logs() as logs:
            answer = self.post("/login", {"email": email}, page="/login")
        self.codes += [each["code"] for each in logs if each["event"] == "partner_code_in_log"]
        return answer

    def give_code(self, code: str, **form: str) -> TestResponse:
        return self.post("/login/code", {"code": code, **form}, page="/login/code")

    def log_in(self, email: str) -> TestResponse:
        self.ask_for_code(email)
        return self.give_code(self.codes[-1])


@dataclass
class Portal:
    """The portal in front of the world of two partners."""

    database: Database
    world: PartnerWorld
    users: dict[str, str]
    _app: Any

    def visit(self, partner: str | None = None) -> PortalVisitor:
        """A new browser, logged in as the user of `partner` if given."""
        visitor = PortalVisitor(self._app.test_client())
        if partner is not None:
            answer = visitor.log_in(USERS[partner])
            assert answer.status_code == 303, answer.text
        return visitor


def open_portal(database: Database, **changed: Any) -> Portal:
    """The world of two partners with a user each; codes stand in the log."""
    web = build(database, **{"partner_code_in_log": True, "wait_limit_seconds": 0, **changed})
    world = open_partner_world(database, web.client)
    partners = Partners(database, "test")
    users = {name: partners.add_user(world.orgs[name], email).id for name, email in USERS.items()}
    return Portal(database, world, users, web.client.application)


def text_of(page: TestResponse) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text.replace("&nbsp;", " ")))
