"""Signing in with an identity provider: who comes in, as what, and whom nobody believes."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey
from sqlmodel import col, select
from werkzeug import Response

from sync_service.db import Database
from sync_service.errors import SettingsInvalid
from sync_service.settings import Settings, load_settings
from sync_service.tables import AdminActionRow, AdminSessionRow, AdminUserRow
from sync_service.web.admin.admission import NotAdmitted, read_email, read_house
from sync_service.web.admin.people import Role, add_user, change_role, disable_user, forget_account, put_user
from sync_service.web.admin.sessions import FormTokens
from sync_service.web.admin.sign_on import LIMIT
from tests.integration.signon.conftest import PUBLIC_URL, travel
from tests.integration.signon.forger import Claims, Forger, sign_with, unsigned
from tests.integration.web.admin import PASSWORD

ADA = "ada@example.com"


def know(database: Database, role: Role = Role.VIEWER, email: str = ADA) -> None:
    add_user(database, email, role, with_password=False, actor="test")


def actions(database: Database) -> list[tuple[str, str, str | None]]:
    with database.reading() as session:
        rows = list(session.exec(select(AdminActionRow).order_by(col(AdminActionRow.id))))
    return [(row.actor, row.action, row.target) for row in rows if row.actor != "test"]


def role_of(database: Database, email: str = ADA) -> str | None:
    with database.reading() as session:
        row = session.get(AdminUserRow, email)
    return row.role if row else None


def test_who_was_added_signs_in_and_arrives_at_the_page_that_was_asked_for(
    database: Database, provider: Forger
) -> None:
    know(database, Role.OPERATOR)
    provider.person["email"] = "Ada@Example.com"
    traveller = travel(database, provider)

    arrived = traveller.sign_in("/admin/runs?outcome=changed")

    assert (arrived.status_code, arrived.location) == (303, "/admin/runs?outcome=changed")
    assert traveller.visitor.get("/users").status_code == 200
    assert actions(database) == [(ADA, "log in", "with Example Login")]


def test_the_browser_leaves_with_a_state_a_nonce_and_a_challenge_of_its_own(
    sqlite_database: Database, provider: Forger
) -> None:
    traveller = travel(sqlite_database, provider)

    first, second = (parse_qs(urlsplit(traveller.leave().location).query) for _ in range(2))

    assert first["tenant"] == ["1"]
    assert first["redirect_uri"] == [f"{PUBLIC_URL}/admin/sign-on/back"]
    assert first["scope"] == ["openid email profile"]
    for secret in ("state", "nonce", "code_challenge"):
        assert len(first[secret][0]) == 43
        assert first[secret] != second[secret]


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/admin\\@evil.example", "/docs"])
def test_a_sign_on_leads_to_no_address_but_ours(sqlite_database: Database, provider: Forger, place: str) -> None:
    know(sqlite_database)

    assert travel(sqlite_database, provider).sign_in(place).location == "/admin/"


def test_nobody_comes_in_who_was_not_added(database: Database, provider: Forger) -> None:
    traveller = travel(database, provider)

    refused = traveller.sign_in()

    assert refused.status_code == 403
    assert "ask an operator to add your email address" in refused.text
    assert not traveller.is_in
    assert role_of(database) is None
    assert actions(database) == [
        (ADA, "sign-on refused", "Nobody here knows you yet: ask an operator to add your email address.")
    ]


def test_a_disabled_person_stays_outside(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider, oidc_email_domains=("example.com",))
    assert traveller.sign_in().status_code == 303
    disable_user(sqlite_database, ADA, actor="test")
    assert not traveller.is_in

    assert traveller.sign_in().status_code == 403


@pytest.mark.parametrize("verified", [False, None, "false"])
def test_an_address_that_the_provider_does_not_vouch_for_is_nobodys(
    sqlite_database: Database, provider: Forger, verified: Any
) -> None:
    know(sqlite_database, Role.OPERATOR)
    provider.person["email_verified"] = verified

    refused = travel(sqlite_database, provider).sign_in()

    assert refused.status_code == 403
    assert "does not vouch that your email address is yours" in refused.text


@pytest.mark.parametrize("email", [None, "ada", "a\0@example.com"])
def test_without_an_email_address_nobody_comes_in(sqlite_database: Database, provider: Forger, email: Any) -> None:
    provider.person["email"] = email

    refused = travel(sqlite_database, provider, oidc_email_domains=("example.com",)).sign_in()

    assert refused.status_code == 403
    assert "tells no email address" in refused.text


def test_another_claim_can_vouch_for_the_address(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    provider.person = {"sub": "u-1", "email": ADA, "xms_edov": True}

    assert travel(sqlite_database, provider, oidc_verified_claim="xms_edov").sign_in().status_code == 303


@pytest.mark.parametrize(
    ("email", "domains", "comes_in"),
    [
        (ADA, ("example.com",), True),
        (ADA, ("EXAMPLE.com", "example.org"), True),
        ("ada@sub.example.com", ("example.com",), False),
        ("ada@evilexample.com", ("example.com",), False),
        ("ada@example.com@evil.com", ("example.com",), False),
    ],
)
def test_people_of_our_domains_come_in_as_viewers(
    sqlite_database: Database, provider: Forger, email: str, domains: tuple[str, ...], comes_in: bool
) -> None:
    provider.person["email"] = email

    traveller = travel(sqlite_database, provider, oidc_email_domains=domains)

    assert traveller.sign_in().status_code == (303 if comes_in else 403)
    assert role_of(sqlite_database, email) == ("viewer" if comes_in else None)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["staff", "sync-ops"], "operator"),
        (["support"], "viewer"),
        (["support", "sync-ops"], "operator"),
        ("sync-ops", "operator"),
        (["staff"], None),
        (["Sync-Ops"], None),
        ([{"sync-ops": 1}, 3, None], None),
        (None, None),
    ],
)
def test_the_providers_groups_decide_the_role(
    sqlite_database: Database, provider: Forger, groups: Any, role: str | None
) -> None:
    provider.person["groups"] = groups
    rules = {"oidc_role_claim": "groups", "oidc_operators": ("sync-ops",), "oidc_viewers": ("support",)}

    refused = travel(sqlite_database, provider, **rules).sign_in()

    assert refused.status_code == (403 if role is None else 303)
    assert role_of(sqlite_database) == role


def test_a_role_that_the_provider_takes_back_is_gone_at_the_next_sign_on(database: Database, provider: Forger) -> None:
    rules = {"oidc_role_claim": "groups", "oidc_operators": ("ops",), "oidc_viewers": ("all",)}
    provider.person["groups"] = ["ops", "all"]
    traveller = travel(database, provider, **rules)
    assert traveller.sign_in().status_code == 303
    assert traveller.visitor.get("/users").status_code == 200

    provider.person["groups"] = ["all"]
    assert traveller.sign_in().status_code == 303
    assert traveller.visitor.get("/users").status_code == 403
    provider.person["groups"] = []
    assert traveller.sign_in().status_code == 403

    assert [action[1:] for action in actions(database)] == [
        ("user added", "ada@example.com as operator"),
        ("log in", "with Example Login"),
        ("user role changed", "ada@example.com to viewer"),
        ("log in", "with Example Login"),
        ("sign-on refused", "The identity provider gives you no role that may come in here."),
    ]


def test_without_a_role_claim_a_role_that_was_changed_here_stays(sqlite_database: Database, provider: Forger) -> None:
    traveller = travel(sqlite_database, provider, oidc_email_domains=("example.com",))
    traveller.sign_in()
    change_role(sqlite_database, ADA, Role.OPERATOR, actor="test")

    traveller.sign_in()

    assert role_of(sqlite_database) == "operator"


def test_an_address_that_was_given_to_another_account_does_not_open_the_first_ones_door(
    database: Database, provider: Forger
) -> None:
    know(database, Role.OPERATOR)
    assert travel(database, provider).sign_in().status_code == 303
    provider.person["sub"] = "u-2"

    refused = travel(database, provider).sign_in()

    assert refused.status_code == 403
    assert "Another account of the identity provider" in refused.text
    forget_account(database, ADA, actor="test")
    assert travel(database, provider).sign_in().status_code == 303


def test_google_vouches_for_the_addresses_that_it_hosts() -> None:
    """A private account of Google's may have an address of any domain; `hd` tells whose are hosted there."""
    house = replace(read_house(Settings()), issuer="https://accounts.google.com")
    private = {"email": ADA, "email_verified": True}

    assert read_email(private | {"hd": "example.com"}, house) == ADA
    assert read_email(private | {"email": "ada@gmail.com"}, house) == "ada@gmail.com"
    with pytest.raises(NotAdmitted):
        read_email(private, house)


