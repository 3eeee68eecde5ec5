"""The people of the admin pages: made, changed and let go on the page People, and one's own account."""

from __future__ import annotations

import re
import threading

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from sync_service.access.passwords import TEMPORARY_MS
from sync_service.access.users import LastOperator, Role, change_role, disable_user, put_user
from sync_service.cli.main import main
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, AdminSessionRow, AdminUserRow
from sync_service.web.admin.login import LIMIT
from tests.integration.web.admin import PASSWORD, Visitor, visit

pytestmark = pytest.mark.either_database

OWN = "a password of my own"
VERA = {"email": "vera@example.com"}


def user(visitor: Visitor, email: str) -> AdminUserRow:
    row: AdminUserRow = next(row for row in visitor.web.rows(AdminUserRow) if row.email == email)
    return row


def actions(visitor: Visitor) -> list[tuple[str, str, str | None]]:
    """All but log-ins and the users that the test itself made."""
    rows = visitor.web.rows(AdminActionRow)
    return [(row.actor, row.action, row.target) for row in rows if row.action != "log in" and row.actor != "test"]


def add(visitor: Visitor, email: str, role: str = "viewer") -> str:
    """Add a user on the page; the password that it shows."""
    shown = visitor.post("/users", {"email": email, "role": role}, page="/users")
    assert shown.status_code == 303, shown.text
    shown = visitor.get("/users")
    found = re.search(r'<dt>Password</dt><dd class="key">([^<]+)', shown.text)
    assert found
    return found[1]


def choose(visitor: Visitor, current: str, new: str = OWN, again: str | None = None) -> int:
    form = {"current": current, "new": new, "again": new if again is None else again}
    return visitor.post("/account/password", form, page="/account").status_code


def test_a_new_person_comes_in_with_a_temporary_password_and_has_to_choose_another(database: Database) -> None:
    olga = visit(database, Role.OPERATOR)
    password = add(olga, "Vera@Example.com ")
    assert password not in olga.get("/users").text
    vera = visit(database)
    assert vera.log_in("vera@example.com", password, next="/admin/history").location == "/admin/history"

    for page in ("/history", "", "/settings"):
        assert vera.get(page).location == "/admin/account"
    assert vera.post("/subscriptions/A-S1/sync", page="/account").location == "/admin/account"
    assert "Choose a password of your own" in vera.get("/account").text
    assert choose(vera, password) == 303

    assert vera.get("/history").status_code == 200
    assert visit(database).log_in("vera@example.com", password).status_code == 401
    assert visit(database).log_in("vera@example.com", OWN).status_code == 303
    assert [row.role for row in olga.web.rows(AdminUserRow)] == ["operator", "viewer"]
    assert actions(olga) == [
        ("operator@example.com", "user added", "vera@example.com as viewer"),
        ("vera@example.com", "password changed", None),
        ("vera@example.com", "log in refused", "wrong password, from 127.0.0.1"),
    ]


def test_a_temporary_password_is_good_for_a_week(sqlite_database: Database) -> None:
    olga = visit(sqlite_database, Role.OPERATOR)
    password = add(olga, "vera@example.com")
    with sqlite_database.transaction() as session:
        session.exec(
            update(AdminUserRow)
            .where(AdminUserRow.email == "vera@example.com")
            .values(password_until=AdminUserRow.password_until - TEMPORARY_MS)
        )

    assert visit(sqlite_database).log_in("vera@example.com", password).status_code == 401
    assert "Temporary password, too old" in olga.get("/users").text


def test_a_new_password_ends_the_sessions_and_the_old_password(sqlite_database: Database) -> None:
    olga, vera = visit(sqlite_database, Role.OPERATOR), visit(sqlite_database, Role.VIEWER)

    olga.decide("/users/password", {"email": "viewer@example.com"}, page="/users")
    shown = olga.get("/users").text

    password = re.findall(r'<dt>Password</dt><dd class="key">([^<]+)', shown)[0]
    assert vera.get("").status_code == 303
    assert vera.log_in("viewer@example.com").status_code == 401
    assert vera.log_in("viewer@example.com", password).status_code == 303
    assert vera.get("").location == "/admin/account"


