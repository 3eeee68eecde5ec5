"""The page of one's own account: who am I here, another password, and out everywhere."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD, UserInvalid
from sync_service.access.sessions import Sessions
from sync_service.access.users import choose_password, end_sessions
from sync_service.store.engine import Database
from sync_service.store.tables import AdminUserRow
from sync_service.web.admin.confirming import ask_first
from sync_service.web.admin.guard import AdminGuard, who
from sync_service.web.admin.login import PasswordCheck, say_wait


class AccountPage:
    """`/admin/account`, for every user."""

    def __init__(self, database: Database, guard: AdminGuard, check: PasswordCheck, *, passwords: bool) -> None:
        self._database = database
        self._guard = guard
        self._check = check
        self._passwords = passwords
        self._sessions = Sessions(database)

    def attach(self, blueprint: Blueprint) -> None:
        """Add the page and what it changes."""
        blueprint.add_url_rule("/account", "account", self._show)
        blueprint.add_url_rule("/account/password", "choose", self._choose, methods=["POST"])
        blueprint.add_url_rule("/account/log-out", "leave", self._leave, methods=["POST"])

    def _show(self, problem: str = "", status: int = 200) -> AnyResponse:
        with self._database.reading() as session:
            user = session.get(AdminUserRow, who().email)
        page = render_template(
            "admin/account.html",
            sessions=self._sessions.count().get(who().email, 0),
            has_password=self._passwords and user is not None and user.password_hash is not None,
            shortest=SHORTEST_PASSWORD,
            longest=LONGEST_PASSWORD,
            problem=problem,
        )
        return make_response(page, status)

    def _choose(self) -> AnyResponse:
        if not self._passwords:
            raise BadRequest("Password log-in is turned off.")
        current, new = request.form.get("current", ""), request.form.get("new", "")
        if new != request.form.get("again", ""):
            return self._show("The new password was not typed the same twice.", 400)
        if new == current:
            return self._show("The new password is the one there is.", 400)
        user, seconds = self._check.prove(who().email, current)
        if user is None:
            return self._show(say_wait(seconds) if seconds else "The password that you have now is another one.", 403)
        try:
            choose_password(self._database, user.email, new)
        except UserInvalid as error:
            return self._show(str(error), 400)
        flash("Your password is changed, and you are logged out everywhere else.")
        return self._guard.let_in(user.email, None)

    def _leave(self) -> AnyResponse | str:
        text = "Every browser that is logged in as you is logged out, this one too."
        if page := ask_first("Log out everywhere?", text, "Log out everywhere", back=url_for("admin.account")):
            return page
        end_sessions(self._database, who().email, actor=who().email)
        return redirect(url_for("admin.login"), 303)
