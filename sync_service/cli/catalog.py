"""`catalog refresh`, `catalog check`: Zuora's rate plans read anew, and which offers could not be ordered."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, datetime

import click

from sync_service.cli.contexts import open_context
from sync_service.cli.output import say, with_json
from sync_service.cli.wiring import open_database, read_settings
from sync_service.commerce.catalog import Offer
from sync_service.commerce.order import Problem
from sync_service.commerce.pricing import faults_of
from sync_service.ordering.previews import refresh_catalog
from sync_service.queue.limit import Share
from sync_service.store.offers import newest_items, read_whole_catalog

#: How long a person waits for a place among the calls to Zuora, in seconds.
_WAIT_SECONDS = 10


@click.group()
def catalog() -> None:
    """Look after what orders may buy."""


@catalog.command()
@with_json
def refresh(as_json: bool) -> None:
    """Read all product rate plans from Zuora. Repeatable; the scheduler does it daily."""
    settings = read_settings()
    context = open_context(settings)
    share = Share.of(settings)
    count = refresh_catalog(context.database, context.zuora, share, wait_seconds=_WAIT_SECONDS)
    say(f"Zuora has {count} product rate plans.", {"rate_plans": count}, as_json=as_json)


@catalog.command()
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The day on which it is to be ordered; today.")
@with_json
def check(day: datetime | None, as_json: bool) -> None:
    """List every offer that could not be ordered, and why.

    Looks at the newest published version of each offer and add-on. The status is 1 if one is listed.
    """
    settings = read_settings()
    with open_database(settings).reading() as session:
        whole = read_whole_catalog(session)
        on = settings.day_at(session.now()) if day is None else day.date()
    items = [offer for offer in newest_items(whole) if offer.is_published]
    faults = [(offer, found) for offer in items if (found := faults_of(offer, whole, on))]
    shape = {
        "on": on.isoformat(),
        "checked": len(items),
        "faulty": [{**_name(offer), "problems": [problem.message for problem in found]} for offer, found in faults],
    }
    say(_show(items, faults, on), shape, as_json=as_json)
    sys.exit(1 if faults else 0)


def _name(offer: Offer) -> dict[str, str | None]:
    return {
        "record_type": offer.record_type,
        "id": offer.ref.id,
        "version": offer.ref.version,
        "name": offer.name,
        "path": offer.path,
    }


def _show(items: Sequence[Offer], faults: Sequence[tuple[Offer, tuple[Problem, ...]]], on: date) -> str:
    lines = [f"{len(items)} published offers and add-ons looked at for {on}; {len(faults)} could not be ordered."]
    for offer, found in faults:
        lines.append(f"  {offer.label}")
        lines += [f"    {problem.message}" for problem in found]
    return "\n".join(lines)
