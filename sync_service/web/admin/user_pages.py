"""The page People: people and their roles. No URL holds an email address."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest, Conflict, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access import users as people
from sync_service.access.passwords import TEMPORARY_MS, UserInvalid, normalise_email
from sync_service.access.sessions import Sessions
from sync_service.access.users import LastOperator, Role, UserKnown, UserUnknown
from sync_service.store.engine import Database
from sync_service.web.admin.context import ask_first
from sync_service.web.admin.guard import Handover, operators_only, who

Change = Callable[[Database, str, str], str]
_DAYS = TEMPORARY_MS // 86_400_000


class UsersPage:
    """`/admin/users`, for operators alone."""

    def __init__(
        self, database: Database, handover: Handover, *, passwords: bool, provider: str, provider_decides: bool
    ) -> None:
        """`provider`: the name of the identity provider, empty if there is none; whether it decides the roles."""
        self._database = database
        self._handover = handover
        self._sessions = Sessions(database)
        self._passwords = passwords
        self._provider = provider
        self._provider_decides = provider_decides

    def attach(self, blueprint: Blueprint) -> None:
        """Add the page and what it changes."""
        blueprint.add_url_rule("/users", "users", operators_only(self._show))
        blueprint.add_url_rule("/users", "add_user", operators_only(self._add), methods=["POST"])
        words = ",".join(_CHANGES)
        blueprint.add_url_rule(
            f"/users/<any({words}):what>", "change_user", operators_only(self._change), methods=["POST"]
        )
        blueprint.add_url_rule("/users/password", "reset_user", operators_only(self._reset), methods=["POST"])

    def _show(self, problem: str = "") -> str:
        with self._database.reading() as session:
            rows, now = people.list_users(session), session.now()
        return render_template(
            "admin/users.html",
            here="admin.users",
            rows=rows,
            now=now,
            sessions=self._sessions.count(),
            roles=list(Role),
            shown=self._handover.take("admin.users"),
            days=_DAYS,
            problem=problem,
            typed=request.form,
            passwords=self._passwords,
            provider=self._provider,
            provider_decides=self._provider_decides,
        )

    def _add(self) -> AnyResponse | tuple[str, int]:
        email, role = request.form.get("email", ""), _role()
        with_password = self._passwords and not (self._provider and request.form.get("way") == "provider")
        try:
            password = people.add_user(self._database, email, role, with_password=with_password, actor=who().email)
        except (UserInvalid, UserKnown) as error:
            return self._show(str(error)), 422
        if password:
            return self._handover.lead_to("admin.users", normalise_email(email), password)
        flash(f"{normalise_email(email)} can sign in with {self._provider}.")
        return redirect(url_for("admin.users"), 303)

    def _reset(self) -> AnyResponse | str:
        if not self._passwords:
            raise BadRequest("Password log-in is turned off.")
        email = normalise_email(request.form.get("email", ""))
        text = "The password of before ends now, and this person is logged out everywhere. The new one is shown once."
        if page := ask_first(f"A new password for {email}?", text, "Make a password", back=url_for("admin.users")):
            return page
        try:
            password = people.reset_password(self._database, email, actor=who().email)
            return self._handover.lead_to("admin.users", email, password)
        except UserUnknown as error:
            raise NotFound(str(error)) from None

    def _change(self, what: str) -> AnyResponse | str:
        email = normalise_email(request.form.get("email", ""))
        if what in _QUESTIONS:
            question, text, button = _QUESTIONS[what]
            if page := ask_first(question.format(email), text, button, back=url_for("admin.users")):
                return page
        try:
            said = _CHANGES[what](self._database, email, who().email)
        except UserUnknown as error:
            raise NotFound(str(error)) from None
        except LastOperator as error:
            raise Conflict(str(error)) from None
        flash(f"{email} {said}")
        return redirect(url_for("admin.users"), 303)


def _change_role(database: Database, email: str, actor: str) -> str:
    role = _role()
    people.change_role(database, email, role, actor=actor)
    return f"is {role.value} from the next page on."


def _disable(database: Database, email: str, actor: str) -> str:
    people.disable_user(database, email, actor=actor)
    return "is disabled."


def _enable(database: Database, email: str, actor: str) -> str:
    people.enable_user(database, email, actor=actor)
    return "is enabled again."


def _end_sessions(database: Database, email: str, actor: str) -> str:
    people.end_sessions(database, email, actor=actor)
    return "is logged out everywhere."


def _forget_account(database: Database, email: str, actor: str) -> str:
    people.forget_account(database, email, actor=actor)
    return "can sign in with another account of the identity provider."


_CHANGES: dict[str, Change] = {
    "role": _change_role,
    "disable": _disable,
    "enable": _enable,
    "logout": _end_sessions,
    "forget": _forget_account,
}


#: What is asked first: the question, what it comes to, and the button.
_QUESTIONS = {
    "disable": ("Disable {}?", "This person is logged out at once and cannot log in until enabled again.", "Disable"),
    "logout": ("Log {} out everywhere?", "What this person typed and has not sent is lost.", "Log out"),
    "forget": (
        "Forget the sign-on account of {}?",
        "The next account of the identity provider that shows this email address is taken for this person.",
        "Forget",
    ),
}


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError:
        raise BadRequest("A role is viewer or operator.") from None
