"""Managing partners over the API: organisations, their people, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sync_service.access.clients import PARTNERS_SCOPE
from sync_service.store.tables import AdminActionRow
from tests.integration.web.conftest import Web

NORTH = {"name": "North", "zuoraAccountId": "A-N", "isZuoraInvoiceOwner": True}


class Operator:
    """A client of ours that manages partners."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.headers = web.token(PARTNERS_SCOPE, name="back office")

    def send(self, method: str, place: str, body: Any = None, status: int = 200) -> Any:
        answer = self.web.client.open(f"/api{place}", method=method, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.json


@pytest.fixture
def operator(sqlite_web: Web) -> Operator:
    return Operator(sqlite_web)


def test_an_organisation_is_as_limio_shows_it(web: Web) -> None:
    operator = Operator(web)
    more = {"salesforceAccountId": "0015g00000", "logo": "https://north.example/logo.png"}

    made = operator.send("POST", "/partner-organisation", NORTH | more)

    assert made["id"].startswith("partner_org-")
    assert (made["name"], made["record_type"], made["service"]) == ("North", "partner_org", "limio")
    assert made["data"] == {"zuoraAccountId": "A-N", "isZuoraInvoiceOwner": True, **more}
    assert made["created"] == made["modified"]
    assert operator.send("GET", "/partner-organisations") == {"items": [made]}


def test_organisations_come_in_pages(operator: Operator) -> None:
    made = sorted(
        operator.send("POST", "/partner-organisation", NORTH | {"zuoraAccountId": f"A-{number}"})["id"]
        for number in range(5)
    )

    seen, more = [], ""
    while True:
        page = operator.send("GET", f"/partner-organisations?limit=2{more}")
        seen += [each["id"] for each in page["items"]]
        if "queryMore" not in page:
            break
        more = f"&queryMore={page['queryMore']}"

    assert seen == made
    operator.send("GET", "/partner-organisations?limit=0", status=400)
    operator.send("GET", "/partner-organisations?queryMore=x", status=400)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "North", "isZuoraInvoiceOwner": True}, "zuoraAccountId"),
        (NORTH | {"isZuoraInvoiceOwner": "yes"}, "isZuoraInvoiceOwner"),
        (NORTH | {"isZuoraInvoiceOwner": 1}, "isZuoraInvoiceOwner"),
        (NORTH | {"name": "  "}, "name"),
        (NORTH | {"name": "x" * 201}, "name"),
        (NORTH | {"name": "North\u0000"}, "name"),
        (NORTH | {"zuoraAccountId": ""}, "zuoraAccountId"),
        (NORTH | {"logo": "javascript:alert(1)"}, "logo"),
        (NORTH | {"logo": "http://north.example/logo.png"}, "logo"),
        ([NORTH], "JSON object"),
        (None, "JSON object"),
    ],
)
def test_example_32_a_body_that_cannot_be_meant_is_refused_and_nothing_is_made(
    operator: Operator, body: Any, said: str
) -> None:
    assert said in operator.send("POST", "/partner-organisation", body, status=400)["message"]
    assert operator.send("GET", "/partner-organisations") == {"items": []}


def test_one_zuora_account_has_one_organisation(web: Web) -> None:
    operator = Operator(web)
    operator.send("POST", "/partner-organisation", NORTH)
    other = operator.send("POST", "/partner-organisation", NORTH | {"zuoraAccountId": "A-C"})["id"]

    assert "zuoraAccountId" in operator.send("POST", "/partner-organisation", NORTH, status=400)["message"]
    assert "zuoraAccountId" in operator.send("PUT", f"/partner-organisation/{other}", NORTH, status=400)["message"]


def test_example_32_an_email_address_acts_for_one_partner_whatever_its_case(web: Web) -> None:
    operator = Operator(web)
    north = operator.send("POST", "/partner-organisation", NORTH)["id"]
    coast = operator.send("POST", "/partner-organisation", NORTH | {"zuoraAccountId": "A-C"})["id"]

    ann = operator.send("POST", f"/partner-organisation/{north}", {"email": "Ann@x.example", "name": "Ann"})

    assert (ann["name"], ann["partner_org"], ann["record_type"]) == ("Ann@x.example", north, "partner_user")
    for org in (north, coast):
        refused = operator.send("POST", f"/partner-organisation/{org}", {"email": "ann@X.example"}, status=400)
        assert "email" in refused["message"]
    for email in ("", "ann", "a@b\nc", "x" * 250 + "@x.example", 7):
        operator.send("POST", f"/partner-organisation/{coast}", {"email": email}, status=400)
    operator.send("POST", "/partner-organisation/partner_org-none", {"email": "bob@x.example"}, status=404)


def test_an_organisation_is_changed_and_disabled(operator: Operator) -> None:
    made = operator.send("POST", "/partner-organisation", NORTH)
    place = f"/partner-organisation/{made['id']}"
    user = operator.send("POST", place, {"email": "ann@x.example"})

    changed = operator.send("PUT", place, NORTH | {"name": "Northern"})
    assert (changed["name"], changed["status"]) == ("Northern", "active")
    assert operator.send("DELETE", f"{place}/{user['id']}")["status"] == "disabled"
    assert operator.send("DELETE", place)["status"] == "disabled"
    assert operator.send("DELETE", place)["status"] == "disabled"
    for other in ("/partner-organisation/partner_org-none", f"{place}/partner_user-none", f"{place}x/{user['id']}"):
        operator.send("DELETE", other, status=404)

    done = [row.action for row in operator.web.rows(AdminActionRow) if row.actor == "client back office"]
    assert done == [
        "partner added",
        "partner user added",
        "partner changed",
        "partner user disabled",
        "partner disabled",
    ]


def test_example_32_only_a_client_with_the_scope_manages_partners(sqlite_web: Web) -> None:
    for method, place in (
        ("GET", "/api/partner-organisations"),
        ("POST", "/api/partner-organisation"),
        ("PUT", "/api/partner-organisation/x"),
        ("POST", "/api/partner-organisation/x"),
        ("DELETE", "/api/partner-organisation/x"),
        ("DELETE", "/api/partner-organisation/x/y"),
    ):
        assert sqlite_web.client.open(place, method=method).status_code == 401
    headers = sqlite_web.token(name="reader")
    assert sqlite_web.client.get("/api/partner-organisations", headers=headers).status_code == 403
