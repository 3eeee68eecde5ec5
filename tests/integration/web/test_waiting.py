import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sync_service.errors import ZuoraUnavailable
from sync_service.queue.claims import claim
from sync_service.queue.fate import resolve
from sync_service.queue.limit import Share, note_tenant_error
from sync_service.queue.requests import Cause, Claim, Kind, Priority, enqueue, fail, finish, retry_later
from sync_service.queue.runs.history import open_run, read_covered_causes, record_run
from sync_service.store.engine import Database
from sync_service.store.tables import SubscriptionRow, SyncCauseRow, SyncRequestRow, SyncRunRow
from sync_service.subscription.plan import Create, SyncPlan
from sync_service.subscription.trigger import Trigger
from sync_service.web.waiting import wanted_seconds
from tests.integration.web.conftest import SYNC, Web, build

Ending = Callable[[Database, Claim], None]


class Worker(threading.Thread):
    """Stands in for a worker: ends every claim in the way that the test says."""

    def __init__(self, database: Database, *endings: Ending) -> None:
        super().__init__()
        self.database = database
        self.endings = list(endings)
        self.stopped = threading.Event()

    def run(self) -> None:
        while self.endings and not self.stopped.is_set():
            for claimed in claim(self.database, 1, Share(8)):
                self.endings.pop(0)(self.database, claimed)
            self.stopped.wait(0.01)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join()


def ends(
    outcome: str, *, changes: int = 0, notes: tuple[str, ...] = (), linked: bool = True, listed: int | None = None
) -> Ending:
    def end(database: Database, claimed: Claim) -> None:
        with database.transaction() as session:
            finish(session, claimed)
            run = open_run(claimed, read_covered_causes(session, claimed), calls=3)
            run.listed = listed
            if linked:
                run.subscription_id, run.owner = "sub-1", "id-1"
            created = Create(record_type="schedule", document={}, reason="test")
            plan = SyncPlan(number=claimed.key, changes=(created,) * changes, notes=notes)
            record_run(session, run, outcome=outcome, plan=plan, ended_at=session.now())

    return end


def errs(outcome: str, code: str, text: str) -> Ending:
    def end(database: Database, claimed: Claim) -> None:
        with database.transaction() as session:
            if outcome == "failed":
                fail(session, claimed, error=text)
            else:
                retry_later(session, claimed, error=text, delay_ms=60_000, counts=True)
            run = open_run(claimed, read_covered_causes(session, claimed), calls=3)
            run.error_code, run.error = code, text
            record_run(session, run, outcome=outcome, plan=None, ended_at=session.now())

    return end


def proves_to_be(number: str) -> Ending:
    def end(database: Database, claimed: Claim) -> None:
        with database.transaction() as session:
            finish(session, claimed)
            cause = Cause(Trigger.API)
            seq = enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.EVENT)
            resolve(session, claimed, number, seq)

    return end


def store(web: Web) -> None:
    with web.database.transaction() as session:
        document = {"id": "sub-1", "owner": "id-1"}
        session.add(SubscriptionRow(id="sub-1", reference="A-1", owner="id-1", document=document))


def test_a_caller_gets_the_completed_sync(web: Web) -> None:
    headers = web.token()
    store(web)
    with Worker(web.database, ends("changed", changes=2, notes=("A note.",))):
        answer = web.client.post(SYNC + "A-1", headers=headers)

    assert answer.status_code == 200
    assert answer.json == {
        "success": True,
        "id": "sub-1",
        "owner": "id-1",
        "status": "completed",
        "number": "A-1",
        "outcome": "changed",
        "changes": 2,
        "notes": ["A note."],
    }
    (row,) = web.rows(SyncRequestRow)
    assert (row.priority, row.done_seq) == (1, 1)
    assert [(cause.trigger, cause.actor) for cause in web.rows(SyncCauseRow)] == [("api", "salesforce")]


def test_everything_is_read_for_an_api_caller(sqlite_web: Web) -> None:
    sqlite_web.client.post(SYNC + "A-1", headers={**sqlite_web.token(), "Prefer": "respond-async"})

    assert [row.full for row in sqlite_web.rows(SyncRequestRow)] == [1]


def test_who_comes_during_a_pause_is_told_what_everything_waits_for(web: Web) -> None:
    note_tenant_error(web.database, ZuoraUnavailable("Zuora answered 503."), Share(8))

    headers = web.token()

    accepted = web.client.post(SYNC + "A-1", headers={**headers, "Prefer": "respond-async"})

    assert (accepted.status_code, accepted.json["status"]) == (202, "accepted")
    assert "Zuora answered 503. Everything waits" in accepted.json["message"]
    assert "Everything waits" in web.client.get(accepted.json["location"], headers=headers).json["message"]


