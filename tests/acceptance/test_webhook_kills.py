"""kill -9 of the process that delivers, between the send and the commit: delivered at least once, with the same id."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from sync_service.store.engine import connect
from sync_service.store.schema import upgrade
from tests.acceptance.processes import Child, wait_until
from tests.acceptance.service import bare_environ
from tests.integration.callout_receivers import Received, Receiver, Reply
from tests.webhook_world import SETTINGS, add_endpoint, deliveries, tell


@pytest.mark.timeout(180)
def test_who_dies_between_send_and_commit_is_followed_by_another_with_the_same_message(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    database = connect(database_url)
    upgrade(database)
    _, secret = add_endpoint(database, receiver.url)
    environ = bare_environ() | {
        "DATABASE_URL": database_url,
        "SECRET_KEY": SETTINGS.secret_key,
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    command = [sys.executable, "-m", "sync_service.cli.main", "scheduler"]
    children = [Child("scheduler", command, environ, tmp_path)]

    def die_with_it_in_hand(_: Received) -> Reply:
        children[-1].kill()
        return Reply()

    try:
        receiver.reply = die_with_it_in_hand
        tell(database, "sub-1")
        tell(database, "sub-1")
        wait_until(lambda: not children[-1].is_running, "the scheduler was killed")
        assert [each.state for each in deliveries(database)] == ["pending", "pending"]

        receiver.reply = lambda _: Reply()
        with database.transaction() as session:  # two minutes later
            session.connection().execute(text("UPDATE webhook_endpoint SET lease_until = 1"))
        children.append(Child("scheduler", command, environ, tmp_path))
        wait_until(lambda: all(each.state == "delivered" for each in deliveries(database)), "all is delivered")

        first, second = (each.message_id for each in deliveries(database))
        assert [came.headers["webhook-id"] for came in receiver.received] == [first, first, second]
        for came in receiver.received:
            Webhook(secret).verify(came.raw.decode(), dict(came.headers))

        children[-1].terminate()
        assert children[-1].wait() == 0
    finally:
        for child in children:
            child.kill()
        database.engine.dispose()
