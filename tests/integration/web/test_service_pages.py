import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import jsonschema
import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sync_service.access.clients import PARTNER_SCOPE, SCOPES
from sync_service.app import create_app
from sync_service.errors import RateLimited, SchemaOutdated
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share, note_tenant_error
from sync_service.queue.requests import Cause, Kind, Priority, enqueue, fail
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.store.engine import Database, connect
from sync_service.subscription.keys import LONGEST_KEY
from sync_service.subscription.trigger import Trigger
from sync_service.web.health import Scrapes
from sync_service.web.openapi import describe
from tests.integration.web.conftest import MONITORING, SETTINGS, SYNC, ZUORA, Web, basic, build


def test_health_says_that_the_process_is_up(sqlite_web: Web) -> None:
    assert sqlite_web.client.get("/healthz").json["status"] == "ok"


def test_readiness_names_the_remedy(sqlite_database: Database) -> None:
    def check(_: Database) -> None:
        raise SchemaOutdated

    app = create_app(SETTINGS, sqlite_database, check=check)

    answer = app.test_client().get("/readyz")

    assert answer.status_code == 503
    assert "db upgrade" in answer.json["message"]


def test_readiness_needs_the_database() -> None:
    database = connect("postgresql://none@127.0.0.1:1/none")
    answer = create_app(SETTINGS, database).test_client().get("/readyz")
    database.engine.dispose()

    assert answer.status_code == 503
    assert "DATABASE_URL" in answer.json["message"]


def test_readiness_of_a_good_service(sqlite_web: Web) -> None:
    assert sqlite_web.client.get("/readyz").json["status"] == "ready"


def test_metrics_count_what_the_database_holds(web: Web) -> None:
    web.callout("A-1")
    web.callout("A-2", X_Order_Source="shop")
    web.client.post(SYNC + "a%2Fb", headers=ZUORA)
    web.client.post(SYNC + "A-1", headers=basic("x", "y"))
    with web.database.transaction() as session:
        enqueue(session, Kind.SUBSCRIPTION, "A-3", Cause(Trigger.ADMIN), priority=Priority.PERSON)
    (claimed,) = claim(web.database, 1, Share(8))
    with web.database.transaction() as session:
        fail(session, claimed, error="gone")
    note_tenant_error(web.database, RateLimited(), Share(8))

    text = web.client.get("/metrics", headers=MONITORING).text

    assert 'sync_service_requests_waiting{asked_by="event",kind="alias"} 1.0' in text
    assert 'sync_service_requests_waiting{asked_by="person",kind="subscription"} 0.0' in text, (
        "nothing is 0, not absent"
    )
    assert "sync_service_requests_failed 1.0" in text
    assert "sync_service_zuora_permitted 4.0" in text
    assert "sync_service_zuora_paused 1.0" in text
    assert "A-1" not in text


def test_callouts_are_counted_by_what_was_made_of_them_over_all_processes(sqlite_web: Web) -> None:
    process = Heartbeat(sqlite_web.database, ProcessRole.WEB)
    process.beat(at_once=True)
    before = counted(sqlite_web, "callouts_total")

    sqlite_web.callout("A-1")
    sqlite_web.callout("A-2", X_Order_Source="shop")
    sqlite_web.client.post(SYNC + "a%2Fb", headers=ZUORA)
    sqlite_web.client.post(SYNC + "A-1", headers=basic("x", "y"))
    process.beat(at_once=True)

    more = counted(sqlite_web, "callouts_total")
    assert {
        labels: value - before.get(labels, 0.0) for labels, value in more.items() if value != before.get(labels)
    } == {
        'reason="",verdict="accepted"': 1.0,
        'reason="echo",verdict="ignored"': 1.0,
        'reason="impossible key",verdict="ignored"': 1.0,
        'reason="wrong credentials",verdict="rejected"': 1.0,
    }


