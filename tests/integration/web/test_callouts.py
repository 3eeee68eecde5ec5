import base64
import hashlib
import hmac
import sqlite3
import threading

import pytest

from sync_service.commerce.order import Names, Order, OrderType
from sync_service.errors import SettingsInvalid
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share
from sync_service.queue.orders.lanes import submit_order
from sync_service.queue.requests import Claim, finish
from sync_service.settings import load_settings
from sync_service.store.engine import Database, connect
from sync_service.store.tables import CalloutRow, SubscriptionRow, SyncCauseRow, SyncRequestRow
from sync_service.web import intake
from sync_service.web.callouts import MAX_REJECTED, MAX_REJECTED_KEY, MAX_REJECTED_OF_PLACE
from tests.integration.web.conftest import SYNC, ZUORA, Web, basic, build

pytestmark = pytest.mark.either_database


def sign(body: bytes, secret: str = "signing secret") -> dict[str, str]:
    return {"X-Signature": "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()}


def test_a_callout_is_durable_when_it_is_answered(web: Web) -> None:
    answer = web.callout(Zuora_Notification_Id="n1", Zuora_Request_Id="r1")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json is not None
    assert answer.json["success"] is True
    assert answer.json["status"] == "accepted"
    (callout,) = web.rows(CalloutRow)
    assert (callout.key, callout.verdict, callout.notification_id, callout.request_id) == (
        "A-S00000271",
        "accepted",
        "n1",
        "r1",
    )
    (row,) = web.rows(SyncRequestRow)
    assert (row.kind, row.key, row.requested_seq, row.priority, row.full) == ("alias", "A-S00000271", 1, 1, 0)
    (cause,) = web.rows(SyncCauseRow)
    assert (cause.kind, cause.key, cause.seq, cause.trigger, cause.callout_id) == (
        "alias",
        "A-S00000271",
        1,
        "callout",
        callout.id,
    )


def test_a_key_that_the_store_knows_is_queued_under_its_number(web: Web) -> None:
    with web.database.transaction() as session:
        session.add(SubscriptionRow(id="sub-1", reference="3V053CN9SFIG", document={"id": "sub-1"}))

    web.callout("sub-1")
    web.callout("3V053CN9SFIG")

    (row,) = web.rows(SyncRequestRow)
    assert (row.kind, row.key, row.requested_seq) == ("subscription", "3V053CN9SFIG", 2)
    assert [callout.key for callout in web.rows(CalloutRow)] == ["3V053CN9SFIG", "3V053CN9SFIG"]


def test_without_a_notification_id_it_is_a_workflow_s(sqlite_web: Web) -> None:
    sqlite_web.callout()

    assert [cause.trigger for cause in sqlite_web.rows(SyncCauseRow)] == ["workflow"]


def test_an_account_is_queued_as_an_account_and_read_in_full(sqlite_web: Web) -> None:
    answer = sqlite_web.client.post("/api/plugins/zuora/sync/account/A00000001", headers=ZUORA)

    assert (answer.status_code, answer.json["status"]) == (200, "accepted")
    (row,) = sqlite_web.rows(SyncRequestRow)
    assert (row.kind, row.key, row.full) == ("account", "A00000001", 1)


def test_an_event_names_the_subscription_in_its_body(sqlite_web: Web) -> None:
    body = {"subscriptionID": "A-S00012345", "type": "RenewSubscription", "data": {"renewalTerm": 12}}

    answer = sqlite_web.client.post("/api/events/zuora", json=body, headers=ZUORA)

    assert (answer.status_code, answer.json["status"]) == (200, "accepted")
    assert [(row.kind, row.key) for row in sqlite_web.rows(SyncRequestRow)] == [("alias", "A-S00012345")]
    assert [cause.trigger for cause in sqlite_web.rows(SyncCauseRow)] == ["event"]


def test_an_event_without_a_subscription_is_ignored(sqlite_web: Web) -> None:
    answer = sqlite_web.client.post("/api/events/zuora", data="{broken", headers=ZUORA)

    assert (answer.status_code, answer.json["success"], answer.json["status"]) == (200, True, "ignored")
    assert sqlite_web.rows(SyncRequestRow) == []


# --- who -----------------------------------------------------------------------------------------------------------


def test_without_credentials_the_challenge_names_a_realm(sqlite_web: Web) -> None:
    answer = sqlite_web.client.post(SYNC + "A-1")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="sync-service"'
    assert answer.headers["Content-Type"] == "application/json"
    assert sqlite_web.rows(CalloutRow) == []


RIGHT = [
    pytest.param(ZUORA, id="basic"),
    pytest.param({"X-Callout-Secret": "header secret"}, id="secret header"),
    pytest.param(sign(b'{"a":1}'), id="signature"),
    pytest.param({**sign(b'{"a":1}'), **basic("zuora", "old")}, id="signature beside a wrong password"),
    pytest.param({**sign(b"other"), **ZUORA}, id="password beside a wrong signature"),
]


@pytest.mark.parametrize("headers", RIGHT)
def test_any_right_credential_lets_a_callout_in(sqlite_web: Web, headers: dict[str, str]) -> None:
    answer = sqlite_web.client.post(SYNC + "A-1", data=b'{"a":1}', headers=headers)

    assert (answer.status_code, answer.json["status"]) == (200, "accepted")


WRONG = [
    pytest.param(basic("zuora", "wrong"), id="password"),
    pytest.param(basic("someone", "correct horse"), id="name"),
    pytest.param(basic("zuora", ""), id="no password"),
    pytest.param(basic("", ""), id="nothing"),
    pytest.param({"Authorization": "Basic"}, id="basic without a value"),
    pytest.param({"Authorization": "Basic !!!"}, id="not base64"),
    pytest.param({"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()}, id="not text"),
    pytest.param({"X-Callout-Secret": "wrong"}, id="secret header"),
    pytest.param({"X-Callout-Secret": ""}, id="empty secret header"),
    pytest.param({"X-Callout-Secret": "\xe9"}, id="secret header beyond ASCII"),
    pytest.param(sign(b"another body"), id="signature of another body"),
    pytest.param(sign(b'{"a":1}', "another secret"), id="signature with another secret"),
    pytest.param({"X-Signature": ""}, id="empty signature"),
    pytest.param({"X-Signature": sign(b'{"a":1}')["X-Signature"].removeprefix("sha256=")}, id="no prefix"),
]


@pytest.mark.parametrize("headers", WRONG)
def test_wrong_callout_credentials_are_403_and_recorded(sqlite_web: Web, headers: dict[str, str]) -> None:
    answer = sqlite_web.client.post(SYNC + "A-1", data=b'{"a":1}', headers=headers)

    assert answer.status_code == 403
    assert "message" in answer.json
    assert [(row.key, row.verdict) for row in sqlite_web.rows(CalloutRow)] == [("A-1", "rejected")]
    assert sqlite_web.rows(SyncRequestRow) == []


def test_nothing_configured_means_closed(sqlite_database: Database) -> None:
    nothing = dict.fromkeys(("callout_username", "callout_password", "callout_hmac_secret", "callout_secret"), "")
    web = build(sqlite_database, **nothing)

    tries = [{}, basic("", ""), basic("zuora", "correct horse"), {"X-Callout-Secret": ""}, {"X-Signature": "sha256="}]

    assert [web.client.post(SYNC + "A-1", headers=headers).status_code for headers in tries] == [
        401,
        403,
        403,
        401,
        401,
    ]


def test_during_a_rotation_both_passwords_are_right(sqlite_database: Database) -> None:
    web = build(sqlite_database, callout_password="new", callout_password_previous="correct horse")

    tries = [basic("zuora", word) for word in ("new", "correct horse", "older")]

    assert [web.client.post(SYNC + "A-1", headers=headers).status_code for headers in tries] == [200, 200, 403]


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_the_signature_follows_the_template_s_scheme(sqlite_database: Database, algorithm: str, encoding: str) -> None:
    web = build(
        sqlite_database, callout_hmac_algorithm=algorithm, callout_hmac_encoding=encoding, callout_hmac_prefix=""
    )
    digest = hmac.new(b"signing secret", b"body", algorithm)
    value = digest.hexdigest().upper() if encoding == "hex" else base64.b64encode(digest.digest()).decode()

    answer = web.client.post(SYNC + "A-1", data=b"body", headers={"X-Signature": value})

    assert answer.status_code == 200


def test_the_signed_text_is_the_template_s_own(sqlite_database: Database) -> None:
    web = build(sqlite_database, callout_hmac_text="v1:{{Request.Headers.Zuora-Request-Id}}.{{Request.Body}}")
    headers = {"Zuora-Request-Id": "r1", **sign(b"v1:r1.body")}

    right = web.client.post(SYNC + "A-1", data=b"body", headers=headers)
    others = [
        web.client.post(SYNC + "A-1", data=b"body", headers={**headers, "Zuora-Request-Id": "r2"}),
        web.client.post(SYNC + "A-1", data=b"bodies", headers=headers),
        web.client.post(SYNC + "A-1", data=b"body", headers=sign(b"body")),
    ]

    assert right.status_code == 200
    assert [answer.status_code for answer in others] == [403, 403, 403]


@pytest.mark.parametrize(
    "text", ["{{Request.Body}}", "{{Request.Headers.X-Stamp}}.{{Request.Body}}", "a{{Request.Body}}b"]
)
def test_a_text_to_sign_has_zuoras_merge_fields(text: str) -> None:
    assert load_settings({"CALLOUT_HMAC_TEXT": text}).callout_hmac_text == text


@pytest.mark.parametrize(
    "text", ["body", "{{Request.Url}}", "{{Request.Body", "{{Request.Headers.}}", "{{ Request.Body }}"]
)
def test_a_text_to_sign_that_could_not_be_checked_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="CALLOUT_HMAC_TEXT"):
        load_settings({"CALLOUT_HMAC_TEXT": text})


def test_guessing_is_throttled_and_never_locks_zuora_out(web: Web) -> None:
    answers = [web.client.post(SYNC + "A-1", headers=basic("zuora", f"guess {n}")) for n in range(15)]

    assert {answer.status_code for answer in answers} == {403}
    assert "Retry-After" not in answers[MAX_REJECTED_OF_PLACE - 1].headers
    assert 1 <= int(answers[MAX_REJECTED_OF_PLACE].headers["Retry-After"]) <= 3600
    assert len(web.rows(CalloutRow)) == MAX_REJECTED_OF_PLACE
    assert web.callout().status_code == 200


def test_strangers_cannot_fill_the_store(sqlite_web: Web) -> None:
    """From many places, with the longest that they can say."""
    said = {"Zuora-Notification-Id": "n" * 255, "Zuora-Request-Id": "r" * 255, **basic("x", "y")}
    for n in range(200):
        place = {"REMOTE_ADDR": f"203.0.113.{n}"}
        sqlite_web.client.post(SYNC + "\U0001f4a3" * 200, headers=said, data=b"{}", environ_base=place)

    kept = sqlite_web.rows(CalloutRow)
    assert len(kept) == MAX_REJECTED
    assert {len(row.key) for row in kept} == {MAX_REJECTED_KEY}
    assert {(row.notification_id, row.request_id, row.body_sha256) for row in kept} == {(None, None, None)}


def test_the_throttle_counts_over_all_hosts(sqlite_database: Database) -> None:
    hosts = [build(sqlite_database), build(sqlite_database)]

    answers = [hosts[n % 2].client.post(SYNC + "A-1", headers=basic("x", "y")) for n in range(40)]

    assert len(hosts[0].rows(CalloutRow)) == MAX_REJECTED_OF_PLACE
    assert all("Retry-After" in answer.headers for answer in answers[MAX_REJECTED_OF_PLACE:])


# --- which key -----------------------------------------------------------------------------------------------------


IMPOSSIBLE = [
    "",
    "%20",
    "a%2Fb",
    "a/b",
    "/",
    "%2FA-1",
    "x" * 256,
    "a%0Ab",
    "%00",
    "a%23b",
    "a%3Fb",
    "a%3Cb",
    "a%7B%7Bb",
]


def test_an_impossible_key_is_ignored_with_the_reason(web: Web) -> None:
    for path in [*IMPOSSIBLE, "%3COrder.Number%3E", "%7B%7BSubscription.Id%7D%7D"]:
        answer = web.client.post(SYNC + path, headers=ZUORA)

        assert (path, answer.status_code, answer.json["success"], answer.json["status"]) == (path, 200, True, "ignored")
        assert answer.json["reason"].startswith("impossible key: ")
        assert web.rows(CalloutRow)[-1].reason == answer.json["reason"]
    assert {row.verdict for row in web.rows(CalloutRow)} == {"ignored"}
    assert web.rows(SyncRequestRow) == []


POSSIBLE = {
    "A-S00000271": "A-S00000271",
    "A-S00000272/": "A-S00000272",
    "%20A-1%20": "A-1",
    "2C92C0F96E4E3B7F016E5F3B3B7B0B3D": "2c92c0f96e4e3b7f016e5f3b3b7b0b3d",
    "Abo%20Nr.%20%C3%A4%201": "Abo Nr. ä 1",
    "100%25": "100%",
    "a+b&c=d;e": "a+b&c=d;e",
    "..": "..",
    "x" * 255: "x" * 255,
}


def test_any_other_text_is_a_key(web: Web) -> None:
    for path, key in POSSIBLE.items():
        answer = web.client.post(SYNC + path, headers=ZUORA)

        assert (path, answer.status_code, answer.json["status"]) == (path, 200, "accepted")
        assert key in {row.key for row in web.rows(SyncRequestRow)}
    assert len(web.rows(SyncRequestRow)) == len(POSSIBLE)


def test_the_address_without_a_key_is_no_redirect(sqlite_web: Web) -> None:
    answer = sqlite_web.client.post(SYNC.rstrip("/"), headers=ZUORA)

    assert (answer.status_code, answer.json["status"]) == (200, "ignored")


def test_a_lone_surrogate_in_an_event_is_no_key(web: Web) -> None:
    answer = web.client.post("/api/events/zuora", data=b'{"subscriptionID": "A-\\ud800"}', headers=ZUORA)

    assert (answer.status_code, answer.json["status"]) == (200, "ignored")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", [SYNC + "A-1", "/api/plugins/zuora/sync/account/A-1", "/api/events/zuora"])
def test_other_methods_are_405_in_json(sqlite_web: Web, method: str, path: str) -> None:
    answer = sqlite_web.client.open(path, method=method, headers=ZUORA)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.headers["Content-Type"] == "application/json"
    assert method == "HEAD" or "message" in answer.json


# --- the body ------------------------------------------------------------------------------------------------------


UNREADABLE = [
    b"",
    b"{",
    b"\xff\xfe\x00\x01",
    b"[" * 50_000,
    b"<callout><parameter name='x'>",
    b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
    b"x" * 65_536,
    b'{"Source__c": "{{Order.Source__c}}"}',
    b'{"Source__c": ""}',
    b'{"Source__c": "a\\u0000b", "orderNumber": "\\ud800"}',
]
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("kind", [None, "application/json", "application/xml", FORM, "multipart/form-data"])
def test_a_body_without_readable_hints_is_accepted(web: Web, kind: str | None) -> None:
    for body in UNREADABLE:
        answer = web.client.post(SYNC + "A-1", data=body, headers=ZUORA, content_type=kind)

        assert (body[:20], answer.status_code, answer.json["status"]) == (body[:20], 200, "accepted")


def test_of_the_body_only_hints_and_a_hash_are_kept(sqlite_web: Web) -> None:
    hints = b'"Order.Source__c":"csr","Order.OrderNumber":"O-00000042","Order.CreatedById":"u1"'
    body = b'{%s,"email":"jane@example.com"}' % hints

    sqlite_web.client.post(SYNC + "A-1", data=body, headers=ZUORA)

    (callout,) = sqlite_web.rows(CalloutRow)
    assert (callout.source, callout.order_number, callout.created_by) == ("csr", "O-00000042", "u1")
    assert callout.body_sha256 == hashlib.sha256(body).hexdigest()
    assert "jane" not in str(callout.model_dump())


def test_a_body_over_the_limit_is_413(sqlite_web: Web) -> None:
    answer = sqlite_web.client.post(SYNC + "A-1", data=b"x" * 65_537, headers=ZUORA)

    assert answer.status_code == 413
    assert "64 KiB" in answer.json["message"]
    assert sqlite_web.rows(SyncRequestRow) == []


# --- loops ---------------------------------------------------------------------------------------------------------


ECHOES = [
    pytest.param({"json": {"Source__c": "shop"}}, id="json"),
    pytest.param({"json": {"Source__c": "csr", "InitiatedSource__c": "Salesforce"}}, id="initiated source"),
    pytest.param({"data": {"OrderSource__c": "SHOP"}}, id="form"),
    pytest.param({"data": {"Source__c": "shop"}, "content_type": "multipart/form-data"}, id="multipart form"),
    pytest.param({"query_string": {"source": "shop"}}, id="query string"),
    pytest.param({"data": '<callout><parameter name="Order.Source__c">\n\tshop\n</parameter></callout>'}, id="xml"),
    pytest.param({"json": {"Order": {"CreatedById": "2C92A0FF1234567890ABCDEF12345678"}}}, id="integration user"),
]


@pytest.mark.parametrize("request_parts", ECHOES)
def test_an_order_of_our_own_is_an_echo_and_not_queued(sqlite_web: Web, request_parts: dict[str, object]) -> None:
    answer = sqlite_web.client.post(SYNC + "A-1", headers=ZUORA, **request_parts)

    assert (answer.status_code, answer.json["success"], answer.json["status"]) == (200, True, "ignored")
    (callout,) = sqlite_web.rows(CalloutRow)
    assert (callout.key, callout.verdict) == ("A-1", "ignored")
    assert callout.reason.startswith("echo")
    assert sqlite_web.rows(SyncRequestRow) == []


def test_a_custom_header_can_carry_the_source(sqlite_web: Web) -> None:
    assert sqlite_web.callout(X_Order_Source="shop").json["status"] == "ignored"


@pytest.mark.parametrize("number", ["232POEEK2ABG", "232POEEK2ABG-C"])
def test_an_order_that_we_placed_is_known_by_its_number_though_no_source_tells(web: Web, number: str) -> None:
    names = Names(order_id="order-1", reference="232POEEK2ABG")
    with web.database.transaction() as session:
        submit_order(session, Order(type=OrderType.CANCEL_SUBSCRIPTION, document={}, names=names), "A-S1")

    ours = web.client.post(f"{SYNC}A-S1?orderNumber={number}", headers=ZUORA)
    theirs = web.client.post(f"{SYNC}A-S1?orderNumber=O-00000012", headers=ZUORA)

    assert (ours.json["status"], theirs.json["status"]) == ("ignored", "accepted")
    assert web.rows(CalloutRow)[0].reason == f"echo: the order {number} is ours"

    items = [{"SubscriptionNumber": "A-S1", "OrderNumber": each} for each in (number, "O-00000012")]
    both = web.client.post("/api/events/zuora", headers=ZUORA, json=items)

    assert [each["status"] for each in both.json["items"]] == ["ignored", "accepted"]


def test_an_echo_never_clears_what_something_else_marked(web: Web) -> None:
    web.callout("A-1")
    before = web.rows(SyncRequestRow)

    web.client.post(SYNC + "A-1", headers=ZUORA, json={"Source__c": "shop"})

    assert [row.model_dump() for row in web.rows(SyncRequestRow)] == [row.model_dump() for row in before]


def test_the_filter_is_for_callouts_only(sqlite_web: Web) -> None:
    headers = {**sqlite_web.token(), "Prefer": "respond-async"}

    answer = sqlite_web.client.post(SYNC + "A-1", headers=headers, json={"Source__c": "shop"})

    assert answer.status_code == 202
    assert len(sqlite_web.rows(SyncRequestRow)) == 1


def test_a_client_made_for_callouts_is_answered_as_zuora(sqlite_web: Web) -> None:
    headers = sqlite_web.token("api/subscription:sync", callout=True, name="zuora-oauth")

    answer = sqlite_web.client.post(SYNC + "A-1", headers=headers)

    assert (answer.status_code, answer.json["status"]) == (200, "accepted")
    assert [cause.actor for cause in sqlite_web.rows(SyncCauseRow)] == ["zuora-oauth"]


# --- no acknowledgement without a commit ---------------------------------------------------------------------------


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits long for another writer."""
    monkeypatch.setattr(intake, "LOCK_TIMEOUT_MS", 200)
    monkeypatch.setattr(intake, "WRITER_TIMEOUT_MS", 200)


@pytest.mark.usefixtures("in_a_hurry")
def test_a_database_that_another_keeps_locked_is_503_and_nothing_is_queued(web: Web) -> None:
    web.callout("A-1")
    with web.database.transaction() as session:
        # As a worker that has just finished this number and has not committed yet.
        (held,) = web.rows(SyncRequestRow)
        session.run("UPDATE sync_request SET attempts = attempts WHERE key = 'A-1'")
        answers = []
        caller = threading.Thread(target=lambda: answers.append(web.callout("A-1")))
        caller.start()
        caller.join(timeout=60)

    assert [answer.status_code for answer in answers] == [503]
    assert answers[0].headers["Retry-After"]
    assert answers[0].headers["Content-Type"] == "application/json"
    assert [row.requested_seq for row in web.rows(SyncRequestRow)] == [held.requested_seq]


@pytest.mark.usefixtures("in_a_hurry")
def test_another_process_that_writes_to_the_embedded_database_for_too_long_is_503(sqlite_web: Web) -> None:
    writer = sqlite3.connect(sqlite_web.database.engine.url.database or "", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    answer = sqlite_web.callout("A-1")

    writer.close()
    assert answer.status_code == 503


def test_a_callout_waits_for_the_writer_of_the_embedded_database_longer_than_an_api_caller(
    sqlite_web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a release migrates: Zuora waits 15 seconds, and both waits together are less."""
    assert 2 * intake.WRITER_TIMEOUT_MS < 15_000
    monkeypatch.setattr(intake, "LOCK_TIMEOUT_MS", 1)
    headers = sqlite_web.token()
    path = sqlite_web.database.engine.url.database or ""
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    assert sqlite_web.client.post(SYNC + "A-1", headers=headers).status_code == 503

    commits = threading.Timer(0.3, lambda: writer.execute("COMMIT"))
    commits.start()
    answer = sqlite_web.callout("A-1")

    commits.join()
    writer.close()
    assert answer.status_code == 200


@pytest.mark.parametrize("url", ["postgresql://none@127.0.0.1:1/none", "sqlite:////proc/none/store.db"])
def test_a_database_that_is_away_is_503(tmp_path: object, url: str) -> None:
    if url.startswith("sqlite"):
        url = f"sqlite:///{tmp_path}/empty.db"  # a file without tables
    database = connect(url)
    web = build(database)

    answers = [web.callout(), web.client.post(SYNC + "a%2Fb", headers=ZUORA)]
    rejected = web.client.post(SYNC + "A-1", headers=basic("x", "y"))
    database.engine.dispose()

    assert [answer.status_code for answer in answers] == [503, 503]
    assert rejected.status_code == 403


def test_a_callout_during_a_run_leaves_a_follow_up(web: Web) -> None:
    web.callout("A-1")
    (running,) = claim(web.database, 1, Share(8))
    web.callout("A-1")
    with web.database.transaction() as session:
        finish(session, running)

    follow_ups: list[Claim] = claim(web.database, 8, Share(8))

    assert [(each.key, each.seen) for each in follow_ups] == [("A-1", 2)]
