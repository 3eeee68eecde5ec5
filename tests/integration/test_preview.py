"""The billing preview of an account: read whole, read up to where Zuora does not cut it, shared within one claim."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from sync_service.errors import LockedInZuora, PayloadInvalid, ZuoraUnavailable
from sync_service.subscription.zuora import Preview
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.preview import SharedPreviews
from sync_service.zuora.reading import Reading

ZUORA = "https://rest.test.zuora.com"
PARTNER = "8ad083f0961a05fc019620184f8722ec"
OTHER = "8ad083f0961a05fc0196201800000001"
BEGIN = date(2026, 1, 1)
SUBSCRIPTION = json.loads((Path(__file__).parents[1] / "zuora_payloads/subscription.json").read_text())
FAR = date(2027, 1, 1)


def a_line(number: str, start: date, **fields: Any) -> dict[str, Any]:
    """A line with the names of a recorded preview."""
    return {
        "subscriptionNumber": number,
        "serviceStartDate": start.isoformat(),
        "serviceEndDate": (start + timedelta(days=6)).isoformat(),
        "chargeAmount": 10,
        "chargeNumber": f"C-{number}",
        "chargeName": "Paper",
        "productName": "News",
        "chargeType": "Recurring",
        "processingType": "Charge",
        "taxAmount": 0,
        "quantity": 1,
        **fields,
    }


def weekly(number: str, until: date) -> list[dict[str, Any]]:
    """Every line of a weekly charge that a preview up to `until` has."""
    count = (until - BEGIN).days // 7 + 1
    return [a_line(number, BEGIN + timedelta(weeks=week)) for week in range(count)]


class Tenant:
    """Previews as Zuora makes them, with lists cut at 300 rows, and the target dates that it was asked for."""

    def __init__(self, lines: Callable[[date], list[dict[str, Any]]]) -> None:
        self.lines = lines
        self.asked: list[tuple[str, str]] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.failures: list[tuple[int, dict[str, str], str]] = []

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        question = json.loads(request.body or b"")
        self.asked.append((question["accountId"], question["targetDate"]))
        self.before_answer()
        if self.failures:
            return self.failures.pop()
        lines = self.lines(date.fromisoformat(question["targetDate"]))[:300]
        return 200, {}, json.dumps({"success": True, "accountId": question["accountId"], "invoiceItems": lines})


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    """One subscription, A-S1, with a line every week."""
    tenant = Tenant(lambda until: weekly("A-S1", until))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(f"{ZUORA}/oauth/token", json={"access_token": "t", "expires_in": 3599})
        mock.add_callback("POST", f"{ZUORA}/v1/operations/billing-preview", tenant.answer)
        for number in ("A-S1", "A-S2"):
            mock.get(f"{ZUORA}/v1/subscriptions/{number}", json=SUBSCRIPTION)
        yield tenant


@pytest.fixture
def client() -> Iterator[ZuoraClient]:
    client = ZuoraClient(ZUORA, "our-client", "our-secret", pool_size=8)
    yield client
    client.close()


@pytest.fixture
def reading(client: ZuoraClient) -> Reading:
    return client.reading()


def many(numbers: int) -> Callable[[date], list[dict[str, Any]]]:
    """An account that pays for so many weekly subscriptions, A-S1 the last of them."""
    return lambda until: [line for index in range(numbers, 0, -1) for line in weekly(f"A-S{index}", until)]


def starts(preview: Preview) -> list[date]:
    return [item.service_start for item in preview.items]


def test_a_preview_has_the_lines_of_its_number_alone(tenant: Tenant, reading: Reading) -> None:
    tenant.lines = lambda until: [a_line("A-S2", BEGIN), a_line("A-S1", BEGIN, chargeAmount=20.83, taxAmount=4.16)]

    preview = SharedPreviews().fetch(reading, PARTNER, FAR, "A-S1")

    assert (preview.target_date, preview.complete_until) == (FAR, None)
    (item,) = preview.items
    assert (item.amount, item.tax_amount) == (Decimal("20.83"), Decimal("4.16"))
    assert tenant.asked == [(PARTNER, "2027-01-01")]


def test_a_neighbours_odd_line_does_not_stop_a_number(tenant: Tenant, reading: Reading) -> None:
    tenant.lines = lambda until: [a_line("A-S2", BEGIN, serviceStartDate=None), a_line("A-S1", BEGIN)]
    previews = SharedPreviews()

    assert starts(previews.fetch(reading, PARTNER, FAR, "A-S1")) == [BEGIN]
    with pytest.raises(PayloadInvalid, match=r"invoiceItems\[0\].serviceStartDate is missing"):
        previews.fetch(reading, PARTNER, FAR, "A-S2")


# --- 300 rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [299, 301])
def test_any_other_length_than_300_is_whole(tenant: Tenant, reading: Reading, rows: int) -> None:
    """More than 300 rows show that nothing cuts them there."""
    body = {"success": True, "invoiceItems": [a_line("A-S1", BEGIN)] * rows}
    tenant.failures = [(200, {}, json.dumps(body))]

    preview = SharedPreviews().fetch(reading, PARTNER, FAR, "A-S1")

    assert (len(preview.items), preview.complete_until, len(tenant.asked)) == (rows, None, 1)


def test_300_rows_are_read_again_with_an_earlier_target_date(tenant: Tenant, reading: Reading) -> None:
    """Ten weekly subscriptions: 530 rows in a year, 270 up to half of it."""
    tenant.lines = many(10)

    preview = SharedPreviews().fetch(reading, PARTNER, FAR, "A-S1")

    half = date(2026, 7, 2)
    assert [asked for _, asked in tenant.asked] == ["2027-01-01", "2026-07-02"]
    assert (preview.target_date, preview.complete_until) == (FAR, half)
    assert starts(preview) == [BEGIN + timedelta(weeks=week) for week in range(27)]


def test_credit_memo_items_are_cut_at_300_too(tenant: Tenant, reading: Reading) -> None:
    credit = {"subscriptionNumber": "A-S2", "serviceStartDate": "2026-01-01", "amount": 1}
    body = {"success": True, "invoiceItems": weekly("A-S1", FAR), "creditMemoItems": [credit] * 300}
    tenant.failures = [(200, {}, json.dumps(body))]

    assert SharedPreviews().fetch(reading, PARTNER, FAR, "A-S1").complete_until == date(2026, 7, 2)


def test_an_account_that_is_always_cut_tells_nothing(tenant: Tenant, reading: Reading) -> None:
    tenant.lines = many(400)

    preview = SharedPreviews().fetch(reading, PARTNER, FAR, "A-S1")

    assert (preview.items, preview.complete_until) == ((), date.min)
    assert len(tenant.asked) == 4


def test_a_number_that_ends_before_the_cut_has_all_of_its_lines(tenant: Tenant, reading: Reading) -> None:
    tenant.lines = many(10)
    previews = SharedPreviews()
    previews.fetch(reading, PARTNER, FAR, "A-S1")

    near = previews.fetch(reading, PARTNER, date(2026, 3, 1), "A-S2")

    assert (near.target_date, near.complete_until) == (date(2026, 3, 1), None)
    assert starts(near) == [BEGIN + timedelta(weeks=week) for week in range(9)]
    assert len(tenant.asked) == 2


# --- sharing --------------------------------------------------------------------------------------------------------


def test_runs_of_one_claim_share_a_preview(tenant: Tenant, client: ZuoraClient) -> None:
    tenant.lines = many(3)
    previews = SharedPreviews()

    read = [previews.fetch(client.reading(), PARTNER, FAR, f"A-S{index}") for index in (1, 2, 3)]

    assert [len(each.items) for each in read] == [53, 53, 53]
    assert {item.charge_number for item in read[2].items} == {"C-A-S3"}
    assert len(tenant.asked) == 1


def test_a_preview_is_not_shared_with_a_run_whose_subscription_was_read_after_it(
    tenant: Tenant, client: ZuoraClient
) -> None:
    """It may lack the order that made the version which that run has just read."""
    previews = SharedPreviews()
    earlier, later = client.reading(), client.reading()
    earlier.fetch_subscription("A-S2")
    previews.fetch(earlier, PARTNER, FAR, "A-S2")
    later.fetch_subscription("A-S1")
    tenant.lines = lambda until: weekly("A-S1", until)[:7]

    assert len(previews.fetch(later, PARTNER, FAR, "A-S1").items) == 7
    assert len(previews.fetch(earlier, PARTNER, FAR, "A-S1").items) == 7
    assert len(tenant.asked) == 2


def test_each_claim_and_each_account_reads_for_itself(tenant: Tenant, reading: Reading) -> None:
    previews = SharedPreviews()
    previews.fetch(reading, PARTNER, FAR, "A-S1")
    previews.fetch(reading, OTHER, FAR, "A-S1")
    SharedPreviews().fetch(reading, PARTNER, FAR, "A-S1")

    assert [account for account, _ in tenant.asked] == [PARTNER, OTHER, PARTNER]


@pytest.mark.usefixtures("tenant")
def test_a_shared_preview_says_the_same_as_one_of_its_own(reading: Reading) -> None:
    near = date(2026, 3, 1)
    previews = SharedPreviews()
    previews.fetch(reading, PARTNER, FAR, "A-S1")

    assert previews.fetch(reading, PARTNER, near, "A-S1") == SharedPreviews().fetch(reading, PARTNER, near, "A-S1")


def test_a_later_target_date_is_read_anew(tenant: Tenant, reading: Reading) -> None:
    previews = SharedPreviews()
    previews.fetch(reading, PARTNER, date(2026, 3, 1), "A-S1")

    assert len(previews.fetch(reading, PARTNER, FAR, "A-S1").items) == 53
    assert [asked for _, asked in tenant.asked] == ["2026-03-01", "2027-01-01"]


def test_runs_at_the_same_time_wait_for_the_one_that_reads(tenant: Tenant, client: ZuoraClient) -> None:
    arrived = threading.Event()
    go_on = threading.Event()

    def before_answer() -> None:
        arrived.set()
        assert go_on.wait(60)

    tenant.before_answer = before_answer
    previews = SharedPreviews()
    read: list[Preview] = []
    threads = [
        threading.Thread(target=lambda: read.append(previews.fetch(client.reading(), PARTNER, FAR, "A-S1")))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    assert arrived.wait(60)
    go_on.set()
    for thread in threads:
        thread.join()

    assert [len(each.items) for each in read] == [53] * 6
    assert len(tenant.asked) == 1


def test_another_account_does_not_wait(tenant: Tenant, client: ZuoraClient) -> None:
    arrived = threading.Event()
    go_on = threading.Event()

    def before_answer() -> None:
        if tenant.asked[-1][0] == PARTNER:
            arrived.set()
            assert go_on.wait(60)

    tenant.before_answer = before_answer
    previews = SharedPreviews()
    holder = threading.Thread(target=previews.fetch, args=(client.reading(), PARTNER, FAR, "A-S1"))
    holder.start()
    assert arrived.wait(60)
    other = previews.fetch(client.reading(), OTHER, FAR, "A-S1")
    go_on.set()
    holder.join()

    assert len(other.items) == 53


def test_a_caller_waits_within_its_own_deadline(tenant: Tenant, client: ZuoraClient) -> None:
    arrived = threading.Event()
    go_on = threading.Event()

    def before_answer() -> None:
        arrived.set()
        assert go_on.wait(60)

    tenant.before_answer = before_answer
    previews = SharedPreviews()
    holder = threading.Thread(target=previews.fetch, args=(client.reading(), PARTNER, FAR, "A-S1"))
    holder.start()
    assert arrived.wait(60)
    with pytest.raises(ZuoraUnavailable, match="another run reads"):
        previews.fetch(client.reading(0.1), PARTNER, FAR, "A-S1")
    go_on.set()
    holder.join()


def test_an_error_is_its_own_runs_and_the_next_reads_for_itself(tenant: Tenant, client: ZuoraClient) -> None:
    locked = {"success": False, "reasons": [{"code": 50000050, "message": "lock competition"}]}
    tenant.failures = [(409, {}, json.dumps(locked))]
    previews = SharedPreviews()
    with pytest.raises(LockedInZuora):
        previews.fetch(client.reading(), PARTNER, FAR, "A-S1")

    assert len(previews.fetch(client.reading(), PARTNER, FAR, "A-S1").items) == 53
    assert len(tenant.asked) == 2