@pytest.mark.parametrize(
    "forged",
    [{"nonce": "another"}, {"exp": 1_700_000_000}, {"iss": "https://evil.example"}, {"aud": "another"}],
    ids=str,
)
def test_a_token_that_was_not_made_for_this_sign_on_is_refused(
    sqlite_database: Database, provider: Forger, forged: Claims
) -> None:
    know(sqlite_database)
    provider.forged = forged
    traveller = travel(sqlite_database, provider)

    refused = traveller.sign_in()

    assert refused.status_code == 403
    assert "cannot be trusted" in refused.text
    assert not traveller.is_in
    assert actions(sqlite_database) == []


def test_a_token_without_a_signature_is_refused(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database, Role.OPERATOR)
    provider.sign = unsigned
    traveller = travel(sqlite_database, provider)

    assert traveller.sign_in().status_code == 403
    assert not traveller.is_in


def test_a_new_key_of_the_providers_is_looked_up_once_and_forged_ones_not_each_time(
    sqlite_database: Database, provider: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    assert traveller.sign_in().status_code == 303
    provider.key = RSAKey.generate_key(2048, {"kid": "two"}, private=True)

    assert traveller.sign_in().status_code == 403  # looked a moment ago
    monkeypatch.setattr("sync_service.signon.provider._KEYS_AGAIN_SECONDS", 0.0)
    assert traveller.sign_in().status_code == 303
    monkeypatch.undo()
    provider.sign = sign_with(RSAKey.generate_key(2048, {"kid": "forged"}, private=True))
    looked = provider.asked.count("/keys")
    for _ in range(3):
        assert traveller.sign_in().status_code == 403
    assert provider.asked.count("/keys") == looked == 2


@pytest.mark.parametrize("given", ["another", "", None, "é"])
def test_who_comes_back_with_another_state_is_refused_before_the_provider_is_asked(
    sqlite_database: Database, provider: Forger, given: str | None
) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    back = provider.authorize(traveller.leave().location)
    back = {"code": back["code"]} | ({} if given is None else {"state": given})

    refused = traveller.come_back(back)

    assert refused.status_code == 403
    assert "did not begin in this browser" in refused.text
    assert "/token" not in provider.asked


def test_a_sign_on_that_another_browser_began_is_refused(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    mine, victims = travel(sqlite_database, provider), travel(sqlite_database, provider)
    back = provider.authorize(mine.leave().location)
    victims.leave()

    assert victims.come_back(back).status_code == 403
    assert not victims.is_in


def test_a_cookie_that_we_did_not_seal_is_no_attempt(sqlite_database: Database, provider: Forger) -> None:
    traveller = travel(sqlite_database, provider)
    for cookie in ("", "x", "a.b.c.d.e", '{"state": "x"}'):
        traveller.visitor.client.set_cookie("sync_sign_on", cookie, path="/admin")

        assert traveller.come_back({"state": "x", "code": "y"}).status_code == 403


def test_a_code_is_used_once_and_an_attempt_too(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    left = traveller.leave()
    cookie = traveller.visitor.client.get_cookie("sync_sign_on", path="/admin")
    assert cookie is not None
    back = provider.authorize(left.location)
    assert traveller.come_back(back).status_code == 303

    again = traveller.come_back(back)
    traveller.visitor.client.set_cookie("sync_sign_on", cookie.value, path="/admin")
    with_the_cookie = traveller.come_back(back)

    assert again.status_code == 403
    assert (with_the_cookie.status_code, "used or too old" in with_the_cookie.text) == (403, True)


def test_a_code_of_another_attempt_is_refused(sqlite_database: Database, provider: Forger) -> None:
    """Somebody puts a stolen code into their own sign-on: the challenge does not fit."""
    know(sqlite_database)
    victims, thief = travel(sqlite_database, provider), travel(sqlite_database, provider)
    stolen = provider.authorize(victims.leave().location)["code"]
    mine = provider.authorize(thief.leave().location)

    assert thief.come_back(mine | {"code": stolen}).status_code == 403
    assert not thief.is_in


def test_a_sign_on_that_took_too_long_is_refused(
    sqlite_database: Database, provider: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    back = provider.authorize(traveller.leave().location)
    monkeypatch.setattr("sync_service.signon.attempts.ATTEMPT_MS", 0)

    assert traveller.come_back(back).status_code == 403


def test_the_session_is_a_new_one_and_the_one_before_is_over(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    traveller.visitor.client.set_cookie("sync_admin", "planted by somebody", path="/admin")
    traveller.sign_in()
    cookies = [traveller.visitor.client.get_cookie("sync_admin", path="/admin")]

    traveller.sign_in()
    cookies.append(traveller.visitor.client.get_cookie("sync_admin", path="/admin"))

    values = {cookie.value for cookie in cookies if cookie}
    assert len(values) == 2
    assert "planted by somebody" not in values
    assert len(traveller.visitor.web.rows(AdminSessionRow)) == 1
    traveller.visitor.client.set_cookie("sync_admin", next(c.value for c in cookies if c), path="/admin")
    assert not traveller.is_in


def test_the_cookie_of_a_sign_on_is_kept_from_scripts_and_tells_nothing(
    sqlite_database: Database, provider: Forger
) -> None:
    left = travel(sqlite_database, provider, public_url="https://sync.example.com").leave()

    (cookie,) = [each for each in left.headers.getlist("Set-Cookie") if each.startswith("sync_sign_on=")]

    assert re.search(
        r"; Max-Age=600; Secure; HttpOnly; Path=/admin; SameSite=Lax$", re.sub(r" Expires=[^;]+;", "", cookie)
    )
    state = parse_qs(urlsplit(left.location).query)["state"][0]
    assert state not in cookie


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
def test_a_provider_that_does_not_answer_leaves_the_password(
    sqlite_database: Database, provider: Forger, path: str
) -> None:
    put_user(sqlite_database, ADA, Role.VIEWER, PASSWORD, actor="test")
    provider.answers[path] = lambda: Response("away", 503)
    traveller = travel(sqlite_database, provider)

    left = traveller.leave()
    refused = traveller.come_back(provider.authorize(left.location)) if left.status_code == 303 else left

    assert refused.status_code == 503
    assert "does not answer just now" in refused.text
    assert traveller.visitor.log_in(ADA).status_code == 303


def test_a_provider_that_hangs_holds_few_of_our_threads_and_not_for_long(
    sqlite_database: Database, provider: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_service.signon.provider._SECONDS", 4.0)
    traveller = travel(sqlite_database, provider)
    goes_on, inside = threading.Event(), threading.Semaphore(0)

    def hang() -> Response:
        inside.release()
        goes_on.wait(30)
        return Response("", 500)

    provider.answers["/.well-known/openid-configuration"] = hang
    statuses: list[int] = []
    app = traveller.visitor.client.application

    def leave() -> None:
        statuses.append(app.test_client().get("/admin/sign-on").status_code)

    waiting = [threading.Thread(target=leave) for _ in range(4)]
    for thread in waiting:
        thread.start()
    for _ in waiting:
        assert inside.acquire(timeout=20)

    leave()

    assert statuses == [503]  # at once, while four others wait
    for thread in waiting:
        thread.join(20)
    assert statuses == [503] * 5  # though nothing ever answered
    goes_on.set()


def test_a_provider_that_is_gone_is_left_alone_for_a_moment(sqlite_database: Database, provider: Forger) -> None:
    traveller = travel(sqlite_database, provider, oidc_issuer="http://127.0.0.1:1")

    assert [traveller.leave().status_code for _ in range(3)] == [503, 503, 503]


@pytest.mark.parametrize(
    ("path", "answer", "status"),
    [
        ("/token", Response("<html>", 200), 403),
        ("/token", Response("[]", 200), 403),
        ("/token", Response("{}", 200), 403),
        ("/token", Response('{"id_token": 7}', 200), 403),
        ("/token", Response(b"\xff", 200), 403),
        ("/token", Response(b'{"id_token": "' + b"x" * 2_000_000 + b'"}', 200), 403),
        ("/token", Response("", 302, headers={"Location": "http://127.0.0.1:1/"}), 403),
        ("/token", Response('{"error": "invalid_client"}', 401), 503),
        ("/keys", Response('{"keys": []}', 200), 403),
        ("/keys", Response('{"keys": {"a": 1}}', 200), 403),
        ("/.well-known/openid-configuration", Response("", 404), 503),
        ("/.well-known/openid-configuration", Response("{}", 200), 503),
    ],
    ids=str,
)
def test_an_answer_that_is_none_is_refused_with_a_page(
    sqlite_database: Database, provider: Forger, path: str, answer: Response, status: int
) -> None:
    know(sqlite_database)
    provider.answers[path] = lambda: Response(answer.get_data(), answer.status_code, answer.headers)
    traveller = travel(sqlite_database, provider)

    left = traveller.leave()
    refused = traveller.come_back(provider.authorize(left.location)) if left.status_code == 303 else left

    assert refused.status_code == status
    assert "You are not signed in" in refused.text
    assert not traveller.is_in


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_a_provider_that_is_another_or_unsafe_is_not_used(
    sqlite_database: Database, provider: Forger, document: Claims
) -> None:
    provider.document = document

    refused = travel(sqlite_database, provider).leave()

    assert refused.status_code == 503
    assert "not set up right" in refused.text


def test_the_secret_is_sent_in_the_form_where_the_provider_wants_it_there(
    sqlite_database: Database, provider: Forger
) -> None:
    know(sqlite_database)
    provider.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}

    assert travel(sqlite_database, provider).sign_in().status_code == 303


def test_what_the_token_lacks_is_asked_of_userinfo_about_the_same_person(
    sqlite_database: Database, provider: Forger
) -> None:
    provider.userinfo = {"email": ADA, "email_verified": True, "groups": ["ops"]}
    provider.person = {"sub": "u-1"}
    rules = {"oidc_role_claim": "groups", "oidc_operators": ("ops",)}

    assert travel(sqlite_database, provider, **rules).sign_in().status_code == 303
    assert role_of(sqlite_database) == "operator"

    provider.userinfo["sub"] = "somebody else"
    assert travel(sqlite_database, provider, **rules).sign_in().status_code == 403


def test_a_redirect_of_another_issuer_is_refused(sqlite_database: Database, provider: Forger) -> None:
    """The mix-up attack of RFC 9207."""
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    back = provider.authorize(traveller.leave().location)
    assert traveller.come_back(back | {"iss": "https://evil.example"}).status_code == 403

    back = provider.authorize(traveller.leave().location)
    assert traveller.come_back(back | {"iss": provider.issuer}).status_code == 303
    provider.document = {"authorization_response_iss_parameter_supported": True}
    assert travel(sqlite_database, provider).sign_in().status_code == 403


def test_who_cancels_is_told_so_and_may_begin_again(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    back = provider.authorize(traveller.leave().location)

    cancelled = traveller.come_back({"state": back["state"], "error": "access_denied"})

    assert cancelled.status_code == 403
    assert "you cancelled" in cancelled.text
    assert "/token" not in provider.asked
    assert traveller.sign_in().status_code == 303


def test_failing_again_and_again_is_stopped_over_all_processes(database: Database, provider: Forger) -> None:
    provider.forged = {"nonce": "wrong"}
    traveller = travel(database, provider)
    for _ in range(LIMIT + 1):
        assert traveller.sign_in().status_code == 403

    other_process = travel(database, provider)
    asked = provider.asked.count("/token")
    stopped = other_process.sign_in()

    assert stopped.status_code == 429
    assert 1 <= int(stopped.headers["Retry-After"]) <= 300
    assert provider.asked.count("/token") == asked


def test_with_passwords_switched_off_the_provider_is_the_only_way(sqlite_database: Database, provider: Forger) -> None:
    put_user(sqlite_database, ADA, Role.OPERATOR, PASSWORD, actor="test")
    before = travel(sqlite_database, provider)
    before.visitor.log_in(ADA)
    assert before.is_in
    traveller = travel(sqlite_database, provider, password_login=False)
    cookie = before.visitor.client.get_cookie("sync_admin", path="/admin")
    assert cookie is not None
    traveller.visitor.client.set_cookie("sync_admin", cookie.value, path="/admin")
    assert not traveller.is_in
    shown = traveller.visitor.get("/login?next=/admin/runs").text
    assert "Sign in with Example Login" in shown
    assert 'href="/admin/sign-on?next=/admin/runs"' in shown
    assert 'type="password"' not in shown

    guest = traveller.visitor.client.get_cookie("sync_guest", path="/admin")
    assert guest is not None
    form = {"email": ADA, "password": PASSWORD, "form_token": FormTokens("k" * 40).make(guest.value)}
    refused = traveller.visitor.client.post("/admin/login", data=form)

    assert refused.status_code == 403
    assert not traveller.is_in
    assert traveller.sign_in().status_code == 303
    assert 'type="password"' not in traveller.visitor.get("/account").text


def test_without_a_provider_there_is_no_such_way(sqlite_database: Database, provider: Forger) -> None:
    traveller = travel(sqlite_database, provider, oidc_issuer="")

    assert "Sign in with" not in traveller.visitor.get("/login").text
    assert traveller.leave().status_code == 303
    assert traveller.leave().location.startswith("/admin/login")


def test_a_temporary_password_does_not_hinder_a_sign_on(sqlite_database: Database, provider: Forger) -> None:
    add_user(sqlite_database, ADA, Role.VIEWER, with_password=True, actor="test")
    traveller = travel(sqlite_database, provider)

    traveller.sign_in()

    assert traveller.visitor.get("/runs").status_code == 200


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"OIDC_ISSUER": "http://login.example.com"}, "OIDC_ISSUER: must be the address of the provider"),
        ({"OIDC_ISSUER": "https://login.example.com?x=1"}, "OIDC_ISSUER: must be the address of the provider"),
        ({"PUBLIC_URL": ""}, "PUBLIC_URL: must be set too, as OIDC_ISSUER is"),
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET: must be set too, as OIDC_CLIENT_ID is"),
        ({"OIDC_ISSUER": ""}, "OIDC_ISSUER: must be set too, as OIDC_CLIENT_ID is"),
        ({"OIDC_SCOPES": "email"}, "OIDC_SCOPES: must contain openid"),
        ({"OIDC_OPERATORS": "ops"}, "OIDC_ROLE_CLAIM: must be set too, as OIDC_OPERATORS is"),
        ({"PASSWORD_LOGIN": "no"}, "PASSWORD_LOGIN: must be on or off"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_named(changed: dict[str, str], problem: str) -> None:
    given = {
        "PUBLIC_URL": PUBLIC_URL,
        "OIDC_ISSUER": "https://login.example.com",
        "OIDC_CLIENT_ID": "c",
        "OIDC_CLIENT_SECRET": "s",
    }
    assert load_settings(given).oidc_issuer == "https://login.example.com"

    with pytest.raises(SettingsInvalid, match=re.escape(problem)):
        load_settings(given | changed)


def test_passwords_are_switched_off_only_where_there_is_another_way() -> None:
    with pytest.raises(SettingsInvalid, match="OIDC_ISSUER: must be set too, as PASSWORD_LOGIN=off is"):
        load_settings({"PASSWORD_LOGIN": "off"})
