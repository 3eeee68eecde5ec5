"""Every template of docs/callout-templates.md, filled in as Zuora fills it in and sent as it says."""

from __future__ import annotations

import hmac
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from werkzeug.test import TestResponse

from sync_service.access.clients import SYNC_SCOPE, add_client
from sync_service.operations.provision.install import plan_install
from sync_service.operations.provision.wanted import CalloutTerms
from sync_service.settings import load_settings
from sync_service.store.engine import Database
from sync_service.store.tables import CalloutRow, SyncCauseRow, SyncRequestRow
from sync_service.web.callouts import MAX_ITEMS
from sync_service.zuora.callout_definitions import Definition, Profile, TenantCallouts
from tests.integration.web.conftest import SYNC, ZUORA, Web, basic, build
from tests.listening import listening
from zuora_emulator.conditions import holds

pytestmark = pytest.mark.either_database

PAGE = (Path(__file__).parents[3] / "docs/callout-templates.md").read_text()
BLOCKS = dict(re.findall(r"<!-- tested: (.+?) -->\n```\w*\n(.*?)```", PAGE, re.DOTALL))
#: A foreign order: absent values are empty texts.
FOREIGN = {
    "Subscription.Name": "A-S00000271",
    "Order.OrderNumber": "O-00000042",
    "Order.Source__c": "",
    "Order.InitiatedSource__c": "",
    "Order.CreatedById": "2c92a0ffffffffffffffffffffffffff",
    "OrderAction.Type": "RenewSubscription",
}
OURS = {**FOREIGN, "Order.Source__c": "Shop", "Order.InitiatedSource__c": "shop"}
EVENT = "/api/events/zuora"
FORM = "application/x-www-form-urlencoded"


def render(name: str, context: dict[str, str]) -> str:
    """The block with its merge fields filled in."""
    return re.sub(r"\{\{\s*([\w.]+)\s*\}\}", lambda found: context[".".join(found[1].split(".")[-2:])], BLOCKS[name])


def send(web: Web, name: str, context: dict[str, str]) -> TestResponse:
    """Send a block of "What the callout says" as its section says."""
    address = SYNC + context["Subscription.Name"]
    text = render(name.removesuffix(" fields"), context)
    kinds: dict[str, dict[str, Any]] = {
        "parameters": {"data": text, "content_type": "application/json"},
        "custom body": {"data": text, "content_type": "application/json"},
        "form": {"data": text.strip(), "content_type": FORM},
        "xml": {"data": text, "content_type": "text/xml"},
        "event": {"data": text, "content_type": "application/json"},
    }
    if name == "query":
        parts = urlsplit(text.strip())
        return web.client.post(parts.path, query_string=dict(parse_qsl(parts.query, True)), headers=ZUORA)
    if name == "headers":
        said = dict(
            line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in text.split("\n") if line
        )
        return web.client.post(address, headers={**ZUORA, **said})
    if name == "form fields":
        return web.client.post(address, data=dict(parse_qsl(text.strip(), True)), headers=ZUORA)
    return web.client.post(EVENT if name == "event" else address, headers=ZUORA, **kinds[name])


SAYS = ["parameters", "custom body", "form", "form fields", "query", "headers", "xml", "event"]


@pytest.mark.parametrize("name", SAYS)
def test_what_the_page_says_is_accepted_for_a_foreign_order(sqlite_web: Web, name: str) -> None:
    answer = send(sqlite_web, name, FOREIGN)

    assert (answer.status_code, answer.json["status"]) == (200, "accepted"), answer.json
    (callout,) = sqlite_web.rows(CalloutRow)
    assert (callout.key, callout.source, callout.order_number) == ("A-S00000271", None, "O-00000042")
    assert [row.key for row in sqlite_web.rows(SyncRequestRow)] == ["A-S00000271"]


