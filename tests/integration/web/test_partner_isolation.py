"""No way across: every partner address, asked with N's token for what is C's, a direct customer's, and unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_service.access.clients import SCOPES, Client
from sync_service.access.partner_scope import NoPartner, PartnerScope, scope_of_client
from sync_service.partner.scope import list_subscriptions, read_customer
from sync_service.store.cursors import make_cursor
from sync_service.store.engine import Database, Session
from sync_service.store.tables import BasketRow, CustomerRow, IdentityRow, OrderRow, SubscriptionRow
from tests.integration.web.conftest import Web
from tests.listening import listening
from tests.partner_world import CANARY, SUBSCRIPTIONS, PartnerWorld, open_partner_world, stop_clock

#: A request of N's that names an id in one place.
Request = Callable[[str], dict[str, Any]]


@dataclass(frozen=True)
class Way:
    """One place of a request that may hold an id: what N is answered for another's id, and for an unknown one."""

    others: int
    unknown: int
    request: Request


def cursor(kind: str, org: str, narrowed: str) -> str:
    return make_cursor(f"{kind} {org} {narrowed}", "")


def opened(**order: Any) -> dict[str, Any]:
    return {"order": {"order_type": "update_subscription", **order}}


def cookie(id: str) -> dict[str, str]:
    return {**CAPTCHA, "Cookie": f"limio_state={id}"}


CAPTCHA = {"X-Limio-Recaptcha": "a token"}
OWN = {"forSubscription": {"id": "sub-1"}}
ITEM = {"orderItemActionType": "add", "type": "offer", "quantity": 1}
LISTS = {"customer": "customer", "mma/subscriptions": "subscription"}


def listed(kind: str) -> tuple[Way, ...]:
    """A list shows N's own whatever it is asked with."""
    return (
        Way(200, 200, lambda id: {"query_string": {"ownerId": id, "filter": id}}),
        Way(400, 400, lambda id: {"query_string": {"queryMore": cursor(kind, id, "")}}),
        Way(200, 200, lambda id: {"query_string": {"partner_org": id}, "headers": {"partner_org": id}}),
    )


def invoices() -> tuple[Way, ...]:
    """What is not the partner's has no invoices; what a worker reads from Zuora is tried where there is one."""
    return (
        Way(200, 200, lambda id: {"query_string": {"ownerId": id}}),
        Way(200, 200, lambda id: {"query_string": {"subscriptionId": id}}),
        Way(400, 400, lambda id: {"query_string": {"cursor": make_cursor(f"invoice {id}", "")}}),
    )


def opening(headers: dict[str, str]) -> tuple[Way, ...]:
    return (
        Way(404, 404, lambda id: {"json": opened(forSubscription={"id": id}), "headers": headers}),
        Way(404, 404, lambda id: {"json": opened(forSubscription={"name": id}), "headers": headers}),
        Way(
            400,
            400,
            lambda id: {"json": opened(**OWN, orderItems=[{**ITEM, "offerId": id}]), "headers": headers},
        ),
        Way(400, 400, lambda id: {"json": opened(**OWN, forSubscriptionOffer={"offerId": id}), "headers": headers}),
        Way(200, 200, lambda id: {"json": {**opened(**OWN), "partner_org": id, "owner": id}, "headers": headers}),
    )


def bought(**order: Any) -> dict[str, Any]:
    """A new subscription as a partner orders it."""
    person = {"firstName": "Grace", "lastName": "Hopper", "email": "grace@example.com"}
    return {
        "order_type": "new",
        "orderItems": [{"offer": {"id": "team"}, "quantity": 1}],
        "customerDetails": person,
        "billingDetails": {"country": "GB"},
        "payment": {"type": "invoice"},
        "checkoutId": "none",
        "country": "GB",
        **order,
    }


def ordering() -> tuple[Way, ...]:
    return (
        Way(404, 404, lambda id: {"json": {"order_type": "update_subscription", "checkoutId": id}}),
        Way(404, 404, lambda id: {"json": {"order_type": "cancel_subscription", "forSubscription": {"id": id}}}),
        Way(404, 404, lambda id: {"json": {"order_type": "cancel_subscription", "forSubscription": {"name": id}}}),
        Way(404, 404, lambda id: {"json": bought(owner=id)}),
        Way(404, 404, lambda id: {"json": bought(orderItems=[{"offer": {"id": id}}])}),
    )


