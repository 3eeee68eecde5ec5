"""The page of one's own account, and what a person wants to be told of outside of the pages.

It says who is logged in, changes the password, logs out everywhere, and shows whether notifications arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import flash, make_response, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.cipher import TextCipher
from sync_service.access.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD, UserInvalid
from sync_service.access.sessions import Sessions
from sync_service.access.users import choose_password, end_sessions
from sync_service.queue.status.inbox import ItemKind
from sync_service.queue.status.notifications import (
    LONGEST_ADDRESS,
    PURPOSE,
    QUIET_MS,
    queue_trial,
    read_choice,
    read_latest,
)
from sync_service.store.tables import AdminUserRow, NotificationChoiceRow
from sync_service.web.admin.context import AdminPages, PageContext, ask_first
from sync_service.web.admin.guard import AdminGuard, who
from sync_service.web.admin.login import PasswordCheck, say_wait
from sync_service.web.page_parts import get, post, see_other
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


class AccountPages(AdminPages):
    """`/admin/account…`, for every user."""

    def __init__(self, context: PageContext, guard: AdminGuard, check: PasswordCheck) -> None:
        super().__init__(context)
        self._guard, self._check, self._passwords = guard, check, context.settings.password_login
        self._cipher = TextCipher(context.settings.secret_keys, PURPOSE, longest=LONGEST_ADDRESS)

    @get("/account")
    def account(self, problem: str = "", status: int = 200) -> AnyResponse:
        """Who is logged in, and where."""
        with self._database.reading() as session:
            user = session.get(AdminUserRow, who().email)
        page = render_template(
            "admin/account.html",
            sessions=Sessions(self._database).count().get(who().email, 0),
            has_password=self._passwords and user is not None and user.password_hash is not None,
            shortest=SHORTEST_PASSWORD,
            longest=LONGEST_PASSWORD,
            problem=problem,
        )
        return make_response(page, status)

    @post("/account/password", for_all=True)
    def choose(self) -> AnyResponse:
        """Another password, by who knows the one there is."""
        if not self._passwords:
            raise BadRequest("Password log-in is turned off.")
        current, new = request.form.get("current", ""), request.form.get("new", "")
        if new != request.form.get("again", ""):
            return self.account("The new password was not typed the same twice.", 400)
        if new == current:
            return self.account("The new password is the one there is.", 400)
        user, seconds = self._check.prove(who().email, current)
        if user is None:
            return self.account(say_wait(seconds) if seconds else "The password that you have now is another one.", 403)
        try:
            choose_password(self._database, user.email, new)
        except UserInvalid as error:
            return self.account(str(error), 400)
        flash("Your password is changed, and you are logged out everywhere else.")
        return self._guard.let_in(user.email, None)

    @post("/account/log-out", for_all=True)
    def leave(self) -> AnyResponse | str:
        """End all sessions of this person."""
        text = "Every browser that is logged in as you is logged out, this one too."
        if page := ask_first("Log out everywhere?", text, "Log out everywhere", back=url_for("admin.account")):
            return page
        end_sessions(self._database, who().email, actor=who().email)
        return see_other("admin.login")

    @get("/account/notifications")
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

    @post("/account/notifications", for_all=True)
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
        return see_other("admin.notifications")

    @post("/account/notifications/try", for_all=True)
    def try_notifications(self) -> AnyResponse:
        """Have the person told something now."""
        with self._database.transaction() as session:
            ways = queue_trial(session, read_choice(session, who().email))
        flash("It goes out within a minute, when a scheduler runs." if ways else "Choose email or a webhook first.")
        return see_other("admin.notifications")