def test_another_role_and_a_farewell_count_from_the_next_request_on(sqlite_database: Database) -> None:
    olga, vera = visit(sqlite_database, Role.OPERATOR), visit(sqlite_database, Role.VIEWER)
    person = {"email": "viewer@example.com"}
    assert vera.get("/users").status_code == 403

    olga.post("/users/role", {**person, "role": "operator"}, page="/users")
    assert vera.get("/users").status_code == 200
    olga.post("/users/role", {**person, "role": "viewer"}, page="/users")
    assert vera.get("/users").status_code == 403
    olga.decide("/users/logout", person, page="/users")
    assert vera.get("").status_code == 303
    assert vera.log_in(person["email"]).status_code == 303
    olga.decide("/users/disable", person, page="/users")
    assert vera.get("").status_code == 303
    assert vera.log_in(person["email"]).status_code == 401
    olga.post("/users/enable", person, page="/users")
    assert vera.log_in(person["email"]).status_code == 303

    assert [each for each in actions(olga) if each[0] == "operator@example.com"] == [
        ("operator@example.com", "user role changed", "viewer@example.com to operator"),
        ("operator@example.com", "user role changed", "viewer@example.com to viewer"),
        ("operator@example.com", "user logged out", "viewer@example.com"),
        ("operator@example.com", "user disabled", "viewer@example.com"),
        ("operator@example.com", "user enabled", "viewer@example.com"),
    ]


def test_the_last_operator_can_be_neither_demoted_nor_disabled(database: Database) -> None:
    olga = visit(database, Role.OPERATOR)
    put_user(database, "oskar@example.com", Role.OPERATOR, PASSWORD, actor="test")
    disable_user(database, "oskar@example.com", actor="test")
    me = {"email": "operator@example.com"}

    for what, form in (("role", {"role": "viewer"}), ("disable", {})):
        refused = olga.decide(f"/users/{what}", {**me, **form}, page="/users")
        assert refused.status_code == 409
        assert "This is the last operator" in refused.text
    with pytest.raises(LastOperator):
        put_user(database, "operator@example.com", Role.VIEWER, PASSWORD, actor="test")

    assert olga.get("/users").status_code == 200
    assert (user(olga, me["email"]).role, user(olga, me["email"]).disabled_at) == ("operator", None)


def test_two_operators_who_demote_each_other_at_the_same_time_leave_one(database: Database) -> None:
    pair = ("ada@example.com", "bob@example.com")
    for _ in range(5):
        for email in pair:
            put_user(database, email, Role.OPERATOR, PASSWORD, actor="test")
        refused: list[str] = []
        start = threading.Barrier(2)

        def demote(email: str, start: threading.Barrier = start, refused: list[str] = refused) -> None:
            start.wait(10)
            try:
                change_role(database, email, Role.VIEWER, actor="test")
            except LastOperator:
                refused.append(email)

        threads = [threading.Thread(target=demote, args=(email,)) for email in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        visitor = visit(database)
        assert len(refused) == 1
        assert [row.email for row in visitor.web.rows(AdminUserRow) if row.role == "operator"] == refused


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"email": "no address", "role": "viewer"}, 422, "is not an email address"),
        ({"email": "operator@example.com", "role": "viewer"}, 422, "There is such a user already"),
        ({"email": "new@example.com", "role": "king"}, 400, "A role is viewer or operator"),
        ({"email": "new@example.com"}, 400, "A role is viewer or operator"),
    ],
)
def test_a_user_that_cannot_be_made_is_refused_with_the_reason(
    sqlite_database: Database, form: dict[str, str], status: int, said: str
) -> None:
    olga = visit(sqlite_database, Role.OPERATOR)

    refused = olga.post("/users", form, page="/users")

    assert refused.status_code == status
    assert said in refused.text.replace("&#39;", "'")
    assert len(olga.web.rows(AdminUserRow)) == 1


