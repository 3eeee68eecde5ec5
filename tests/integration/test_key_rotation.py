"""SECRET_KEY is changed with the old one beside it: what was signed or sealed stays good, and is renewed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync_service.access.cipher import TextCipher
from sync_service.access.sessions import FormTokens
from sync_service.access.tokens import AccessTokens
from sync_service.jobs.notify import seal_anew
from sync_service.queue.status.notifications import LONGEST_ADDRESS, PURPOSE
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import NotificationChoiceRow
from sync_service.webhooks.endpoints import Endpoints, SecretUnreadable
from tests.integration.web.conftest import SETTINGS, build
from tests.queue_world import rows
from tests.webhook_world import SETTINGS as WEBHOOK_SETTINGS

OLD, NEW, OTHER = "o" * 40, "n" * 40, "x" * 40
ROTATING = replace(SETTINGS, secret_key=NEW, secret_key_previous=OLD)


def test_a_token_of_the_old_key_is_good_during_the_rotation_and_not_after(sqlite_database: Database) -> None:
    before, after = build(sqlite_database, secret_key=OLD), build(sqlite_database, secret_key=NEW)
    during = build(sqlite_database, secret_key=NEW, secret_key_previous=OLD)
    headers = before.token(name="a client")

    def read(web: object) -> int:
        return int(web.client.get("/api/objects/limio/subscriptions", headers=headers).status_code)  # type: ignore[attr-defined]

    assert [read(web) for web in (before, during, after)] == [200, 200, 401]


def test_new_tokens_and_forms_are_of_the_new_key() -> None:
    during, after = AccessTokens((NEW, OLD), "https://us"), AccessTokens((NEW,), "https://us")

    assert after.read(during.issue("client", ["scope"])) is not None
    assert FormTokens((NEW,)).is_right("cookie", FormTokens((NEW, OLD)).make("cookie"))
    assert FormTokens((NEW, OLD)).is_right("cookie", FormTokens((OLD,)).make("cookie"))
    assert not FormTokens((NEW, OLD)).is_right("cookie", FormTokens((OTHER,)).make("cookie"))


def test_what_was_sealed_opens_and_is_sealed_anew_once() -> None:
    sealed = TextCipher((OLD,)).encrypt("text")
    during = TextCipher((NEW, OLD))

    renewed = during.reseal(sealed)

    assert (during.decrypt(sealed), TextCipher((NEW,)).decrypt(renewed), TextCipher((NEW,)).decrypt(sealed)) == (
        "text",
        "text",
        "",
    )
    assert during.reseal(renewed) == renewed
    assert during.reseal("not ours") == "not ours"


@pytest.mark.parametrize("given", [{"secret_key": ""}, {"secret_key": "", "secret_key_previous": OLD}])
def test_a_previous_key_alone_opens_nothing(given: dict[str, str]) -> None:
    settings: Settings = replace(SETTINGS, **given)  # type: ignore[arg-type]

    assert not AccessTokens(settings.secret_keys, "https://us").is_configured


def test_the_scheduler_seals_the_secrets_of_webhooks_anew(sqlite_database: Database) -> None:
    old, during, new = (
        Endpoints(sqlite_database, replace(WEBHOOK_SETTINGS, secret_key=key, secret_key_previous=previous))
        for key, previous in ((OLD, ""), (NEW, OLD), (NEW, ""))
    )
    endpoint_id, first = old.add("http://127.0.0.1:9/hook", [])
    second = old.rotate(endpoint_id)
    with pytest.raises(SecretUnreadable):
        new.read(endpoint_id)

    during.take_over_settings()
    kept = rows(sqlite_database, "SELECT secret, secret_previous FROM webhook_endpoint")
    during.take_over_settings()

    assert new.read(endpoint_id).valid_secrets == (second, first)
    assert rows(sqlite_database, "SELECT secret, secret_previous FROM webhook_endpoint") == kept


def test_the_scheduler_seals_the_addresses_of_peoples_webhooks_anew(sqlite_database: Database) -> None:
    address = "https://hooks.slack.com/services/T0/B0/secret"
    old, during, new = (replace(SETTINGS, secret_key=key) for key in (OLD, NEW, NEW))
    during = replace(during, secret_key_previous=OLD)
    sealed = TextCipher(old.secret_keys, PURPOSE, longest=LONGEST_ADDRESS).encrypt(address)
    with sqlite_database.transaction() as session:
        session.add(NotificationChoiceRow(email="olga@example.com", kinds=[], webhook=sealed))
        session.add(NotificationChoiceRow(email="pia@example.com", kinds=[], by_mail=True))

    seal_anew(sqlite_database, during)
    kept = rows(sqlite_database, "SELECT webhook FROM notification_choice ORDER BY email")
    seal_anew(sqlite_database, during)

    assert TextCipher(new.secret_keys, PURPOSE, longest=LONGEST_ADDRESS).decrypt(kept[0][0]) == address
    assert kept[1][0] is None
    assert rows(sqlite_database, "SELECT webhook FROM notification_choice ORDER BY email") == kept
