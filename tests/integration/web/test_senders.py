"""Where callouts may come from: networks, behind none, some or many proxies."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from sync_service.access.users import Role
from sync_service.errors import SettingsInvalid
from sync_service.settings import load_settings
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, CalloutRow, SyncRequestRow
from tests.integration.web.admin import PASSWORD, form_token, visit
from tests.integration.web.conftest import SYNC, ZUORA, Web, basic, build

ZUORAS = "203.0.113.7"
STRANGERS = "198.51.100.9"


def build_with(database: Database, allow: str, proxies: str = "0", **changed: Any) -> Web:
    settings = load_settings({"CALLOUT_IP_ALLOW": allow, "TRUSTED_PROXIES": proxies})
    chosen = {"callout_ip_allow": settings.callout_ip_allow, "trusted_proxies": settings.trusted_proxies}
    return build(database, **chosen, **changed)


def status_from(web: Web, peer: str, forwarded: str | None = None, headers: dict[str, str] | None = None) -> int:
    """The answer to a callout whose connection comes from `peer`."""
    named = {**(ZUORA if headers is None else headers), **({"X-Forwarded-For": forwarded} if forwarded else {})}
    return web.client.post(SYNC + "A-1", headers=named, environ_base={"REMOTE_ADDR": peer}).status_code


def test_without_a_list_callouts_come_from_anywhere(sqlite_web: Web) -> None:
    assert status_from(sqlite_web, STRANGERS) == 200


def test_right_credentials_from_elsewhere_are_403_so_that_zuora_tries_again(sqlite_database: Database) -> None:
    web = build_with(sqlite_database, "203.0.113.0/24")

    assert [status_from(web, ZUORAS), status_from(web, STRANGERS)] == [200, 403]
    assert [row.verdict for row in web.rows(CalloutRow)] == ["accepted", "rejected"]
    assert STRANGERS in web.rows(CalloutRow)[1].reason
    assert len(web.rows(SyncRequestRow)) == 1


def test_the_right_place_is_no_proof(sqlite_database: Database) -> None:
    web = build_with(sqlite_database, "203.0.113.0/24")

    assert [status_from(web, ZUORAS, headers=each) for each in ({}, basic("zuora", "guess"))] == [401, 403]


def test_the_list_is_for_callouts_alone(sqlite_database: Database) -> None:
    web = build_with(sqlite_database, "203.0.113.0/24")
    headers = {**web.token(), "Prefer": "respond-async"}

    assert status_from(web, STRANGERS, headers=headers) == 202
    assert status_from(web, STRANGERS, headers=web.token(callout=True, name="zuora-oauth")) == 403


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "status"),
    [
        # No proxy stands in front of us: what a caller writes there itself says nothing.
        ("0", STRANGERS, ZUORAS, 403),
        ("1", "10.0.0.1", ZUORAS, 200),
        ("1", "10.0.0.1", f"{ZUORAS}, {STRANGERS}", 403),
        ("1", "10.0.0.1", f"{STRANGERS}, {ZUORAS}", 200),
        # Past the proxy, straight to us.
        ("1", ZUORAS, None, 403),
        ("2", "10.0.0.1", f"{ZUORAS}, 10.0.0.2", 200),
        ("2", "10.0.0.1", ZUORAS, 403),
        ("10.0.0.0/8", "10.0.0.1", f"{ZUORAS}, 10.9.9.9", 200),
        ("10.0.0.0/8", "10.0.0.1", f"{ZUORAS}, {STRANGERS}, 10.9.9.9", 403),
        ("10.0.0.0/8", ZUORAS, STRANGERS, 200),
        ("10.0.0.0/8", STRANGERS, ZUORAS, 403),
        ("10.0.0.0/8", "10.0.0.1", "unknown", 403),
        ("10.0.0.0/8, fd00::/8", "::ffff:10.0.0.1", f"[::ffff:{ZUORAS}]:4711, [fd00::1]:80", 200),
        ("1", "10.0.0.1", f"{ZUORAS}:4711", 200),
    ],
)
def test_proxies_of_ours_say_who_is_behind_them(
    sqlite_database: Database, proxies: str, peer: str, forwarded: str | None, status: int
) -> None:
    web = build_with(sqlite_database, "203.0.113.0/24", proxies)

    assert status_from(web, peer, forwarded) == status


def test_networks_may_be_of_both_kinds(sqlite_database: Database) -> None:
    web = build_with(sqlite_database, "2001:db8::/32, 203.0.113.7")

    assert [status_from(web, each) for each in ("2001:db8::5", ZUORAS, "2001:db9::5", "203.0.113.8")] == [
        200,
        200,
        403,
        403,
    ]


@pytest.mark.parametrize("name", ["CALLOUT_IP_ALLOW", "TRUSTED_PROXIES"])
@pytest.mark.parametrize("value", ["203.0.113.1/24", "zuora.com", "300.0.0.0/8"])
def test_what_is_no_network_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name}: .*give networks"):
        load_settings({name: value})


def test_what_a_person_does_is_recorded_with_the_address_that_our_proxy_names(sqlite_database: Database) -> None:
    olga, again = visit(sqlite_database, Role.OPERATOR), visit(sqlite_database, trusted_proxies=1)
    form = {"email": "operator@example.com", "password": PASSWORD, "form_token": form_token(again.get("/login"))}

    again.client.post("/admin/login", headers={"X-Forwarded-For": f"203.0.113.1, {STRANGERS}"}, data=form)

    assert [row.sender for row in olga.web.rows(AdminActionRow)] == [None, "127.0.0.1", STRANGERS]
    assert f"from {STRANGERS}" in olga.get("/history?show=people").text


def test_a_rejected_callout_is_kept_with_its_sender_and_an_accepted_one_without(sqlite_database: Database) -> None:
    web = build_with(sqlite_database, "", "1")

    statuses = [status_from(web, "10.0.0.1", STRANGERS, headers=each) for each in (ZUORA, basic("zuora", "guess"))]

    assert statuses == [200, 403]
    assert [row.sender for row in web.rows(CalloutRow)] == [None, STRANGERS]


def test_a_refused_token_is_logged_with_its_sender(sqlite_web: Web) -> None:
    with capture_logs() as logged:
        answer = sqlite_web.client.get(
            "/api/objects/limio/subscriptions",
            headers={"Authorization": "Bearer guessed"},
            environ_base={"REMOTE_ADDR": STRANGERS},
        )

    assert answer.status_code == 401
    assert [(each["event"], each["sender"]) for each in logged] == [("access_refused", STRANGERS)]