@pytest.mark.parametrize("name", SAYS)
def test_what_the_page_says_tells_our_own_orders(sqlite_web: Web, name: str) -> None:
    answer = send(sqlite_web, name, OURS)

    assert (answer.status_code, answer.json["status"]) == (200, "ignored")
    assert sqlite_web.rows(CalloutRow)[0].reason == "echo: the order's source is Shop"
    assert sqlite_web.rows(SyncRequestRow) == []


@pytest.mark.parametrize("name", ["parameters", "custom body", "form", "query", "headers", "xml"])
def test_orders_of_an_integration_user_are_told_too(sqlite_web: Web, name: str) -> None:
    answer = send(sqlite_web, name, {**FOREIGN, "Order.CreatedById": "2c92a0ff1234567890abcdef12345678"})

    assert answer.json["status"] == "ignored"


@pytest.mark.parametrize("name", SAYS)
def test_sources_of_our_own_may_have_any_name(sqlite_database: Database, name: str) -> None:
    online = {**FOREIGN, "Order.Source__c": "online"}
    as_given, with_online = build(sqlite_database), build(sqlite_database, ignored_sources=("Online",))

    assert send(as_given, name, online).json["status"] == "accepted"
    assert send(with_online, name, online).json["status"] == "ignored"


@pytest.mark.parametrize("name", ["parameters", "custom body", "form", "xml", "event"])
def test_merge_fields_that_were_not_filled_in_are_no_source(sqlite_web: Web, name: str) -> None:
    unfilled = {key: value or f"{{{{{key}}}}}" for key, value in FOREIGN.items()}

    assert send(sqlite_web, name, unfilled).json["status"] == "accepted"
    assert sqlite_web.rows(CalloutRow)[0].source is None


def test_several_notifications_for_one_change_are_one_request(web: Web) -> None:
    for name in SAYS:
        send(web, name, FOREIGN)

    assert [(row.key, row.requested_seq) for row in web.rows(SyncRequestRow)] == [("A-S00000271", len(SAYS))]
    assert len(web.rows(CalloutRow)) == len(SAYS)


# --- accounts and contacts -----------------------------------------------------------------------------------------


def plan() -> dict[tuple[Definition, str], Any]:
    """What the command would set up, by kind and name."""
    found = TenantCallouts(
        profiles=(Profile(id="p", name="Default Profile"),),
        order_fields=frozenset({"Source__c", "InitiatedSource__c"}),
        account_fields=frozenset({"BillToId", "SoldToId"}),
    )
    terms = CalloutTerms(
        public_url="https://sync.example.com",
        username="zuora",
        password="correct horse",
        sources=("shop", "salesforce"),
    )
    return {(step.thing, step.name): step.body for step in plan_install(found, terms).steps}


@pytest.mark.parametrize(("block", "name"), [("accounts", "Account"), ("contacts", "Contact")])
def test_the_events_by_hand_are_those_of_the_command(block: str, name: str) -> None:
    assert json.loads(BLOCKS[f"trigger of {block}"]) == plan()[Definition.TRIGGER, f"LimioSync{name}Updated"]


def test_the_addresses_by_hand_are_those_of_the_command() -> None:
    for (thing, _), body in plan().items():
        if thing is Definition.TEMPLATE:
            assert f"`{body['calloutBaseurl']}`" in PAGE
    assert json.loads(BLOCKS["parameters"]) == plan()[Definition.TEMPLATE, "limio-sync: order actions"]["calloutParams"]


def test_the_filter_by_hand_is_that_of_the_command() -> None:
    rule = plan()[Definition.DEFINITION, "limio-sync: order actions (Default Profile)"]["filterRule"]

    assert BLOCKS["filter"].strip() == rule["condition"]
    assert holds(rule["condition"], FOREIGN)
    assert not holds(rule["condition"], {**FOREIGN, "Order.InitiatedSource__c": "shop"})


