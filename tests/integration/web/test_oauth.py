import time

import pytest
import time_machine
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import OctKey

from sync_service.access.clients import (
    OBJECTS_SCOPE,
    SYNC_SCOPE,
    ClientDirectory,
    ClientNameTaken,
    ClientNameUnusable,
    ClientUnknown,
    add_client,
    end_previous_secret,
    list_clients,
    revoke_client,
    rotate_secret,
)
from sync_service.store.engine import Database
from sync_service.store.tables import OauthClientRow
from tests.integration.web.conftest import SYNC, Web, basic, build

pytestmark = pytest.mark.either_database

GRANT = {"grant_type": "client_credentials"}
OBJECTS = "/api/objects/limio/subscriptions"


def test_the_secret_is_kept_as_a_hash_only(web: Web) -> None:
    client_id, secret = add_client(web.database, "salesforce", [SYNC_SCOPE], callout=False, actor="a test")

    (row,) = web.rows(OauthClientRow)
    assert (row.client_id, row.name, row.scope, row.callout) == (client_id, "salesforce", SYNC_SCOPE, False)
    assert secret not in str(row.model_dump())
    assert row.secret_hash.startswith("$argon2id$")


def test_hashes_cost_what_owasp_asks_for(costly_hasher: PasswordHasher) -> None:
    """The Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane."""
    assert costly_hasher.hash("a secret").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_name_is_given_once(web: Web) -> None:
    add_client(web.database, "salesforce", [SYNC_SCOPE], actor="a test")

    with pytest.raises(ClientNameTaken):
        add_client(web.database, "salesforce", [SYNC_SCOPE], actor="a test")


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 101])
def test_a_name_can_be_read_in_a_list(sqlite_database: Database, name: str) -> None:
    with pytest.raises(ClientNameUnusable):
        add_client(sqlite_database, name, [SYNC_SCOPE], actor="a test")


@pytest.mark.parametrize("scopes", [[], ["api/everything"]])
def test_a_client_has_scopes_that_exist(sqlite_database: Database, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="scopes must be"):
        add_client(sqlite_database, "salesforce", scopes, actor="a test")


@pytest.mark.parametrize("way", ["form", "basic"])
def test_client_credentials_give_a_token(web: Web, way: str) -> None:
    client_id, secret = add_client(web.database, "salesforce", [SYNC_SCOPE, OBJECTS_SCOPE], actor="a test")
    form = GRANT | ({"client_id": client_id, "client_secret": secret} if way == "form" else {})

    answer = web.client.post("/oauth2/token", data=form, headers=basic(client_id, secret) if way == "basic" else {})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] == 3600
    assert answer.json["scope"] == f"{OBJECTS_SCOPE} {SYNC_SCOPE}"
    token = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert web.client.get(OBJECTS, headers=token).status_code == 200


def test_a_scope_may_be_a_part_of_what_the_client_may(sqlite_web: Web) -> None:
    client_id, secret = add_client(sqlite_web.database, "salesforce", [SYNC_SCOPE, OBJECTS_SCOPE], actor="a test")
    form = {**GRANT, "client_id": client_id, "client_secret": secret}

    for asked in (SYNC_SCOPE, f" {SYNC_SCOPE} ", f"{SYNC_SCOPE},"):
        answer = sqlite_web.client.post("/oauth2/token", data={**form, "scope": asked})
        assert (answer.status_code, answer.json["scope"]) == (200, SYNC_SCOPE)

    token = {"Authorization": f"Bearer {answer.json['access_token']}"}
    refused = sqlite_web.client.get(OBJECTS, headers=token)
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert f'scope="{OBJECTS_SCOPE}"' in refused.headers["WWW-Authenticate"]


