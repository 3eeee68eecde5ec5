"""No way across: every partner address, asked with N's token for what is C's, a direct customer's, and nobody's."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from sync_service.access.clients import SCOPES, Client
from sync_service.access.partner_scope import NoPartner, PartnerScope, scope_of_client
from sync_service.partner.reading import list_subscriptions
from sync_service.store.engine import Database, Session
from sync_service.store.pages import make_cursor
from sync_service.store.tables import SubscriptionRow
from tests.integration.web.conftest import Web
from tests.partner_world import CANARY, SUBSCRIPTIONS, PartnerWorld, open_partner_world

#: Every address under /api/partner/, with what N is answered for an id of C's or of a direct customer, and of nobody.
#: A list shows N's own whatever it is asked with; `None` where the address takes no id.
ROUTES = {
    ("GET", "/api/partner/mma/subscriptions"): (200, 200),
    ("GET", "/api/partner/mma/subscriptions/<subscription_id>"): (403, 404),
    ("GET", "/api/partner/customer"): (200, 200),
}
OTHERS = [name for name, _, partner in SUBSCRIPTIONS if partner != "N"]
#: Ids of every kind of object that is not N's.
FOREIGN = [
    *OTHERS,
    *(owner for _, owner, partner in SUBSCRIPTIONS if partner != "N"),
    "cus-bob",
    "cus-dan",
    "order-3",
    "schedule-3",
    "pm-3",
    "pm-5",
    f"{CANARY}3TEAM",
]


@pytest.fixture
def world(sqlite_web: Web) -> PartnerWorld:
    return open_partner_world(sqlite_web.database, sqlite_web.client)


def test_every_partner_address_is_in_the_table(sqlite_web: Web) -> None:
    found = {
        (method, rule.rule)
        for rule in sqlite_web.client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/partner/")
    }

    assert found == set(ROUTES)


@pytest.mark.parametrize(("method", "rule"), ROUTES)
def test_no_partner_address_is_open_to_anyone_else(sqlite_web: Web, method: str, rule: str) -> None:
    place = rule.replace("<subscription_id>", "sub-1")

    assert sqlite_web.client.open(place, method=method).status_code == 401
    assert sqlite_web.client.open(place, method=method, headers=sqlite_web.token(*SCOPES)).status_code == 403


def ask(client: FlaskClient, world: PartnerWorld, method: str, place: str) -> tuple[int, str]:
    """The status, and all that the answer says."""
    answer = client.open(place, method=method, headers=world.headers["N"])
    return answer.status_code, f"{answer.headers}{answer.text}"


@pytest.mark.parametrize(("method", "rule"), ROUTES)
def test_an_id_that_is_not_the_partners_leads_nowhere(
    sqlite_web: Web, world: PartnerWorld, method: str, rule: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for_others, for_nobody = ROUTES[method, rule]
    asked = [(id, for_others if id in OTHERS else for_nobody) for id in FOREIGN] + [("sub-none", for_nobody)]

    for id, expected in asked:
        if "<" in rule:
            place = rule.replace("<subscription_id>", id)
        else:
            kind = "customer" if rule.endswith("customer") else "subscription"
            cursor = make_cursor(f"{kind} {world.orgs['N']} {id}", "")
            place = f"{rule}?ownerId={id}&filter={id}&queryMore={cursor}"
        status, said = ask(sqlite_web.client, world, method, place)
        assert status == expected, place
        assert CANARY not in said.replace(id, "")
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err


def test_cursors_of_others_and_made_up_ones_show_nothing_of_others(sqlite_web: Web, world: PartnerWorld) -> None:
    """A cursor is no secret: whatever stands in it, the list begins with what is the partner's."""
    for org in (*world.orgs.values(), "", "%"):
        for last in ("", "sub-2", "zzz"):
            for kind, place in (("subscription", "mma/subscriptions"), ("customer", "customer")):
                cursor = quote(make_cursor(f"{kind} {org} ", last))
                status, said = ask(sqlite_web.client, world, "GET", f"/api/partner/{place}?queryMore={cursor}")
                assert status == (200 if org == world.orgs["N"] else 400)
                assert CANARY not in said


def test_an_empty_scope_is_an_error_and_a_client_of_no_partner_has_none() -> None:
    for nothing in ("", " "):
        with pytest.raises(ValueError, match="names an organisation"):
            PartnerScope(nothing)
    client = Client(client_id="client-1", name="ours", scopes=frozenset({"partner"}), callout=False)
    with pytest.raises(NoPartner):
        scope_of_client(client)


def test_a_scope_is_made_in_one_place() -> None:
    package = Path(__file__).parents[3] / "sync_service"
    makers = [
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if "PartnerScope(" in path.read_text()
    ]

    assert makers == ["access/partner_scope.py"]


def test_in_any_world_a_partner_lists_exactly_what_is_its_own(sqlite_database: Database) -> None:
    owned = st.tuples(st.sampled_from(["N", "C", None]), st.sampled_from(["id-1", "id-2"]))

    @given(st.lists(owned, max_size=12), st.integers(1, 5))
    def check(world: list[tuple[str | None, str]], limit: int) -> None:
        with sqlite_database.transaction() as session:
            session.run("DELETE FROM limio_subscription")
            for number, (partner, owner) in enumerate(world):
                session.add(
                    SubscriptionRow(id=f"sub-{number:02}", owner=owner, partner_org=partner, document={"id": number})
                )
        with sqlite_database.reading() as session:
            for partner in ("N", "C"):
                for owner in (None, "id-1"):
                    expected = [
                        number
                        for number, (theirs, whose) in enumerate(world)
                        if theirs == partner and owner in (None, whose)
                    ]
                    assert list_all(session, PartnerScope(partner), owner, limit) == expected

    check()


def list_all(session: Session, scope: PartnerScope, owner: str | None, limit: int) -> list[object]:
    """Page after page."""
    seen: list[object] = []
    cursor = None
    while True:
        page = list_subscriptions(session, scope, owner=owner, limit=limit, query_more=cursor)
        seen += [document["id"] for document in page.items]
        cursor = page.query_more
        if cursor is None:
            return seen
