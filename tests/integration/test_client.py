"""What we ask Zuora, what we make of its answers, and how one reading shares a token, a deadline and its patience."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from urllib3.exceptions import ProtocolError

from sync_service.errors import (
    LockedInZuora,
    NotConfigured,
    NotFoundInZuora,
    PayloadInvalid,
    PermissionRefused,
    PreviewNotPermitted,
    RateLimited,
    ServerFailed,
    TokenRefused,
    ZuoraUnavailable,
)
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.reading import Reading

ZUORA = "https://rest.test.zuora.com"
PAYLOADS = Path(__file__).parents[1] / "zuora_payloads"
TENANT_TOKEN = json.loads((PAYLOADS / "token.json").read_text(encoding="utf-8"))
ACCOUNT_ID = "8ad083f0961a05fc019620184f8722ec"


def sample(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))


def a_subscription(**fields: Any) -> dict[str, Any]:
    return {**sample("subscription_recorded"), **fields}


def refused(code: int, status: int) -> dict[str, Any]:
    return {"json": {"success": False, "reasons": [{"code": code, "message": "No."}]}, "status": status}


@pytest.fixture
def zuora() -> Iterator[responses.RequestsMock]:
    """A tenant that gives the documented token and answers what the test registers."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(f"{ZUORA}/oauth/token", json=TENANT_TOKEN)
        yield mock


@pytest.fixture
def client() -> Iterator[ZuoraClient]:
    client = ZuoraClient(ZUORA, "our-client", "our-secret")
    yield client
    client.close()


@pytest.fixture
def reading(client: ZuoraClient) -> Reading:
    return client.reading()


def asked(zuora: responses.RequestsMock, path: str = "") -> list[requests.PreparedRequest]:
    """The requests made so far, but for those for a token."""
    sent = [call.request for call in zuora.calls]
    return [each for each in sent if not each.path_url.startswith("/oauth") and path in each.path_url]


def tokens_asked(zuora: responses.RequestsMock) -> list[requests.PreparedRequest]:
    return [call.request for call in zuora.calls if call.request.path_url == "/oauth/token"]


# --- the headers of every call --------------------------------------------------------------------------------------