WRONG = [
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"grant_type": None}, 400, "invalid_request"),
    ({"client_id": None}, 401, "invalid_client"),
    ({"client_secret": None}, 401, "invalid_client"),
    ({"client_id": "client-none"}, 401, "invalid_client"),
    ({"client_secret": "wrong"}, 401, "invalid_client"),
    ({"client_secret": ""}, 401, "invalid_client"),
    ({"client_secret": "x" * 10_000}, 401, "invalid_client"),
    ({"client_id": "a\x00b"}, 401, "invalid_client"),
    ({"scope": "api/everything"}, 400, "invalid_scope"),
    ({"scope": f"{SYNC_SCOPE} {OBJECTS_SCOPE}"}, 400, "invalid_scope"),
]


def test_wrong_requests_are_answered_by_rfc_6749(web: Web) -> None:
    client_id, secret = add_client(web.database, "salesforce", [SYNC_SCOPE], actor="a test")

    for changed, status, error in WRONG:
        form = {**GRANT, "client_id": client_id, "client_secret": secret, **changed}
        answer = web.client.post("/oauth2/token", data={k: v for k, v in form.items() if v is not None})

        assert (changed, answer.status_code, answer.json["error"]) == (changed, status, error)
        assert answer.json["error_description"]
        assert answer.headers["Cache-Control"] == "no-store"


def test_wrong_basic_credentials_are_challenged(sqlite_web: Web) -> None:
    for headers in (basic("client-none", "x"), {"Authorization": "Basic !!"}, {}):
        answer = sqlite_web.client.post("/oauth2/token", data=GRANT, headers=headers)

        assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_secret_in_two_ways_is_refused(sqlite_web: Web) -> None:
    client_id, secret = add_client(sqlite_web.database, "salesforce", [SYNC_SCOPE], actor="a test")
    form = {**GRANT, "client_id": client_id, "client_secret": secret}

    answer = sqlite_web.client.post("/oauth2/token", data=form, headers=basic(client_id, secret))

    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


def test_guessing_secrets_is_throttled_and_does_not_lock_out_the_client_elsewhere(web: Web) -> None:
    client_id, secret = add_client(web.database, "salesforce", [SYNC_SCOPE], actor="a test")
    form = {**GRANT, "client_id": client_id}

    def guess(n: int) -> int:
        return web.client.post("/oauth2/token", data={**form, "client_secret": f"guess {n % 3}"}).status_code

    statuses = [guess(0)]
    with web.database.transaction() as session:  # however slow this machine is, all of it falls into one window
        session.run("UPDATE throttle SET window_began = window_began + 3600000")
    statuses += [guess(n) for n in range(1, 32)]

    assert statuses == [401] * 30 + [429] * 2
    assert guess(0) == 429
    right = {**form, "client_secret": secret}
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    assert web.client.post("/oauth2/token", data=right).status_code == 429  # a new secret is not looked at from there
    assert web.client.post("/oauth2/token", data=right, environ_base=elsewhere).status_code == 200
    assert web.client.post("/oauth2/token", data=right).status_code == 200  # as it is known now


def test_without_a_key_no_token_is_made_and_the_answer_says_what_to_do(sqlite_database: Database) -> None:
    web = build(sqlite_database, secret_key="")

    answer = web.client.post("/oauth2/token", data=GRANT)

    assert answer.status_code == 503
    assert "SECRET_KEY" in answer.json["error_description"]
    assert web.client.get(OBJECTS, headers={"Authorization": "Bearer x"}).status_code == 401


BAD_TOKENS = ["", "x", "a.b.c", "é", "null"]