def test_an_account_is_asked_for_by_number_or_id(sqlite_web: Web) -> None:
    for key in ("A00000001", "2c92a0ff1234567890abcdef00000000"):
        answer = sqlite_web.client.post(f"/api/plugins/zuora/sync/account/{key}", headers=ZUORA)

        assert answer.json["status"] == "accepted"
    assert {(row.kind, row.key, row.full) for row in sqlite_web.rows(SyncRequestRow)} == {
        ("account", "A00000001", 1),
        ("account", "2c92a0ff1234567890abcdef00000000", 1),
    }


# --- who says it ---------------------------------------------------------------------------------------------------


def statuses(web: Web, template: dict[str, Any]) -> list[int]:
    """What Zuora gets that sends with a template's name and password."""
    auth = template["calloutAuth"]
    headers = basic(auth["username"], auth["password"])
    tries = [headers] if auth["preemptive"] else [{}, headers]
    answers = [web.client.post(SYNC + "A-1", headers=each) for each in tries]
    if not auth["preemptive"]:
        assert answers[0].headers["WWW-Authenticate"] == 'Basic realm="sync-service"'
    return [answer.status_code for answer in answers]


def test_a_name_and_password_come_at_once_or_when_asked_for(sqlite_web: Web) -> None:
    assert statuses(sqlite_web, json.loads(BLOCKS["preemptive"])) == [200]
    assert statuses(sqlite_web, json.loads(BLOCKS["two-step"])) == [401, 200]
    assert len(sqlite_web.rows(CalloutRow)) == 2


@pytest.mark.parametrize("place", ["body", "header"])
def test_an_oauth_provider_gets_a_token_and_calls_with_it(sqlite_web: Web, place: str) -> None:
    said = dict(line.split(": ", 1) for line in BLOCKS["oauth"].strip().split("\n"))
    client_id, secret = add_client(sqlite_web.database, "zuora", [SYNC_SCOPE], True, actor="a test")
    form = {"grant_type": "client_credentials", "scope": said["Scope"]}
    headers = basic(client_id, secret) if place == "header" else {}
    form |= {"client_id": client_id, "client_secret": secret} if place == "body" else {}

    token = sqlite_web.client.post(urlsplit(said["Access token endpoint"]).path, data=form, headers=headers).json
    answer = sqlite_web.client.post(SYNC + "A-1", headers={"Authorization": f"Bearer {token['access_token']}"})

    assert (answer.status_code, answer.json["success"], answer.json["status"]) == (200, True, "accepted")
    assert token["expires_in"] == 3600


def test_the_settings_go_with_the_template_of_the_signature(sqlite_database: Database) -> None:
    environ = dict(line.split("=", 1) for line in BLOCKS["hmac settings"].strip().split("\n"))
    settings = load_settings(environ)
    names = [name.lower() for name in environ]
    web = build(sqlite_database, **{name: getattr(settings, name) for name in names})
    template, body = json.loads(BLOCKS["hmac"]), render("parameters", FOREIGN).encode()
    key_header, _, field = BLOCKS["hmac header"].strip().partition(": ")
    text = template["hmacData"].encode().replace(b"{{Request.Body}}", body)
    text = text.replace(b"{{Request.Headers.%s}}" % key_header.encode(), b"A-1")
    signed = hmac.new(template["hmacSecret"].encode(), text, "sha256").hexdigest()
    headers = {template["hmacKey"]: template["hmacValue"].replace("{{Request.HMAC.Signed}}", signed), key_header: "A-1"}

    right = web.client.post(SYNC + "A-1", data=body, headers=headers)
    with_a_slash = web.client.post(SYNC + "A-1/", data=body, headers=headers)
    other_body = web.client.post(SYNC + "A-1", data=body + b" ", headers=headers)
    other_address = web.client.post(SYNC + "A-2", data=body, headers=headers)
    other_header = web.client.post(SYNC + "A-2", data=body, headers={**headers, key_header: "A-2"})
    unsaid = web.client.post(SYNC + "A-1", data=body, headers={**headers, key_header: ""})

    assert field == "{{OrderAction.Subscription.Name}}"
    assert [answer.status_code for answer in (right, with_a_slash)] == [200] * 2
    assert [answer.status_code for answer in (other_body, other_address, other_header, unsaid)] == [403] * 4


