"""What a person wants to be told of outside of the pages, and whether it arrives."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.cipher import TextCipher
from sync_service.queue.inbox import ItemKind
from sync_service.queue.notifications import (
    LONGEST_ADDRESS,
    PURPOSE,
    QUIET_MS,
    queue_trial,
    read_choice,
    read_latest,
)
from sync_service.store.tables import NotificationChoiceRow
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.guard import who
from sync_service.webhooks.address import DestinationRefused, read_url

KINDS: Mapping[ItemKind, str] = {
    ItemKind.PROCESS: "A worker or scheduler does not run",
    ItemKind.CHECK: "A check fails",
    ItemKind.HELD: "Changes are held",
    ItemKind.FAILED: "Syncs were given up",
    ItemKind.ORDER: "An order needs a decision",
    ItemKind.WEBHOOK: "Webhooks were given up",
}
FORMS = {"slack": "Slack", "plain": "Plain JSON"}


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses under /admin/account/notifications."""
    pages = _NotificationPages(context)
    blueprint.get("/account/notifications")(pages.notifications)
    blueprint.post("/account/notifications")(pages.choose_notifications)
    blueprint.post("/account/notifications/try")(pages.try_notifications)


class _NotificationPages:
    def __init__(self, context: PageContext) -> None:
        self._context, self._database = context, context.database
        self._cipher = TextCipher(context.settings.secret_keys, PURPOSE, longest=LONGEST_ADDRESS)

    def notifications(self, problem: str = "", typed: Mapping[str, str] | None = None) -> str:
        """What was chosen, and what was told last."""
        with self._database.reading() as session:
            choice = read_choice(session, who().email)
            latest = read_latest(session, who().email)
        address = self._cipher.decrypt(choice.webhook) if choice.webhook else ""
        return render_template(
            "admin/notifications.html",
            choice=choice,
            host=urlsplit(address).hostname or "",
            latest=latest,
            kinds=KINDS,
            forms=FORMS,
            has_mail=bool(self._context.settings.smtp_host),
            quiet_ms=QUIET_MS,
            problem=problem,
            typed=typed or {},
        )

    def choose_notifications(self) -> AnyResponse | tuple[str, int]:
        """Keep the choices. A webhook's address stays where none is given and none is to be removed."""
        address = request.form.get("webhook", "").strip()
        try:
            read_url(address) if address else None
        except DestinationRefused as error:
            return self.notifications(str(error), {"webhook": address}), 422
        with self._database.transaction() as session:
            choice = session.get(NotificationChoiceRow, who().email) or NotificationChoiceRow(email=who().email)
            choice.kinds = [kind.value for kind in KINDS if kind.value in request.form.getlist("kinds")]
            choice.by_mail = bool(request.form.get("by_mail"))
            form = request.form.get("form", "")
            choice.webhook_form = form if form in FORMS else "slack"
            if address:
                choice.webhook = self._cipher.encrypt(address)
            elif request.form.get("remove"):
                choice.webhook = None
            session.add(choice)
        flash("Your choices are kept.")
        return redirect(url_for("admin.notifications"), 303)

    def try_notifications(self) -> AnyResponse:
        """Have the person told something now."""
        with self._database.transaction() as session:
            ways = queue_trial(session, read_choice(session, who().email))
        flash("It goes out within a minute, when a scheduler runs." if ways else "Choose email or a webhook first.")
        return redirect(url_for("admin.notifications"), 303)
