"""People are told of new items of the inbox and of their end: once, grouped, only what they chose, at least once."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from sync_service.access.cipher import TextCipher
from sync_service.access.users import Role, disable_user, put_user
from sync_service.jobs.notify import body_of, notify, subject_of, text_of
from sync_service.queue.jobs import ensure_job, take
from sync_service.queue.status import notifications
from sync_service.queue.status.inbox import InboxItem, ItemKind
from sync_service.queue.status.notifications import LONGEST_ADDRESS, PURPOSE, Message, Way, note_inbox, read_due, settle
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import NotificationChoiceRow, NotificationRow
from tests.integration.callout_receivers import Receiver
from tests.integration.web.admin import make_run, plan_of
from tests.mail_server import serve_mail

ADA = "ada@example.com"
HELD = InboxItem(kind=ItemKind.HELD, name="held", title="Changes that the safety stop holds", count=30)
FAILED = InboxItem(kind=ItemKind.FAILED, name="zuora failed", title="Zuora had a problem of its own", count=2)
WORKER = InboxItem(kind=ItemKind.PROCESS, name="worker", title="Worker")
MINUTE = 60_000
SETTINGS = Settings(secret_key="k" * 40, public_url="https://sync.example.com", environment_name="Production")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The database's clock in ms, moved by hand."""
    moment = {"now": 1_790_000_000_000}
    monkeypatch.setattr("sync_service.store.engine.Session.now", lambda _: moment["now"])

    def wait(minutes: float) -> None:
        moment["now"] += int(minutes * MINUTE)

    return wait


def choose(database: Database, email: str = ADA, **chosen: Any) -> None:
    put_user(database, email, Role.OPERATOR, "correct horse battery", actor="test")
    known = {"kinds": [kind.value for kind in ItemKind], "by_mail": True, **chosen}
    with database.transaction() as session:
        session.add(NotificationChoiceRow(email=email, **known))


def note(database: Database, *items: InboxItem) -> None:
    with database.transaction() as session:
        note_inbox(session, items)


def told(database: Database) -> list[tuple[str, bool, int]]:
    """What is kept to be told, or was told, in its order."""
    with database.reading() as session:
        rows = session.run("SELECT kind, recovered, count FROM notification ORDER BY id").all()
    return [(kind, bool(recovered), count) for kind, recovered, count in rows]


def send(database: Database, error: str | None = None) -> list[int]:
    """Send what is due; how many things each message has."""
    with database.reading() as session:
        due = read_due(session)
    for message in due:
        with database.transaction() as session:
            settle(session, [row.id for row in message.rows if row.id], error=error, jitter=0.5)
    return [len(message.rows) for message in due]


def test_a_new_item_is_told_once_and_its_end_when_it_stayed_away(database: Database, clock: Any) -> None:
    choose(database)
    note(database, HELD)
    note(database, HELD)
    assert told(database) == [("held", False, 30)]

    clock(10)
    note(database)
    assert told(database) == [("held", False, 30)]
    clock(1)
    note(database, HELD)  # it was back before its end was told: nothing is said
    clock(1)
    note(database)
    assert told(database) == [("held", False, 30)]
    clock(2)
    note(database)

    assert told(database) == [("held", False, 30), ("held", True, 30)]
    clock(60)
    note(database, HELD)
    assert told(database)[-1] == ("held", False, 30)


def test_a_process_is_told_of_only_when_it_stays_away_and_then_its_return(
    sqlite_database: Database, clock: Any
) -> None:
    choose(sqlite_database)
    note(sqlite_database, WORKER)
    clock(1)
    note(sqlite_database)
    clock(5)
    note(sqlite_database)
    assert told(sqlite_database) == []  # a restart

    note(sqlite_database, WORKER)
    clock(2)
    note(sqlite_database, WORKER)
    clock(5)
    note(sqlite_database)
    clock(2)
    note(sqlite_database)

    assert told(sqlite_database) == [("process", False, 1), ("process", True, 1)]


def test_an_item_that_grows_is_told_again_after_an_hour(sqlite_database: Database, clock: Any) -> None:
    choose(sqlite_database)
    note(sqlite_database, FAILED)
    clock(10)
    note(sqlite_database, replace(FAILED, count=9))
    assert len(told(sqlite_database)) == 1
    clock(51)
    note(sqlite_database, replace(FAILED, count=9))
    clock(61)
    note(sqlite_database, replace(FAILED, count=5))

    assert told(sqlite_database) == [("failed", False, 2), ("failed", False, 9)]


def test_people_are_told_only_what_they_chose_and_while_they_may_log_in(sqlite_database: Database) -> None:
    choose(sqlite_database, kinds=["failed"])
    choose(sqlite_database, "bob@example.com", by_mail=False)
    choose(sqlite_database, "eve@example.com")
    disable_user(sqlite_database, "eve@example.com", actor="test")
    note(sqlite_database, HELD, FAILED)

    with sqlite_database.reading() as session:
        assert [(row.email, row.kind) for row in session.exec(notifications.select(NotificationRow))] == [
            (ADA, "failed")
        ]


