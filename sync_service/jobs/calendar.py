"""Requests by the calendar: numbers whose answer in Zuora changes today by itself (a term ends, a suspension begins).

They are asked for some hours after Zuora's own nightly renewal job, spread over one hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from sqlalchemy import update
from sqlmodel import col, select

from sync_service.queue.jobs import JobLease
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.statement import BATCH
from sync_service.store.tables import ZuoraLinkRow
from sync_service.subscription.limio.documents import moment_at
from sync_service.subscription.trigger import Trigger

#: Zuora renews at 01:00 and may take a few hours (page "Automatic subscription renewal"): local hour of the tenant.
FROM_HOUR = 6


def request_by_calendar(database: Database, settings: Settings, lease: JobLease) -> Mapping[str, Any]:
    """Ask for every number whose day has come; each moves to tomorrow, until a sync sets its next day. Repeatable.

    The number and its new day are written one after the other: killed between the two, it is asked for twice.
    """
    local = moment_at(lease.taken_at).astimezone(settings.tenant_time_zone)
    today, asked, last = local.date(), 0, ""
    while True:
        with database.reading() as session:
            link = ZuoraLinkRow
            page = session.exec(
                select(link.number)
                .where(col(link.look_again_on) <= today, col(link.number) > last)
                .order_by(col(link.number))
                .limit(BATCH)
            ).all()
        if not page:
            return {"asked": asked}
        last = page[-1]
        due = [number for number in page if _minute_of(number) <= _minutes_since_start(local)]
        cause = Cause(trigger=Trigger.CALENDAR)
        asked += enqueue_many(database, Kind.SUBSCRIPTION, due, cause, priority=Priority.JOB)
        with database.transaction() as session:
            session.exec(update(link).where(col(link.number).in_(due)).values(look_again_on=today + timedelta(days=1)))


def _minutes_since_start(local: datetime) -> int:
    """Minutes since FROM_HOUR of the tenant's day; negative before."""
    return (local.hour - FROM_HOUR) * 60 + local.minute


def _minute_of(number: str) -> int:
    """The minute of the hour in which this number has its turn: the same on every host."""
    return crc32(number.encode()) % 60
