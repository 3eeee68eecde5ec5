"""Partners' people sign in with an identity provider that names their organisation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
from sqlmodel import select
from werkzeug.test import TestResponse

from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.engine import Database
from sync_service.store.tables import PartnerSessionRow, PartnerUserRow
from tests.integration.signon.conftest import PUBLIC_URL
from tests.integration.signon.forger import CLIENT_ID, CLIENT_SECRET, Forger, honest_key, sign_with, unsigned
from tests.integration.web.conftest import build
from tests.integration.web.portal import PortalVisitor

ANN = "Ann@North.example"


@dataclass
class Portal:
    """The portal that trusts the provider, and the two organisations."""

    database: Database
    provider: Forger
    visitor: PortalVisitor
    orgs: dict[str, str]

    def is_told(self, **claims: Any) -> None:
        self.provider.person = {"sub": "u-1", "email": ANN, "email_verified": True, **claims}

    def sign_in(self, wanted: str = "/partner/new") -> TestResponse:
        left = self.visitor.get("/sign-on", query_string={"next": wanted})
        assert left.status_code == 303, left.text
        return self.visitor.get("/sign-on/back", query_string=self.provider.authorize(left.location))

    def users(self) -> list[PartnerUserRow]:
        with self.database.reading() as session:
            return list(session.exec(select(PartnerUserRow)))


@pytest.fixture
def portal(sqlite_database: Database, provider: Forger) -> Portal:
    partners = Partners(sqlite_database, "test")
    orgs = {
        name: partners.add(Organisation(name=name, zuora_account_id=f"A-{name}", is_invoice_owner=True)).id
        for name in ("North", "Coast")
    }
    return Portal(sqlite_database, provider, open_visitor(sqlite_database, provider), orgs)


def open_visitor(database: Database, provider: Forger, secret: str = CLIENT_SECRET) -> PortalVisitor:
    """A browser at a portal that trusts the provider."""
    web = build(
        database,
        public_url=PUBLIC_URL,
        partner_oidc_issuer=provider.issuer,
        partner_oidc_client_id=CLIENT_ID,
        partner_oidc_client_secret=secret,
        partner_oidc_name="Example Login",
    )
    return PortalVisitor(web.client)


@pytest.mark.parametrize("known", [True, False])
def test_the_claim_says_for_which_organisation_a_person_comes_in(portal: Portal, known: bool) -> None:
    if known:
        Partners(portal.database, "test").add_user(portal.orgs["North"], ANN.lower())
    portal.is_told(**{"lmo:partner_org": portal.orgs["North"]})
    assert "Sign in with Example Login" in portal.visitor.get("/login").text

    entered = portal.sign_in()

    assert (entered.status_code, entered.headers["Location"]) == (303, "/partner/new")
    assert "North" in portal.visitor.get().text
    [user] = portal.users()
    assert (user.partner_org, user.email_folded) == (portal.orgs["North"], "ann@north.example")
    assert portal.visitor.client.get("/admin").status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"lmo:partner_org": ""},
        {"lmo:partner_org": ["North"]},
        {"lmo:partner_org": "partner_org-none"},
        {"lmo:partner_org": "North", "email_verified": False},
        {"lmo:partner_org": "North", "email": None},
        {"lmo:partner_org": "Coast"},
    ],
)
def test_no_one_comes_in_without_a_claim_and_an_address_that_fit(portal: Portal, claims: dict[str, Any]) -> None:
    """The address is North's: no claim makes it Coast's."""
    Partners(portal.database, "test").add_user(portal.orgs["North"], ANN)
    named = claims.get("lmo:partner_org")
    portal.is_told(**{**claims, **({"lmo:partner_org": portal.orgs[named]} if named in ("North", "Coast") else {})})

    refused = portal.sign_in()

    assert refused.status_code == 403
    assert "You are not signed in" in refused.text
    assert portal.visitor.get().status_code == 303
    assert len(portal.users()) == 1
    with portal.database.reading() as session:
        assert session.exec(select(PartnerSessionRow)).all() == []


@pytest.mark.parametrize("what", ["user", "organisation"])
def test_who_is_disabled_does_not_come_in_by_the_provider_either(portal: Portal, what: str) -> None:
    partners = Partners(portal.database, "test")
    user = partners.add_user(portal.orgs["North"], ANN)
    portal.is_told(**{"lmo:partner_org": portal.orgs["North"]})
    if what == "user":
        partners.set_user_disabled(portal.orgs["North"], user.id, disabled=True)
    else:
        partners.set_disabled(portal.orgs["North"], disabled=True)

    assert portal.sign_in().status_code == 403
    assert portal.visitor.get().status_code == 303


def exchange(portal: Portal, id_token: str) -> TestResponse:
    return portal.visitor.client.post("/api/partner/token", json={"id_token": id_token})


def make_id_token(portal: Portal, **changed: Any) -> str:
    """What the partners' own application was given by the provider for the same client."""
    now = int(time.time())
    claims = {"iss": portal.provider.issuer, "aud": CLIENT_ID, "sub": "u-1", "iat": now, "exp": now + 3600}
    person = {"email": ANN, "email_verified": True, "lmo:partner_org": portal.orgs["North"], "nonce": "theirs"}
    return sign_with(portal.provider.key)({**claims, **person, **changed})