def test_an_alias_is_followed_to_its_number(web: Web) -> None:
    headers = web.token()
    with Worker(web.database, proves_to_be("A-1"), ends("imported", changes=1)):
        answer = web.client.post(SYNC + "2c92c0f96e4e3b7f016e5f3b3b7b0b3d", headers=headers)

    assert (answer.status_code, answer.json["status"], answer.json["id"]) == (200, "completed", "sub-1")
    assert (answer.json["number"], answer.json["outcome"]) == ("A-1", "imported")


def test_an_alias_is_not_answered_by_what_it_led_to_before(sqlite_web: Web) -> None:
    headers = sqlite_web.token()
    with Worker(sqlite_web.database, proves_to_be("A-1"), ends("imported", changes=1)):
        sqlite_web.client.post(SYNC + "2c92c0f96e4e3b7f016e5f3b3b7b0b3d", headers=headers)

    with Worker(sqlite_web.database, proves_to_be("A-1"), ends("changed", changes=3)):
        answer = sqlite_web.client.post(SYNC + "2c92c0f96e4e3b7f016e5f3b3b7b0b3d", headers=headers)

    assert (answer.status_code, answer.json["outcome"], answer.json["changes"]) == (200, "changed", 3)


OUTCOMES = [
    pytest.param(errs("failed", "unknown key", "Neither knows."), 404, {"message": "Neither knows."}, id="unknown"),
    pytest.param(errs("failed", "gone from Zuora", "Gone."), 502, {"message": "Gone."}, id="gone"),
    pytest.param(
        errs("retried", "payload invalid", "No field."), 502, {"message": "No field.", "willRetry": True}, id="retried"
    ),
    pytest.param(ends("held", changes=1), 202, {"success": False, "status": "held"}, id="held"),
    pytest.param(
        ends("not in zuora", linked=False),
        200,
        {"success": True, "status": "not in Zuora", "id": "sub-1", "owner": "id-1"},
        id="not in Zuora",
    ),
    pytest.param(
        ends("left out", notes=("It is a draft.",), linked=False),
        200,
        {"success": False, "status": "left out", "message": "It is a draft."},
        id="left out",
    ),
    pytest.param(
        ends("unchanged"), 200, {"success": True, "status": "completed", "outcome": "unchanged"}, id="unchanged"
    ),
]


@pytest.mark.parametrize(("ending", "status", "body"), OUTCOMES)
def test_a_caller_hears_how_the_first_attempt_ended(
    sqlite_web: Web, ending: Ending, status: int, body: dict[str, object]
) -> None:
    headers = sqlite_web.token()
    store(sqlite_web)
    with Worker(sqlite_web.database, ending):
        answer = sqlite_web.client.post(SYNC + "A-1", headers=headers)

    assert answer.status_code == status
    assert body.items() <= answer.json.items()
    assert ("Location" in answer.headers) == (status == 202)


def test_an_account_is_answered_with_the_count(web: Web) -> None:
    headers = web.token()
    with Worker(web.database, ends("listed", notes=("12 subscriptions queued.",), linked=False, listed=12)):
        answer = web.client.post("/api/plugins/zuora/sync/account/A00000001", headers=headers)

    assert answer.status_code == 202
    assert (answer.json["success"], answer.json["status"], answer.json["count"]) == (False, "accepted", 12)


def test_who_will_not_wait_is_told_where_to_look(web: Web) -> None:
    headers = web.token()

    accepted = web.client.post(SYNC + "Nr%20%C3%A4%25", headers={**headers, "Prefer": "respond-async"})

    assert accepted.status_code == 202
    assert accepted.headers["Content-Type"] == "application/json"
    assert (accepted.json["success"], accepted.json["status"]) == (False, "accepted")
    place = accepted.headers["Location"]
    assert accepted.json["location"] == place
    assert web.client.get(place, headers=headers).status_code == 202
    with Worker(web.database, proves_to_be("A-1"), ends("changed", changes=1)):
        deadline = time.monotonic() + 60
        while (late := web.client.get(place, headers=headers)).status_code == 202 and time.monotonic() < deadline:
            pass
    assert (late.status_code, late.json["id"]) == (200, "sub-1")


def test_a_result_that_does_not_come_in_time_is_202(sqlite_web: Web) -> None:
    began = time.monotonic()

    answer = sqlite_web.client.post(SYNC + "A-1", headers={**sqlite_web.token(), "Prefer": "wait=1"})

    assert (answer.status_code, answer.json["status"]) == (202, "accepted")
    assert time.monotonic() - began >= 1