def test_a_signed_body_that_holds_the_key_needs_no_header(sqlite_database: Database) -> None:
    text = "{{Request.Headers.X-Sync-Key}}.{{Request.Body}}"
    web = build(sqlite_database, callout_hmac_text=text, callout_hmac_prefix="")
    body = b'{"subscriptionID": "A-1"}'
    signature = hmac.new(b"signing secret", b"." + body, "sha256").hexdigest()

    assert web.client.post(EVENT, data=body, headers={"X-Signature": signature}).status_code == 200


def test_a_header_with_a_secret_lets_in(sqlite_web: Web) -> None:
    name, value = BLOCKS["secret"].strip().split(": ")

    assert sqlite_web.client.post(SYNC + "A-1", headers={name: value}).status_code == 200
    assert sqlite_web.client.post(SYNC + "A-1", headers={name: "another"}).status_code == 403


def test_after_a_rotation_both_secrets_are_right_and_a_third_is_not(sqlite_database: Database) -> None:
    changed = {
        "callout_password": "new",
        "callout_password_previous": "correct horse",
        "callout_secret": "new",
        "callout_secret_previous": "header secret",
        "callout_hmac_secret": "new",
        "callout_hmac_secret_previous": "signing secret",
    }
    web = build(sqlite_database, **changed)

    def sign(secret: str) -> dict[str, str]:
        return {"X-Signature": "sha256=" + hmac.new(secret.encode(), b"", "sha256").hexdigest()}

    for words in (
        [basic("zuora", word) for word in ("new", "correct horse", "older")],
        [{"X-Callout-Secret": word} for word in ("new", "header secret", "older")],
        [sign(word) for word in ("new", "signing secret", "older")],
    ):
        assert [web.client.post(SYNC + "A-1", headers=each).status_code for each in words] == [200, 200, 403]


# --- Workflows -----------------------------------------------------------------------------------------------------


def test_a_workflow_calls_once_for_each_row_without_a_notification(web: Web) -> None:
    for number in ("A-S1", "A-S2", "A-S1"):
        body = render("workflow row", {"Subscription.Name": number})
        answer = web.client.post(EVENT, data=body, headers=ZUORA, content_type="application/json")
        assert answer.json["status"] == "accepted"
    web.client.post(SYNC + "A-S3", headers=ZUORA)

    assert {row.key: row.requested_seq for row in web.rows(SyncRequestRow)} == {"A-S1": 2, "A-S2": 1, "A-S3": 1}
    assert [cause.trigger for cause in web.rows(SyncCauseRow)] == ["event", "event", "event", "workflow"]


def loop(numbers: list[str], item: str = "") -> str:
    """The page's loop, as Liquid renders it."""
    head, _, rest = BLOCKS["workflow loop"].partition("{% for subscription in Data.Subscription %}")
    inner, _, tail = rest.partition("{% endfor %}")
    inner, comma = inner.replace("{% unless forloop.last %},{% endunless %}", "%"), ","
    rows = [(item or inner).replace("{{ subscription.Name }}", number) for number in numbers]
    return head + "".join(row.replace("%", "" if row is rows[-1] else comma) for row in rows) + tail


def test_a_loop_in_one_body_is_taken_item_by_item(web: Web) -> None:
    answer = web.client.post(EVENT, data=loop(["A-S1", "A-S2", "", "A-S3"]), headers=ZUORA)

    assert (answer.status_code, answer.json["success"], answer.json["status"]) == (200, True, "accepted")
    assert [each["status"] for each in answer.json["items"]] == ["accepted", "accepted", "ignored", "accepted"]
    assert {row.key for row in web.rows(SyncRequestRow)} == {"A-S1", "A-S2", "A-S3"}
    assert len(web.rows(CalloutRow)) == 4


