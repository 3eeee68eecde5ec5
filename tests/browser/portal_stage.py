"""The portal in front of the whole product: the world of the worked examples, a worker, mail, and an emulated Zuora."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Page
from werkzeug.serving import make_server

from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.engine import connect
from tests.databases import new_sqlite
from tests.integration.web.conftest import build
from tests.integration.web.test_partner_in_zuora import Reselling, open_reselling
from tests.mail_server import MailServer, serve_mail

LOGO = "https://cdn.north.example/logo.svg"


@dataclass
class PortalStage:
    """Where the portal is, and what is behind it."""

    home: str
    reselling: Reselling
    mail: MailServer
    #: Each log-in is another user's: codes for one address are few.
    _users: Iterator[int] = field(default_factory=count)

    def log_in(self, page: Page) -> None:
        """A new user of the partner asks for a code, reads the mail, and enters the code."""
        email = f"ann.{next(self._users)}@north.example"
        Partners(self.reselling.web.database, "test").add_user(self.reselling.world.orgs["N"], email)
        page.goto(f"{self.home}/partner")
        page.get_by_label("Email address").fill(email)
        page.get_by_role("button", name="Send me a code").click()
        text = self.mail.mails.get(timeout=60).get_content()
        page.get_by_label("Code").fill(next(word for word in text.replace(".", " ").split() if word.isdigit()))
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Customers").wait_for()

    def show_logo(self) -> None:
        """Let the organisation have a logo from now on."""
        logo = Organisation(name="North", zuora_account_id="A-N", is_invoice_owner=True, logo=LOGO)
        Partners(self.reselling.web.database, "test").change(self.reselling.world.orgs["N"], logo)


@contextmanager
def open_portal_stage(folder: Path) -> Iterator[PortalStage]:
    """Everything running, on 26 November 2026; November is billed."""
    database = connect(new_sqlite(folder / "store.db"))
    stop = threading.Event()
    with pytest.MonkeyPatch.context() as patch, serve_mail() as mail, open_reselling(database, patch) as reselling:
        reselling.zuora.do("bill_run")
        app = build(
            database, smtp_host="127.0.0.1", smtp_port=mail.port, smtp_security="none", mail_from="shop@example.com"
        ).client.application
        server = make_server("127.0.0.1", 0, app, threaded=True)

        def work() -> None:
            while not stop.wait(0.1):
                reselling.zuora.work()

        threads = [threading.Thread(target=each) for each in (server.serve_forever, work)]
        for thread in threads:
            thread.start()
        try:
            yield PortalStage(f"http://127.0.0.1:{server.server_port}", reselling, mail)
        finally:
            stop.set()
            server.shutdown()
            for thread in threads:
                thread.join(30)
            server.server_close()
    database.engine.dispose()
