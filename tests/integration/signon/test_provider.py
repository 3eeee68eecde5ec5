"""The identity provider itself: away, hanging, badly set up, changing its keys, or not what it says."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest
from joserfc.jwk import RSAKey
from werkzeug import Response

from sync_service.access.users import Role, put_user
from sync_service.errors import SettingsInvalid
from sync_service.operations.check.everything import check_sign_on
from sync_service.settings import Settings, load_settings
from sync_service.store.engine import Database
from sync_service.web.sign_on import LIMIT
from tests.integration.signon.conftest import ADA, PUBLIC_URL, know, role_of, travel
from tests.integration.signon.forger import CLIENT_ID, Claims, Forger, sign_with
from tests.integration.web.admin import PASSWORD


def test_a_new_key_of_the_providers_is_looked_up_once_and_forged_ones_not_each_time(
    sqlite_database: Database, provider: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(sqlite_database)
    traveller = travel(sqlite_database, provider)
    assert traveller.sign_in().status_code == 303
    provider.key = RSAKey.generate_key(2048, {"kid": "two"}, private=True)

    assert traveller.sign_in().status_code == 403  # looked a moment ago
    monkeypatch.setattr("sync_service.access.sign_on.provider._KEYS_AGAIN_SECONDS", 0.0)
    assert traveller.sign_in().status_code == 303
    monkeypatch.undo()
    provider.sign = sign_with(RSAKey.generate_key(2048, {"kid": "forged"}, private=True))
    looked = provider.asked.count("/keys")
    for _ in range(3):
        assert traveller.sign_in().status_code == 403
    assert provider.asked.count("/keys") == looked == 2


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
    monkeypatch.setattr("sync_service.access.sign_on.provider._SECONDS", 4.0)
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
        ("/token", Response("[" * 100_000, 200), 403),
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
    assert "not set up correctly" in refused.text


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

    provider.userinfo["sub"] = "another subject"
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


def test_failing_again_and_again_is_stopped_over_all_processes(database: Database, provider: Forger) -> None:
    provider.forged = {"nonce": "wrong"}
    traveller = travel(database, provider)
    for _ in range(LIMIT + 1):
        assert traveller.sign_in().status_code == 403

    other_process = travel(database, provider)
    asked = provider.asked.count("/token")
    stopped = other_process.sign_in()

    elsewhere = travel(database, provider)
    elsewhere.visitor.client.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert elsewhere.sign_in().status_code == 403  # looked at, and as wrong as the others
    assert stopped.status_code == 429
    assert 1 <= int(stopped.headers["Retry-After"]) <= 300
    assert provider.asked.count("/token") == asked + 1


@pytest.mark.parametrize(
    ("changed", "verdict", "says"),
    [
        ({}, "ok", "answers and publishes its keys"),
        ({"oidc_issuer": "http://127.0.0.1:1"}, "failed", "does not answer"),
        ({"oidc_issuer": "{issuer}/"}, "failed", "but the provider calls itself"),
    ],
    ids=str,
)
def test_the_check_tells_whether_people_can_sign_in(
    provider: Forger, changed: dict[str, str], verdict: str, says: str
) -> None:
    settings = Settings(public_url=PUBLIC_URL, oidc_issuer=provider.issuer, oidc_client_id=CLIENT_ID)
    settings = replace(settings, **{name: value.format(issuer=provider.issuer) for name, value in changed.items()})

    (finding,) = check_sign_on(settings)

    assert (finding.name, finding.verdict) == ("sign-on", verdict)
    assert says in finding.says
    assert (finding.remedy is None) == (verdict == "ok")


def test_the_check_looks_at_the_partners_provider_apart(provider: Forger) -> None:
    settings = Settings(public_url=PUBLIC_URL, partner_oidc_issuer=provider.issuer, partner_oidc_client_id=CLIENT_ID)

    (well,) = check_sign_on(settings)
    (away,) = check_sign_on(replace(settings, partner_oidc_issuer="http://127.0.0.1:1"))

    assert (well.name, well.verdict) == ("partner sign-on", "ok")
    assert (away.name, away.verdict) == ("partner sign-on", "failed")
    assert "PARTNER_OIDC_ISSUER" in str(away.remedy)


def test_the_check_says_nothing_of_a_sign_on_that_is_not_set_up() -> None:
    assert list(check_sign_on(Settings())) == []


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
