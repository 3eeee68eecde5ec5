"""The emulator over HTTP, by the facts of Zuora's documentation and of recorded answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from zuora_emulator.bulk import Bulk
from zuora_emulator.control import ControlRefused, control, show
from zuora_emulator.server import Options, Running, start
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

TODAY = date(2026, 11, 20)


@pytest.fixture
def emulator() -> Iterator[Running]:
    running = start(Options(today=TODAY, bulk=Bulk(count=45, accounts=1)))
    yield running
    running.stop()


class Client:
    """Signs in and calls."""

    def __init__(self, url: str, version: str | None = "2025-08-12") -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if version:
            self.session.headers["Zuora-Version"] = version
        self.sign_in()

    def token(self, **form: str) -> requests.Response:
        given = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials", **form}
        return self.session.post(f"{self.url}/oauth/token", data=given, timeout=10)

    def sign_in(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.session.get(self.url + path, params=params, timeout=10)

    def post(self, path: str, body: Any) -> requests.Response:
        return self.session.post(self.url + path, json=body, timeout=10)


@pytest.fixture
def client(emulator: Running) -> Iterator[Client]:
    client = Client(emulator.url)
    yield client
    client.session.close()


def test_a_token_says_whose_tenant_it_is(client: Client) -> None:
    answer = client.token()

    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3599)
    assert "tenant.19" in body["scope"].split()


@pytest.mark.parametrize("wrong", [{"client_secret": "no"}, {"client_id": "short"}, {"grant_type": "password"}])
def test_wrong_client_credentials_get_no_token(client: Client, wrong: dict[str, str]) -> None:
    answer = client.token(**wrong)

    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.json()


def test_without_a_good_token_nothing_is_told_whatever_the_version(emulator: Running) -> None:
    for version in ("186.0", "2025-08-12"):
        headers = {"Authorization": "Bearer stale", "Zuora-Version": version}
        answer = requests.get(f"{emulator.url}/v1/accounts/A00000001", headers=headers, timeout=10)

        assert answer.status_code == 401
        assert answer.json()["reasons"][0]["code"] == 90000011


def test_an_expired_token_is_refused(emulator: Running, client: Client) -> None:
    control(emulator.url, "expire_tokens")

    assert client.get("/v1/accounts/A00000001").status_code == 401


def test_every_answer_tells_the_limits_and_the_request(client: Client) -> None:
    client.session.headers["Zuora-Track-Id"] = "my-track"

    headers = client.get("/v1/accounts/A00000001").headers

    assert len(headers["Zuora-Request-Id"]) == 36
    assert headers["Zuora-Track-Id"] == "my-track"
    assert "w=60" in headers["RateLimit-Limit"]
    assert (headers["Concurrency-Limit-Type"], headers["Concurrency-Limit-Limit"]) == ("Default", "40")
    assert headers["Content-Encoding"] == "gzip"


def test_what_is_not_there_is_404_or_an_unsuccessful_200_by_the_version(emulator: Running, client: Client) -> None:
    modern = client.get("/v1/subscriptions/A-S404")
    old = Client(emulator.url, version=None)
    answer = old.get("/v1/subscriptions/A-S404")
    old.session.close()

    assert modern.status_code == 404
    assert modern.json()["reasons"] == [{"code": 50000040, "message": "Cannot find entity by key: 'A-S404'."}]
    assert answer.status_code == 200
    assert (answer.json()["success"], answer.json()["reasons"][0]["code"]) == (False, 50000040)


def test_an_object_query_that_fails_has_no_success(client: Client) -> None:
    answer = client.get("/object-query/subscriptions", pageSize=500)

    assert answer.status_code == 400
    assert "success" not in answer.json()


def test_a_subscription_is_found_by_number_and_by_each_of_its_ids(emulator: Running, client: Client) -> None:
    before = client.get("/v1/subscriptions/A-S00000101").json()
    control(emulator.url, "renew", key="A-S00000101")

    after = client.get("/v1/subscriptions/A-S00000101").json()
    old = client.get(f"/v1/subscriptions/{before['id']}").json()
    by_version = client.get("/v1/subscriptions/A-S00000101/versions/1").json()

    assert (after["version"], after["isLatestVersion"]) == (before["version"] + 1, True)
    assert (old["status"], old["isLatestVersion"], old["id"]) == ("Expired", False, before["id"])
    assert by_version["id"] == before["id"]


def test_an_accounts_subscriptions_come_by_pages(client: Client) -> None:
    first = client.get("/v1/subscriptions/accounts/A90000000", pageSize=99).json()
    rest = client.session.get(first["nextPage"], timeout=10).json()

    assert [len(first["subscriptions"]), len(rest["subscriptions"])] == [40, 5]
    assert "nextPage" not in rest
    numbers = {each["subscriptionNumber"] for each in first["subscriptions"] + rest["subscriptions"]}
    assert len(numbers) == 45


def test_orders_are_found_by_number_and_by_subscription(emulator: Running, client: Client) -> None:
    done = control(emulator.url, "cancel", key="A-S00000101", on="term_end", source="salesforce")

    number = done["order"]["orderNumber"]
    assert client.get(f"/v1/orders/{number}").json()["order"]["customFields"]["Source__c"] == "salesforce"
    listed = client.get("/v1/orders/subscription/A-S00000101").json()["orders"]
    assert listed[0]["orderNumber"] == number
    actions = [each["subscriptions"][0]["orderActions"][0]["type"] for each in listed]
    assert actions == ["CancelSubscription", "CreateSubscription"]


def test_a_preview_is_the_whole_accounts_and_takes_one_key(client: Client) -> None:
    body = {"accountNumber": "A00000102", "targetDate": "2027-03-01"}

    answer = client.post("/v1/operations/billing-preview", body).json()
    both = client.post("/v1/operations/billing-preview", {**body, "accountId": answer["accountId"]})

    numbers = {item["subscriptionNumber"] for item in answer["invoiceItems"]}
    assert numbers == {"A-S00000103", "A-S00000108"}  # its own monthly one, and the one that it pays for
    assert both.status_code == 400


def test_a_preview_without_the_right_to_it_is_403(emulator: Running, client: Client) -> None:
    control(emulator.url, "fault", kind="preview_not_permitted")

    answer = client.post("/v1/operations/billing-preview", {"accountNumber": "A00000102", "targetDate": "2027-03-01"})

    assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (403, 50000010)
    assert client.get("/v1/accounts/A00000102").status_code == 200


def test_more_than_forty_at_a_time_are_turned_away_with_a_time_to_come_back(emulator: Running, client: Client) -> None:
    control(emulator.url, "limits", concurrency=3, retry_after=7)
    control(emulator.url, "fault", kind="latency", seconds=2)  # all eight come meanwhile

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/v1/accounts/A00000001"), range(8)))

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 5
    assert {answer.json()["reasons"][0]["code"] for answer in refused} == {50000070}
    assert {answer.headers["Retry-After"] for answer in refused} == {"7"}
    assert show(emulator.url, "traffic")["most_at_once"]["Default"] == 3
    assert client.get("/v1/accounts/A00000001").status_code == 200


def test_above_the_calls_of_a_day_the_answer_has_a_code_of_two_digits(emulator: Running, client: Client) -> None:
    control(emulator.url, "reset_counts")
    control(emulator.url, "limits", day=2)

    statuses = [client.get("/v1/accounts/A00000001").status_code for _ in range(3)]
    answer = client.get("/v1/accounts/A00000001")

    assert statuses == [200, 200, 429]
    assert "success" not in answer.json()
    assert answer.json()["reasons"][0]["code"] == 70
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert int(answer.headers["RateLimit-Reset"]) > 0


@pytest.mark.parametrize(
    ("kind", "status", "content"),
    [
        ("rate_limit", 429, "application/json"),
        ("server_error", 500, "text/plain"),
        ("html", 502, "text/html"),
        ("error", 500, "application/json"),
        ("unsuccessful", 200, "application/json"),
        ("lock", 409, "application/json"),
        ("unauthorized", 401, "application/json"),
        ("concurrency", 429, "application/json"),
    ],
)
def test_troubles_on_demand_happen_as_often_as_they_were_told_to(
    emulator: Running, client: Client, kind: str, status: int, content: str
) -> None:
    control(emulator.url, "fault", kind=kind, path="accounts", count=1)

    other = client.get("/v1/subscriptions/A-S00000101")
    answer = client.get("/v1/accounts/A00000001")
    again = client.get("/v1/accounts/A00000001")

    assert (other.status_code, answer.status_code, again.status_code) == (200, status, 200)
    assert answer.headers["Content-Type"].startswith(content)
    assert again.json()["success"] is True


@pytest.mark.parametrize("kind", ["cut", "reset", "hang"])
def test_a_connection_can_break_off(emulator: Running, client: Client, kind: str) -> None:
    control(emulator.url, "fault", kind=kind, seconds=0.1, count=1)

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.session.get(f"{emulator.url}/v1/accounts/A00000001", timeout=10)

    assert client.get("/v1/accounts/A00000001").status_code == 200


def test_an_answer_can_trickle_and_be_garbage_and_a_preview_empty(emulator: Running, client: Client) -> None:
    control(emulator.url, "fault", kind="trickle", seconds=0.3, count=1)
    begun = time.monotonic()
    assert client.get("/v1/accounts/A00000001").json()["success"] is True
    assert time.monotonic() - begun >= 0.25

    control(emulator.url, "fault", kind="garbage", count=1)
    with pytest.raises(requests.JSONDecodeError):
        client.get("/v1/accounts/A00000001").json()

    control(emulator.url, "fault", kind="empty_preview")
    body = {"accountNumber": "A00000102", "targetDate": "2027-03-01"}
    assert client.post("/v1/operations/billing-preview", body).json()["invoiceItems"] == []


def test_chance_is_the_same_for_the_same_seed(emulator: Running, client: Client) -> None:
    def outcomes() -> list[int]:
        control(emulator.url, "clear_faults", seed=7)
        control(emulator.url, "fault", kind="server_error", probability=0.5)
        return [client.get("/v1/accounts/A00000001").status_code for _ in range(20)]

    first = outcomes()

    assert set(first) == {200, 500}
    assert outcomes() == first


def test_a_lagging_replica_shows_the_version_before(emulator: Running, client: Client) -> None:
    control(emulator.url, "renew", key="A-S00000101")
    control(emulator.url, "fault", kind="stale", count=1)

    stale, fresh = (client.get("/v1/subscriptions/A-S00000101").json() for _ in range(2))

    assert (stale["version"], stale["isLatestVersion"], stale["status"]) == (1, True, "Active")
    assert fresh["version"] == 2


def test_a_bill_run_updates_without_a_version(emulator: Running, client: Client) -> None:
    before = client.get("/v1/subscriptions/A-S00000103").json()

    assert control(emulator.url, "bill_run", target="2027-01-31", key="A-S00000103") == {"billed": 1}

    after = client.get("/v1/subscriptions/A-S00000103").json()
    assert (after["id"], after["version"]) == (before["id"], before["version"])
    charge = after["ratePlans"][0]["ratePlanCharges"][0]
    assert charge["chargedThroughDate"] == "2027-02-19"


def test_the_calendar_goes_on_when_told_and_renews(emulator: Running, client: Client) -> None:
    answer = control(emulator.url, "advance", days=5)

    assert answer == {"today": "2026-11-25", "renewed": 1}
    renewed = client.get("/v1/subscriptions/A-S00000111").json()
    assert (renewed["version"], renewed["termEndDate"]) == (2, "2027-11-23")


def test_auto_renew_is_a_switch(emulator: Running, client: Client) -> None:
    for value, expected in (("off", False), ("on", True)):
        control(emulator.url, "auto_renew", key="A-S00000101", value=value)

        assert client.get("/v1/subscriptions/A-S00000101").json()["autoRenew"] is expected


def test_a_forgotten_subscription_is_gone(emulator: Running, client: Client) -> None:
    control(emulator.url, "forget", key="A-S00000101")

    assert client.get("/v1/subscriptions/A-S00000101").status_code == 404


def test_a_control_request_that_makes_no_sense_is_refused_in_words(emulator: Running) -> None:
    with pytest.raises(ControlRefused, match="no such action"):
        control(emulator.url, "explode")
    with pytest.raises(ControlRefused, match="unknown: how_far"):
        control(emulator.url, "advance", how_far=3)
    with pytest.raises(ControlRefused, match="Cannot find entity"):
        control(emulator.url, "renew", key="A-S404")


def test_it_runs_as_a_process_of_its_own_and_stops_when_told(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    lines = [
        {"do": "create_account", "number": "A7", "first_name": "Pat", "currency": "EUR"},
        {"do": "create_subscription", "account": "A7", "number": "A-S7", "price": "3.50"},
    ]
    seeds.write_text("\n".join(map(json.dumps, lines)))
    command = [sys.executable, "-m", "zuora_emulator", "serve", "--port", "0", "--seeds", "none"]
    with subprocess.Popen([*command, "--seed-file", str(seeds)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]

        assert show(url)["accounts"] == 1
        listed = subprocess.run(
            [sys.executable, "-m", "zuora_emulator", "cancel", "A-S7", "on=+3", "--url", url],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(listed.stdout)["order"]["subscriptions"][0]["newVersion"] == 2

        process.terminate()
        assert process.wait(timeout=10) == 0
