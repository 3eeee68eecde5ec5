"""Zuora's lists, asked for and read: the requests are those of Zuora's reference, odd rows stop nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from sync_service.errors import PayloadInvalid, PermissionRefused
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.listing import Listing, ListQuery, ListSource, RowPage, fetch_newest_update, fetch_page

HOST = "https://rest.test.zuora.com"
SINCE = datetime(2026, 11, 20, 10, tzinfo=UTC)
#: The sample answer of "List subscriptions" in Zuora's API reference.
SAMPLE = json.loads((Path(__file__).parents[1] / "zuora_payloads/object_query_subscriptions.json").read_text())

FIELDS = (
    "id,name,version,islatestversion,status,accountid,termstartdate,termenddate,autorenew,updateddate,"
    "originalcreateddate"
)


@pytest.fixture
def zuora() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(f"{HOST}/oauth/token", json={"access_token": "token", "expires_in": 3599, "scope": "tenant.19"})
        yield mock


def ask(question: ListQuery, place: str | None = None) -> RowPage:
    client = ZuoraClient(HOST, "c" * 36, "secret")
    try:
        return fetch_page(client.reading(), question, place)
    finally:
        client.close()


def asked(zuora: responses.RequestsMock) -> dict[str, list[str]]:
    """The parameters of the last request."""
    return parse_qs(urlsplit(str(zuora.calls[-1].request.url)).query)


def row(**values: Any) -> dict[str, Any]:
    """A row of a subscription."""
    common = {"id": "i1", "name": "A-S1", "version": 1, "status": "PendingActivation", "accountId": "a1"}
    return {**common, "updatedDate": "2026-06-05T06:00:35+01:00", **values}


def test_changes_since_a_moment_are_asked_for_in_their_order(zuora: responses.RequestsMock) -> None:
    zuora.get(f"{HOST}/object-query/subscriptions", json=SAMPLE)

    page = ask(ListQuery(listing=Listing.SUBSCRIPTIONS, since=SINCE), "some cursor")

    assert asked(zuora) == {
        "pageSize": ["99"],
        "filter[]": ["updateddate.GE:2026-11-20T10:00:00Z", "islatestversion.EQ:true"],
        "sort[]": ["updateddate.ASC"],
        "cursor": ["some cursor"],
        "fields[]": [FIELDS],
    }
    (found,) = page.subscriptions
    assert (found.number, found.version, found.auto_renew, found.account_id) == (
        "A-S00000159",
        1,
        True,
        "2c92c0f87270a5970172747e289a5e66",
    )
    assert page.newest == datetime(2025, 3, 25, 13, 26, 14, tzinfo=UTC)
    assert page.following == SAMPLE["nextPage"]


@pytest.mark.parametrize("listing", [Listing.ACCOUNTS, Listing.CONTACTS])
def test_accounts_and_contacts_have_no_versions(zuora: responses.RequestsMock, listing: Listing) -> None:
    zuora.get(f"{HOST}/object-query/{listing}", json={"data": []})

    page = ask(ListQuery(listing=listing, since=SINCE))

    assert asked(zuora)["filter[]"] == ["updateddate.GE:2026-11-20T10:00:00Z"]
    assert (page.following, page.newest) == (None, None)


def test_everything_comes_by_id_with_the_people_beside_it(zuora: responses.RequestsMock) -> None:
    person = {"id": "c1", "firstName": "Ada", "mobilePhone": "12", "updatedDate": "2026-06-05T06:00:35Z"}
    account = {"id": "a1", "billToId": "c1", "soldToId": "c1", "billTo": person, "soldTo": person}
    own = {**person, "id": "c2", "accountId": "a1"}
    zuora.get(
        f"{HOST}/object-query/subscriptions", json={"data": [row(account=account, soldToContact=own)], "nextPage": None}
    )

    page = ask(ListQuery(listing=Listing.SUBSCRIPTIONS, with_people=True))

    assert asked(zuora) == {
        "pageSize": ["99"],
        "filter[]": ["islatestversion.EQ:true"],
        "sort[]": ["id.ASC"],
        "expand[]": ["account", "account.billto", "account.soldto", "billtocontact", "soldtocontact"],
    }
    assert [(each.id, each.bill_to) for each in page.accounts] == [("a1", "c1")]
    assert [(each.id, each.account_id, each.contact.mobile_phone) for each in page.contacts] == [
        ("c2", "a1", "12"),
        ("c1", "a1", "12"),
    ]
    assert page.subscriptions[0].status == "Pending Activation"


def test_a_row_that_cannot_be_read_is_counted_and_stops_nothing(zuora: responses.RequestsMock) -> None:
    odd = row(version="many")
    zuora.get(f"{HOST}/object-query/subscriptions", json={"data": [odd, {"id": "i2"}, row()]})

    page = ask(ListQuery(listing=Listing.SUBSCRIPTIONS))

    assert [each.number for each in page.subscriptions] == ["A-S1"]
    assert page.unreadable == 2


def test_a_list_that_names_its_own_page_as_the_next_ends(zuora: responses.RequestsMock) -> None:
    zuora.get(f"{HOST}/object-query/subscriptions", json={"data": [row()], "nextPage": "here"})

    assert ask(ListQuery(listing=Listing.SUBSCRIPTIONS), "here").following is None


def test_an_answer_without_rows_is_no_empty_list(zuora: responses.RequestsMock) -> None:
    zuora.get(f"{HOST}/object-query/subscriptions", json={"nextPage": None})

    with pytest.raises(PayloadInvalid):
        ask(ListQuery(listing=Listing.SUBSCRIPTIONS))


def test_object_query_that_is_not_permitted_is_told_as_such(zuora: responses.RequestsMock) -> None:
    refusal = {"reasons": [{"code": "50000010", "message": "no permission"}], "requestId": "r"}
    zuora.get(f"{HOST}/object-query/subscriptions", json=refusal, status=403)

    with pytest.raises(PermissionRefused):
        ask(ListQuery(listing=Listing.SUBSCRIPTIONS))


def test_zoql_asks_in_its_own_words_and_may_leave_empty_records_out(zuora: responses.RequestsMock) -> None:
    zuora.post(f"{HOST}/v1/action/query", json={"size": 0, "done": True})

    page = ask(ListQuery(listing=Listing.ACCOUNTS, source=ListSource.ZOQL, since=SINCE))

    body = json.loads(zuora.calls[-1].request.body or b"")
    assert body == {
        "queryString": "select Id, Name, Currency, BillCycleDay, BillToId, SoldToId, UpdatedDate from Account"
        " where UpdatedDate >= '2026-11-20T10:00:00+00:00'"
    }
    assert (page.accounts, page.following) == ([], None)


def test_zoql_goes_on_with_its_locator(zuora: responses.RequestsMock) -> None:
    record = {"Id": "c1", "AccountId": "a1", "FirstName": "Ada", "UpdatedDate": "2026-06-05T06:00:35.000-07:00"}
    zuora.post(
        f"{HOST}/v1/action/queryMore", json={"size": 4001, "done": False, "queryLocator": "q-4000", "records": [record]}
    )

    page = ask(ListQuery(listing=Listing.CONTACTS, source=ListSource.ZOQL), "q-2000")

    assert json.loads(zuora.calls[-1].request.body or b"") == {"queryLocator": "q-2000"}
    assert page.contacts[0].contact.first_name == "Ada"
    assert page.following == "q-4000"


def test_a_query_that_goes_on_nowhere_is_no_end(zuora: responses.RequestsMock) -> None:
    zuora.post(f"{HOST}/v1/action/query", json={"size": 4001, "done": False, "records": []})

    with pytest.raises(PayloadInvalid):
        ask(ListQuery(listing=Listing.CONTACTS, source=ListSource.ZOQL))


def test_zuoras_newest_update_is_its_clock(zuora: responses.RequestsMock) -> None:
    zuora.get(f"{HOST}/object-query/subscriptions", json={"data": [row()]})
    client = ZuoraClient(HOST, "c" * 36, "secret")

    newest = fetch_newest_update(client.reading())

    client.close()
    assert newest == datetime(2026, 6, 5, 5, 0, 35, tzinfo=UTC)
    assert (asked(zuora)["sort[]"], asked(zuora)["pageSize"]) == (["updateddate.DESC"], ["1"])
