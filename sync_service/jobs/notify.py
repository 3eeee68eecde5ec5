"""Telling people of the inbox outside of the pages: by mail, and by webhook in Slack's form or a plain one.

At least once: what was sent and not noted is sent again. A message holds titles and counts, no person's data.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from sqlmodel import select

from sync_service.access.cipher import TextCipher
from sync_service.access.mail import send_now
from sync_service.errors import SyncServiceError
from sync_service.queue.jobs import JobLease, save
from sync_service.queue.status.health import read_findings
from sync_service.queue.status.inbox import read_inbox
from sync_service.queue.status.notifications import (
    LONGEST_ADDRESS,
    PURPOSE,
    Message,
    Way,
    note_inbox,
    read_choice,
    read_due,
    settle,
)
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import NotificationChoiceRow
from sync_service.subscription.limio.documents import timestamp_of
from sync_service.telemetry.log import logger
from sync_service.webhooks.destination import Connections, look_up

#: For one webhook with its whole answer.
_SECONDS = 10.0


class NotSent(SyncServiceError):
    """A message could not be sent."""

    code = "not sent"


def notify(database: Database, settings: Settings, lease: JobLease) -> Mapping[str, Any]:
    """Keep what people are to be told, and send what is due; returns how many of each. Repeatable."""
    with database.transaction() as session:
        found = note_inbox(session, read_inbox(session, read_findings(session, settings)))
    with database.reading() as session:
        due = read_due(session)
    counts = {"noted": found, "sent": 0, "failed": 0}
    for message in due:
        ids = [row.id for row in message.rows if row.id is not None]
        error = _try(database, settings, message)
        with database.transaction() as session:
            settle(session, ids, error=error, jitter=random.random())  # noqa: S311 - spreads the attempts
        counts["sent" if error is None else "failed"] += 1
        if not save(database, lease, cursor={}, progress=counts):
            break
    return counts


def seal_anew(database: Database, settings: Settings) -> None:
    """Seal anew what SECRET_KEY_PREVIOUS sealed of webhooks' addresses, so that it is needed no more. Repeatable."""
    cipher = _cipher(settings)
    with database.transaction() as session:
        for choice in session.exec(select(NotificationChoiceRow).with_for_update()):
            choice.webhook = choice.webhook and cipher.reseal(choice.webhook)


def _cipher(settings: Settings) -> TextCipher:
    return TextCipher(settings.secret_keys, PURPOSE, longest=LONGEST_ADDRESS)


def _try(database: Database, settings: Settings, message: Message) -> str | None:
    """Send one message; the reason where it was not sent, without anybody's address."""
    try:
        if message.way is Way.MAIL:
            _send_mail(settings, message)
        else:
            _send_webhook(database, settings, message)
    except SyncServiceError as error:
        logger().warning("notification_failed", way=message.way.value, error=error.code)
        return str(error)
    logger().info("notification_sent", way=message.way.value, things=len(message.rows))
    return None


def _send_mail(settings: Settings, message: Message) -> None:
    if not settings.smtp_host:
        raise NotSent("No mail server is set: SMTP_HOST and MAIL_FROM.")
    send_now(settings, message.email, subject_of(message, settings), text_of(message, settings))


def _send_webhook(database: Database, settings: Settings, message: Message) -> None:
    with database.reading() as session:
        choice = read_choice(session, message.email)
    address = _cipher(settings).decrypt(choice.webhook or "")
    if not address:
        raise NotSent("The webhook's address cannot be read: enter it again.")
    line = Connections(look_up(address, settings.webhook_allowed_networks))
    try:
        status = line.post(body_of(message, choice.webhook_form, settings), {}, None, seconds=_SECONDS)
    finally:
        line.close()
    if not 200 <= status < 300:
        raise NotSent(f"The webhook's receiver answered {status}.")


def subject_of(message: Message, settings: Settings) -> str:
    """The subject of a mail: of which installation, how many are new and how many over."""
    fresh, over = (sum(row.recovered is state for row in message.rows) for state in (False, True))
    parts = [f"{fresh} new in the inbox" if fresh else "", f"{over} over" if over else ""]
    return f"{settings.environment}: {', '.join(filter(None, parts))}"


def text_of(message: Message, settings: Settings) -> str:
    """Of which installation, a line for each thing, what is new first, and where to look."""
    lines = [_line(row.title, row.count, recovered=row.recovered) for row in _in_order(message)]
    head = f"Subscription sync, {settings.environment}"
    return "\n".join([head, *lines, "", inbox_address(settings.public_url)]).strip() + "\n"


def body_of(message: Message, form: str, settings: Settings) -> str:
    """The body of a webhook: Slack's (`text`), or a list of all things."""
    if form == "slack":
        # Slack reads these three as marks (its page "Formatting text for app surfaces").
        text = text_of(message, settings).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return json.dumps({"text": text})
    things = [
        {
            "kind": row.kind,
            "title": row.title,
            "count": row.count,
            "recovered": row.recovered,
            "at": timestamp_of(row.at),
        }
        for row in _in_order(message)
    ]
    link = inbox_address(settings.public_url)
    return json.dumps({"type": "inbox", "environment": settings.environment, "items": things, "link": link})


def inbox_address(public_url: str) -> str:
    """Where the inbox is; empty where our own address is not known."""
    return f"{public_url.rstrip('/')}/admin/inbox" if public_url else ""


def _in_order(message: Message) -> list[Any]:
    return sorted(message.rows, key=lambda row: (row.recovered, row.at, row.id))


def _line(title: str, count: int, *, recovered: bool) -> str:
    many = f" ({count:,})" if count > 1 and not recovered else ""
    return f"{'Over' if recovered else 'New'}: {title}{many}"
