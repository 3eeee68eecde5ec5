"""Each secret of the web side is replaced as docs/hardening.md says, and nothing that comes meanwhile is refused."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from sync_service.store.engine import Database
from tests.integration.web.conftest import SYNC, basic, build

OLD, NEW = "the secret before it was changed", "the secret after it was changed"


def signed(secret: str) -> dict[str, str]:
    return {"X-Signature": "sha256=" + hmac.new(secret.encode(), b"{}", hashlib.sha256).hexdigest()}


@pytest.mark.parametrize(
    ("setting", "credentials"),
    [
        ("callout_password", lambda secret: basic("zuora", secret)),
        ("callout_hmac_secret", signed),
        ("callout_secret", lambda secret: {"X-Callout-Secret": secret}),
    ],
)
def test_while_a_callout_secret_is_changed_zuora_may_send_either(
    sqlite_database: Database, setting: str, credentials: object
) -> None:
    assert callable(credentials)

    def answers(**settings: str) -> list[int]:
        client = build(sqlite_database, **settings).client
        sent = [client.post(SYNC + "A-S1", data=b"{}", headers=credentials(secret)) for secret in (OLD, NEW)]
        return [answer.status_code for answer in sent]

    assert answers(**{setting: OLD}) == [200, 403]
    assert answers(**{setting: NEW, f"{setting}_previous": OLD}) == [200, 200]
    assert answers(**{setting: NEW}) == [403, 200]


def test_a_token_outlives_a_new_secret_key_until_the_previous_one_goes(sqlite_database: Database) -> None:
    before = build(sqlite_database, secret_key=OLD * 2)
    token = before.token("api/objects:read")
    objects = "/api/objects/limio/subscriptions"

    during = build(sqlite_database, secret_key=NEW * 2, secret_key_previous=OLD * 2)
    after = build(sqlite_database, secret_key=NEW * 2)

    assert [web.client.get(objects, headers=token).status_code for web in (before, during, after)] == [200, 200, 401]


def test_the_token_of_the_metrics_is_good_at_once_and_the_one_before_no_longer(sqlite_database: Database) -> None:
    client = build(sqlite_database, metrics_token=NEW).client

    statuses = [
        client.get("/metrics", headers={"Authorization": f"Bearer {secret}"}).status_code for secret in (OLD, NEW)
    ]

    assert statuses == [401, 200]