#: Every address under /api/partner/ with every place of it that may hold an id.
ROUTES: dict[tuple[str, str], tuple[Way, ...]] = {
    ("GET", "/api/partner/mma/subscriptions"): listed("subscription"),
    ("GET", "/api/partner/mma/subscriptions/<subscription_id>"): (
        Way(403, 404, lambda id: {"path": f"/api/partner/mma/subscriptions/{quote(id)}"}),
    ),
    ("GET", "/api/partner/customer"): listed("customer"),
    ("GET", "/api/partner/invoices"): invoices(),
    # A worker reads it from Zuora, by the account of the organisation: tried where there is a Zuora.
    ("GET", "/api/partner/invoices/<invoice_id>/pdf"): (),
    ("POST", "/api/partner/checkout/subscription"): opening(CAPTCHA),
    ("GET", "/api/partner/checkout/subscription"): (Way(404, 404, lambda id: {"headers": cookie(id)}),),
    ("PUT", "/api/partner/checkout/subscription"): (
        Way(404, 404, lambda id: {"json": opened(**OWN), "headers": cookie(id)}),
    ),
    ("POST", "/api/partner/mma/checkout"): opening({}),
    ("GET", "/api/partner/mma/checkout"): (
        Way(404, 404, lambda id: {"query_string": {"basket": id}}),
        Way(404, 404, lambda id: {"headers": cookie(id)}),
    ),
    ("PUT", "/api/partner/mma/checkout"): (
        Way(404, 404, lambda id: {"query_string": {"basket": id}, "json": opened(**OWN)}),
        Way(404, 404, lambda id: {"json": opened(**OWN, checkoutId=id)}),
        Way(404, 404, lambda id: {"json": opened(**OWN), "headers": cookie(id)}),
    ),
    ("POST", "/api/partner/checkout/initiate"): (
        Way(400, 400, lambda id: {"json": {"order": {"orderItems": [{"offer": {"id": id}}]}}}),
        Way(200, 200, lambda id: {"json": {"order": {"orderItems": [], "owner": id}, "partner_org": id}}),
    ),
    ("PUT", "/api/partner/checkout/update"): (
        Way(404, 404, lambda id: {"json": {"order": {"orderItems": [], "checkoutId": id}}}),
        Way(404, 404, lambda id: {"json": {"order": {"orderItems": []}}, "headers": cookie(id)}),
    ),
    ("POST", "/api/partner/checkout/validate"): (
        Way(404, 404, lambda id: {"json": {"order": {"checkoutId": id}}}),
        Way(404, 404, lambda id: {"json": {}, "headers": cookie(id)}),
    ),
    ("POST", "/api/partner/order/preview"): ordering(),
    ("POST", "/api/partner/order"): ordering(),
}


#: For people who have no token yet.
LOG_IN = {("POST", "/api/partner/code"), ("POST", "/api/partner/token")}
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
    "subscription_offer-team-3",
]


@pytest.fixture
def world(sqlite_web: Web, monkeypatch: pytest.MonkeyPatch) -> PartnerWorld:
    stop_clock(monkeypatch)
    return open_partner_world(sqlite_web.database, sqlite_web.client)


def test_every_partner_address_is_in_the_table(sqlite_web: Web) -> None:
    found = {
        (method, rule.rule)
        for rule in sqlite_web.client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/partner/")
    }

    assert found == set(ROUTES) | LOG_IN


@pytest.mark.parametrize(("method", "rule"), ROUTES)
def test_no_partner_address_is_open_to_anyone_else(sqlite_web: Web, method: str, rule: str) -> None:
    place = rule.replace("<subscription_id>", "sub-1")

    assert sqlite_web.client.open(place, method=method).status_code == 401
    assert sqlite_web.client.open(place, method=method, headers=sqlite_web.token(*SCOPES)).status_code == 403