@pytest.mark.parametrize("what", ["role", "disable", "enable", "logout", "forget", "password"])
def test_no_user_is_changed_who_is_not_there(sqlite_database: Database, what: str) -> None:
    olga = visit(sqlite_database, Role.OPERATOR)

    for email in ("unknown@example.com", "\0", ""):
        assert olga.decide(f"/users/{what}", {"email": email, "role": "viewer"}, page="/users").status_code == 404


def test_changing_ones_password_ends_all_other_sessions_and_keeps_this_one(sqlite_database: Database) -> None:
    here, elsewhere = visit(sqlite_database, Role.VIEWER), visit(sqlite_database)
    elsewhere.log_in("viewer@example.com")
    before = here.client.get_cookie("sync_admin", path="/admin")

    assert choose(here, PASSWORD) == 303

    after = here.client.get_cookie("sync_admin", path="/admin")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert here.get("").status_code == 200
    assert elsewhere.get("").status_code == 303
    assert elsewhere.log_in("viewer@example.com", OWN).status_code == 303


def test_a_password_is_changed_only_by_a_user_who_knows_it_and_to_a_good_one(sqlite_database: Database) -> None:
    vera = visit(sqlite_database, Role.VIEWER)
    kept = user(vera, "viewer@example.com").password_hash

    assert choose(vera, "a guess that is wrong") == 403
    assert choose(vera, PASSWORD, "short") == 400
    assert choose(vera, PASSWORD, again="another than the first") == 400
    assert choose(vera, PASSWORD, PASSWORD) == 400
    for _ in range(LIMIT + 1):
        choose(vera, "a guess that is wrong")
    assert choose(vera, PASSWORD) == 403

    assert user(vera, "viewer@example.com").password_hash == kept


def test_one_can_log_out_everywhere(sqlite_database: Database) -> None:
    here, elsewhere = visit(sqlite_database, Role.VIEWER), visit(sqlite_database)
    elsewhere.log_in("viewer@example.com")
    assert "In 2 browsers" in here.get("/account").text

    assert here.decide("/account/log-out", page="/account").location == "/admin/login"

    assert elsewhere.get("").status_code == 303
    assert here.web.rows(AdminSessionRow) == []


def test_a_log_in_ends_the_session_that_the_browser_had_before(sqlite_database: Database) -> None:
    vera = visit(sqlite_database, Role.VIEWER)
    put_user(sqlite_database, "eve@example.com", Role.VIEWER, PASSWORD, actor="test")

    vera.log_in("eve@example.com")

    assert [row.email for row in vera.web.rows(AdminSessionRow)] == ["eve@example.com"]


def test_the_command_line_changes_people_as_the_pages_do(
    sqlite_url: str, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = sqlite_database
    monkeypatch.setenv("DATABASE_URL", sqlite_url)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["user", *words])
        return done.exit_code, done.output

    put_user(database, "olga@example.com", Role.OPERATOR, PASSWORD, actor="test")
    assert run("add", "vera@example.com", "--role", "viewer", "--sign-on") == (
        0,
        "vera@example.com may sign in as viewer.\n",
    )
    vera = visit(database)
    assert user(vera, "vera@example.com").password_hash is None
    assert run("role", "vera@example.com", "operator")[0] == 0
    assert user(vera, "vera@example.com").role == "operator"
    code, said = run("password", "vera@example.com")
    assert code == 0
    assert vera.log_in("vera@example.com", said.removeprefix("password: ").strip()).status_code == 303
    assert vera.get("").location == "/admin/account"
    assert run("log-out", "vera@example.com")[0] == 0
    assert vera.get("/account").location.startswith("/admin/login")
    assert run("forget-account", "vera@example.com")[0] == 0
    assert run("disable", "vera@example.com")[0] == 0
    assert run("enable", "vera@example.com")[0] == 0
    assert run("role", "vera@example.com", "viewer")[0] == 0
    assert run("disable", "olga@example.com") == (
        1,
        "This is the last operator: make another user an operator first.\n",
    )
    assert run("role", "unknown@example.com", "viewer") == (1, "There is no such user.\n")
    database.engine.dispose()
