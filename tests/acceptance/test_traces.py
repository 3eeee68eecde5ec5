"""Traces of the real processes, as a collector takes them in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.acceptance.processes import wait_until
from tests.acceptance.senders import Senders
from tests.acceptance.service import Service
from tests.acceptance.tenant import Tenant


class Collector(ThreadingHTTPServer):
    """Takes what exporters send by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        #: Of each span: the process's name, the trace, and the span's name.
        self.spans: set[tuple[str, str, str]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, body: bytes) -> None:
        for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
            (name,) = [each.value.string_value for each in of_process.resource.attributes if each.key == "service.name"]
            for scope in of_process.scope_spans:
                self.spans.update((name, span.trace_id.hex(), span.name) for span in scope.spans)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.take(self.rfile.read(int(self.headers["Content-Length"])))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    Thread(target=collector.serve_forever, daemon=True).start()
    try:
        yield collector
    finally:
        collector.shutdown()
        collector.server_close()


def test_a_collector_gets_one_trace_of_a_callout_from_the_web_process_and_the_worker(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, subscriptions=3, accounts=1)
    with collecting() as collector:
        settings = {"otel_exporter_otlp_endpoint": collector.url, "otel_bsp_schedule_delay": 200}
        service = Service(tmp_path, f"sqlite:///{tmp_path / 'store.db'}", tenant, **settings)
        try:
            service.start_all()
            number = tenant.numbers[0]
            senders = Senders(service.port, threads=1)
            assert senders.send(number).result() == 200
            senders.stop()
            service.settle()

            kept = service.one("SELECT trace FROM sync_cause WHERE key = :key", key=number)
            trace = kept.split("-")[1]
            expected = {
                ("sync-service-web", trace, "POST /api/plugins/zuora/sync/subscription/<key:key>"),
                ("sync-service-worker", trace, "sync alias"),
                ("sync-service-worker", trace, "GET /v1/subscriptions"),
            }
            wait_until(lambda: expected <= collector.spans, "the collector has the trace", seconds=20)
            finished = [line for line in service.running("worker")[0].lines if "sync_finished" in line]
            assert all(trace in line for line in finished)
        finally:
            service.stop()
            tenant.stop()
