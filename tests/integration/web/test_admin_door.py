"""Who comes into the admin pages, for how long, and which forms are believed."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import update
from sqlmodel import select

from sync_service.access import passwords
from sync_service.access.passwords import UserInvalid
from sync_service.access.sessions import IDLE_MS, LIFETIME_MS
from sync_service.access.users import Role, disable_user, put_user
from sync_service.cli.main import main
from sync_service.store.engine import Database
from sync_service.store.tables import (
    AdminActionRow,
    AdminDraftRow,
    AdminSessionRow,
    AdminUserRow,
    OauthClientRow,
    SyncRequestRow,
)
from sync_service.web.admin.login import LIMIT, PLACE_LIMIT
from tests.integration.web.admin import PASSWORD, Visitor, form_token, put_subscription, visit

PAGES = (
    "",
    "/subscriptions",
    "/history",
    "/inbox",
    "/jobs",
    "/orders",
    "/partners",
    "/webhooks",
    "/clients",
    "/settings",
)
#: What everybody who is logged in may send, and what leads nowhere.
FOR_EVERYBODY = {"admin.logout", "admin.choose", "admin.leave", "admin.search", "admin.preview", "admin.nowhere"}
FOR_EVERYBODY |= {"admin.ask", "admin.keep", "admin.forget", "admin.export_changes", "admin.find", "admin.choose_zone"}
FOR_EVERYBODY |= {"admin.choose_notifications", "admin.try_notifications"}


def changes(visitor: Visitor, *, but: Collection[str] = ()) -> dict[str, str]:
    """Every address of the admin pages that takes forms, with its endpoint, apart from the log-in."""
    found = {}
    for rule in visitor.web.client.application.url_map.iter_rules():
        if rule.endpoint.startswith("admin.") and "POST" in (rule.methods or ()) and rule.endpoint not in but:
            words = re.findall(r"<any\(([^)]+)\):\w+>", rule.rule)
            for word in words[0].split(",") if words else [""]:
                found[re.sub(r"<[^>]+>", "A-S1", re.sub(r"<any[^>]+>", word, rule.rule))] = rule.endpoint
    assert len(found) > 15
    return {address: endpoint for address, endpoint in found.items() if endpoint != "admin.login"}


@pytest.mark.parametrize(
    "page", [*PAGES, "/users", "/account", "/subscriptions.csv", "/subscriptions/A-S1", "/nowhere"]
)
def test_a_stranger_is_sent_to_the_login_and_from_there_to_the_page(sqlite_database: Database, page: str) -> None:
    visitor = visit(sqlite_database)
    put_user(sqlite_database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")

    sent = visitor.get(page + "?status=active")

    assert (sent.status_code, sent.location) == (303, f"/admin/login?next=/admin{page}?status%3Dactive")
    let_in = visitor.log_in("Ada@Example.com ", next=f"/admin{page}?status=active")
    assert (let_in.status_code, let_in.location) == (303, f"/admin{page}?status=active")


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/admin\\..", "/docs", "/admin//x\n"])
def test_a_login_leads_to_no_address_but_ours(sqlite_database: Database, place: str) -> None:
    visitor = visit(sqlite_database)
    put_user(sqlite_database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")

    assert visitor.log_in("ada@example.com", next=place).location == "/admin/"


def test_wrong_passwords_and_unknown_people_are_told_the_same(database: Database) -> None:
    visitor = visit(database)
    put_user(database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")

    wrong = visitor.log_in("ada@example.com", "not the password")
    unknown = visitor.log_in("bob@example.com", "not the password")
    odd = visitor.log_in("\0\n" + "x" * 9000, "\0" * 5000)

    assert (wrong.status_code, unknown.status_code, odd.status_code) == (401, 401, 401)
    assert "The email address or the password is wrong." in wrong.text
    assert _plain(wrong.text) == _plain(unknown.text).replace("bob@", "ada@")
    assert visitor.get("").status_code == 303


def test_guessing_is_stopped_over_all_processes_even_when_the_guess_is_right(database: Database) -> None:
    put_user(database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")
    put_user(database, "eve@example.com", Role.VIEWER, PASSWORD, actor="test")
    guesser, other_process = visit(database), visit(database)
    for _ in range(LIMIT + 1):
        last = guesser.log_in("ada@example.com", "a guess that is wrong")

    assert last.status_code == 429
    stopped = other_process.log_in("ada@example.com")
    assert stopped.status_code == 429
    assert 1 <= int(stopped.headers["Retry-After"]) <= 300
    assert other_process.log_in("eve@example.com").status_code == 303


def from_place(database: Database, address: str, **changed: Any) -> Visitor:
    """A browser somewhere in the world."""
    visitor = visit(database, **changed)
    visitor.client.environ_base["REMOTE_ADDR"] = address
    return visitor


def test_a_stranger_who_guesses_locks_no_one_out_elsewhere(sqlite_database: Database) -> None:
    put_user(sqlite_database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")
    stranger = from_place(sqlite_database, "203.0.113.66")
    for n in range(PLACE_LIMIT + 1):
        stranger.log_in("ada@example.com" if n <= LIMIT else f"guess{n}@nowhere.test", "a guess that is wrong")

    assert stranger.log_in("eve@example.com").status_code == 429  # invented addresses do not help
    assert from_place(sqlite_database, "203.0.113.67").log_in("ada@example.com").status_code == 303
    told = {row.target for row in stranger.web.rows(AdminActionRow) if row.action == "log in refused"}
    assert told == {"wrong password, from 203.0.113.66"}


def test_a_network_of_ipv6_is_one_place(sqlite_database: Database) -> None:
    for n in range(PLACE_LIMIT + 1):
        last = from_place(sqlite_database, f"2001:db8::{n:x}").log_in(f"guess{n}@nowhere.test", "wrong")

    assert last.status_code == 429


def test_behind_a_proxy_that_is_not_named_no_one_is_locked_out_for_others(sqlite_database: Database) -> None:
    put_user(sqlite_database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")
    stranger = visit(sqlite_database)
    stranger.client.environ_base["HTTP_X_FORWARDED_FOR"] = "203.0.113.66"
    for n in range(PLACE_LIMIT + 1):
        stranger.log_in(f"guess{n}@nowhere.test", "a guess that is wrong")

    assert stranger.log_in("ada@example.com").status_code == 303


def test_who_finds_no_turn_to_have_a_password_checked_is_told_at_once(sqlite_database: Database) -> None:
    put_user(sqlite_database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")
    with passwords._turns:
        busy = visit(sqlite_database).log_in("ada@example.com")

    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
    assert visit(sqlite_database).log_in("ada@example.com").status_code == 303


@pytest.mark.parametrize(("began", "seen"), [(LIFETIME_MS, 0), (0, IDLE_MS)])
def test_a_login_ends_by_itself(database: Database, began: int, seen: int) -> None:
    visitor = visit(database, Role.VIEWER)
    assert visitor.get("").status_code == 200
    with database.transaction() as session:
        row = AdminSessionRow
        session.exec(update(row).values(began_at=row.began_at - began, seen_at=row.seen_at - seen))

    assert visitor.get("").status_code == 303
    polled = visitor.get("/progress/subscription/1/A-S1", headers={"Accept": "application/json"})
    assert polled.status_code == 401


def test_a_user_who_is_disabled_or_gets_a_new_password_is_out_at_once(database: Database) -> None:
    visitor = visit(database, Role.VIEWER)
    disable_user(database, "viewer@example.com", actor="test")
    assert visitor.get("").status_code == 303
    assert visitor.log_in("viewer@example.com").status_code == 401

    again = visit(database, Role.VIEWER)
    put_user(database, "viewer@example.com", Role.VIEWER, "quite another one", actor="test")

    assert again.get("").status_code == 303


def test_logging_out_ends_the_session_for_every_holder_of_the_cookie(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    cookie = visitor.client.get_cookie("sync_admin", path="/admin")
    assert cookie is not None

    assert visitor.post("/logout", page="/history").location == "/admin/login"

    visitor.client.set_cookie("sync_admin", cookie.value, path="/admin")
    assert visitor.get("").status_code == 303
    assert visitor.web.rows(AdminSessionRow) == []


@pytest.mark.parametrize("token", [None, "", "0" * 64, "of another"])
def test_a_form_without_our_token_changes_nothing(sqlite_database: Database, token: str | None) -> None:
    visitor = visit(sqlite_database, Role.OPERATOR)
    if token == "of another":
        token = form_token(visit(sqlite_database, Role.OPERATOR).get("/clients"))
        visitor.log_in("operator@example.com")  # the other one ended this one's session
    before = len(visitor.web.rows(AdminActionRow))

    for change in changes(visitor):
        refused = visitor.client.post(change, data={} if token is None else {"form_token": token})
        assert (change, refused.status_code) == (change, 403)
        assert "This form is too old" in refused.text

    assert visitor.web.rows(SyncRequestRow) == []
    assert len(visitor.web.rows(AdminActionRow)) == before


def test_a_login_form_of_another_browser_is_refused(sqlite_database: Database) -> None:
    put_user(sqlite_database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")
    mine, others = visit(sqlite_database), visit(sqlite_database)
    mine.get("/login")

    form = {"email": "ada@example.com", "password": PASSWORD, "form_token": form_token(others.get("/login"))}

    assert mine.client.post("/admin/login", data=form).status_code == 403


def test_a_viewer_changes_nothing(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    before = len(visitor.web.rows(AdminActionRow))
    form = {"key": "A-S1", "kind": "subscription", "name": "x", "scope": "api/objects:read", "role": "operator"}
    form |= {"email": "viewer@example.com", "form_token": form_token(visitor.get(""))}

    for change in changes(visitor, but=FOR_EVERYBODY):
        refused = visitor.client.post(change, data=form)
        assert (change, refused.status_code) == (change, 403)
        assert "Your role is viewer" in refused.text

    assert visitor.web.rows(SyncRequestRow) == []
    assert len(visitor.web.rows(AdminActionRow)) == before


def test_a_viewer_sees_every_page_and_no_button_that_changes(sqlite_database: Database) -> None:
    key = put_subscription(sqlite_database, "A-S1")
    visitor = visit(sqlite_database, Role.VIEWER)

    for page in (*PAGES, f"/subscriptions/{key}"):
        shown = visitor.get(page)
        assert shown.status_code == 200, page
        actions = set(re.findall(r'<form[^>]*action="([^"]+)"', shown.text))
        harmless = {"/admin/logout", "/admin/search", "/admin/zone"}
        harmless |= {"/admin/subscriptions", f"/admin/subscriptions/{key}/preview"}
        harmless |= {f"/admin/subscriptions/{key}#stream", f"/admin/subscriptions/{key}/compare"}
        harmless |= {"/admin/history", "/admin/history#stream", "/admin/history/changes.csv"}
        assert actions <= harmless, page


def test_cookies_are_kept_from_scripts_and_other_sites(sqlite_database: Database) -> None:
    put_user(sqlite_database, "ada@example.com", Role.VIEWER, PASSWORD, actor="test")

    def cookie(**changed: Any) -> str:
        headers = visit(sqlite_database, **changed).log_in("ada@example.com").headers
        return next(each for each in headers.getlist("Set-Cookie") if each.startswith("sync_admin="))

    assert cookie().split("; ", 1)[1] == "HttpOnly; Path=/admin; SameSite=Lax"
    assert (
        cookie(public_url="https://sync.example.com").split("; ", 1)[1] == "Secure; HttpOnly; Path=/admin; SameSite=Lax"
    )


def test_without_a_secret_key_the_pages_say_what_to_do(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, secret_key="")

    for page in ("", "/login"):
        shown = visitor.get(page)
        assert shown.status_code == 503
        assert "SECRET_KEY" in shown.text
        assert "sync-service user add" in shown.text


def test_no_page_holds_a_script_or_a_style_of_its_own(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.OPERATOR)
    key = put_subscription(sqlite_database, "A-S1", entries=(("2026-05-01", "1.00", "pending-external"),))

    for page in (*PAGES, "/login", "/users", "/account", f"/subscriptions/{key}", "/nowhere"):
        shown = visitor.get(page)
        assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
        assert shown.headers["Cache-Control"] == "no-store"
        assert not re.search(
            r"<style|<[^>]+\sstyle=|<[^>]+\son\w+=|javascript:|<script(?![^>]+src=\"/admin/)", shown.text
        )
        links = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', shown.text)
        assert len(links) >= 3
        for link in links:
            with visitor.client.get(link) as asset:
                assert asset.status_code == 200
                assert "immutable" in asset.headers["Cache-Control"]


def test_users_are_made_and_disabled_on_the_command_line(
    sqlite_url: str, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = sqlite_database
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    run = CliRunner().invoke

    put_user(database, "olga@example.com", Role.OPERATOR, PASSWORD, actor="test")
    made = run(main, ["user", "add", "Ada@example.com", "--role", "operator"])

    assert made.exit_code == 0, made.output
    password = re.search(r"password: (\S+)", made.output)
    assert password
    visitor = visit(database)
    assert visitor.log_in("ada@example.com", password[1]).status_code == 303
    assert '"role": "operator"' in run(main, ["user", "list", "--json"]).output
    assert run(main, ["user", "disable", "ada@example.com"]).exit_code == 0
    assert visitor.get("").status_code == 303
    given = run(main, ["user", "add", "bob@example.com", "--role", "viewer", "--password-stdin"], input=f"{PASSWORD}\n")
    assert PASSWORD not in given.output
    assert visit(database).log_in("bob@example.com").status_code == 303
    with database.reading() as session:
        actions = [(row.action, row.target) for row in session.exec(select(AdminActionRow)) if "line" in row.actor]
    assert actions == [
        ("user added", "ada@example.com as operator"),
        ("user disabled", "ada@example.com"),
        ("user added", "bob@example.com as viewer"),
    ]
    assert run(main, ["user", "disable", "unknown@example.com"]).exit_code == 1
    database.engine.dispose()


@pytest.mark.parametrize("email", ["", "ada", "a b@example.com", "x" * 300 + "@example.com", "ada@\0"])
def test_only_an_email_address_makes_a_user(sqlite_database: Database, email: str) -> None:
    with pytest.raises(UserInvalid, match="is not an email address"):
        put_user(sqlite_database, email, Role.VIEWER, PASSWORD, actor="test")


def test_a_short_password_is_refused(sqlite_database: Database) -> None:
    with pytest.raises(UserInvalid, match="12 to 200"):
        put_user(sqlite_database, "ada@example.com", Role.VIEWER, "short", actor="test")
    assert visit(sqlite_database).web.rows(AdminUserRow) == []


def _plain(page: str) -> str:
    return re.sub(r'value="[0-9a-f]{64}"', "", page)


def end_sessions_of_everybody(database: Database) -> None:
    with database.transaction() as session:
        session.exec(update(AdminSessionRow).values(seen_at=AdminSessionRow.seen_at - IDLE_MS))


def test_a_form_sent_after_the_session_ended_is_kept_until_the_person_is_back(database: Database) -> None:
    visitor = visit(database, Role.OPERATOR)
    form = {
        "name": "Shop <b>",
        "scope": ["api/objects:read", "api/subscription:sync"],
        "form_token": "",
        "note": "é\n1",
    }
    form["form_token"] = form_token(visitor.get("/clients"))
    end_sessions_of_everybody(database)

    late = visitor.client.post("/admin/clients", data=form)
    login = visitor.client.get(late.location)
    back = visitor.log_in("operator@example.com")
    kept = visitor.client.get(back.location)

    assert visitor.web.rows(OauthClientRow) == []
    assert "What you typed is kept" in login.text
    assert (back.status_code, back.location) == (303, "/admin/draft")
    assert 'action="/admin/clients"' in kept.text
    assert 'value="Shop &lt;b&gt;"' in kept.text
    assert kept.text.count('name="scope"') == 2
    assert "é\n1" in kept.text
    assert visitor.get("/draft").location == "/admin/"
    assert "Shop" not in str(visitor.web.rows(AdminDraftRow))


def test_a_kept_form_is_shown_to_no_one_else(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.OPERATOR)
    put_user(sqlite_database, "eve@example.com", Role.VIEWER, PASSWORD, actor="test")
    form = {"name": "Secret plan", "form_token": form_token(visitor.get("/clients"))}
    end_sessions_of_everybody(sqlite_database)
    visitor.client.post("/admin/clients", data=form)

    visitor.log_in("eve@example.com")

    assert visitor.get("/draft").location == "/admin/"


@pytest.mark.parametrize("token", ["", "0" * 64])
def test_a_form_that_was_not_ours_is_not_kept(sqlite_database: Database, token: str) -> None:
    visitor = visit(sqlite_database, Role.OPERATOR)
    end_sessions_of_everybody(sqlite_database)

    visitor.client.post("/admin/clients", data={"name": "Evil", "form_token": token})

    assert visitor.web.rows(AdminDraftRow) == []
    assert visitor.log_in("operator@example.com").location == "/admin/"


def test_passwords_are_not_kept(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.OPERATOR)
    form = {"current": PASSWORD, "new": "x" * 20, "again": "x" * 20, "form_token": form_token(visitor.get("/account"))}
    end_sessions_of_everybody(sqlite_database)

    visitor.client.post("/admin/account/password", data=form)

    assert visitor.web.rows(AdminDraftRow) == []