def test_a_bad_token_is_401_by_rfc_6750(sqlite_web: Web) -> None:
    good = sqlite_web.token()["Authorization"].removeprefix("Bearer ")
    head, body, signature = good.split(".")
    foreign = jwt.encode({"alg": "HS256", "typ": "at+jwt"}, {"client_id": "c"}, OctKey.import_key(b"x" * 32))
    unsigned = f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{body}."

    for token in [*BAD_TOKENS, foreign, unsigned, f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body}."]:
        for answer in (
            sqlite_web.client.get(OBJECTS, headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")}),
            sqlite_web.client.post(
                SYNC + "A-1", headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")}
            ),
        ):
            assert (token, answer.status_code) == (token, 401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_the_scheme_is_read_without_case(sqlite_web: Web) -> None:
    token = sqlite_web.token()["Authorization"].removeprefix("Bearer ")

    assert sqlite_web.client.get(OBJECTS, headers={"Authorization": f"bearer  {token}"}).status_code == 200


def test_a_token_ends_after_an_hour(sqlite_web: Web) -> None:
    headers = sqlite_web.token()

    with time_machine.travel(time.time() + 3600 - 60):
        assert sqlite_web.client.get(OBJECTS, headers=headers).status_code == 200
    with time_machine.travel(time.time() + 3600 + 60):
        assert sqlite_web.client.get(OBJECTS, headers=headers).status_code == 401


def test_a_revoked_client_is_out_within_half_a_minute(database: Database) -> None:
    client_id, secret = add_client(database, "salesforce", [SYNC_SCOPE], actor="a test")
    clock = iter([0.0, 0.0, 29.0, 31.0, 31.0]).__next__
    directory = ClientDirectory(database, clock)
    assert directory.find(client_id) is not None

    revoke_client(database, client_id, actor="a test")
    revoke_client(database, client_id, actor="a test")

    assert directory.prove(client_id, secret) is None
    assert directory.find(client_id) is not None
    assert directory.find(client_id) is None
    assert [client.revoked_at is not None for client in list_clients(database)] == [True]
    with pytest.raises(ClientUnknown):
        revoke_client(database, "client-none", actor="a test")


def test_a_token_of_a_revoked_client_is_no_good(web: Web) -> None:
    headers = web.token()
    (client,) = list_clients(web.database)

    revoke_client(web.database, client.client_id, actor="a test")

    assert web.client.get(OBJECTS, headers=headers).status_code == 401


def test_a_rotated_secret_works_beside_the_new_one_for_a_day_and_can_be_ended(web: Web) -> None:
    client_id, first = add_client(web.database, "salesforce", [SYNC_SCOPE], actor="a test")
    form = {**GRANT, "client_id": client_id}

    def statuses(*tried: str) -> list[int]:
        return [web.client.post("/oauth2/token", data={**form, "client_secret": each}).status_code for each in tried]

    second = rotate_secret(web.database, client_id, actor="a test")
    assert statuses(first, second) == [200, 200]
    third = rotate_secret(web.database, client_id, actor="a test")
    assert statuses(first, second, third) == [401, 200, 200], "of two that were replaced the older ends at once"

    with web.database.transaction() as session:
        session.run("UPDATE oauth_client SET previous_until = {now} - 1", {})
    assert statuses(second, third) == [401, 200]

    fourth = rotate_secret(web.database, client_id, actor="a test")
    end_previous_secret(web.database, client_id, actor="a test")
    assert statuses(third, fourth) == [401, 200]


def test_when_a_client_was_last_used_is_noted_now_and_then(sqlite_database: Database) -> None:
    client_id, secret = add_client(sqlite_database, "salesforce", [SYNC_SCOPE], actor="a test")
    directory = ClientDirectory(sqlite_database)

    def used_at() -> int | None:
        return list_clients(sqlite_database)[0].used_at

    assert directory.prove(client_id, "wrong") is None
    assert used_at() is None
    assert directory.prove(client_id, secret) is not None
    first = used_at()
    assert first is not None
    directory.prove(client_id, secret)
    assert used_at() == first, "not at every use"
    with sqlite_database.transaction() as session:
        session.run("UPDATE oauth_client SET used_at = used_at - 400000", {})
    assert ClientDirectory(sqlite_database).find(client_id) is not None
    assert (used_at() or 0) >= first, "a token is a use too"
    with sqlite_database.transaction(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sync_service.access.clients.USE_MS", 0)
        assert directory.prove(client_id, secret) is not None, "a writer at work is not waited for long"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_the_token_endpoint_takes_post_only(sqlite_web: Web, method: str) -> None:
    answer = sqlite_web.client.open("/oauth2/token", method=method)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
