"""The page People: people and their roles. No URL holds an email address."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import flash, render_template, request, url_for
from werkzeug.exceptions import BadRequest, Conflict, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access import users as people
from sync_service.access.passwords import TEMPORARY_MS, UserInvalid, normalise_email
from sync_service.access.sessions import Sessions
from sync_service.access.users import LastOperator, Role, UserKnown, UserUnknown
from sync_service.web.admin.context import AdminPages, ask_first
from sync_service.web.admin.guard import operators_only, who
from sync_service.web.page_parts import get, post, see_other

_DAYS = TEMPORARY_MS // 86_400_000


#: What a form changes besides the role, and what is said of it.
_CHANGES: Mapping[str, tuple[Callable[..., object], str]] = {
    "disable": (people.disable_user, "is disabled."),
    "enable": (people.enable_user, "is enabled again."),
    "logout": (people.end_sessions, "is logged out everywhere."),
    "forget": (people.forget_account, "can sign in with another account of the identity provider."),
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


class UserPages(AdminPages):
    """`/admin/users`, for operators alone."""

    @get("/users")
    @operators_only
    def users(self, problem: str = "") -> str:
        """Everyone who may log in."""
        with self._database.reading() as session:
            rows, now = people.list_users(session), session.now()
        return render_template(
            "admin/users.html",
            here="admin.users",
            rows=rows,
            now=now,
            sessions=Sessions(self._database).count(),
            roles=list(Role),
            shown=self._context.handover.take("admin.users"),
            days=_DAYS,
            problem=problem,
            typed=request.form,
            passwords=self._context.settings.password_login,
            provider=self._context.provider,
            provider_decides=bool(self._context.provider and self._context.settings.oidc_role_claim),
        )

    @post("/users")
    def add_user(self) -> AnyResponse | tuple[str, int]:
        """One more, with a password that is shown this once or by single sign-on."""
        email, role = request.form.get("email", ""), _role()
        by_provider = self._context.provider and request.form.get("way") == "provider"
        with_password = self._context.settings.password_login and not by_provider
        try:
            password = people.add_user(self._database, email, role, with_password=with_password, actor=who().email)
        except (UserInvalid, UserKnown) as error:
            return self.users(str(error)), 422
        if password:
            return self._context.handover.lead_to("admin.users", normalise_email(email), password)
        flash(f"{normalise_email(email)} can sign in with {self._context.provider}.")
        return see_other("admin.users")

    @post("/users/password")
    def reset_user(self) -> AnyResponse | str:
        """A new password, shown this once."""
        if not self._context.settings.password_login:
            raise BadRequest("Password log-in is turned off.")
        email = normalise_email(request.form.get("email", ""))
        text = "The password of before ends now, and this person is logged out everywhere. The new one is shown once."
        if page := ask_first(f"A new password for {email}?", text, "Make a password", back=url_for("admin.users")):
            return page
        try:
            password = people.reset_password(self._database, email, actor=who().email)
            return self._context.handover.lead_to("admin.users", email, password)
        except UserUnknown as error:
            raise NotFound(str(error)) from None

    @post(f"/users/<any(role,{','.join(_CHANGES)}):what>")
    def change_user(self, what: str) -> AnyResponse | str:
        """Another role, or whether and how this person may log in."""
        email = normalise_email(request.form.get("email", ""))
        if what in _QUESTIONS:
            question, text, button = _QUESTIONS[what]
            if page := ask_first(question.format(email), text, button, back=url_for("admin.users")):
                return page
        role = _role() if what == "role" else None
        try:
            if role is not None:
                people.change_role(self._database, email, role, actor=who().email)
                said = f"is {role.value} from the next page on."
            else:
                change, said = _CHANGES[what]
                change(self._database, email, actor=who().email)
        except UserUnknown as error:
            raise NotFound(str(error)) from None
        except LastOperator as error:
            raise Conflict(str(error)) from None
        flash(f"{email} {said}")
        return see_other("admin.users")