def test_every_call_says_its_version_its_token_and_its_track_id(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", json=sample("account"))
    reading.fetch_account("A1")
    reading.fetch_account("A1")

    first, second = asked(zuora)

    assert first.headers["Zuora-Version"] == "2025-08-12"
    assert first.headers["Authorization"] == f"Bearer {TENANT_TOKEN['access_token']}"
    assert first.headers["Accept-Encoding"] == "gzip"
    assert first.headers["Zuora-Track-Id"] == second.headers["Zuora-Track-Id"] == reading.track_id
    assert "Zuora-Entity-Ids" not in first.headers
    assert "Zuora-Org-Ids" not in first.headers
    assert reading.calls == 2


def test_each_reading_has_a_track_id_of_its_own(client: ZuoraClient) -> None:
    assert client.reading().track_id != client.reading().track_id


def test_entity_and_orgs_are_named_where_they_are_set(zuora: responses.RequestsMock) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", json=sample("account"))
    client = ZuoraClient(f"{ZUORA}/", "our-client", "our-secret", entity_id="1a2b7a37", org_ids="1,2")
    client.reading().fetch_account("A1")

    for request in (tokens_asked(zuora)[0], asked(zuora)[0]):
        assert request.headers["Zuora-Entity-Ids"] == "1a2b7a37"
        assert request.headers["Zuora-Org-Ids"] == "1,2"


def test_a_netrc_file_does_not_replace_the_token(
    zuora: responses.RequestsMock, reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine rest.test.zuora.com login me password mine\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    zuora.get(f"{ZUORA}/v1/accounts/A1", json=sample("account"))
    reading.fetch_account("A1")

    assert asked(zuora)[0].headers["Authorization"].startswith("Bearer ")
    assert "Authorization" not in tokens_asked(zuora)[0].headers


def test_without_address_or_credentials_nothing_is_asked(zuora: responses.RequestsMock) -> None:
    for client in (ZuoraClient("", "id", "secret"), ZuoraClient(ZUORA, "", "secret"), ZuoraClient(ZUORA, "id", "")):
        with pytest.raises(NotConfigured):
            client.reading().fetch_account("A1")

    assert len(zuora.calls) == 0


# --- the token ------------------------------------------------------------------------------------------------------


def test_the_token_is_asked_for_once_with_the_credentials_in_the_form(
    zuora: responses.RequestsMock, client: ZuoraClient
) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", json=sample("account"))
    for _ in range(3):
        client.reading().fetch_account("A1")

    (request,) = tokens_asked(zuora)

    assert parse_qs(str(request.body)) == {
        "client_id": ["our-client"],
        "client_secret": ["our-secret"],
        "grant_type": ["client_credentials"],
    }


def test_many_threads_ask_for_one_token(zuora: responses.RequestsMock, client: ZuoraClient) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", json=sample("account"))
    ready = threading.Barrier(8)

    def read() -> None:
        ready.wait()
        client.reading().fetch_account("A1")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(tokens_asked(zuora)), len(asked(zuora))) == (1, 8)


def test_a_refused_token_is_replaced_once(zuora: responses.RequestsMock, client: ZuoraClient) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", **refused(90000011, 401))
    zuora.get(f"{ZUORA}/v1/accounts/A1", json=sample("account"))
    reading = client.reading()

    assert reading.fetch_account("A1").number == "A00000001"
    assert (len(tokens_asked(zuora)), reading.calls) == (2, 2)


def test_a_token_that_is_refused_again_is_a_matter_for_people(zuora: responses.RequestsMock, reading: Reading) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", body="", status=401)

    with pytest.raises(TokenRefused):
        reading.fetch_account("A1")

    assert (len(tokens_asked(zuora)), reading.calls) == (2, 2)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": 400, "json": {"message": "Invalid client id"}}, TokenRefused),
        ({"status": 401, "json": {"error": "invalid_client"}}, TokenRefused),
        ({"status": 403, "body": "<html>"}, TokenRefused),
        ({"status": 200, "json": {"success": False, "reasons": [{"code": 90000011}]}}, TokenRefused),
        ({"status": 429, "body": "", "headers": {"Retry-After": "7"}}, RateLimited),
        ({"status": 500, "body": "We're sorry, but something went wrong."}, ZuoraUnavailable),
        ({"status": 302, "headers": {"Location": "https://login.example"}}, ZuoraUnavailable),
        ({"status": 200, "body": "<html>"}, ZuoraUnavailable),
        ({"status": 200, "json": {"token_type": "bearer"}}, ZuoraUnavailable),
        ({"status": 200, "json": {"access_token": "a\r\nX-Evil: 1"}}, ZuoraUnavailable),
        ({"status": 200, "json": []}, ZuoraUnavailable),
    ],
)
def test_without_a_token_nothing_is_asked_and_the_secret_is_not_told(
    client: ZuoraClient, answer: dict[str, Any], kind: type[Exception]
) -> None:
    with responses.RequestsMock() as zuora:
        zuora.post(f"{ZUORA}/oauth/token", **answer)
        with pytest.raises(kind) as raised:
            client.reading().fetch_account("A1")

    assert type(raised.value) is kind
    assert "secret" not in str(raised.value).replace("ZUORA_CLIENT_SECRET", "")


def test_the_tenant_is_the_one_in_the_tokens_scope(zuora: responses.RequestsMock, client: ZuoraClient) -> None:
    assert client.tenant(client.reading()) == "tenant.19"
    assert len(zuora.calls) == 1


@pytest.mark.parametrize("entity", ["1a2b7a37", ""])
def test_without_a_tenant_in_the_scope_it_is_the_entity(entity: str) -> None:
    client = ZuoraClient(ZUORA, "our-client", "our-secret", entity_id=entity)
    with responses.RequestsMock() as zuora:
        zuora.post(f"{ZUORA}/oauth/token", json={"access_token": "t", "expires_in": 3599, "scope": None})

        assert client.tenant(client.reading()) == entity


# --- what is repeated, and what is not ------------------------------------------------------------------------------

cut = requests.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")))


