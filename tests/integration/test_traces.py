"""One trace from a callout through the queue to what Zuora was asked, and nothing of it where traces are off."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sync_service.app import create_app
from sync_service.errors import NotFoundInZuora, SettingsInvalid
from sync_service.store.engine import Database
from sync_service.telemetry import traces
from sync_service.telemetry.log import logger, set_up
from sync_service.web.answers import trace_requests
from tests.integration.web.conftest import SETTINGS, Web
from tests.sweep_world import open_world


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Traces are on, and kept here."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_tracer", provider.get_tracer("tests"))
    yield exporter
    provider.shutdown()


def traced_web(database: Database) -> Web:
    app = create_app(SETTINGS, database, check=lambda _: None)
    trace_requests(app)
    return Web(database, app.test_client())


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [each for each in spans.get_finished_spans() if each.name == name]


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def test_a_callout_its_sync_and_what_zuora_was_asked_are_one_trace_by_the_id_that_the_log_says(
    database: Database, spans: InMemorySpanExporter, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_world(database) as world:
        world.subscribe("A-S1")
        world.sync("A-S1")
        spans.clear()
        set_up("json")

        assert traced_web(database).callout("A-S1").status_code == 200
        world.work()

    (callout,) = named(spans, "POST /api/plugins/zuora/sync/subscription/<key:key>")
    (run,) = named(spans, "sync subscription")
    calls = named(spans, "GET /v1/subscriptions")
    trace, callout_span = ids(callout)
    assert callout.attributes is not None
    assert callout.attributes["http.response.status_code"] == 200
    assert run.parent is not None
    assert f"{run.parent.span_id:016x}" == callout_span
    assert ids(run)[0] == trace
    assert calls
    for call in calls:
        assert ids(call)[0] == trace
        assert call.attributes is not None
        assert call.attributes["zuora.track_id"] == trace
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {line["event"] for line in said if line.get("trace_id") == trace} >= {"callout_received", "sync_finished"}


def test_a_run_that_serves_several_callouts_goes_on_from_the_first_and_links_the_others(
    sqlite_database: Database, spans: InMemorySpanExporter
) -> None:
    with open_world(sqlite_database) as world:
        world.subscribe("A-S1")
        world.sync("A-S1")
        spans.clear()
        web = traced_web(sqlite_database)
        for _ in range(3):
            web.callout("A-S1")

        world.work()

    first, *others = [ids(each) for each in named(spans, "POST /api/plugins/zuora/sync/subscription/<key:key>")]
    (run,) = named(spans, "sync subscription")
    assert ids(run)[0] == first[0]
    assert [(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in run.links] == others


def test_probes_make_no_spans(sqlite_database: Database, spans: InMemorySpanExporter) -> None:
    web = traced_web(sqlite_database)

    assert web.client.get("/healthz").status_code == 200

    assert not spans.get_finished_spans()


def test_a_span_keeps_the_kind_of_an_error_and_not_what_it_says(spans: InMemorySpanExporter) -> None:
    for error in (NotFoundInZuora("ada@example.com"), ValueError("ada@example.com")):
        with pytest.raises(type(error)), traces.span("read"):
            raise error

    found = spans.get_finished_spans()
    assert [each.attributes and each.attributes["error.type"] for each in found] == [NotFoundInZuora.code, "ValueError"]
    assert "ada@example.com" not in "".join(each.to_json() for each in found)


def test_where_traces_are_off_nothing_is_kept_logged_or_sent(
    sqlite_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("json")
    with open_world(sqlite_database) as world, traces.span("read"):
        logger().info("all_is_well")
        traced_web(sqlite_database).callout("A-S1")

        assert world.rows("SELECT trace FROM sync_cause") == [(None,)]
    assert "trace_id" not in capsys.readouterr().err


def test_where_traces_are_off_their_libraries_are_not_even_loaded() -> None:
    script = "import sys, sync_service.app, sync_service.sync.worker; print('opentelemetry' in sys.modules)"

    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert told.stdout.strip() == "False"


def test_without_the_libraries_the_setting_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(SettingsInvalid, match=r"install sync-service\[traces\]"):
        traces.start_tracing("http://127.0.0.1:4318", "web")
