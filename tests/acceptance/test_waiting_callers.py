"""API callers wait for their result; callouts never wait behind them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from sync_service.access.clients import SYNC_SCOPE, add_client
from sync_service.web import gunicorn_conf
from tests.acceptance.comparing import find_stale
from tests.acceptance.first import sqlite_first
from tests.acceptance.processes import wait_until
from tests.acceptance.senders import TRANSFER_SECONDS, Senders
from tests.acceptance.service import Service

#: More than all threads of the web together.
CALLERS = 24
#: What callers grant us, in seconds: more than Zuora grants a callout.
PATIENCE = 20


@sqlite_first
def test_callouts_are_answered_while_two_dozen_callers_wait_for_a_slow_zuora(
    open_service: Callable[..., Service],
) -> None:
    assert gunicorn_conf.workers * gunicorn_conf.threads < CALLERS
    assert TRANSFER_SECONDS < PATIENCE
    service = open_service(subscriptions=CALLERS + 8)
    service.start_all()
    service.tenant.do("fault", kind="latency", seconds=100, path="GET /v1/subscriptions/")
    called, told = service.tenant.numbers[:CALLERS], service.tenant.numbers[CALLERS:]
    bearer = _token(service)
    senders = Senders(service.port)
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(_ask, service, bearer, number) for number in called]
        asked = "SELECT count(*) FROM sync_cause WHERE trigger = 'api'"
        everybody = "every caller is inside before the first one gives up"
        wait_until(lambda: service.one(asked) == CALLERS, everybody, seconds=PATIENCE / 2)

        answers = [future.result() for future in [senders.send(number, again=False) for number in told]]
        still_waiting = [caller for caller in callers if not caller.done()]

        for worker in service.running("worker"):
            worker.kill()
        service.tenant.do("clear_faults")
        service.expire_leases()
        service.start("worker")
        statuses = {caller.result() for caller in callers}
    senders.stop()
    assert answers == [200] * len(told)
    assert still_waiting
    assert statuses <= {200, 202}
    service.settle(time_passes=True)
    assert find_stale(service, service.tenant.numbers) == []


def _token(service: Service) -> str:
    client_id, secret = add_client(service.database, "portal", [SYNC_SCOPE], actor="a test")
    with requests.Session() as http:
        http.trust_env = False
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        return str(http.post(f"{service.url}/oauth2/token", data=form, timeout=PATIENCE).json()["access_token"])


def _ask(service: Service, bearer: str, number: str) -> int:
    with requests.Session() as http:
        http.trust_env = False
        address = f"{service.url}/api/plugins/zuora/sync/subscription/{number}"
        headers = {"Authorization": f"Bearer {bearer}", "Prefer": f"wait={PATIENCE}"}
        return http.post(address, headers=headers, timeout=4 * PATIENCE).status_code