@pytest.mark.parametrize(("method", "rule"), ROUTES)
def test_an_id_that_is_not_the_partners_leads_nowhere(
    sqlite_web: Web, world: PartnerWorld, method: str, rule: str, capfd: pytest.CaptureFixture[str]
) -> None:
    client = sqlite_web.client.application.test_client(use_cookies=False)
    coasts = client.post(
        "/api/partner/mma/checkout", json=opened(forSubscription={"id": "sub-3"}), headers=world.headers["C"]
    ).json["order"]["checkoutId"]
    bought_by_coast = client.post(
        "/api/partner/checkout/initiate",
        json={"order": {"orderItems": [{"offer": {"id": "team"}}]}},
        headers=world.headers["C"],
    ).json["id"]
    before = everything(sqlite_web)
    capfd.readouterr()

    for way in ROUTES[method, rule]:
        for id in (*FOREIGN, coasts, bought_by_coast, world.orgs["C"], "sub-none", "basket-none"):
            asked = way.request(id)
            headers = {**world.headers["N"], **asked.pop("headers", {})}
            answer = client.open(asked.pop("path", rule), method=method, headers=headers, **asked)

            expected = way.others if id in OTHERS else way.unknown
            assert answer.status_code == expected, (id, answer.text)
            said = f"{answer.headers}{answer.text}".replace(id, "")
            assert CANARY not in said
            assert world.orgs["C"] not in said
            assert coasts not in said
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err
    assert everything(sqlite_web) == before


@pytest.mark.parametrize(("method", "rule"), [each for each in ROUTES if ROUTES[each]])
def test_another_partners_id_costs_the_same_statements_as_an_unknown_one(
    sqlite_web: Web, world: PartnerWorld, method: str, rule: str
) -> None:
    """So that no clock tells the two apart: the same statements, in number and in kind, in every place of an id."""
    client = sqlite_web.client.application.test_client(use_cookies=False)
    said: list[str] = []

    def cost(way: Way, id: str) -> list[str]:
        asked = way.request(id)
        headers = {**world.headers["N"], **asked.pop("headers", {})}
        said.clear()
        with listening(before=lambda _, statement, __: said.append(str(statement))):
            client.open(asked.pop("path", rule), method=method, headers=headers, **asked)
        return list(said)

    client.get("/api/partner/customer", headers=world.headers["N"])  # who asks is known from now on
    for way in ROUTES[method, rule]:
        cost(way, "sub-none")  # what a basket of before costs, if there is one
        unknown = cost(way, "sub-none")
        for id in FOREIGN:
            assert cost(way, id) == unknown, id


def test_what_a_partner_sees_of_its_own_tells_nothing_of_others(sqlite_web: Web, world: PartnerWorld) -> None:
    """An offer that two partners may buy names both of them, and what only the other one may change to."""
    headers, client = world.headers["N"], sqlite_web.client
    answers = [
        client.get("/api/partner/mma/subscriptions", headers=headers),
        client.get("/api/partner/mma/subscriptions/sub-1", headers=headers),
        client.post("/api/partner/mma/checkout", json=opened(**OWN), headers=headers),
        client.get("/api/partner/mma/checkout", headers=headers),
    ]

    assert CANARY in str(world.catalog["Team"])
    for answer in answers:
        assert answer.status_code == 200
        assert CANARY not in answer.text
        assert world.orgs["C"] not in answer.text


def test_an_offer_of_another_partner_is_refused_without_its_name(sqlite_web: Web, world: PartnerWorld) -> None:
    headers, client = world.headers["N"], sqlite_web.client
    id = world.catalog["BusinessC"]["id"]
    asked = [
        ("/api/partner/mma/checkout", opened(**OWN, orderItems=[{**ITEM, "offerId": id}])),
        ("/api/partner/checkout/initiate", {"order": {"orderItems": [{"offer": {"id": id}}]}}),
        ("/api/partner/order", bought(orderItems=[{"offer": {"id": id}}])),
    ]

    for place, body in asked:
        answer = client.post(place, json=body, headers=headers)
        assert answer.status_code == 400
        assert "BusinessC" not in answer.text.replace(id, "")
        assert CANARY not in answer.text.replace(id, "")


def test_in_any_world_a_basket_is_its_organisations_alone(sqlite_web: Web, world: PartnerWorld) -> None:
    """Whichever partners open baskets, and in any order, each is found by its own organisation and by no other."""
    client = sqlite_web.client.application.test_client(use_cookies=False)
    own = {"N": ["sub-1", "sub-2"], "C": ["sub-3"]}

    @settings(max_examples=6)
    @given(st.lists(st.sampled_from(["N", "C"]), min_size=1, max_size=4))
    def check(who: list[str]) -> None:
        for index, partner in enumerate(who):
            id = own[partner][index % len(own[partner])]
            body = opened(forSubscription={"id": id})
            made = client.post("/api/partner/mma/checkout", json=body, headers=world.headers[partner]).json
            place = f"/api/partner/mma/checkout?basket={made['order']['checkoutId']}"
            for other, headers in world.headers.items():
                assert client.get(place, headers=headers).status_code == (200 if other == partner else 404)

    check()


