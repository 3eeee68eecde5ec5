"""An API client that asks too often is told when to come back; callouts never are."""

from __future__ import annotations

import pytest
from werkzeug.exceptions import TooManyRequests

from sync_service.store.engine import Database
from sync_service.web import rate
from tests.integration.web.conftest import ZUORA, Web, build

OBJECTS = "/api/objects/limio/subscriptions"
SYNC = "/api/plugins/zuora/sync/subscription/A-S1"


@pytest.fixture
def web(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Web:
    """Three requests a minute are a client's."""
    monkeypatch.setattr(rate.Rate.__init__, "__defaults__", (3,))
    return build(sqlite_database)


def test_every_answer_says_what_is_left_and_above_the_limit_when_to_come_back(web: Web) -> None:
    token = web.token()

    answers = [web.client.get(OBJECTS, headers=token) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"3"}
    assert answers[3].headers["Retry-After"] == answers[3].headers["RateLimit-Reset"]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert answers[3].json == {"message": "More than 3 requests in a minute. Please wait."}


def test_one_client_takes_nothing_from_another(web: Web) -> None:
    first, second = web.token(name="first"), web.token(name="second")
    for _ in range(5):
        web.client.get(OBJECTS, headers=first)

    assert web.client.get(OBJECTS, headers=second).status_code == 200


def test_callouts_are_not_counted(web: Web) -> None:
    workflow = web.token("api/subscription:sync", callout=True, name="workflow")

    for credentials in (ZUORA, workflow):
        answers = [web.client.post(SYNC, headers=credentials) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert "RateLimit-Limit" not in answers[0].headers


def test_all_processes_count_together(database: Database, sqlite_web: Web) -> None:
    processes = [rate.Rate(database, 120) for _ in range(2)]
    with sqlite_web.client.application.test_request_context():
        for place in range(120):
            processes[place % 2].count("client-1")

        for process in processes:
            with pytest.raises(TooManyRequests):
                process.count("client-1")


def test_a_new_minute_begins_anew(sqlite_database: Database, sqlite_web: Web) -> None:
    with sqlite_web.client.application.test_request_context():
        rate.Rate(sqlite_database, 1).count("client-1")
        with pytest.raises(TooManyRequests):
            rate.Rate(sqlite_database, 1).count("client-1")
        with sqlite_database.transaction() as session:
            session.run("UPDATE throttle SET window_began = window_began - 60000")

        rate.Rate(sqlite_database, 1).count("client-1")
