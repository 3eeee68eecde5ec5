from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sync_service.access.cipher import keep_secret_key
from sync_service.errors import SettingsInvalid
from sync_service.settings import Settings, load_settings
from sync_service.settings.environment import read_environment


def test_the_embedded_database_comes_with_a_secret_key(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'var' / 'store.db'}")

    with ThreadPoolExecutor(8) as hosts:
        keys = {each.secret_key for each in hosts.map(keep_secret_key, [settings] * 40)}

    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    (kept,) = (tmp_path / "var").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_given_secret_key_is_used_and_none_is_made_for_many_hosts(tmp_path: Path) -> None:
    embedded = Settings(database_url=f"sqlite:///{tmp_path / 'store.db'}", secret_key="k" * 32)
    many_hosts = Settings(database_url="postgresql://db.example.com/sync")

    assert keep_secret_key(embedded) == embedded
    assert keep_secret_key(many_hosts) == many_hosts
    assert list(tmp_path.iterdir()) == []


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=1234\nCALLOUT_USERNAME=file\nCALLOUT_PASSWORD=file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALLOUT_USERNAME", "environment")

    settings = read_environment()

    assert (settings.port, settings.callout_username, settings.callout_password) == (1234, "environment", "file")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"CALLOUT_USERNAME": "zuora"}, "CALLOUT_PASSWORD: must be set too, as CALLOUT_USERNAME is"),
        ({"CALLOUT_PASSWORD": "x"}, "CALLOUT_USERNAME: must be set too, as CALLOUT_PASSWORD is"),
        ({"CALLOUT_HMAC_SECRET": "x"}, "CALLOUT_HMAC_HEADER: must be set too, as CALLOUT_HMAC_SECRET is"),
        ({"CALLOUT_SECRET_HEADER": "X-Key"}, "CALLOUT_SECRET: must be set too, as CALLOUT_SECRET_HEADER is"),
        ({"CALLOUT_SECRET_HEADER": "X Key"}, "CALLOUT_SECRET_HEADER: must be the name of an HTTP header"),
        ({"CALLOUT_HMAC_ALGORITHM": "crc32"}, "CALLOUT_HMAC_ALGORITHM: must be one of"),
    ],
)
def test_half_a_pair_of_callout_settings_is_named(given: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsInvalid, match=problem):
        load_settings(given)


ELSEWHERE = {"ZUORA_BASE_URL": "https://rest.eu.zuora.com"}


@pytest.mark.parametrize("name", ["ZUORA_BASE_URL", "PUBLIC_URL"])
@pytest.mark.parametrize(
    "address", ["http://rest.eu.zuora.com", "http://localhost.example.com", "http://localhost@example.com"]
)
def test_an_address_to_which_secrets_would_go_in_clear_is_refused(name: str, address: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name}: must be an https address"):
        load_settings({name: address})


@pytest.mark.parametrize("address", ["http://localhost:8100", "http://127.0.0.1:8100/", "http://[::1]:8100"])
def test_plain_http_is_for_this_machine(address: str) -> None:
    assert load_settings({"ZUORA_BASE_URL": address}).zuora_base_url == address


@pytest.mark.parametrize(
    "elsewhere", [ELSEWHERE, {"PUBLIC_URL": "https://sync.example.com"}, {"HOST": "0.0.0.0"}, {"HOST": "192.0.2.1"}]
)
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("CALLOUT_PASSWORD", {"CALLOUT_USERNAME": "zuora"}),
        ("CALLOUT_HMAC_SECRET", {"CALLOUT_HMAC_HEADER": "X-Signature"}),
        ("CALLOUT_SECRET", {"CALLOUT_SECRET_HEADER": "X-Secret"}),
    ],
)
def test_a_callout_secret_that_can_be_guessed_is_refused(
    name: str, other: dict[str, str], elsewhere: dict[str, str]
) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name}: must have at least 16 characters"):
        load_settings({name: "fifteen letters", **other, **elsewhere})

    assert load_settings({name: "sixteen letters.", **other, **elsewhere})


def test_a_short_callout_secret_will_do_where_only_this_machine_can_call() -> None:
    given = {"CALLOUT_USERNAME": "zuora", "CALLOUT_PASSWORD": "a", "ZUORA_BASE_URL": "http://127.0.0.1:8100"}

    assert load_settings(given).callout_password == "a"


def test_the_secret_before_may_be_short_so_that_it_can_be_changed() -> None:
    given = {"CALLOUT_USERNAME": "zuora", "CALLOUT_PASSWORD": "a new and longer one", **ELSEWHERE}

    assert load_settings({**given, "CALLOUT_PASSWORD_PREVIOUS": "old"}).callout_password_previous == "old"


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    settings = replace(Settings(), callout_hmac_secret="s3cret", callout_secret="s3cret", secret_key="s3cret")

    assert "s3cret" not in repr(settings)
