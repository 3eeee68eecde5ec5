"""The settings of webhooks: read, and refused by name without quoting a secret."""

from __future__ import annotations

import pytest

from sync_service.errors import SettingsInvalid
from sync_service.settings import load_settings
from sync_service.webhooks.endpoints import MAX_ENDPOINTS, read_wanted

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def wanted(webhooks: str, secret: str = SECRET) -> list[tuple[str, list[str]]]:
    return list(read_wanted(load_settings({"WEBHOOKS": webhooks, "WEBHOOK_SECRET": secret})).values())


def test_an_address_with_several_types_is_one_endpoint() -> None:
    assert wanted("Order Submitted=https://a.example/x, Error=https://a.example/x, https://b.example/y?z=1") == [
        ("https://a.example/x", ["Error", "Order Submitted"]),
        ("https://b.example/y?z=1", []),
    ]


@pytest.mark.parametrize(
    "webhooks", ["https://a.example, Error=https://a.example", "Error=https://a.example, https://a.example"]
)
def test_an_address_for_all_types_is_for_all_types(webhooks: str) -> None:
    assert wanted(webhooks) == [("https://a.example", [])]


@pytest.mark.parametrize(
    ("webhooks", "said"),
    [
        ("Order Sent=https://a.example", "'Order Sent' is no type; the types are .*Order Submitted"),
        ("a.example/hook", "is no type"),
        ("Error=ftp://a.example", "WEBHOOKS: ftp://a.example"),
        (",".join(f"https://a{number}.example" for number in range(MAX_ENDPOINTS + 1)), "at most 20"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(webhooks: str, said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        wanted(webhooks)


def test_a_secret_of_another_form_is_refused_without_being_quoted() -> None:
    with pytest.raises(SettingsInvalid, match=r"WEBHOOK_SECRET: .*24 to 64 bytes") as refused:
        wanted("https://a.example", "hunter2")
    assert "hunter2" not in str(refused.value)


def test_credentials_are_read_by_host_and_may_be_percent_encoded() -> None:
    settings = load_settings({"WEBHOOK_CREDENTIALS": "limio:p%40ss%2Cword@Hooks.example, me:@10.0.0.1"})

    assert settings.webhook_credentials == (("hooks.example", "limio", "p@ss,word"), ("10.0.0.1", "me", ""))
    assert "p@ss" not in repr(settings)


@pytest.mark.parametrize("given", ["limio:secret", "secret@host", "a:secret@host@other", "a:secret,b@host"])
def test_credentials_of_another_form_are_refused_without_being_quoted(given: str) -> None:
    with pytest.raises(SettingsInvalid, match="WEBHOOK_CREDENTIALS: must be like user:password@host") as refused:
        load_settings({"WEBHOOK_CREDENTIALS": given})
    assert "secret" not in str(refused.value)


def test_endpoints_without_a_secret_are_refused() -> None:
    with pytest.raises(SettingsInvalid, match="WEBHOOK_SECRET: must be set too, as WEBHOOKS is"):
        load_settings({"WEBHOOKS": "https://a.example"})
