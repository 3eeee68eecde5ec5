"""Signing in with an identity provider: who comes in, as what, and who is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlmodel import col, select

from sync_service.access.admission import NotAdmitted, read_email, read_rules
from sync_service.access.sessions import FormTokens
from sync_service.access.users import Role, add_user, change_role, disable_user, forget_account, put_user
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, AdminSessionRow
from tests.integration.signon.conftest import ADA, PUBLIC_URL, know, role_of, travel
from tests.integration.signon.forger import CLIENT_SECRET, Claims, Forger, unsigned
from tests.integration.web.admin import PASSWORD


def actions(database: Database) -> list[tuple[str, str, str | None]]:
    with database.reading() as session:
        rows = list(session.exec(select(AdminActionRow).order_by(col(AdminActionRow.id))))
    return [(row.actor, row.action, row.target) for row in rows if row.actor != "test"]


def test_who_was_added_signs_in_and_arrives_at_the_page_that_was_asked_for(
    database: Database, provider: Forger
) -> None:
    know(database, Role.OPERATOR)
    provider.person["email"] = "Ada@Example.com"
    traveller = travel(database, provider)

    arrived = traveller.sign_in("/admin/runs?outcome=changed")

    assert (arrived.status_code, arrived.location) == (303, "/admin/runs?outcome=changed")
    assert traveller.visitor.get("/users").status_code == 200
    assert actions(database) == [(ADA, "log in", "with Example Login, from 127.0.0.1")]


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


@pytest.mark.parametrize(
    ("wanted", "arrives"),
    [
        ("/admin/runs?key=" + "é" * 400, "/admin/runs?key=" + "%C3%A9" * 400),
        ("/admin/runs?key=" + "x" * 9000, "/admin/"),
    ],
    ids=["long", "too long for a cookie"],
)
def test_a_long_address_is_kept_or_given_up_as_a_whole(
    sqlite_database: Database, provider: Forger, wanted: str, arrives: str
) -> None:
    know(sqlite_database)

    assert travel(sqlite_database, provider).sign_in(wanted).location == arrives


def test_no_one_comes_in_who_was_not_added(database: Database, provider: Forger) -> None:
    traveller = travel(database, provider)

    refused = traveller.sign_in()

    assert refused.status_code == 403
    assert "ask an operator to add your email address" in refused.text
    assert not traveller.is_in
    assert role_of(database) is None
    assert actions(database) == [
        (ADA, "sign-on refused", "You have no access yet: ask an operator to add your email address. (from 127.0.0.1)")
    ]


def test_a_disabled_person_stays_outside(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider, oidc_email_domains=("example.com",))
    assert traveller.sign_in().status_code == 303
    disable_user(sqlite_database, ADA, actor="test")
    assert not traveller.is_in

    assert traveller.sign_in().status_code == 403


@pytest.mark.parametrize("verified", [False, None, "false"])
def test_an_address_that_the_provider_does_not_vouch_for_lets_no_one_in(
    sqlite_database: Database, provider: Forger, verified: Any
) -> None:
    know(sqlite_database, Role.OPERATOR)
    provider.person["email_verified"] = verified

    refused = travel(sqlite_database, provider).sign_in()

    assert refused.status_code == 403
    assert "does not vouch that your email address is yours" in refused.text


@pytest.mark.parametrize("email", [None, "ada", "a\0@example.com"])
def test_without_an_email_address_no_one_comes_in(database: Database, provider: Forger, email: Any) -> None:
    provider.person["email"] = email

    refused = travel(database, provider, oidc_email_domains=("example.com",)).sign_in()

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
        ("log in", "with Example Login, from 127.0.0.1"),
        ("user role changed", "ada@example.com to viewer"),
        ("log in", "with Example Login, from 127.0.0.1"),
        ("sign-on refused", "The identity provider gives you no role that has access here. (from 127.0.0.1)"),
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
    rules = replace(read_rules(Settings()), issuer="https://accounts.google.com")
    private = {"email": ADA, "email_verified": True}

    assert read_email(private | {"hd": "example.com"}, rules) == ADA
    assert read_email(private | {"email": "ada@gmail.com"}, rules) == "ada@gmail.com"
    with pytest.raises(NotAdmitted):
        read_email(private, rules)


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
    """An attacker puts a stolen code into their own sign-on: the challenge does not fit."""
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
    monkeypatch.setattr("sync_service.access.sign_on.attempts.ATTEMPT_MS", 0)

    assert traveller.come_back(back).status_code == 403


def test_the_session_is_a_new_one_and_the_one_before_is_over(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    traveller.visitor.client.set_cookie("sync_admin", "planted by an attacker", path="/admin")
    traveller.sign_in()
    cookies = [traveller.visitor.client.get_cookie("sync_admin", path="/admin")]

    traveller.sign_in()
    cookies.append(traveller.visitor.client.get_cookie("sync_admin", path="/admin"))

    values = {cookie.value for cookie in cookies if cookie}
    assert len(values) == 2
    assert "planted by an attacker" not in values
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


def test_who_cancels_is_told_so_and_may_begin_again(sqlite_database: Database, provider: Forger) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    back = provider.authorize(traveller.leave().location)

    cancelled = traveller.come_back({"state": back["state"], "error": "access_denied"})

    assert cancelled.status_code == 403
    assert "you cancelled" in cancelled.text
    assert "/token" not in provider.asked
    assert traveller.sign_in().status_code == 303


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
    form = {"email": ADA, "password": PASSWORD, "form_token": FormTokens(("k" * 40,)).make(guest.value)}
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

    assert traveller.visitor.get("/history").status_code == 200


def test_a_second_secret_of_our_client_takes_over_while_both_are_good(
    sqlite_database: Database, provider: Forger
) -> None:
    know(sqlite_database)
    new = "the second secret"
    before, restarted = travel(sqlite_database, provider), travel(sqlite_database, provider, oidc_client_secret=new)
    assert [each.sign_in().status_code for each in (before, restarted)] == [303, 503]

    provider.secrets.append(new)
    assert [each.sign_in().status_code for each in (before, restarted)] == [303, 303]

    provider.secrets.remove(CLIENT_SECRET)
    assert [each.sign_in().status_code for each in (before, restarted)] == [503, 303]
    assert before.is_in, "who is logged in stays logged in"
    assert {action for _, action, _ in actions(sqlite_database)} == {"log in"}, "no person was refused"
