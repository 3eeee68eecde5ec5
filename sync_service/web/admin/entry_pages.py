"""One entry of the stream by itself, under an address that stays; and two moments of a subscription side by side."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request
from sqlmodel import col, select
from werkzeug.exceptions import NotFound

from sync_service.queue.runs.history import Outcome
from sync_service.queue.stream.branches import EntryKind, Spot
from sync_service.queue.stream.details import HistoryEntry, read_entries, read_payments
from sync_service.store.engine import Session
from sync_service.store.object_rows import find_subscription, read_addresses
from sync_service.store.reads import resolve_key
from sync_service.store.tables import SyncCauseRow, SyncRunRow
from sync_service.subscription.digest import combine
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.subscription.plan import SyncPlan
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.differences import difference
from sync_service.web.admin.telling import Told, tell
from sync_service.web.page_parts import whole

#: Syncs between two moments that are compared, and callouts of one sync that its page names.
MAX_RUNS, MAX_CALLOUTS = 500, 50
_TITLES = {EntryKind.RUN: "Sync", EntryKind.CALLOUT: "Callout", EntryKind.ORDER: "Order", EntryKind.ACT: "Act"}


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses of entries, and of the comparison."""

    @blueprint.get("/history/<any(run,callout,order,act):kind>/<entry_id>")
    def entry(kind: str, entry_id: str) -> str:
        spot = Spot(at=0, kind=EntryKind(kind), id=entry_id)
        known = entry_id.isprintable() and (spot.kind is EntryKind.ORDER or whole(entry_id) is not None)
        with context.database.reading() as session:
            read = read_entries(session, [spot] if known else [])
            if not read.entries:
                raise NotFound("There is no such entry; old ones are pruned.")
            (told,) = tell(session, read)
            around = tuple(_around(session, told.entry))
        return render_template(
            "admin/entry.html",
            told=told,
            title=_TITLES[spot.kind],
            around=around,
            around_title="The callouts that it covers" if spot.kind is EntryKind.RUN else "What it led to",
            facts=_facts(told.entry.row) if spot.kind is EntryKind.CALLOUT else [],
        )

    @blueprint.get("/subscriptions/<key>/compare")
    def compare(key: str) -> str:
        key = normalise_key(key)
        if why_impossible(key):
            raise NotFound("That is no key of a subscription.")
        moments = [whole(request.args.get(name, "")) for name in ("a", "b")]
        with context.database.reading() as session:
            number = resolve_key(session, key) or key
            if None in moments:
                problem = "Choose the sync to compare from and the one to compare to, then press the button."
                return render_template("admin/compare.html", key=key, number=number, problem=problem)
            since, until = sorted(each for each in moments if each is not None)
            runs = _read_applied(session, number, since, until)
            if len(runs) > MAX_RUNS:
                problem = f"More than {MAX_RUNS} syncs lie between the two: choose moments that are closer."
                return render_template("admin/compare.html", key=key, number=number, problem=problem)
            plan = combine([SyncPlan.from_json(run.plan) for run in runs if run.plan]).as_json()
            subscription = find_subscription(session, number)
            addresses = read_addresses(session, subscription.id) if subscription else ()
            found = difference(plan, read_payments(session, [plan]), addresses)
        return render_template(
            "admin/compare.html", key=key, number=number, since=since, until=until, runs=len(runs), found=found
        )


def _read_applied(session: Session, number: str, since: int, until: int) -> list[SyncRunRow]:
    """What was written to the store from one moment to the other, both included, oldest first."""
    run = SyncRunRow
    theirs = select(run).where(run.kind == "subscription", run.key == number, run.ended_at >= since)
    applied = theirs.where(run.ended_at <= until, col(run.outcome).in_((Outcome.CHANGED, Outcome.IMPORTED)))
    return list(session.exec(applied.order_by(col(run.ended_at), col(run.id)).limit(MAX_RUNS + 1)))


def _around(session: Session, entry: HistoryEntry) -> list[Told]:
    """A sync's callouts; a callout's sync."""
    spots: list[Spot] = []
    if entry.spot.kind is EntryKind.RUN:
        run, cause = entry.row, SyncCauseRow
        covered = select(cause.callout_id).where(
            cause.kind == run.kind,
            cause.key == run.key,
            cause.seq > run.seq_from,
            cause.seq <= run.seq_to,
            col(cause.callout_id).is_not(None),
        )
        ids = session.exec(covered.order_by(col(cause.seq), col(cause.id)).limit(MAX_CALLOUTS)).all()
        spots = [Spot(at=0, kind=EntryKind.CALLOUT, id=str(each)) for each in dict.fromkeys(ids)]
    elif entry.came is not None and entry.came.run_id is not None:
        spots = [Spot(at=0, kind=EntryKind.RUN, id=str(entry.came.run_id))]
    return tell(session, read_entries(session, spots))


def _facts(row: Any) -> list[tuple[str, str]]:
    """What is kept of a callout besides what its sentence says."""
    named = (
        ("Key", row.key),
        ("Order", row.order_number),
        ("Made by", row.created_by),
        ("Source", row.source),
        ("Notification", row.notification_id),
        ("Request", row.request_id),
        ("Hash of the body", row.body_sha256),
    )
    return [(name, value) for name, value in named if value]