def counted(web: Web, name: str) -> dict[str, float]:
    """The series of one name, by their labels as they are printed; read anew."""
    text = build(web.database).client.get("/metrics", headers=MONITORING).text
    found = re.findall(rf"^sync_service_{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_metrics_of_an_empty_service(web: Web) -> None:
    answer = web.client.get("/metrics", headers=MONITORING)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "sync_service_oldest_wait_seconds 0.0" in answer.text


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/metrics%2f", "/./metrics"])
def test_no_spelling_of_the_address_opens_the_metrics_to_strangers(sqlite_web: Web, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, ZUORA, sqlite_web.token(name=f"client {path}")):
        assert b"# HELP sync_service_" not in sqlite_web.client.get(path, headers=headers).data


def test_metrics_are_closed_where_no_token_is_set(sqlite_database: Database) -> None:
    web = build(sqlite_database, metrics_token="")

    for headers in ({}, {"Authorization": "Bearer "}):
        answer = web.client.get("/metrics", headers=headers)
        assert answer.status_code == 403
        assert "METRICS_TOKEN" in answer.json["message"]


class Slow(Collector):
    """Numbers that are read for as long as a test wants."""

    def __init__(self) -> None:
        self.readings = 0
        self.begun, self.may_end = Event(), Event()

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> list[GaugeMetricFamily]:
        self.readings += 1
        self.begun.set()
        assert self.may_end.wait(30)
        return [GaugeMetricFamily("read", "How often.", value=self.readings)]


def test_the_numbers_are_read_by_one_at_a_time_and_not_again_at_once() -> None:
    slow = Slow()
    scrapes = Scrapes(slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(scrapes.read)
        assert slow.begun.wait(30)
        meanwhile = scrapes.read()
        slow.may_end.set()

        assert meanwhile is None
        assert b"read 1.0" in (first.result(30) or b"")
    assert b"read 1.0" in (scrapes.read() or b"")


def routes(web: Web) -> set[tuple[str, str]]:
    found = set()
    for rule in web.client.application.url_map.iter_rules():
        if rule.endpoint == "static" or rule.endpoint.startswith(
            ("admin.", "portal.")
        ):  # pages for people are no interface
            continue
        path = re.sub(r"<(?:[^<>:]*:)?([a-z_]+)>", r"{\1}", rule.rule)
        path = path.replace("{path_type}", "{type}").replace("{object_id}", "{id}")
        found |= {(path, method.lower()) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    # The same addresses with an empty key, which is an impossible one.
    return {(path, method) for path, method in found if (path + "/{key}", method) not in found}


def test_the_description_names_every_address_and_no_other(sqlite_web: Web) -> None:
    described = {
        (path, method)
        for path, methods in sqlite_web.client.get("/openapi.json").json["paths"].items()
        for method in methods
    }

    assert described == routes(sqlite_web)


def look_up(document: dict[str, Any], reference: str) -> Any:
    """What a reference leads to; KeyError if it leads nowhere."""
    found: Any = document
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def references(part: Any) -> Iterator[str]:
    """Every reference in `part`."""
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        part = list(part.values())
    for each in part if isinstance(part, list) else []:
        yield from references(each)


def test_every_reference_in_the_description_leads_somewhere_and_every_component_is_referred_to() -> None:
    document = describe("https://sync.example.com/")
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in document["components"].items()
        for name in named
        if kind != "securitySchemes"
    }

    assert document["servers"] == [{"url": "https://sync.example.com"}]
    assert set(references(document)) == components
    for reference in components:
        assert look_up(document, reference)


def test_every_parameter_in_a_path_is_described() -> None:
    document = describe("")
    for path, methods in document["paths"].items():
        for operation in methods.values():
            taken = [
                look_up(document, each["$ref"]) if "$ref" in each else each for each in operation.get("parameters", [])
            ]
            assert {each["name"] for each in taken if each["in"] == "path"} == set(re.findall(r"{(\w+)}", path))
            assert operation["responses"]


def test_scopes_and_bounds_in_the_description_are_those_that_hold() -> None:
    document = describe("")
    scopes = document["components"]["securitySchemes"]["bearer"]["flows"]["clientCredentials"]["scopes"]
    keys = [
        resolve(document, parameter["schema"])["maxLength"]
        for path, methods in document["paths"].items()
        if path.startswith("/api/plugins/zuora/")
        for parameter in methods["post"]["parameters"]
        if parameter.get("name") == "key"
    ]

    assert set(scopes) == SCOPES | {PARTNER_SCOPE}
    assert keys == [LONGEST_KEY] * 2


def resolve(document: dict[str, Any], part: dict[str, Any]) -> Any:
    return look_up(document, part["$ref"]) if "$ref" in part else part


def examples(part: dict[str, Any], document: dict[str, Any]) -> list[Any]:
    """The examples of a body: its own, or those of its schema."""
    own = [each["value"] for each in part.get("examples", {}).values()]
    name = part["schema"].get("$ref", "").rsplit("/", 1)[-1]
    shared = document["components"]["schemas"].get(name, {})
    return own or ([shared["example"]] if "example" in shared else [])


def test_every_body_of_the_interface_has_an_example_that_fits_its_schema() -> None:
    document = describe("")
    bodies = {
        f"{path} {method} {where}": part
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["tags"] != ["Service"]
        for where, holder in {"request": operation.get("requestBody", {}), **operation["responses"]}.items()
        for part in resolve(document, holder).get("content", {}).values()
        if part["schema"].get("$ref", "").rsplit("/", 1)[-1] not in ("", "Object")
    }

    assert bodies
    for where, part in bodies.items():
        found = examples(part, document)
        assert found, where
        for example in found:
            jsonschema.validate(example, {**part["schema"], "components": document["components"]})


def test_the_documentation_page_needs_nothing_from_elsewhere(sqlite_web: Web) -> None:
    answer = sqlite_web.client.get("/docs")

    assert answer.status_code == 200
    assert "/api/plugins/zuora/sync/subscription/{key}" in answer.text
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    links = re.findall(r'(?:href|src)="([^"]+)"', answer.text)
    assert links
    for link in links:
        assert link.startswith("/")
        with sqlite_web.client.get(link) as linked:
            assert linked.status_code == 200


def test_the_start_page_leads_to_the_pages_and_the_interface(sqlite_web: Web) -> None:
    page = sqlite_web.client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    facts = sqlite_web.client.get("/")

    assert page.headers["Content-Type"].startswith("text/html")
    assert {"/admin", "/docs", "/openapi.json"} <= set(re.findall(r'href="([^"]+)"', page.text))
    assert facts.json["service"] == "sync-service"
    for place in ("docs", "openapi"):
        assert sqlite_web.client.get(facts.json[place]).status_code == 200


ANSWERS = [
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/healthz"),
    ("GET", "/none"),
    ("POST", SYNC + "A-1"),
    ("GET", SYNC + "A-1"),
    ("GET", "/static/docs.css"),
]


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_every_answer_keeps_browsers_careful(sqlite_web: Web, method: str, path: str) -> None:
    with sqlite_web.client.open(path, method=method) as answer:
        headers = answer.headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers


def test_behind_https_browsers_are_told_to_stay_there(sqlite_database: Database) -> None:
    web = build(sqlite_database, public_url="https://sync.example.com")

    assert web.client.get("/healthz").headers["Strict-Transport-Security"]


@pytest.mark.parametrize("path", ["/none", "//healthz", "/api/plugins/zuora/sync", "/api//events/zuora"])
def test_unknown_addresses_are_404_in_json(sqlite_web: Web, path: str) -> None:
    answer = sqlite_web.client.post(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["message"] == "There is nothing at this address; /docs lists all."


def test_no_address_redirects(sqlite_web: Web) -> None:
    for path in ("/healthz/", "/docs/", "/oauth2/token/", "/api/events/zuora/", SYNC + "A-1/", SYNC + "/A-1"):
        for method in ("GET", "POST"):
            assert sqlite_web.client.open(path, method=method).status_code not in range(300, 400)


def test_a_crash_is_500_in_json_and_the_log_has_no_values(
    sqlite_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(SETTINGS, sqlite_database)
    secret = "@".join(["jane", "example.com"])

    @app.get("/crash")
    def crash() -> str:
        raise RuntimeError(secret)

    answer = app.test_client().get("/crash")

    assert answer.status_code == 500
    assert answer.json["message"]
    logged = capsys.readouterr()
    assert secret not in logged.out + logged.err + answer.text
    assert "RuntimeError" in logged.out + logged.err
