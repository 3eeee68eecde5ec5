"""Tokens for a partner's people over the API: a code by email is exchanged for one, and it ends with its person."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select
from structlog.testing import capture_logs

from sync_service.access.clients import ClientDirectory
from sync_service.access.partner_login import MAX_CODES
from sync_service.access.partner_sessions import MAX_TRIES
from sync_service.partner.organisations import Partners
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, PartnerCodeRow
from tests.integration.web.conftest import build
from tests.integration.web.portal import USERS, Portal, open_portal

ANN = USERS["N"]
LIST = "/api/partner/mma/subscriptions"


@pytest.fixture
def portal(sqlite_database: Database) -> Portal:
    return open_portal(sqlite_database)


def post(portal: Portal, place: str, body: dict[str, Any]) -> Any:
    return portal.visit().client.post(f"/api/partner/{place}", json=body)


def ask_for_code(portal: Portal, email: str) -> tuple[str, str | None]:
    """The log-in, and the code that was sent."""
    with capture_logs() as logs:
        answer = post(portal, "code", {"email": email})
    assert answer.status_code == 200, answer.text
    sent = [each["code"] for each in logs if each["event"] == "partner_code_in_log"]
    return answer.json["login"], sent[0] if sent else None


def log_in(portal: Portal, email: str = ANN) -> dict[str, str]:
    """The header of a token of the person."""
    login, code = ask_for_code(portal, email)
    answer = post(portal, "token", {"login": login, "code": code})
    assert answer.status_code == 200, answer.text
    assert {name: answer.json[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "partner",
    }
    return {"Authorization": f"Bearer {answer.json['access_token']}"}


def ids(portal: Portal, headers: dict[str, str]) -> list[str]:
    answer = portal.visit().client.get(LIST, headers=headers)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json["items"]]


def test_a_code_is_exchanged_for_a_token_that_sees_ones_own_and_nothing_else(portal: Portal) -> None:
    assert ids(portal, log_in(portal)) == ["sub-1", "sub-2", "sub-4", "sub-6"]
    carls = log_in(portal, USERS["C"].upper())
    assert ids(portal, carls) == ["sub-3"]
    assert portal.visit().client.get(f"{LIST}/sub-1", headers=carls).status_code == 403
    for place in ("/api/partner-organisations", "/api/objects/limio/subscription"):
        assert portal.visit().client.get(place, headers=carls).status_code == 403
    sync = portal.visit().client.post("/api/plugins/zuora/sync/subscription/sub-1", headers=carls)
    assert sync.status_code == 403
    with portal.database.reading() as session:
        done = session.exec(select(AdminActionRow).where(AdminActionRow.action == "partner token")).all()
    assert {each.actor for each in done} == set(USERS.values())


def test_the_answer_for_an_address_of_no_user_is_the_same_and_its_code_is_never_right(portal: Portal) -> None:
    login, code = ask_for_code(portal, "unknown@north.example")

    assert code is None
    assert len(login) == len(ask_for_code(portal, ANN)[0])
    with portal.database.reading() as session:
        assert len(session.exec(select(PartnerCodeRow)).all()) == 2
    answer = post(portal, "token", {"login": login, "code": "123456"})
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


def test_a_code_is_good_once_for_its_own_log_in_and_for_few_tries(portal: Portal) -> None:
    login, code = ask_for_code(portal, ANN)
    other, _ = ask_for_code(portal, ANN)
    assert post(portal, "token", {"login": other, "code": code}).status_code == 401
    assert post(portal, "token", {"login": login, "code": code}).status_code == 200
    assert post(portal, "token", {"login": login, "code": code}).status_code == 401
    worn, code = ask_for_code(portal, ANN)
    for _ in range(MAX_TRIES):
        assert post(portal, "token", {"login": worn, "code": "000000x"}).status_code == 401
    assert post(portal, "token", {"login": worn, "code": code}).status_code == 401


def test_codes_over_the_api_and_at_the_portal_share_one_limit(portal: Portal) -> None:
    visitor = portal.visit()
    for _ in range(MAX_CODES - 1):
        ask_for_code(portal, ANN)
    assert visitor.ask_for_code(ANN).status_code == 303

    refused = post(portal, "code", {"email": ANN})

    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
    assert visitor.ask_for_code(ANN).status_code == 429


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"login": "x"},
        {"code": "x"},
        {"login": "x", "code": "1", "id_token": "y"},
        {"id_token": 7},
        {"id_token": "x"},
    ],
)
def test_what_proves_nothing_is_refused_with_what_is_wanted(portal: Portal, body: dict[str, Any]) -> None:
    answer = post(portal, "token", body)

    assert answer.status_code == 400
    assert "id_token" in answer.json["message"]


def test_without_a_mail_server_no_code_is_promised(sqlite_database: Database) -> None:
    portal = open_portal(sqlite_database, partner_code_in_log=False)

    assert post(portal, "code", {"email": ANN}).status_code == 403


@pytest.mark.parametrize("what", ["user", "organisation"])
def test_who_is_disabled_loses_session_at_once_and_tokens_within_half_a_minute(portal: Portal, what: str) -> None:
    """A process that knows the person asks the database again after 30 s; one that does not asks at once."""
    now = 0.0
    knows = ClientDirectory(portal.database, clock=lambda: now)
    ann, headers, shops = portal.visit("N"), log_in(portal), portal.world.headers["N"]
    assert ids(portal, headers) == ids(portal, shops) == ["sub-1", "sub-2", "sub-4", "sub-6"]
    assert knows.find(portal.users["N"]) is not None
    partners, org = Partners(portal.database, "test"), portal.world.orgs["N"]
    if what == "user":
        partners.set_user_disabled(org, portal.users["N"], disabled=True)
    else:
        partners.set_disabled(org, disabled=True)

    assert ann.get().status_code == 303
    now = 30.0
    assert knows.find(portal.users["N"]) is None
    other = build(portal.database, partner_code_in_log=True).client
    assert other.get(LIST, headers=headers).status_code == 401
    assert other.get(LIST, headers=shops).status_code == (200 if what == "user" else 401)
    assert ask_for_code(portal, ANN)[1] is None