def test_a_connection_that_was_closed_while_idle_is_tried_once_more(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", body=cut)
    zuora.get(f"{ZUORA}/v1/accounts/A1", json=sample("account"))

    assert reading.fetch_account("A1").number == "A00000001"
    assert reading.calls == 2


def test_a_connection_that_is_closed_again_is_a_zuora_that_is_not_there(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", body=cut)

    with pytest.raises(ZuoraUnavailable):
        reading.fetch_account("A1")

    assert reading.calls == 2


def test_what_may_have_been_done_is_not_asked_again(zuora: responses.RequestsMock, reading: Reading) -> None:
    zuora.post(f"{ZUORA}/notifications/notification-definitions", body=cut)

    with pytest.raises(ZuoraUnavailable):
        reading.call("POST", "/notifications/notification-definitions", body={"name": "x"})

    assert reading.calls == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(50000070, 429), RateLimited),
        (refused(40000050, 409), LockedInZuora),
        (refused(50000060, 500), ServerFailed),
        ({"status": 503, "body": "<html>maintenance</html>"}, ZuoraUnavailable),
        ({"status": 301, "headers": {"Location": f"{ZUORA}/v1/accounts/A2"}}, ZuoraUnavailable),
        ({"body": requests.ConnectTimeout()}, ZuoraUnavailable),
    ],
)
def test_everything_else_is_left_to_the_queue_to_repeat(
    zuora: responses.RequestsMock, reading: Reading, answer: dict[str, Any], kind: type[Exception]
) -> None:
    zuora.get(f"{ZUORA}/v1/accounts/A1", **answer)

    with pytest.raises(kind):
        reading.fetch_account("A1")

    assert reading.calls == 1


def test_a_reading_whose_time_is_over_asks_nothing_more(zuora: responses.RequestsMock, client: ZuoraClient) -> None:
    reading = client.reading(0.0)

    with pytest.raises(ZuoraUnavailable, match="took too long"):
        reading.fetch_account("A1")

    assert len(zuora.calls) == 0


# --- subscriptions --------------------------------------------------------------------------------------------------


def test_a_subscription_is_read_with_all_of_its_segments(zuora: responses.RequestsMock, reading: Reading) -> None:
    zuora.get(f"{ZUORA}/v1/subscriptions/A-S00974337", json=a_subscription())

    assert reading.fetch_subscription("A-S00974337").version == 2
    assert [each.path_url for each in asked(zuora)] == ["/v1/subscriptions/A-S00974337?charge-detail=all-segments"]


OLD_ID = "8ad083f0961a05fc0196201800000000"


def test_an_old_versions_id_is_read_again_by_number(zuora: responses.RequestsMock, reading: Reading) -> None:
    zuora.get(f"{ZUORA}/v1/subscriptions/{OLD_ID}", json=a_subscription(isLatestVersion=False, version=1, id=OLD_ID))
    zuora.get(f"{ZUORA}/v1/subscriptions/A-S00974337", json=a_subscription())

    read = reading.fetch_subscription(OLD_ID)

    assert (read.version, read.is_latest, reading.calls) == (2, True, 2)


def test_an_old_version_without_the_flag_is_told_by_its_status(zuora: responses.RequestsMock, reading: Reading) -> None:
    old = a_subscription(status="Expired", version=1)
    del old["isLatestVersion"]
    zuora.get(f"{ZUORA}/v1/subscriptions/{OLD_ID}", json=old)
    zuora.get(f"{ZUORA}/v1/subscriptions/A-S00974337", json=a_subscription())

    assert reading.fetch_subscription(OLD_ID).version == 2


def test_what_zuora_does_not_call_the_latest_even_by_number_is_given_as_it_is(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    zuora.get(f"{ZUORA}/v1/subscriptions/A-S00974337", json=a_subscription(isLatestVersion=False))

    assert reading.fetch_subscription("A-S00974337").is_latest is False
    assert reading.calls == 1


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("Größe 1", "/v1/subscriptions/Gr%C3%B6%C3%9Fe%201"),
        ("50%", "/v1/subscriptions/50%25"),
        ("%2e%2e", "/v1/subscriptions/%252e%252e"),
        ("a&b=c+d", "/v1/subscriptions/a%26b%3Dc%2Bd"),
        ("a/../../b", "/v1/subscriptions/a%2F..%2F..%2Fb"),
        ("...", "/v1/subscriptions/..."),
    ],
)
def test_any_text_is_a_key(zuora: responses.RequestsMock, reading: Reading, key: str, path: str) -> None:
    zuora.get(f"{ZUORA}{path}", json=a_subscription(subscriptionNumber=key))

    assert reading.fetch_subscription(key).number == key
    assert asked(zuora)[0].path_url == f"{path}?charge-detail=all-segments"


