"""How a partner's user comes into the portal, and how not."""

from __future__ import annotations

import pytest
from sqlmodel import select
from structlog.testing import capture_logs

from sync_service.access.partner_login import MAX_CODES
from sync_service.access.partner_sessions import LIFE_MS, MAX_TRIES
from sync_service.errors import SettingsInvalid
from sync_service.partner.organisations import Organisation, Partners
from sync_service.settings import load_settings
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, PartnerCodeRow, PartnerSessionRow
from tests.databases import read_table
from tests.integration.web.admin import form_token, visit
from tests.integration.web.conftest import build
from tests.integration.web.portal import USERS, Portal, PortalVisitor, open_portal
from tests.mail_server import serve_mail

ANN = USERS["N"]


@pytest.fixture
def portal(sqlite_database: Database) -> Portal:
    return open_portal(sqlite_database)


def age_codes(database: Database, ms: int) -> None:
    with database.transaction() as session:
        for row in session.exec(select(PartnerCodeRow)):
            row.expires_at -= ms


def test_a_user_comes_in_with_the_code_and_leaves(database: Database) -> None:
    portal = open_portal(database)
    visitor = portal.visit()
    assert visitor.get().headers["Location"].startswith("/partner/login")

    asked = visitor.ask_for_code(f"  {ANN.upper()} ")
    assert (asked.status_code, asked.headers["Location"]) == (303, "/partner/login/code")
    entered = visitor.give_code(f" {visitor.codes[0][:3]} {visitor.codes[0][3:]} ")

    assert (entered.status_code, entered.headers["Location"]) == (303, "/partner")
    home = visitor.get()
    assert home.status_code == 200
    assert ANN in home.text
    assert "North" in home.text
    assert home.headers["Cache-Control"] == "private, no-store"
    assert visitor.post("/logout").headers["Location"] == "/partner/login"
    assert visitor.get().status_code == 303
    assert read_table(database, PartnerSessionRow) == []
    assert [each.actor for each in read_table(database, AdminActionRow) if each.action == "partner log in"] == [ANN]


def test_the_page_that_was_asked_for_is_shown_after_the_log_in(portal: Portal) -> None:
    visitor = portal.visit()
    wanted = visitor.get("/subscriptions/sub-1")
    assert "next=/partner/subscriptions/sub-1" in wanted.headers["Location"]

    visitor.ask_for_code(ANN)
    entered = visitor.give_code(visitor.codes[0], next="/partner/subscriptions/sub-1")

    assert entered.headers["Location"] == "/partner/subscriptions/sub-1"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/partner", "//evil.example", "/admin", "/partnerx", "\\"])
def test_no_log_in_leads_elsewhere(portal: Portal, elsewhere: str) -> None:
    visitor = portal.visit()
    visitor.ask_for_code(ANN)

    assert visitor.give_code(visitor.codes[0], next=elsewhere).headers["Location"] == "/partner"


