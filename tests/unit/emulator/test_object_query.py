"""Object Query and ZOQL over a small tenant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.emulator.tenants import a_tenant, act, subscribe
from zuora_emulator import object_query, zoql
from zuora_emulator.bulk import Bulk, BulkStock
from zuora_emulator.fields import Refused
from zuora_emulator.tenant import Tenant


def a_big_tenant(count: int = 25) -> Tenant:
    tenant = a_tenant()
    tenant.add_stock(BulkStock(Bulk(count=count, accounts=10), tenant))
    return tenant


def all_pages(tenant: Tenant, kind: str = "subscriptions", **asked: list[str]) -> list[list[dict[str, Any]]]:
    pages, cursor = [], None
    while True:
        page = object_query.query(tenant, kind, {**asked, **({"cursor": [cursor]} if cursor else {})})
        pages.append(page["data"])
        cursor = page.get("nextPage")
        if cursor is None:
            return pages


@pytest.mark.parametrize("sort", ["updateddate.ASC", "updateddate.DESC", "id.ASC", "id.DESC", "name.ASC", "name.DESC"])
def test_pages_by_cursor_hold_every_row_once_in_order(sort: str) -> None:
    tenant = a_big_tenant()

    pages = all_pages(tenant, **{"sort[]": [sort], "pageSize": ["7"]})

    assert [len(page) for page in pages] == [7, 7, 7, 4]
    field, _, direction = sort.partition(".")
    values = [row[{"updateddate": "updatedDate"}.get(field, field)] for page in pages for row in page]
    assert sorted(values, reverse=direction == "DESC") == values
    assert len(set(values)) == 25


def test_the_last_update_comes_first_unless_asked_otherwise() -> None:
    tenant = a_big_tenant()
    subscribe(tenant)

    assert object_query.query(tenant, "subscriptions", {})["data"][0]["name"] == "A-S1"


def test_updates_since_a_time_are_found_and_nothing_else() -> None:
    tenant = a_big_tenant()
    since = (tenant.now() - timedelta(minutes=1)).isoformat()
    subscribe(tenant)
    old = tenant.subscriptions["A-S1"].latest.id
    act(tenant, "renew")

    both = all_pages(tenant, **{"filter[]": [f"updateddate.GE:{since}"], "sort[]": ["updateddate.ASC"]})
    latest = all_pages(tenant, **{"filter[]": [f"updateddate.GE:{since}", "islatestversion.EQ:true"]})

    assert {(old, "Expired"), (tenant.subscriptions["A-S1"].latest.id, "Active")} == {
        (row["id"], row["status"]) for row in both[0]
    }
    assert [(row["name"], row["version"]) for row in latest[0]] == [("A-S1", 2)]


def test_a_filter_on_an_account_finds_what_it_owns() -> None:
    tenant = a_big_tenant()
    account = tenant.find_account("A90000003")
    assert account is not None

    asked = {"filter[]": [f"accountid.EQ:{account.id}"], "fields[]": ["name"], "sort[]": ["name.ASC"]}
    (rows,) = all_pages(tenant, **asked)

    assert rows == [{"name": "A-S90000003"}, {"name": "A-S90000013"}, {"name": "A-S90000023"}]


def test_contacts_and_accounts_are_found_by_their_own_updates() -> None:
    tenant = a_big_tenant()
    since = f"updateddate.GE:{(tenant.now() - timedelta(minutes=1)).isoformat()}"

    assert [
        [row["accountNumber"] for row in page] for page in all_pages(tenant, "accounts", **{"filter[]": [since]})
    ] == [["A1"]]
    (contacts,) = all_pages(tenant, "contacts", **{"filter[]": [since]})
    assert [(row["firstName"], row["country"]) for row in contacts] == [("Ada", "United Kingdom")]


def test_nulls_are_left_out_and_what_is_expanded_is_there() -> None:
    tenant = a_tenant()
    subscribe(tenant)

    (row,) = object_query.query(tenant, "subscriptions", {"expand[]": ["account", "order"]})["data"]

    assert "cancelledDate" not in row
    assert row["account"]["accountNumber"] == "A1"
    assert row["order"]["orderNumber"] == "O-00000001"


@pytest.mark.parametrize(
    "asked",
    [
        {"pageSize": ["100"]},
        {"pageSize": ["0"]},
        {"filter[]": ["name"]},
        {"filter[]": ["name.LIKE:A"]},
        {"cursor": ["nonsense"]},
        {"sort[]": ["name.UP"]},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(asked: dict[str, list[str]]) -> None:
    with pytest.raises(Refused):
        object_query.query(a_tenant(), "subscriptions", asked)


def test_zoql_selects_what_changed_and_pages_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoql, "_PAGE", 20)
    tenant = a_big_tenant()
    subscribe(tenant)

    first = zoql.query(tenant, {"queryString": "select Id, Name from Subscription where Status = 'Active'"})
    rest = zoql.query_more(tenant, {"queryLocator": first["queryLocator"]})

    assert (first["size"], first["done"], len(first["records"])) == (26, False, 20)
    assert (rest["done"], len(rest["records"])) == (True, 6)
    assert {"Id", "Name"} == rest["records"][0].keys()


def test_zoql_without_a_row_has_no_records() -> None:
    tenant = a_tenant()

    found = zoql.query(
        tenant, {"queryString": "select Id from Subscription where UpdatedDate >= '2026-11-20T10:00:00Z'"}
    )

    assert found == {"size": 0, "done": True}
