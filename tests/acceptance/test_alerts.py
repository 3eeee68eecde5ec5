"""A real Prometheus scrapes the running service with the rules of deploy/, and faults make their alerts fire."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from sync_service.errors import ZuoraUnavailable
from sync_service.queue.limit import Share, note_tenant_error
from sync_service.store.tables import WebhookEndpointRow
from tests.acceptance.processes import wait_until
from tests.acceptance.service import Service
from tests.acceptance.tenant import PASSWORD, USERNAME, Tenant
from tests.acceptance.watching import RULES, TOKEN, Prometheus, read_rules
from tests.queue_world import execute, rows

RIGHT, WRONG = (USERNAME, PASSWORD), (USERNAME, "not the password of this test")
DAY_MS = 86_400_000
pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed here")


@contextmanager
def watched(folder: Path) -> Iterator[tuple[Service, Prometheus]]:
    """A service with web, worker and scheduler, and who watches it."""
    (folder / "service").mkdir()
    tenant = Tenant(folder / "service", subscriptions=5, accounts=2)
    url = f"sqlite:///{folder / 'store.db'}"
    service = Service(folder / "service", url, tenant, metrics_token=TOKEN, zuora_daily_calls=100_000)
    prometheus = None
    try:
        service.start_all()
        service.start("scheduler")
        prometheus = Prometheus(folder / "prometheus", service)
        yield service, prometheus
    finally:
        if prometheus is not None:
            prometheus.child.kill()
        service.stop()
        tenant.stop()


@pytest.mark.long  # its short brother gives the numbers to promtool
@pytest.mark.timeout(300)
def test_faults_make_every_alert_fire_and_none_fires_before(tmp_path: Path) -> None:
    with watched(tmp_path) as (service, prometheus):
        wait_until(lambda: prometheus.value('sync_service_alive{role="scheduler"}') == 1, "all processes were seen")
        wait_until(lambda: prometheus.firing() == set(), "nothing is wrong")
        keep_process(service, zuora_calls=1, slow=0, connections=0)
        broken, wrong = service.url + "/api/plugins/zuora/sync/subscription/null", service.url + "/api/events/zuora"
        requests.post(broken, auth=RIGHT, timeout=30)
        requests.post(wrong, auth=WRONG, timeout=30)
        first = "min(sum(sync_service_callouts_total) - 1 or vector(0)) * sum(sync_service_zuora_seconds_count)"
        wait_until(lambda: prometheus.value(first) >= 1, "the first ones were counted")

        for child in service.running("worker") + service.running("scheduler"):
            child.kill()
        with ThreadPoolExecutor(16) as pool:  # answers to wrong ones are held back
            for _ in range(20):
                pool.submit(requests.post, broken, auth=RIGHT, timeout=30)
                pool.submit(requests.post, wrong, auth=WRONG, timeout=30)
        spoil(service)
        keep_process(service, zuora_calls=100, slow=99, connections=10)

        expected = {rule["alert"] for rule in read_rules()} - {"SyncServiceDown"}
        prometheus.wait_for(expected)

        for child in service.running("web"):
            child.kill()
        prometheus.wait_for({"SyncServiceDown"})


def keep_process(service: Service, *, zuora_calls: int, slow: int, connections: int) -> None:
    """The numbers of one more process: calls to Zuora, of which `slow` took more than 10 s, and of 10 connections."""
    call = ["call", "GET /v1/subscriptions"]
    buckets = {"10.0": zuora_calls - slow, "20.0": zuora_calls, "+Inf": zuora_calls}
    measured = [["sync_service_zuora_seconds_bucket", [call, ["le", le]], count] for le, count in buckets.items()]
    measured += [["sync_service_zuora_seconds_count", [call], zuora_calls]]
    for name, value in (("", connections), ("_most", 10)):
        measured.append([f"sync_service_database_connections{name}", [["role", "worker"]], value])
    execute(service.database, "DELETE FROM heartbeat WHERE id = 'one more'")
    beat = """
        INSERT INTO heartbeat (id, role, started_at, seen_at, measured)
        VALUES ('one more', 'web', {now}, {now} + :day, :measured)"""
    execute(service.database, beat, day=DAY_MS, measured=json.dumps(measured))


def spoil(service: Service) -> None:
    """What takes hours, or several systems, to go wrong: its traces in the store."""
    database = service.database
    note_tenant_error(database, ZuoraUnavailable(), Share(8))
    execute(database, "UPDATE zuora_limit SET calls_today = 90000, open_until = {now} + :day", day=DAY_MS)
    execute(database, "UPDATE heartbeat SET seen_at = seen_at - :day WHERE role <> 'web'", day=DAY_MS)
    request = """
        INSERT INTO sync_request (kind, key, requested_seq, failed_seq, priority, due_at, waiting_since, requested_at)
        VALUES ('subscription', :key, 1, :failed, 1, :at, :at, 1)"""
    long_ago = rows(database, "SELECT {now} - :day", day=DAY_MS)[0][0]
    execute(database, request, key="A-S-waits", failed=0, at=long_ago)
    execute(database, request, key="A-S-failed", failed=1, at=None)
    run = (
        "INSERT INTO sync_run (kind, key, seq_from, seq_to, outcome, began_at, ended_at, calls, change_count, drastic)"
    )
    execute(database, run + " VALUES ('subscription', 'A-S-held', 0, 1, 'held', 1, 1, 1, 1, :true)", true=True)
    order = """
        INSERT INTO order_work (order_id, number, order_type, names, payload, lane, seq, state, submitted_at, notes,
          choices, replanned, may_refund)
        VALUES (:state, :state, 'cancel_subscription', '{}', '{}', :state, 1, :state, :at, '[]', '[]', :no, :no)"""
    for state in ("held", "waiting"):
        execute(database, order, state=state, at=long_ago, no=False)
    endpoint = WebhookEndpointRow(id="none", url="https://example.com/hooks", created_at=long_ago)
    with database.transaction() as session:
        session.add(endpoint)
    webhook = """
        INSERT INTO webhook_delivery (message_id, endpoint_id, type, object_id, body, state, made_at, due_at, ended_at,
          attempts)
        VALUES (:state, 'none', 'Error', 'order-1', '{}', :state, :at, :due, :ended, 0)"""
    execute(database, webhook, state="dead", at=long_ago, due=None, ended=long_ago)
    execute(database, webhook, state="pending", at=long_ago, due=long_ago, ended=None)


def test_promtool_finds_nothing_to_say_about_what_is_deployed() -> None:
    for words in (["rules", str(RULES)], ["config", "--syntax-only", str(RULES.with_name("prometheus.yml"))]):
        checked = subprocess.run(["promtool", "check", *words], capture_output=True, text=True, timeout=60, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


#: For each alert what /metrics says while it is to fire, a number a minute.
NUMBERS = {
    "SyncServiceDown": {'up{job="sync-service"}': "0x60"},
    "SyncServiceRequestsWait": {"sync_service_oldest_wait_seconds": "301+60x60"},
    "SyncServiceNoWorker": {'sync_service_alive{role="worker"}': "0x60"},
    "SyncServiceNoScheduler": {'sync_service_alive{role="scheduler"}': "0x60"},
    "SyncServiceZuoraPaused": {"sync_service_zuora_trouble": "1x60"},
    "SyncServiceZuoraSlow": {
        'sync_service_zuora_seconds_bucket{call="GET /v1/subscriptions", le="10.0"}': "0+1x60",
        'sync_service_zuora_seconds_bucket{call="GET /v1/subscriptions", le="20.0"}': "0+10x60",
        'sync_service_zuora_seconds_bucket{call="GET /v1/subscriptions", le="+Inf"}': "0+10x60",
    },
    "SyncServiceCallBudget": {"sync_service_zuora_calls_today": "860x60", "sync_service_zuora_calls_budget": "1000x60"},
    "SyncServiceRequestsFailed": {"sync_service_requests_failed": "1x60"},
    "SyncServicePlansHeld": {"sync_service_plans_held": "1x60"},
    "SyncServiceOrdersHeld": {'sync_service_orders{state="held"}': "1x60"},
    "SyncServiceOrdersWait": {"sync_service_oldest_order_seconds": "901+60x60"},
    "SyncServiceWebhooksWait": {"sync_service_webhooks_oldest_seconds": "1801+60x60"},
    "SyncServiceWebhooksDead": {"sync_service_webhooks_dead": "1x60"},
    "SyncServiceCalloutsRejected": {
        'sync_service_callouts_total{verdict="rejected", reason="wrong credentials"}': "0+1x60"
    },
    "SyncServiceCalloutsBroken": {
        'sync_service_callouts_total{verdict="ignored", reason="impossible key"}': "0+2x60",
        'sync_service_callouts_total{verdict="accepted", reason=""}': "0+10x60",
    },
    "SyncServiceConnections": {
        'sync_service_database_connections{role="web"}': "10x60",
        'sync_service_database_connections_most{role="web"}': "10x60",
    },
}


def test_every_alert_fires_by_its_numbers_and_by_no_others(tmp_path: Path) -> None:
    assert set(NUMBERS) == {rule["alert"] for rule in read_rules()}
    tests = []
    for alert, series in NUMBERS.items():
        fires = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0'
        silent = [other for other in NUMBERS if other != alert]
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [{"eval_time": "55m", "alertname": each, "exp_alerts": []} for each in silent],
                "promql_expr_test": [
                    {"expr": fires, "eval_time": "55m", "exp_samples": [{"labels": "{}", "value": 1}]}
                ],
            }
        )
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))

    checked = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "tests.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
