"""Whatever goes wrong with Zuora: callouts are taken, no more is called at once than permitted, all ends reconciled."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.acceptance.faulting import ALL_AT_ONCE, ONE_BY_ONE, run_faults
from tests.acceptance.first import postgresql_first, sqlite_first
from tests.acceptance.processes import wait_until
from tests.acceptance.senders import TRANSFER_SECONDS, Senders
from tests.acceptance.service import Service

PERMITTED = 5
WAITING = 300


@sqlite_first
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("phases", "rounds"),
    [(ALL_AT_ONCE, 2), (ONE_BY_ONE[::2], 1), pytest.param(ONE_BY_ONE, 1, marks=pytest.mark.long)],
    ids=["all at once", "one by one", "each one by one"],
)
def test_troubles_of_zuora_lose_nothing_and_delay_no_callout(
    open_service: Callable[..., Service], phases: Iterable[Iterable[str]], rounds: int
) -> None:
    service = open_service(subscriptions=40, accounts=10, zuora_max_concurrency=PERMITTED)
    service.start_all(workers=2)

    report = run_faults(service, seed=3, phases=phases, rounds=rounds)

    assert report.stale == []
    assert report.lost == set()
    assert report.given_up == []
    assert set(report.sent.statuses) == {200}
    assert report.sent.odd == []
    assert report.sent.slowest < TRANSFER_SECONDS
    assert 1 < report.most_at_once <= PERMITTED
    assert report.happened.total() > 25


@postgresql_first
@pytest.mark.timeout(200)
def test_a_refused_token_makes_none_of_hundreds_of_waiting_requests_final(open_service: Callable[..., Service]) -> None:
    probes = 12  # more than the attempts after which a number that is itself at fault is given up
    service = open_service(subscriptions=WAITING)
    service.start_all(workers=2)
    service.tenant.do("fault", kind="unauthorized", path="/oauth/token")
    service.tenant.do("expire_tokens")
    senders = Senders(service.port)
    senders.send_all(service.tenant.numbers)
    senders.stop()

    for probe in range(1, probes + 1):
        _wait_for_trouble(service, probe)
        service.pass_time()

    assert set(senders.sent.statuses) == {200}
    assert service.failed() == []
    assert service.waiting == WAITING
    assert service.one("SELECT max(attempts) FROM sync_request WHERE lease_until IS NULL") == 0
    assert service.rows("SELECT outcome FROM sync_run") == []
    # One probe at a time, and those that were under way when the trouble began or claimed ahead of them.
    assert len(service.rows("SELECT key FROM sync_request WHERE token > 0")) <= probes + 8 + 4

    service.tenant.do("clear_faults")
    service.pass_time()
    wait_until(lambda: service.one("SELECT count(*) FROM sync_request WHERE done_seq > 0") >= 100, "they are served")
    assert service.failed() == []


def _wait_for_trouble(service: Service, probe: int) -> None:
    trouble = "SELECT COALESCE(max(trouble), 0) FROM zuora_limit"
    wait_until(lambda: service.one(trouble) >= probe, f"probe {probe} was refused")