def test_what_comes_within_the_quiet_time_goes_with_the_next_message(sqlite_database: Database, clock: Any) -> None:
    choose(sqlite_database)
    note(sqlite_database, HELD)
    assert send(sqlite_database) == [1]
    clock(5)
    note(sqlite_database, HELD, FAILED)
    assert send(sqlite_database) == []
    clock(5)
    note(sqlite_database, HELD, FAILED, replace(FAILED, name="not served"))
    assert send(sqlite_database) == []
    clock(5)

    assert send(sqlite_database) == [2]
    assert send(sqlite_database) == []


def test_what_was_not_sent_is_tried_again_and_given_up_in_the_end(sqlite_database: Database, clock: Any) -> None:
    choose(sqlite_database)
    note(sqlite_database, HELD)
    sends = 0
    for _ in range(100):
        sends += len(send(sqlite_database, "The mail server did not take it."))
        clock(30)

    assert sends == notifications.MAX_ATTEMPTS
    with sqlite_database.reading() as session:
        (row,) = session.exec(notifications.select(NotificationRow))
    assert (row.state, row.error) == ("dead", "The mail server did not take it.")


def test_a_message_says_titles_and_counts_and_where_to_look() -> None:
    rows = tuple(
        NotificationRow(
            id=index,
            email=ADA,
            way="mail",
            kind="held",
            title=title,
            count=count,
            recovered=over,
            at=1_790_000_000_000,
            due_at=0,
        )
        for index, (title, count, over) in enumerate((("It & <that> ended", 5, True), ("Changes are held", 30, False)))
    )
    message = Message(email=ADA, way=Way.MAIL, rows=rows)

    assert subject_of(message, SETTINGS) == "Production: 1 new in the inbox, 1 over"
    assert text_of(message, SETTINGS) == (
        "Subscription sync, Production\nNew: Changes are held (30)\nOver: It & <that> ended\n\n"
        "https://sync.example.com/admin/inbox\n"
    )
    assert text_of(message, replace(SETTINGS, public_url="")).endswith("ended\n")
    assert "It &amp; &lt;that&gt; ended" in json.loads(body_of(message, "slack", SETTINGS))["text"]
    plain = json.loads(body_of(message, "plain", SETTINGS))
    assert plain["environment"] == "Production"
    assert plain["link"] == "https://sync.example.com/admin/inbox"
    assert plain["items"][0] == {
        "kind": "held",
        "title": "Changes are held",
        "count": 30,
        "recovered": False,
        "at": "2026-09-21T14:13:20.000Z",
    }


def run_job(database: Database, settings: Settings) -> Any:
    ensure_job(database, "notify")
    lease = take(database, "notify")
    assert lease is not None
    return notify(database, settings, lease)


def test_mail_and_webhook_arrive_from_the_schedulers_job(sqlite_database: Database) -> None:
    database = sqlite_database
    receiver = Receiver()
    with serve_mail() as server:
        settings = replace(
            SETTINGS,
            smtp_host="127.0.0.1",
            smtp_port=server.port,
            smtp_security="none",
            mail_from="sync@example.com",
            webhook_allowed_networks=(ip_network("127.0.0.0/8"),),
        )
        sealed = TextCipher(settings.secret_keys, PURPOSE, longest=LONGEST_ADDRESS).encrypt(receiver.url)
        choose(database, webhook=sealed)
        with database.transaction() as session:
            session.add(make_run("A-S1", "held", plan=plan_of("A-S1")))

        report = run_job(database, settings)
        receiver.stop()

        assert report == {"noted": 2, "sent": 2, "failed": 0}
        mail = server.mails.get(timeout=60)
        assert (mail["To"], mail["From"]) == (ADA, "sync@example.com")
        assert "Changes that the safety stop holds" in mail.get_content()
        assert "A-S1" not in mail.get_content()
        (got,) = receiver.received
        assert "Changes that the safety stop holds" in got.body["text"]


def test_a_webhook_into_our_own_network_is_refused_and_named(sqlite_database: Database) -> None:
    database = sqlite_database
    sealed = TextCipher(SETTINGS.secret_keys, PURPOSE, longest=LONGEST_ADDRESS).encrypt(
        "https://127.0.0.1/hook?token=x"
    )
    choose(database, by_mail=False, webhook=sealed)
    note(database, HELD)

    report = run_job(database, SETTINGS)

    assert (report["sent"], report["failed"]) == (0, 1)
    with database.reading() as session:
        (row,) = session.exec(notifications.select(NotificationRow))
    assert (row.state, row.attempts) == ("pending", 1)
    assert "not a public address" in (row.error or "")
    assert "token" not in (row.error or "")