def test_of_a_loop_only_the_items_of_our_own_are_left_out(sqlite_web: Web) -> None:
    rows = [
        {"subscriptionID": "A-S1", "Source__c": "shop"},
        {"subscriptionID": "A-S2", "Source__c": ""},
        {"subscriptionID": "A-S3", "data": {"Source__c": "csr"}},
    ]
    for body in (rows, {"items": rows}, {"type": "nightly", "Source__c": "shop", "data": rows}):
        answer = sqlite_web.client.post(EVENT, json=body, headers=ZUORA)

        assert [each["status"] for each in answer.json["items"]] == ["ignored", "accepted", "accepted"]
    assert {row.key for row in sqlite_web.rows(SyncRequestRow)} == {"A-S2", "A-S3"}


def test_a_loop_over_nothing_is_nothing(sqlite_web: Web) -> None:
    for body in (b"[]", b'{"subscriptions": []}', b'{"subscriptions": ["A-S1"]}', b"[1, 2]", b"[" * 50_000):
        answer = sqlite_web.client.post(EVENT, data=body, headers=ZUORA)

        assert (answer.status_code, answer.json["status"]) == (200, "ignored")
    assert sqlite_web.rows(SyncRequestRow) == []


def test_a_loop_of_some_hundreds_fits(sqlite_web: Web) -> None:
    answer = sqlite_web.client.post(EVENT, data=loop([f"A-S{n:08}" for n in range(300)]), headers=ZUORA)

    assert answer.status_code == 200
    assert len(sqlite_web.rows(SyncRequestRow)) == 300


def test_a_loop_is_durable_in_one_commit(web: Web) -> None:
    commits: list[object] = []
    items = [{"subscriptionID": "A-S1"}, *({"subscriptionID": f"A-S{n % 40:03}"} for n in range(198)), {}]

    with listening(commit=commits.append):
        answer = web.client.post(EVENT, json=items, headers=ZUORA)

    if web.database.dialect == "sqlite":
        assert len(commits) == 1
    else:  # one statement, which commits itself
        with web.database.reading() as session:
            assert session.run("SELECT count(DISTINCT CAST(xmin AS TEXT)) FROM callout").scalar_one() == 1
    assert [item["status"] for item in answer.json["items"]] == ["accepted"] * 199 + ["ignored"]
    assert len(web.rows(CalloutRow)) == 200
    assert {row.key: row.requested_seq for row in web.rows(SyncRequestRow)}["A-S001"] == 5


def test_a_loop_that_would_take_too_long_is_refused_whole(sqlite_web: Web) -> None:
    answer = sqlite_web.client.post(EVENT, json=[{}] * (MAX_ITEMS + 1), headers=ZUORA)

    assert answer.status_code == 413
    assert str(MAX_ITEMS) in answer.json["message"]
    assert sqlite_web.rows(CalloutRow) == []


def test_a_callout_of_many_that_cannot_be_made_durable_is_503(sqlite_database: Database) -> None:
    web = build(sqlite_database)
    with sqlite_database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE sync_cause")

    assert web.client.post(EVENT, data=loop(["A-S1", "A-S2"]), headers=ZUORA).status_code == 503


def test_every_block_of_the_page_is_tested() -> None:
    used = set(re.findall(r'BLOCKS\["(.+?)"\]', Path(__file__).read_text())) | set(SAYS)
    used |= {"workflow row", "trigger of accounts", "trigger of contacts"}

    assert set(BLOCKS) == used - {"form fields"}
    assert len(re.findall(r"^```\w*$", PAGE, re.MULTILINE)) == 2 * len(BLOCKS)
