"""Signing in with a real OpenID provider, which checks what we send it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from werkzeug.test import TestResponse

from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow
from tests.integration.web.admin import Visitor, visit
from tests.openid_provider import PASSWORD, PEOPLE, OpenidProvider


def log_in_there(address: str, email: str) -> dict[str, str]:
    """What a person does at the provider; the parameters that it sends them back with."""
    with requests.Session() as browser:
        page = browser.get(address, timeout=20)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.text
        form = {"username": email, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
        answer = browser.post(page.url, data=form, allow_redirects=False, timeout=20)
        answer = browser.get(
            requests.compat.urljoin(page.url, answer.headers["Location"]), allow_redirects=False, timeout=20
        )
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def sign_in(visitor: Visitor, email: str, wanted: str = "/admin/history") -> TestResponse:
    left = visitor.get("/sign-on", query_string={"next": wanted})
    assert left.status_code == 303, left.text
    return visitor.get("/sign-on/back", query_string=log_in_there(left.location, email))


@pytest.mark.parametrize("email", PEOPLE)
def test_the_provider_says_who_comes_in_and_as_what(
    sqlite_database: Database, openid_provider: OpenidProvider, email: str
) -> None:
    visitor = visit(sqlite_database, **openid_provider.settings)

    arrived = sign_in(visitor, email)

    statuses = (arrived.status_code, visitor.get("/history").status_code, visitor.get("/users").status_code)
    assert {
        "olga@example.com": (303, 200, 200),
        "vera@example.com": (303, 200, 403),
        "otto@example.com": (403, 303, 303),  # of a group that may not
        "mallory@example.com": (403, 303, 303),  # whose address the provider does not vouch for
    }[email] == statuses
    last = visitor.web.rows(AdminActionRow)[-1]
    assert (last.actor, last.action) == {
        "olga@example.com": (email, "log in"),
        "vera@example.com": (email, "log in"),
        "otto@example.com": (email, "sign-on refused"),
        "mallory@example.com": (f"{email} (not vouched for)", "sign-on refused"),
    }[email]


def test_the_provider_takes_a_code_once(sqlite_database: Database, openid_provider: OpenidProvider) -> None:
    visitor = visit(sqlite_database, **openid_provider.settings)
    left = visitor.get("/sign-on")
    cookie = visitor.client.get_cookie("sync_sign_on", path="/admin")
    assert cookie is not None
    back = log_in_there(left.location, "vera@example.com")
    assert visitor.get("/sign-on/back", query_string=back).status_code == 303

    visitor.client.set_cookie("sync_sign_on", cookie.value, path="/admin")
    again = visitor.get("/sign-on/back", query_string=back)

    assert (again.status_code, "used or too old" in again.text) == (403, True)


def test_the_provider_takes_a_code_only_from_the_client_that_asked_for_it(
    sqlite_database: Database, openid_provider: OpenidProvider
) -> None:
    visitor, thief = (visit(sqlite_database, **openid_provider.settings) for _ in range(2))
    stolen = log_in_there(visitor.get("/sign-on").location, "vera@example.com")["code"]
    mine = parse_qs(urlsplit(thief.get("/sign-on").location).query)["state"][0]

    refused = thief.get("/sign-on/back", query_string={"code": stolen, "state": mine})

    assert refused.status_code == 403
    assert thief.get("/account").status_code == 303


def test_a_secret_that_only_one_side_knows_lets_nobody_in_and_puts_nobody_out(
    sqlite_database: Database, openid_provider: OpenidProvider
) -> None:
    settings = openid_provider.settings
    olga = visit(sqlite_database, **settings)
    assert sign_in(olga, "olga@example.com").status_code == 303
    new = "the secret after it was changed"
    openid_provider.set_client_secret(new)
    try:
        refused = sign_in(visit(sqlite_database, **settings), "vera@example.com")
        assert (refused.status_code, "An administrator can repair it" in refused.text) == (503, True)
        assert settings["oidc_client_secret"] not in refused.text

        restarted = visit(sqlite_database, **settings | {"oidc_client_secret": new})
        assert sign_in(restarted, "vera@example.com").status_code == 303
        assert restarted.get("/history").status_code == 200
        assert olga.get("/history").status_code == 200
    finally:
        openid_provider.set_client_secret(settings["oidc_client_secret"])
