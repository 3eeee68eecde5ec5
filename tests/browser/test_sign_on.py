"""A person signs in with the identity provider, in a real browser and at a real provider."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from sync_service.app import create_app
from sync_service.settings import Settings
from sync_service.store.engine import connect
from tests.browser.conftest import PATIENCE_MS
from tests.databases import new_sqlite
from tests.openid_provider import PASSWORD, OpenidProvider


@pytest.fixture(scope="module")
def home(openid_provider: OpenidProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service at the address that the provider knows."""
    database = connect(new_sqlite(tmp_path_factory.mktemp("service") / "store.db"))
    settings = Settings(secret_key="k" * 40, **openid_provider.settings)
    port = urlsplit(openid_provider.public_url).port or 0
    server = make_server("127.0.0.1", port, create_app(settings, database, check=lambda _: None), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"{openid_provider.public_url}/admin"
    server.shutdown()
    thread.join(20)
    server.server_close()
    database.engine.dispose()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of a browser in which no one is logged in; no policy of ours may hinder what it does."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Page, wanted: str, email: str) -> None:
    """Ask for a page, be sent to the log-in, go to the provider from there, log in, and come back."""
    page.goto(wanted)
    page.get_by_role("link", name="Sign in with Example Login").click()
    page.get_by_label("Address").fill(email)
    page.get_by_label("Secret").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def test_an_operator_arrives_at_the_page_that_was_asked_for(page: Page, home: str) -> None:
    sign_in(page, f"{home}/users", "olga@example.com")

    page.get_by_role("heading", name="People").wait_for()
    assert page.url == f"{home}/users"
    assert page.locator(".me").inner_text().split() == ["olga@example.com", "operator", "Log", "out"]
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Sign in with Example Login").click()
    page.get_by_role("heading", name="Now").wait_for()  # the provider still knows who it is


def test_a_viewer_sees_and_changes_nothing(page: Page, home: str) -> None:
    sign_in(page, f"{home}/clients", "vera@example.com")

    page.get_by_role("heading", name="API clients").wait_for()
    assert page.get_by_role("button").all_inner_texts() == ["Log out", "Search", "UTC", "Tenant", "Mine"]


def test_a_person_who_may_not_come_in_is_told_why(page: Page, home: str) -> None:
    sign_in(page, f"{home}/history", "otto@example.com")

    page.get_by_role("heading", name="You are not signed in").wait_for()
    assert "gives you no role" in page.get_by_role("alert").inner_text()
    page.get_by_role("link", name="Back to the log-in").click()
    page.get_by_label("Password").wait_for()


def test_the_way_back_opens_nothing_a_second_time(page: Page, home: str) -> None:
    back: list[str] = []
    page.on("request", lambda sent: back.append(sent.url) if "/sign-on/back" in sent.url else None)
    sign_in(page, f"{home}/history", "vera@example.com")
    page.get_by_role("heading", name="History").wait_for()
    page.context.clear_cookies(name="sync_admin")

    page.goto(back[0])

    page.get_by_text("did not begin in this browser").wait_for()
