"""`plan`, `sync`, `why`: one subscription, looked at by a person."""

from __future__ import annotations

import getpass
import time
from contextlib import suppress

import click

from sync_service.cli.contexts import open_context
from sync_service.cli.ordering import MAX_ORDERS, order_as_json, show_orders
from sync_service.cli.output import fail, say, with_json
from sync_service.cli.show import run_as_json, show_plan, show_run, show_why, why_as_json
from sync_service.cli.wiring import KEY, open_database, read_settings
from sync_service.errors import RateLimited, TokenRefused, ZuoraUnavailable
from sync_service.queue.claims import claim_one
from sync_service.queue.fate import Ticket, fate, place
from sync_service.queue.limit import Share, remember_tenant
from sync_service.queue.orders.lanes import list_work
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.runs.history import Why
from sync_service.queue.runs.history import why as why_known
from sync_service.queue.status.health import tell_obstacle
from sync_service.queue.story_lease import hold_story_lease
from sync_service.store.engine import Session
from sync_service.store.object_rows import find_subscription
from sync_service.store.reads import read_link, resolve_key, tell_unknown
from sync_service.store.tables import SyncRunRow
from sync_service.subscription.plan import SyncPlan
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import compute_plan
from sync_service.sync.run import RUN_SECONDS, run_claim
from sync_service.sync.worker import IDENTIFY_SECONDS
from sync_service.zuora.preview import SharedPreviews


@click.command()
@click.argument("key", type=KEY)
@with_json
def plan(key: str, as_json: bool) -> None:
    """Show what a sync of KEY would change; write nothing.

    Everything is read from Zuora. KEY is a Limio id or reference, a Zuora number or a Zuora id.
    """
    computed = _compute_plan(open_context(read_settings()), key)
    say(show_plan(computed), computed.as_json(), as_json=as_json)


@click.command()
@click.argument("key", type=KEY)
@with_json
def sync(key: str, as_json: bool) -> None:
    """Sync KEY now and show what changed."""
    context = open_context(read_settings())
    run = _sync_now(context, key)
    say(show_run(run), run_as_json(run), as_json=as_json)
    if run.error:
        raise SystemExit(1)


@click.command()
@click.argument("key", type=KEY)
@with_json
def why(key: str, as_json: bool) -> None:
    """Show all that is known of KEY on one screen.

    Who asked, what the runs did, what waits, the last error and the next try.
    """
    settings = read_settings()
    database = open_database(settings)
    with database.reading() as session:
        number = resolve_key(session, key)
        known = why_known(session, number) if number else _why_unknown(session, key)
        unknown = tell_unknown(session, key)
        subscription = number and find_subscription(session, number)
        link = number and read_link(session, number)
        waits = known.waiting and not known.running and known.next_try_at is not None
        obstacle = tell_obstacle(session, Share.of(settings)) if waits else None
        orders = list_work(session, limit=MAX_ORDERS, subscription=number) if number else []
    if not (number or known.causes or known.runs):
        nothing = f"Nothing is known of {key}: no sync was ever asked for, and the store has no such subscription."
        fail(unknown or nothing)
    text = show_why(known, subscription or None, link or None, obstacle)
    text += "".join(f"\n{line}" for line in show_orders(orders))
    shape = {**why_as_json(known, link or None, obstacle), "orders": [order_as_json(order) for order in orders]}
    say(text, shape, as_json=as_json)


def _why_unknown(session: Session, key: str) -> Why:
    """What is known of a key that the store cannot resolve: a number not imported yet, an alias or an account."""
    kinds = tuple(Kind)
    found = [why_known(session, key, kind=kind) for kind in kinds]
    return next((known for known in found if known.causes or known.runs), found[0])


def _compute_plan(context: SyncContext, key: str) -> SyncPlan:
    """Under a story's lease, also where claims are paused: a person looks for what is wrong."""
    with hold_story_lease(context.database, "plan", context.share, wait_seconds=10, probe=True) as lease:
        return compute_plan(context, key, lease.counting(context.zuora.reading(RUN_SECONDS)))[0]


def _sync_now(context: SyncContext, key: str) -> SyncRunRow:
    """Request as a person, then run it here under the queue's lease, or wait for the worker that was faster.

    Raises WrongTenant before anything is asked for.
    """
    with suppress(TokenRefused, RateLimited, ZuoraUnavailable):  # the run meets the same, and keeps it
        tenant = context.zuora.tenant(context.zuora.reading(IDENTIFY_SECONDS))
        with context.database.transaction() as session:
            remember_tenant(session, tenant)
    ticket = _request(context, key)
    deadline = time.monotonic() + 2 * RUN_SECONDS
    while time.monotonic() < deadline:
        with context.database.reading() as session:
            found = fate(session, ticket)
        if found is not None and found.run is not None:
            return found.run
        ticket = found.ticket if found is not None else ticket
        claimed = claim_one(context.database, ticket.kind, ticket.key, context.share)
        if claimed is not None:
            run_claim(context, claimed, SharedPreviews())
        else:
            time.sleep(0.2)
    raise click.ClickException(f"The sync of {key} has not ended yet; `sync-service why {key}` shows how it goes.")


def _request(context: SyncContext, key: str) -> Ticket:
    cause = Cause(trigger=Trigger.CLI, actor=getpass.getuser())
    with context.database.transaction() as session:
        kind, key = place(session, key)
        return Ticket(kind, key, enqueue(session, kind, key, cause, priority=Priority.PERSON, full=True))