def test_an_id_token_is_exchanged_for_a_token_of_ours(portal: Portal) -> None:
    answer = exchange(portal, make_id_token(portal))

    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert portal.visitor.client.get("/api/partner/customer", headers=headers).json == {"items": [], "hits": 0}
    assert [(user.partner_org, user.email) for user in portal.users()] == [(portal.orgs["North"], ANN)]


@pytest.mark.parametrize(
    "forged",
    [
        {"aud": "another client"},
        {"iss": "https://elsewhere.example"},
        {"azp": "another client"},
        {"exp": 1},
        {"iat": 1_700_000_000},
        {"email_verified": False},
        {"lmo:partner_org": "partner_org-none"},
        {"email": "mallory@coast.example"},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_for_us_fresh_and_of_ones_own_is_none(portal: Portal, forged: dict[str, Any]) -> None:
    Partners(portal.database, "test").add_user(portal.orgs["Coast"], "mallory@coast.example")

    refused = exchange(portal, make_id_token(portal, **forged))

    assert refused.status_code == 401
    assert len(portal.users()) == 1


def test_a_token_that_the_provider_did_not_sign_is_none(portal: Portal) -> None:
    honest = make_id_token(portal)
    claims = {"iss": portal.provider.issuer, "aud": CLIENT_ID, "sub": "u-1", "iat": time.time(), "exp": time.time() + 9}
    for token in ("x", honest[:-4], unsigned(claims), sign_with(honest_key("two"))(claims)):
        assert exchange(portal, token).status_code == 401
    assert portal.users() == []


def test_while_the_provider_is_away_the_caller_is_told_to_come_again(portal: Portal) -> None:
    portal.provider.document["issuer"] = "https://elsewhere.example"

    assert exchange(portal, make_id_token(portal)).status_code == 502


def test_a_second_secret_of_the_portals_client_takes_over_while_both_are_good(portal: Portal) -> None:
    portal.is_told(**{"lmo:partner_org": portal.orgs["North"]})
    new = "the second secret"
    restarted = Portal(portal.database, portal.provider, open_visitor(portal.database, portal.provider, new), {})
    provider = portal.provider
    assert [each.sign_in().status_code for each in (portal, restarted)] == [303, 503]

    provider.secrets.append(new)
    assert [each.sign_in().status_code for each in (portal, restarted)] == [303, 303]

    provider.secrets.remove(CLIENT_SECRET)
    assert [each.sign_in().status_code for each in (portal, restarted)] == [503, 303]
    assert portal.visitor.get().status_code == 200, "who is logged in stays logged in"
