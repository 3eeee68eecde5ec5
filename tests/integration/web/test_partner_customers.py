"""A partner's customers over the API: its own, found by any part of name or email address."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from sync_service.store.tables import CustomerRow
from tests.integration.web.conftest import Web
from tests.partner_world import CANARY, PartnerWorld, open_partner_world

pytestmark = pytest.mark.either_database

CUSTOMERS = "/api/partner/customer"


@pytest.fixture
def world(web: Web) -> PartnerWorld:
    world = open_partner_world(web.database, web.client)
    with web.database.transaction() as session:
        for id, name in (("cus-percent", "100% wool_ltd"), ("cus-zoe", "zoe")):
            document = {"id": id, "record_type": "customer", "data": {"name": name}}
            session.add(CustomerRow(id=id, partner_org=world.orgs["N"], name_folded=name, document=document))
    return world


def ask(web: Web, world: PartnerWorld, who: str, query: str = "", status: int = 200) -> Any:
    answer = web.client.get(CUSTOMERS + query, headers=world.headers[who])
    assert answer.status_code == status, answer.text
    assert answer.headers["Cache-Control"] == "private, no-store"
    return answer.json


def ids(page: Any) -> list[str]:
    return [each["id"] for each in page["items"]]


def test_example_30_a_partner_finds_its_own_customers_by_any_part_of_them(web: Web, world: PartnerWorld) -> None:
    everyone = ask(web, world, "N")
    assert (ids(everyone), everyone["hits"]) == (["cus-ada", "cus-bea", "cus-eve", "cus-percent", "cus-zoe"], 5)
    for wanted, found in (
        ("ADA@", ["cus-ada"]),
        ("north.ex", ["cus-ada", "cus-bea", "cus-eve"]),
        ("ZOË", ["cus-zoe"]),
        ("%", ["cus-percent"]),
        ("_", ["cus-percent"]),
        ("bob", []),
        (CANARY, []),
        ("' OR 1=1 --", []),
        ("a\x00b", []),
        ("x" * 300, []),
    ):
        page = ask(web, world, "N", f"?filter={quote(wanted)}")
        assert (ids(page), page["hits"]) == (found, len(found)), wanted
    assert ids(ask(web, world, "C", "?filter=%25")) == []
    assert ask(web, world, "C")["hits"] == 1


def test_pages_hold_each_once_and_hits_count_them_all(web: Web, world: PartnerWorld) -> None:
    first = ask(web, world, "N", "?limit=3")
    second = ask(web, world, "N", f"?limit=3&queryMore={first['queryMore']}")

    assert (len(first["items"]), first["hits"], second["hits"]) == (3, 5, 5)
    assert ids(first) + ids(second) == ["cus-ada", "cus-bea", "cus-eve", "cus-percent", "cus-zoe"]
    assert "queryMore" not in second
    for query in (f"?filter=ada&queryMore={first['queryMore']}", "?queryMore=x", "?limit=0", "?limit=101"):
        assert set(ask(web, world, "N", query, status=400)) == {"message"}
    ask(web, world, "C", f"?queryMore={first['queryMore']}", status=400)


def test_how_a_customer_pays_is_not_shown(web: Web, world: PartnerWorld) -> None:
    answer = web.client.get(f"{CUSTOMERS}?filter=ada", headers=world.headers["N"])

    assert "pm-" not in answer.text
    assert answer.json["items"][0]["data"]["email"] == "ada@north.example"
