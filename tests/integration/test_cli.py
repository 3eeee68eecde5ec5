"""What all commands have in common: help, JSON, errors, settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from sqlmodel import col, select

from sync_service.access.clients import ClientDirectory
from sync_service.cli.main import main
from sync_service.store.engine import connect
from sync_service.store.tables import AdminActionRow

#: Commands that run until they are stopped, or show a tour.
NO_RESULT = {"run", "web", "worker", "scheduler", "demo", "export"}  # export prints nothing but JSON


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        if name == "emulator":
            continue
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands())
PAGE = (Path(__file__).parents[2] / "docs/command-line.md").read_text()


def documented(name: str) -> list[str]:
    """The names that the page promises for a command, in their order."""
    row = re.search(rf"^\| `?{name}`? \| (.*) \|$", PAGE, re.MULTILINE)
    assert row is not None, f"{name} is not in docs/command-line.md"
    if row[1] in ("one run", "a list of runs"):
        return documented("a run")
    return re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row[1]))


def run(*words: str, **environ: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", **environ}).invoke(main, words, catch_exceptions=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_fits_a_line_of_80_columns(name: str) -> None:
    assert not COMMANDS[name].get_short_help_str(62).endswith("...")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NO_RESULT))
def test_every_command_with_a_result_can_print_json(name: str) -> None:
    assert any(parameter.name == "as_json" for parameter in COMMANDS[name].params)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NO_RESULT))
def test_the_json_of_every_command_is_documented(name: str) -> None:
    assert documented(name) or name == "sweep full"


def test_what_is_printed_is_what_the_page_promises(tmp_path: Path) -> None:
    store = {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    objects = tmp_path / "objects.jsonl"
    objects.write_text(
        '{"id": "sub-1", "record_type": "subscription", "reference": "REF1", "name": "REF1", "owner": "id-1"}\n'
    )
    words = {
        "db upgrade": "",
        "load": str(objects),
        "status": "",
        "settings": "",
        "why": "sub-1",
        "client add": "shop --scope api/objects:read",
        "client list": "",
        "user add": "ada@example.com --role operator",
        "user list": "",
        "user role": "ada@example.com operator",
        "user password": "ada@example.com",
        "user log-out": "ada@example.com",
        "user forget-account": "ada@example.com",
    }
    for name, rest in words.items():
        result = run(*name.split(), *rest.split(), "--json", **store)
        assert result.exit_code == 0, f"{name}: {result.output}"
        value = json.loads(result.stdout)
        assert list(value[0] if isinstance(value, list) else value) == documented(name), name


def test_a_client_gets_a_new_secret_beside_the_old_one_by_command_and_the_activity_says_who_did_it(
    tmp_path: Path,
) -> None:
    store = {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    run("db", "upgrade", **store)
    made = json.loads(run("client", "add", "shop", "--scope", "api/objects:read", "--json", **store).stdout)
    client_id, first = made["client_id"], made["client_secret"]
    database = connect(store["DATABASE_URL"])

    def right(*secrets: str) -> list[bool]:
        return [ClientDirectory(database).prove(client_id, secret) is not None for secret in secrets]

    printed = run("client", "rotate", client_id, **store)
    found = re.fullmatch(rf"client_id:     {client_id}\nclient_secret: (\S+)\n", printed.stdout)
    assert found, printed.stdout
    second = found[1]
    assert "shown this once" in printed.stderr
    assert right(first, second) == [True, True]

    ended = run("client", "end-old-secret", client_id, "--json", **store)
    assert json.loads(ended.stdout) == {"client_id": client_id, "old_secret_ended": True}
    assert right(first, second) == [False, True]

    listed = run("client", "list", "--json", **store).stdout
    assert not [secret for secret in (first, second) if secret in listed]
    run("client", "revoke", client_id, **store)
    assert right(second) == [False]
    assert json.loads(run("client", "rotate", client_id, "--json", **store).stdout)["error"]["code"] == "client unknown"
    with database.reading() as session:
        rows = session.exec(select(AdminActionRow.action, AdminActionRow.actor).order_by(col(AdminActionRow.id))).all()
    database.engine.dispose()
    done = ["client added", "client secret rotated", "client secret ended", "client revoked"]
    assert [action for action, _ in rows] == done
    assert all(actor.endswith("(command line)") for _, actor in rows)


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("why", "--json", "a/b"), "usage", 2),
        (("history", "--json"), "usage", 2),
        (("failed", "retry", "--json", "A-S1"), "unknown key", 1),
        (("client", "revoke", "--json", "none"), "client unknown", 1),
        (("plan", "--json", "A-S1"), "not configured", 1),
    ],
)
def test_an_error_is_json_if_json_was_asked_for(tmp_path: Path, words: list[str], code: str, status: int) -> None:
    store = {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    run("db", "upgrade", **store)
    result = run(*words, **store)

    assert result.exit_code == status
    assert json.loads(result.stdout)["error"]["code"] == code
    assert not result.stderr


@pytest.mark.parametrize("command", ["submit", "preview"])
def test_an_order_file_that_is_no_text_is_refused_in_one_line(tmp_path: Path, command: str) -> None:
    store = {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    zuora = {"ZUORA_BASE_URL": "http://127.0.0.1:9", "ZUORA_CLIENT_ID": "a" * 36, "ZUORA_CLIENT_SECRET": "secret"}
    run("db", "upgrade", **store)
    file = tmp_path / "order.json"
    file.write_bytes(b"\xff\xfe{")

    result = run("orders", command, str(file), **store, **zuora)

    assert (result.exit_code, result.stderr) == (1, "The file holds no JSON.\n")


def test_settings_shows_what_is_in_force_and_no_secret(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s" * 40)
    result = run(
        *("settings", "--json"),
        DATABASE_URL="postgresql://sync:hunter2@db.example.com/sync",
        CALLOUT_USERNAME="zuora",
        CALLOUT_PASSWORD="a long secret of ours",
        SECRET_KEY_FILE=str(key),
    )
    shown = {row["name"]: (row["value"], row["source"]) for row in json.loads(result.stdout)}

    assert shown["DATABASE_URL"] == ("postgresql://sync:***@db.example.com/sync", "environment")
    assert shown["CALLOUT_USERNAME"] == ("zuora", "environment")
    assert shown["CALLOUT_PASSWORD"] == ("(secret)", "environment")
    assert shown["SECRET_KEY"] == ("(secret)", "environment: SECRET_KEY_FILE")
    assert shown["IGNORED_SOURCES"] == ("shop,salesforce", "default")
    assert "hunter2" not in result.output
    assert "of ours" not in result.output
    assert "sss" not in result.output


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("TENNANT_TIME_ZONE=Europe/Paris\nPOSTGRES_PASSWORD=for-compose\n")
    result = run("settings", "--json", ZUORA_BASURL="https://rest.eu.zuora.com", SHELL_THINGS="1")

    assert result.stderr.splitlines() == [
        "Warning: TENNANT_TIME_ZONE is not a setting; did you mean TENANT_TIME_ZONE?",
        "Warning: ZUORA_BASURL is not a setting; did you mean ZUORA_BASE_URL?",
    ]
    assert json.loads(result.stdout)


def test_a_command_that_reads_makes_no_store_where_it_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("status", "--json", DATABASE_URL="")

    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "store missing"
    assert str(tmp_path / "var" / "sync-service.db") in error["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_load_that_refused_something_leaves_with_1_unless_it_may_be_lenient(tmp_path: Path) -> None:
    store = {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    run("db", "upgrade", **store)
    half, whole, empty = (tmp_path / name for name in ("half.jsonl", "whole.jsonl", "empty.jsonl"))
    whole.write_text('{"id": "sub-1", "record_type": "subscription", "reference": "REF1"}\n')
    half.write_text(whole.read_text() + "{broken\n")
    empty.write_text("")

    assert run("load", str(half), **store).exit_code == 1
    assert run("load", "--lenient", str(half), **store).exit_code == 0
    assert run("load", str(whole), **store).exit_code == 0
    assert run("load", "--lenient", str(empty), **store).exit_code == 1


def test_a_subscription_without_a_reference_is_told_and_not_denied(tmp_path: Path) -> None:
    store = {"DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}"}
    objects = tmp_path / "objects.jsonl"
    objects.write_text('{"id": "sub-1"}\n')
    run("db", "upgrade", **store)

    assert "sub-1 has no reference: no sync can find it in Zuora" in run("load", str(objects), **store).output
    assert "Limio has sub-1, but without a reference" in run("why", "sub-1", **store).output


def test_help_comes_without_loading_what_the_commands_need() -> None:
    program = "import sys\nfrom sync_service.cli.main import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    loaded = set(shown.stdout.splitlines()[-1].split())
    assert "click" in loaded
    assert loaded & {"sqlalchemy", "sqlmodel", "flask", "requests", "alembic", "zuora_emulator"} == set()
