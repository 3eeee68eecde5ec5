"""The pages Webhooks: the endpoints, one of them, and the log of what was delivered and what was given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flask import flash, redirect, render_template, request, url_for
from sqlmodel import col, select
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.outbox import DeliveryState, WebhookType
from sync_service.store.engine import Session
from sync_service.store.tables import WebhookDeliveryRow, WebhookEndpointRow
from sync_service.web.admin.context import PAGE, AdminPages, ask_first, before_id, one_page
from sync_service.web.page_parts import get, post, see_other
from sync_service.webhooks.address import DestinationRefused
from sync_service.webhooks.delivery_log import MessageUnknown, replay, replay_dead
from sync_service.webhooks.endpoints import ROTATION_MS, EndpointRefused, Endpoints, EndpointUnknown

#: Deliveries that are given up and counted; there may be more.
MAX_COUNTED = 1000
_DEAD = """
SELECT endpoint_id FROM webhook_delivery WHERE state = 'dead' ORDER BY ended_at DESC LIMIT :most
"""
_HOURS = ROTATION_MS // 3_600_000
#: What is asked before an endpoint is changed: the question, what it comes to, and the button.
_QUESTIONS = {
    "disable": (
        "Disable this endpoint?",
        "Nothing is sent until it is enabled again. What waits is kept; what happens meanwhile is never told to it.",
        "Disable",
    ),
    "rotate": (
        "A new secret for this endpoint?",
        f"For {_HOURS} hours both sign, so that the receiver may change its own in the meantime.",
        "Make a secret",
    ),
    "remove": (
        "Remove this endpoint?",
        "Its log goes too, and what still waits is never sent to it. This cannot be taken back.",
        "Remove",
    ),
}
#: What is noted and said afterwards.
_DONE = {
    "test": ("webhook tested", "A test message goes out within a few seconds; how it ended stands below."),
    "disable": ("webhook disabled", "The endpoint is disabled."),
    "enable": ("webhook enabled", "The endpoint is enabled; what waits goes out now."),
    "remove": ("webhook removed", "The endpoint is removed."),
}


class WebhookPages(AdminPages):
    """The addresses under /admin/webhooks."""

    @property
    def _endpoints(self) -> Endpoints:
        return Endpoints(self._database, self._context.settings)

    @post("/webhooks")
    def add_webhook(self) -> AnyResponse | tuple[str, int]:
        """A new endpoint, with its secret shown this once; a test message is sent to it at once."""
        url, types = request.form.get("url", "").strip(), _read_types()
        try:
            endpoint_id, secret = self._endpoints.add(url, types)
        except (EndpointRefused, DestinationRefused) as error:
            return self.webhooks(problem=str(error)), 422
        self._endpoints.want_test(endpoint_id)
        self.record("webhook added", endpoint_id)
        return self._context.handover.lead_to("admin.webhooks", endpoint_id, secret)

    @post("/webhooks/<endpoint_id>")
    def edit_webhook(self, endpoint_id: str) -> AnyResponse | tuple[str, int]:
        """Another address, or other types."""
        try:
            self._endpoints.change(endpoint_id, request.form.get("url", "").strip(), _read_types())
        except EndpointUnknown:
            raise NotFound("There is no such endpoint.") from None
        except (EndpointRefused, DestinationRefused) as error:
            return self.webhook(endpoint_id, problem=str(error)), 422
        self.record("webhook changed", endpoint_id)
        flash("The endpoint is changed.")
        return see_other("admin.webhook", endpoint_id=endpoint_id)

    @post("/webhooks/<endpoint_id>/<any(test,disable,enable,rotate,remove):what>")
    def change_webhook(self, endpoint_id: str, what: str) -> AnyResponse | str:
        """Test, disable, enable or remove it, or give it a new secret."""
        here = url_for("admin.webhook", endpoint_id=endpoint_id)
        with self._database.reading() as session:
            _find(session, endpoint_id)
        if what in _QUESTIONS and (page := ask_first(*_QUESTIONS[what], back=here)):
            return page
        try:
            match what:
                case "test":
                    self._endpoints.want_test(endpoint_id)
                case "rotate":
                    secret = self._endpoints.rotate(endpoint_id)
                    self.record("webhook secret rotated", endpoint_id)
                    return self._context.handover.lead_to("admin.webhooks", endpoint_id, secret)
                case "remove":
                    self._endpoints.remove(endpoint_id)
                    here = url_for("admin.webhooks")
                case _:
                    self._endpoints.set_disabled(endpoint_id, disabled=what == "disable")
        except EndpointUnknown:
            raise NotFound("There is no such endpoint.") from None
        except EndpointRefused as error:
            flash(str(error))
            return redirect(here, 303)
        action, said = _DONE[what]
        self.record(action, endpoint_id)
        flash(said)
        return redirect(here, 303)

    @post("/webhooks/replay")
    def replay_webhooks(self) -> AnyResponse | str:
        """What is ticked, or all that was given up."""
        ids = [each for each in request.form.getlist("message") if each.isprintable()][:PAGE]
        back = url_for("admin.webhooks", state="dead")
        try:
            if request.form.get("all"):
                text = "Everything that was given up is sent again, to every endpoint, in the order of each object."
                if page := ask_first("Send all again?", text, "Send all again", back=back):
                    return page
                count = replay_dead(self._database)
            else:
                count = replay(self._database, ids) if ids else 0
        except MessageUnknown as error:
            flash(str(error))
            return redirect(back, 303)
        if count:
            self.record("webhooks replayed", str(count))
        flash(f"{count} deliveries are made again." if count else "Tick what is to be sent again.")
        return redirect(back, 303)

    @get("/webhooks")
    def webhooks(self, *, problem: str = "") -> str:
        """The endpoints and the log."""
        dead = request.args.get("state") == DeliveryState.DEAD
        with self._database.reading() as session:
            row = WebhookEndpointRow
            endpoints = session.exec(select(row).order_by(col(row.created_at), col(row.id)).limit(PAGE)).all()
            counts = Counter(session.run(_DEAD, {"most": MAX_COUNTED}).scalars())
            rows, more = one_page(_read(session, dead=dead, before=before_id()))
            now = session.now()
        return render_template(
            "admin/webhooks.html",
            here="admin.webhooks",
            endpoints=endpoints,
            hosts={each.id: each.url.split("://")[-1].partition("/")[0] for each in endpoints},
            counts=counts,
            most=MAX_COUNTED,
            rows=rows,
            more=more,
            last=(rows[-1].ended_at if dead else rows[-1].id) if rows else None,
            dead=dead,
            now=now,
            shown=self._context.handover.take("admin.webhooks"),
            problem=problem,
            typed=request.form,
            types=list(WebhookType),
            ticked=_read_types() if problem else (),
        )

    @get("/webhooks/<endpoint_id>")
    def webhook(self, endpoint_id: str, *, problem: str = "") -> str:
        """One endpoint."""
        with self._database.reading() as session:
            row, now = _find(session, endpoint_id), session.now()
        return render_template(
            "admin/webhook.html",
            here="admin.webhooks",
            each=row,
            now=now,
            types=list(WebhookType),
            problem=problem,
            url=request.form.get("url", "") if problem else row.url,
            ticked=_read_types() if problem else row.types,
        )


def _read_types() -> Sequence[WebhookType]:
    """The types that are ticked; a word that is none counts for nothing."""
    return [each for each in WebhookType if each.value in request.form.getlist("type")]


def _find(session: Session, endpoint_id: str) -> WebhookEndpointRow:
    row = session.get(WebhookEndpointRow, endpoint_id) if endpoint_id.isprintable() else None
    if row is None:
        raise NotFound("There is no such endpoint.")
    return row


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