def test_an_attempt_from_before_the_request_does_not_answer_it(sqlite_web: Web) -> None:
    headers = sqlite_web.token()
    sqlite_web.callout("A-1")
    (earlier,) = claim(sqlite_web.database, 1, Share(8))
    answers = []
    caller = threading.Thread(
        target=lambda: answers.append(sqlite_web.client.post(SYNC + "A-1", headers={**headers, "Prefer": "wait=15"}))
    )
    caller.start()
    while sqlite_web.rows(SyncRequestRow)[0].requested_seq < 2:
        time.sleep(0.01)
    errs("failed", "payload invalid", "The earlier one.")(sqlite_web.database, earlier)
    with Worker(sqlite_web.database, ends("changed", changes=1)):
        caller.join()

    assert [answer.status_code for answer in answers] == [200]


def test_at_most_a_quarter_of_the_threads_waits(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    web = build(sqlite_database, threads=8)
    headers = {**web.token(), "Prefer": "wait=1"}
    looking, go_on = threading.Semaphore(0), threading.Event()

    def look(*_: object) -> None:
        looking.release()
        go_on.wait(60)

    def ask(number: int) -> int:
        return web.client.application.test_client().post(f"{SYNC}A-{number}", headers=headers).status_code

    monkeypatch.setattr("sync_service.web.waiting.read_result", look)
    with ThreadPoolExecutor(2) as callers:
        waiting = [callers.submit(ask, number) for number in range(2)]
        assert all(looking.acquire(timeout=60) for _ in waiting)

        assert ask(3) == 202
        assert not looking.acquire(blocking=False)
        go_on.set()
    assert [each.result() for each in waiting] == [202, 202]


def test_waiting_holds_no_connection(sqlite_web: Web) -> None:
    headers = {**sqlite_web.token(), "Prefer": "wait=2"}
    caller = threading.Thread(target=lambda: sqlite_web.client.post(SYNC + "A-1", headers=headers))
    caller.start()
    while not sqlite_web.rows(SyncRequestRow):
        time.sleep(0.01)
    seen = []
    while caller.is_alive():
        seen.append(sqlite_web.database.connections.in_use)
        time.sleep(0.01)

    assert seen.count(0) > 5  # one that is held is given back with the answer


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([], 8),
        (["wait=3"], 3),
        (["WAIT = 3"], 3),
        (['wait="3"'], 3),
        (["wait=100"], 20),
        (["wait=0"], 0),
        (["respond-async"], 0),
        (["respond-async, wait=5"], 5),
        (["respond-async", "wait=5"], 5),
        (["return=minimal; foo=bar, wait=2"], 2),
        (["wait=-1"], 8),
        (["wait=1e9"], 8),
        (["wait="], 8),
        (["wait=٣"], 8),
    ],
)
def test_the_caller_says_how_long_to_wait(prefer: list[str], seconds: float) -> None:
    assert wanted_seconds(prefer, 20) == seconds


def test_no_caller_waits_longer_than_the_limit() -> None:
    assert wanted_seconds([], 3) == 3


def test_an_impossible_key_is_422_for_an_api_caller(sqlite_web: Web) -> None:
    headers = sqlite_web.token()

    for path in ("", "a%2Fb", "%7B%7BSubscription.Id%7D%7D", "x" * 256):
        answer = sqlite_web.client.post(SYNC + path, headers=headers)

        assert (path, answer.status_code, list(answer.json)) == (path, 422, ["message"])
    assert sqlite_web.rows(SyncRequestRow) == []


@pytest.mark.parametrize(
    "path", ["alias/A-1/2", "alias/A-1/0", "alias/B/1", "account/A-1/1", "alias/A-1/9223372036854775807"]
)
def test_a_request_that_never_was_is_404(sqlite_web: Web, path: str) -> None:
    headers = sqlite_web.token()
    sqlite_web.client.post(SYNC + "A-1", headers={**headers, "Prefer": "respond-async"})

    assert sqlite_web.client.get(f"/api/sync/requests/{path}", headers=headers).status_code == 404
    assert sqlite_web.client.get(f"/api/sync/requests/{path}").status_code == 401


def test_a_held_plan_that_was_let_go_is_answered_by_the_run_that_followed(sqlite_web: Web) -> None:
    headers = sqlite_web.token()
    with Worker(sqlite_web.database, ends("held", changes=1)):
        held = sqlite_web.client.post(SYNC + "A-1", headers=headers)
    place = held.headers["Location"]
    with sqlite_web.database.transaction() as session:
        run = session.get(SyncRunRow, 1)
        assert run is not None
        run.outcome = "released"
        enqueue(session, Kind.ALIAS, "A-1", Cause(Trigger.ADMIN, "olga"), priority=Priority.PERSON)
    assert sqlite_web.client.get(place, headers=headers).status_code == 202
    (following,) = claim(sqlite_web.database, 1, Share(8))
    ends("changed", changes=1)(sqlite_web.database, following)

    answer = sqlite_web.client.get(place, headers=headers)

    assert (answer.status_code, answer.json["status"]) == (200, "completed")