def test_an_unknown_address_is_answered_as_a_known_one_and_gets_no_mail(portal: Portal) -> None:
    known, unknown = portal.visit(), portal.visit()
    answers = [known.ask_for_code(ANN), unknown.ask_for_code("unknown@north.example")]

    assert [each.status_code for each in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    hide = [form_token(each.get("/login/code")) for each in (known, unknown)]
    pages = [
        each.get("/login/code").text.replace(token, "") for each, token in zip((known, unknown), hide, strict=True)
    ]
    assert pages[0] == pages[1]
    assert len(known.codes) == 1
    assert unknown.codes == []
    assert len(read_table(portal.database, PartnerCodeRow)) == 2
    assert unknown.give_code("000000").status_code == 401


def test_the_sixth_try_is_refused_even_if_it_is_right(portal: Portal) -> None:
    visitor = portal.visit()
    visitor.ask_for_code(ANN)
    wrong = "000000" if visitor.codes[0] != "000000" else "111111"

    for _ in range(MAX_TRIES):
        assert visitor.give_code(wrong).status_code == 401

    assert visitor.give_code(visitor.codes[0]).status_code == 401
    assert read_table(portal.database, PartnerSessionRow) == []


def test_the_fifth_try_may_still_be_the_right_one(portal: Portal) -> None:
    visitor = portal.visit()
    visitor.ask_for_code(ANN)
    for _ in range(MAX_TRIES - 1):
        visitor.give_code("wrong")

    assert visitor.give_code(visitor.codes[0]).status_code == 303


def test_a_code_is_good_once_for_ten_minutes_and_in_its_own_browser(portal: Portal) -> None:
    first, second = portal.visit(), portal.visit()
    first.ask_for_code(ANN)
    second.ask_for_code(ANN)

    assert second.give_code(first.codes[0]).status_code == 401
    assert second.give_code(second.codes[0]).status_code == 303
    third = portal.visit()
    third.ask_for_code(ANN)
    age_codes(portal.database, LIFE_MS)
    assert third.give_code(third.codes[0]).status_code == 401
    assert first.give_code(first.codes[0]).status_code == 401


def test_a_new_code_takes_the_place_of_the_one_before(portal: Portal) -> None:
    visitor = portal.visit()
    visitor.ask_for_code(ANN)
    visitor.ask_for_code(ANN)

    assert visitor.give_code(visitor.codes[0]).status_code == 401 or visitor.codes[0] == visitor.codes[1]
    assert visitor.give_code(visitor.codes[1]).status_code == 303


def test_no_code_and_no_cookie_stands_in_the_database(portal: Portal) -> None:
    visitor = portal.visit("N")
    visitor.ask_for_code(ANN)
    cookies = [visitor.client.get_cookie(name, path="/partner") for name in ("sync_partner", "sync_partner_guest")]

    stored = "".join(
        str(vars(row)) for kind in (PartnerCodeRow, PartnerSessionRow) for row in read_table(portal.database, kind)
    )

    assert visitor.codes[-1] not in stored
    for cookie in cookies:
        assert cookie is not None
        assert cookie.value not in stored
        assert cookie.http_only
        assert (cookie.path, cookie.same_site) == ("/partner", "Lax")


def test_too_many_codes_for_one_address_are_refused_from_any_caller(portal: Portal) -> None:
    for email in (ANN, "unknown@north.example"):
        for _ in range(MAX_CODES):
            assert portal.visit().ask_for_code(email).status_code == 303
        refused = portal.visit().ask_for_code(email)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
    assert portal.visit().ask_for_code(USERS["C"]).status_code == 303


def test_a_form_of_another_browser_or_of_the_admin_pages_logs_no_one_in(portal: Portal) -> None:
    visitor = portal.visit()
    visitor.ask_for_code(ANN)
    tokens = [form_token(portal.visit().get("/login")), form_token(visit(portal.database).get("/login")), ""]

    for token in tokens:
        form = {"code": visitor.codes[0], "form_token": token}
        assert visitor.client.post("/partner/login/code", data=form).status_code == 403
    assert read_table(portal.database, PartnerSessionRow) == []


def test_a_partners_cookie_opens_no_admin_page_and_an_admins_no_portal(portal: Portal) -> None:
    visitor = portal.visit("N")
    cookie = visitor.client.get_cookie("sync_partner", path="/partner")
    assert cookie is not None
    stranger = portal.visit()
    stranger.client.set_cookie("sync_admin", cookie.value, path="/admin")

    assert stranger.client.get("/admin").status_code == 303
    assert visitor.client.get("/admin").status_code == 303
    assert visitor.client.get("/api/partner/customer").status_code == 401


@pytest.mark.parametrize("what", ["user", "organisation"])
def test_disabling_ends_sessions_with_the_next_request_for_good(portal: Portal, what: str) -> None:
    ann, carl = portal.visit("N"), portal.visit("C")
    partners = Partners(portal.database, "test")

    def set_disabled(disabled: bool) -> None:
        if what == "user":
            partners.set_user_disabled(portal.world.orgs["N"], portal.users["N"], disabled=disabled)
        else:
            partners.set_disabled(portal.world.orgs["N"], disabled=disabled)

    ann.ask_for_code(ANN)
    set_disabled(True)

    assert ann.get().headers["Location"].startswith("/partner/login")
    assert ann.give_code(ann.codes[-1]).status_code == 401
    assert carl.get().status_code == 200
    late = portal.visit()
    late.ask_for_code(ANN)
    assert late.codes == []
    set_disabled(False)
    assert ann.get().status_code == 303
    assert portal.visit("N").get().status_code == 200


def test_sessions_end_after_an_hour_without_a_page_and_after_twelve(portal: Portal) -> None:
    for column, hours in (("seen_at", 1), ("began_at", 12)):
        visitor = portal.visit("N")
        assert visitor.get().status_code == 200
        with portal.database.transaction() as session:
            for row in session.exec(select(PartnerSessionRow)):
                setattr(row, column, getattr(row, column) - hours * 3_600_000)
        assert visitor.get().status_code == 303


def test_the_code_comes_by_mail_and_stands_nowhere_else(sqlite_database: Database) -> None:
    with serve_mail() as server, capture_logs() as logs:
        portal = open_portal(
            sqlite_database,
            partner_code_in_log=False,
            smtp_host="127.0.0.1",
            smtp_port=server.port,
            smtp_security="none",
            mail_from="Example Partners <partners@example.com>",
            public_url="https://shop.example",
        )
        visitor = portal.visit()
        answer = visitor.client.get("/partner/login", base_url="https://shop.example")
        form = {"form_token": form_token(answer), "email": ANN}
        asked = visitor.client.post("/partner/login", data=form, base_url="https://shop.example")
        mail = server.mails.get(timeout=60)

    code = next(word for word in mail.get_content().replace(".", " ").split() if word.isdigit() and len(word) == 6)
    assert (mail["To"], mail["From"]) == (ANN, "Example Partners <partners@example.com>")
    assert "https://shop.example/partner" in mail.get_content()
    assert code not in str(asked.headers) + asked.text + str(logs)
    assert ANN not in str(logs)


def test_a_mail_server_that_is_away_keeps_no_user_waiting(sqlite_database: Database) -> None:
    portal = open_portal(
        sqlite_database, partner_code_in_log=False, smtp_host="127.0.0.1", smtp_port=1, mail_from="partners@example.com"
    )

    assert portal.visit().ask_for_code(ANN).status_code == 303


def test_without_a_mail_server_the_page_says_that_no_one_can_log_in(sqlite_database: Database) -> None:
    portal = open_portal(sqlite_database, partner_code_in_log=False)
    visitor = portal.visit()

    assert "Log-in is not set up yet" in visitor.get("/login").text
    assert visitor.get("/login/code").status_code == 200


def test_the_logo_is_the_only_thing_of_another_host_and_only_for_its_own_people(portal: Portal) -> None:
    logo = "https://cdn.north.example/logo.png"
    organisation = Organisation(name="North", zuora_account_id="A-N", is_invoice_owner=True, logo=logo)
    Partners(portal.database, "test").change(portal.world.orgs["N"], organisation)
    ann, carl = portal.visit("N"), portal.visit("C")

    page = ann.get()

    assert f'<img src="{logo}" alt="North"' in page.text
    policy = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https://cdn.north.example; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert page.headers.getlist("Content-Security-Policy") == [policy]
    assert "north.example" not in str(carl.get().headers)


@pytest.mark.parametrize("logo", ["https://a;b.example/x", "https://a,b.example", "https://user@north.example/x"])
def test_a_logo_whose_host_cannot_stand_in_a_policy_is_not_shown(portal: Portal, logo: str) -> None:
    organisation = Organisation(name="North", zuora_account_id="A-N", is_invoice_owner=True, logo=logo)
    Partners(portal.database, "test").change(portal.world.orgs["N"], organisation)

    page = portal.visit("N").get()

    assert "<img" not in page.text
    assert "img-src 'self';" in page.headers["Content-Security-Policy"]


def test_the_portal_is_closed_without_a_secret_key(sqlite_database: Database) -> None:
    portal = open_portal(sqlite_database)
    closed = PortalVisitor(build(sqlite_database, secret_key="").client)

    assert closed.get("/login").status_code == 503
    assert portal.visit().get("/login").status_code == 200


@pytest.mark.parametrize("elsewhere", [{"PUBLIC_URL": "https://shop.example"}, {"HOST": "0.0.0.0"}])
def test_codes_in_the_log_are_refused_where_others_reach_the_service(elsewhere: dict[str, str]) -> None:
    assert load_settings({"PARTNER_CODE_IN_LOG": "on"}).partner_code_in_log
    with pytest.raises(SettingsInvalid, match="PARTNER_CODE_IN_LOG: is for a trial on this machine only"):
        load_settings({"PARTNER_CODE_IN_LOG": "on", **elsewhere})


def test_a_mail_server_wants_a_sender_that_is_one_address() -> None:
    for given in (
        {"SMTP_HOST": "mail.example"},
        {"SMTP_HOST": "mail.example", "MAIL_FROM": "a@x.example, b@x.example"},
    ):
        with pytest.raises(SettingsInvalid, match="MAIL_FROM"):
            load_settings(given)