def everything(web: Web) -> list[Any]:
    """All that is C's or a direct customer's."""
    kinds = (SubscriptionRow, OrderRow, CustomerRow, IdentityRow)
    objects = [row.model_dump() for kind in kinds for row in web.rows(kind) if CANARY in str(row.document)]
    return [*objects, *(row.model_dump() for row in web.rows(BasketRow) if CANARY in str(row.document))]


def test_cursors_of_others_and_made_up_ones_show_nothing_of_others(sqlite_web: Web, world: PartnerWorld) -> None:
    """A cursor is no secret: whatever stands in it, the list begins with what is the partner's."""
    for org in (*world.orgs.values(), "", "%"):
        for last in ("", "sub-2", "zzz"):
            for kind, place in (("subscription", "mma/subscriptions"), ("customer", "customer")):
                cursor = quote(make_cursor(f"{kind} {org} ", last))
                answer = sqlite_web.client.get(f"/api/partner/{place}?queryMore={cursor}", headers=world.headers["N"])
                assert answer.status_code == (200 if org == world.orgs["N"] else 400)
                assert CANARY not in answer.text


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


def test_in_any_world_a_partner_lists_exactly_what_is_its_own(sqlite_web: Web, world: PartnerWorld) -> None:
    """Customers and subscriptions, from the store and over the API, page by page, narrowed or not."""
    owned = st.tuples(st.sampled_from(["N", "C", None]), st.sampled_from(["id-1", "id-2"]))
    database = sqlite_web.database

    @settings(max_examples=40)
    @given(st.lists(owned, max_size=9), st.integers(1, 4))
    def check(objects: list[tuple[str | None, str]], limit: int) -> None:
        fill_store(database, world, objects)
        for partner, headers in world.headers.items():
            scope = PartnerScope(world.orgs[partner])
            own = [number for number, (theirs, _) in enumerate(objects) if theirs == partner]
            first = [number for number in own if objects[number][1] == "id-1"]
            with database.reading() as session:
                assert list_all(session, scope, None, limit) == own
                assert list_all(session, scope, "id-1", limit) == first
                assert [read_customer(session, scope, f"cus-{each}") is not None for each in range(len(objects))] == [
                    each in own for each in range(len(objects))
                ]
            subscriptions, customers = "mma/subscriptions", "customer"
            assert fetch_all(sqlite_web, headers, subscriptions, limit=limit) == own
            assert fetch_all(sqlite_web, headers, subscriptions, limit=limit, ownerId="id-1") == first
            assert fetch_all(sqlite_web, headers, customers, limit=limit) == own
            assert fetch_all(sqlite_web, headers, customers, limit=limit, filter="ID-1") == first

    check()


def fill_store(database: Database, world: PartnerWorld, objects: list[tuple[str | None, str]]) -> None:
    """These subscriptions, each with a customer of its own, and no others."""
    with database.transaction() as session:
        session.run("DELETE FROM limio_subscription")
        session.run("DELETE FROM limio_customer")
        for number, (partner, owner) in enumerate(objects):
            org = world.orgs.get(partner or "")
            document = {"id": number}
            session.add(SubscriptionRow(id=f"sub-{number:02}", owner=owner, partner_org=org, document=document))
            name = f"{owner} of {number}"
            session.add(CustomerRow(id=f"cus-{number}", name_folded=name, partner_org=org, document=document))


def fetch_all(web: Web, headers: dict[str, str], kind: str, **query: object) -> list[object]:
    """What the API lists, page after page."""
    seen: list[object] = []
    more: dict[str, object] = {}
    while True:
        page = web.client.get(f"/api/partner/{kind}", query_string={**query, **more}, headers=headers).json
        seen += [each["id"] for each in page["items"]]
        if "queryMore" not in page:
            assert page.get("hits", len(seen)) == len(seen)
            return seen
        more = {"queryMore": page["queryMore"]}


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