@pytest.mark.parametrize("key", ["", ".", ".."])
def test_a_key_that_would_name_another_address_is_found_nowhere(
    zuora: responses.RequestsMock, reading: Reading, key: str
) -> None:
    with pytest.raises(NotFoundInZuora):
        reading.fetch_subscription(key)

    assert len(zuora.calls) == 0


@pytest.mark.parametrize("status", [200, 404])
def test_an_unknown_subscription_is_not_found_in_old_tenants_too(
    zuora: responses.RequestsMock, reading: Reading, status: int
) -> None:
    zuora.get(f"{ZUORA}/v1/subscriptions/A-S1", **refused(50000040, status))

    with pytest.raises(NotFoundInZuora):
        reading.fetch_subscription("A-S1")


# --- the numbers of an account --------------------------------------------------------------------------------------


def object_query(zuora: responses.RequestsMock, role: str, *pages: list[str]) -> None:
    """Register the pages of an Object Query by account, as its documentation describes them."""
    for index, names in enumerate(pages):
        query = {
            "pageSize": "99",
            "filter[]": [f"{role}.EQ:{ACCOUNT_ID}", "islatestversion.EQ:true"],
            "fields[]": "name",
            "sort[]": "name.ASC",
        }
        if index:
            query["cursor"] = f"page={index}&more"
        answer: dict[str, Any] = {"data": [{"name": name} for name in names]}
        if index < len(pages) - 1:
            answer["nextPage"] = f"page={index + 1}&more"
        zuora.get(
            f"{ZUORA}/object-query/subscriptions", json=answer, match=[responses.matchers.query_param_matcher(query)]
        )


