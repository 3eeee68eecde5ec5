"""The page Webhooks: where they go, what was delivered, and what was given up, to be sent again."""

from __future__ import annotations

from collections import Counter

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlmodel import col, select
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.outbox import DeliveryState
from sync_service.store.audit import record_action
from sync_service.store.engine import Session
from sync_service.store.tables import WebhookDeliveryRow, WebhookEndpointRow
from sync_service.web.admin.context import PAGE, PageContext, before_id, one_page
from sync_service.web.admin.guard import operators_only, who
from sync_service.webhooks.log import MessageUnknown, replay, replay_dead

#: Deliveries that are given up and counted; there may be more.
MOST_COUNTED = 1000
_DEAD = """
SELECT endpoint_id FROM webhook_delivery WHERE state = 'dead' ORDER BY ended_at DESC LIMIT :most
"""


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses under /admin/webhooks."""
    pages = _WebhookPages(context)
    blueprint.get("/webhooks")(pages.webhooks)
    blueprint.post("/webhooks/replay", endpoint="replay_webhooks")(operators_only(pages.send_again))


class _WebhookPages:
    def __init__(self, context: PageContext) -> None:
        self._database = context.database

    def send_again(self) -> AnyResponse:
        """What is ticked, or all that was given up."""
        ids = [each for each in request.form.getlist("message") if each.isprintable()][:PAGE]
        try:
            if request.form.get("all"):
                count = replay_dead(self._database)
            else:
                count = replay(self._database, ids) if ids else 0
        except MessageUnknown as error:
            flash(str(error))
            return redirect(url_for("admin.webhooks", state="dead"), 303)
        self._record("webhooks replayed", str(count))
        flash(f"{count} deliveries are made again." if count else "Tick what is to be sent again.")
        return redirect(url_for("admin.webhooks", state="dead"), 303)

    def webhooks(self) -> str:
        """Endpoints and the log. Commands make and remove endpoints: they look up where an address leads."""
        dead = request.args.get("state") == DeliveryState.DEAD
        with self._database.reading() as session:
            row = WebhookEndpointRow
            endpoints = session.exec(select(row).order_by(col(row.created_at), col(row.id)).limit(PAGE)).all()
            counts = Counter(session.run(_DEAD, {"most": MOST_COUNTED}).scalars())
            rows, more = one_page(_read(session, dead=dead, before=before_id()))
            now = session.now()
        return render_template(
            "admin/webhooks.html",
            endpoints=endpoints,
            counts=counts,
            most=MOST_COUNTED,
            rows=rows,
            more=more,
            last=(rows[-1].ended_at if dead else rows[-1].id) if rows else None,
            dead=dead,
            now=now,
        )

    def _record(self, action: str, target: str) -> None:
        with self._database.transaction() as session:
            record_action(session, who().email, action, target)


def _read(session: Session, *, dead: bool, before: int | None) -> list[WebhookDeliveryRow]:
    """The latest deliveries; of those that were given up the last given up."""
    row = WebhookDeliveryRow
    place = col(row.ended_at) if dead else col(row.id)
    found = select(row).order_by(place.desc()).limit(PAGE + 1)
    if dead:
        found = found.where(row.state == DeliveryState.DEAD.value)
    if before is not None:
        found = found.where(place < before)
    return list(session.exec(found))