def test_an_accounts_numbers_are_those_it_owns_and_those_it_pays_for(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    object_query(zuora, "accountid", ["A-S3", "A-S1"], ["A-S2"])
    object_query(zuora, "invoiceownerid", ["A-S1", "A-S9"])

    assert reading.fetch_account_numbers(ACCOUNT_ID) == ["A-S1", "A-S2", "A-S3", "A-S9"]
    assert reading.calls == 3


def test_only_owned_numbers_are_read_where_nothing_else_is_wanted(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    object_query(zuora, "accountid", ["A-S1"])

    assert reading.fetch_account_numbers(ACCOUNT_ID, invoiced=False) == ["A-S1"]
    assert reading.calls == 1


def test_an_account_number_is_looked_up_first(zuora: responses.RequestsMock, reading: Reading) -> None:
    account = sample("account")
    account["basicInfo"]["id"] = ACCOUNT_ID
    zuora.get(f"{ZUORA}/v1/accounts/A00000001", json=account)
    object_query(zuora, "accountid", ["A-S1"])
    object_query(zuora, "invoiceownerid", [])

    assert reading.fetch_account_numbers("A00000001") == ["A-S1"]


def test_an_account_without_subscriptions_is_told_from_one_that_does_not_exist(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    object_query(zuora, "accountid", [])
    object_query(zuora, "invoiceownerid", [])
    zuora.get(f"{ZUORA}/v1/accounts/{ACCOUNT_ID}", json=sample("account"))
    assert reading.fetch_account_numbers(ACCOUNT_ID) == []

    zuora.replace("GET", f"{ZUORA}/v1/accounts/{ACCOUNT_ID}", **refused(50000040, 404))
    with pytest.raises(NotFoundInZuora):
        reading.fetch_account_numbers(ACCOUNT_ID)


@pytest.mark.parametrize("answer", [refused(50000010, 403), refused(50000040, 404), refused(50000020, 400)])
def test_a_tenant_without_object_query_is_asked_for_the_accounts_list(
    zuora: responses.RequestsMock, reading: Reading, answer: dict[str, Any]
) -> None:
    zuora.get(f"{ZUORA}/object-query/subscriptions", **answer)
    first = {**sample("subscriptions_of_account"), "nextPage": "https://elsewhere.example/v1?page=2"}
    second = {"success": True, "subscriptions": [a_subscription()]}
    for page, content in ((1, first), (2, second)):
        zuora.get(
            f"{ZUORA}/v1/subscriptions/accounts/{ACCOUNT_ID}",
            json=content,
            match=[responses.matchers.query_param_matcher({"page": str(page), "pageSize": "20"})],
        )

    assert reading.fetch_account_numbers(ACCOUNT_ID) == ["A-S00007412", "A-S00974337"]


def test_a_tenant_that_refuses_both_lists_is_a_matter_for_people(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    zuora.get(f"{ZUORA}/object-query/subscriptions", **refused(50000010, 403))
    zuora.get(f"{ZUORA}/v1/subscriptions/accounts/{ACCOUNT_ID}", **refused(50000010, 403))

    with pytest.raises(PermissionRefused):
        reading.fetch_account_numbers(ACCOUNT_ID)


@pytest.mark.parametrize("content", [{}, {"data": None}, {"data": ["A-S1"]}, {"data": [{"name": " "}]}, {"data": [{}]}])
def test_a_list_that_cannot_be_read_is_refused(
    zuora: responses.RequestsMock, reading: Reading, content: dict[str, Any]
) -> None:
    zuora.get(f"{ZUORA}/object-query/subscriptions", json=content)

    with pytest.raises(PayloadInvalid):
        reading.fetch_account_numbers(ACCOUNT_ID)


def test_the_documented_page_of_an_object_query_is_read_with_its_cursor(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    content = sample("object_query_subscriptions")
    zuora.get(f"{ZUORA}/object-query/subscriptions", json=content)

    page = reading.query_page(
        "subscriptions", filters=["a.EQ:1", "b.GE:2"], fields=["name", "updateddate"], sort="updateddate.ASC"
    )

    assert [row["name"] for row in page.rows] == ["A-S00000159"]
    assert parse_qs(urlsplit(asked(zuora)[0].path_url).query) == {
        "pageSize": ["99"],
        "filter[]": ["a.EQ:1", "b.GE:2"],
        "fields[]": ["name,updateddate"],
        "sort[]": ["updateddate.ASC"],
    }
    assert page.cursor == content["nextPage"]


def test_a_cursor_that_leads_nowhere_ends_the_list(zuora: responses.RequestsMock, reading: Reading) -> None:
    zuora.get(f"{ZUORA}/object-query/subscriptions", json={"data": [{"name": "A-S1"}], "nextPage": "same"})

    rows = list(reading.query("subscriptions", filters=[], fields=["name"], sort="name.ASC"))

    assert len(rows) == 2


# --- the preview ----------------------------------------------------------------------------------------------------


def test_a_preview_is_of_the_account_with_evergreen_and_without_renewals(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    answer = {**sample("billing_preview"), "accountId": ACCOUNT_ID}
    zuora.post(f"{ZUORA}/v1/operations/billing-preview", json=answer)

    assert reading.fetch_preview(ACCOUNT_ID, date(2027, 4, 10)) == answer
    assert json.loads(asked(zuora)[0].body or b"") == {
        "accountId": ACCOUNT_ID,
        "targetDate": "2027-04-10",
        "assumeRenewal": "None",
        "includingEvergreenSubscription": True,
    }


@pytest.mark.parametrize(
    "answer", [refused(50000010, 403), refused(50000010, 200), {"status": 403, "json": {"message": "Forbidden"}}]
)
def test_a_preview_that_is_not_permitted_is_told_apart(
    zuora: responses.RequestsMock, reading: Reading, answer: dict[str, Any]
) -> None:
    zuora.post(f"{ZUORA}/v1/operations/billing-preview", **answer)

    with pytest.raises(PreviewNotPermitted):
        reading.fetch_preview(ACCOUNT_ID, date(2027, 4, 10))


def test_another_accounts_preview_is_refused(zuora: responses.RequestsMock, reading: Reading) -> None:
    zuora.post(f"{ZUORA}/v1/operations/billing-preview", json=sample("billing_preview"))

    with pytest.raises(PayloadInvalid, match="another account's"):
        reading.fetch_preview(ACCOUNT_ID, date(2027, 4, 10))


def test_a_preview_asked_over_a_closed_connection_is_asked_again(
    zuora: responses.RequestsMock, reading: Reading
) -> None:
    zuora.post(f"{ZUORA}/v1/operations/billing-preview", body=cut)
    zuora.post(f"{ZUORA}/v1/operations/billing-preview", json={"success": True, "invoiceItems": []})

    assert reading.fetch_preview(ACCOUNT_ID, date(2027, 4, 10))["invoiceItems"] == []
