"""The pages of partners: the organisations, and one with the people who act for it."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.clients import PartnerUnknown
from sync_service.partner.organisations import Organisation, PartnerRefused, Partners, list_orgs, list_users
from sync_service.store.tables import PartnerOrgRow
from sync_service.web.admin.context import PAGE, PageContext, ask_first, one_page
from sync_service.web.admin.guard import operators_only, who

_BLANK = {"name": "", "account": "", "pays": ""}


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The addresses under /admin/partners."""
    pages = _PartnerPages(context)
    blueprint.get("/partners")(pages.partners)
    blueprint.post("/partners", endpoint="add_partner")(operators_only(pages.add))
    blueprint.get("/partners/<org_id>")(pages.partner)
    blueprint.post("/partners/<org_id>/<any(disable,enable):what>", endpoint="change_partner")(
        operators_only(pages.change)
    )
    blueprint.post("/partners/<org_id>/users", endpoint="add_partner_user")(operators_only(pages.add_user))
    blueprint.post("/partners/<org_id>/users/<user_id>/<any(disable,enable):what>", endpoint="change_partner_user")(
        operators_only(pages.change_user)
    )


class _PartnerPages:
    def __init__(self, context: PageContext) -> None:
        self._database = context.database

    @property
    def _partners(self) -> Partners:
        return Partners(self._database, who().email)

    def partners(self) -> str:
        """The list."""
        return self._list()

    def add(self) -> AnyResponse | tuple[str, int]:
        """A new organisation."""
        typed = {name: request.form.get(name, "").strip() for name in _BLANK}
        asked = Organisation(
            name=typed["name"], zuora_account_id=typed["account"], is_invoice_owner=bool(typed["pays"])
        )
        try:
            row = self._partners.add(asked)
        except PartnerRefused as error:
            return self._list(problem=str(error), typed=typed), 422
        flash(f"{row.name} is a partner now. Next: the people who act for it.")
        return redirect(url_for("admin.partner", org_id=row.id), 303)

    def partner(self, org_id: str) -> str:
        """One organisation."""
        return self._one(org_id)

    def change(self, org_id: str, what: str) -> AnyResponse | str:
        """Let all of its people in no more, or again."""
        text = "Its people are logged out at once, and its API clients are refused, until it is enabled again."
        back = url_for("admin.partner", org_id=org_id)
        if what == "disable" and (page := ask_first("Disable this partner?", text, "Disable", back=back)):
            return page
        try:
            row = self._partners.set_disabled(org_id, disabled=what == "disable")
        except PartnerUnknown as error:
            raise NotFound(str(error)) from None
        flash(f"{row.name} is {what}d." if what == "disable" else f"{row.name} is enabled again.")
        return redirect(url_for("admin.partner", org_id=org_id), 303)

    def add_user(self, org_id: str) -> AnyResponse | tuple[str, int]:
        """One more person who acts for it."""
        email, name = request.form.get("email", "").strip(), request.form.get("name", "").strip()
        try:
            row = self._partners.add_user(org_id, email, name or None)
        except PartnerUnknown as error:
            raise NotFound(str(error)) from None
        except PartnerRefused as error:
            return self._one(org_id, problem=str(error), typed={"email": email, "name": name}), 422
        flash(f"{row.email} acts for this partner from now on.")
        return redirect(url_for("admin.partner", org_id=org_id), 303)

    def change_user(self, org_id: str, user_id: str, what: str) -> AnyResponse:
        """Let a person in no more, or again."""
        try:
            row = self._partners.set_user_disabled(org_id, user_id, disabled=what == "disable")
        except PartnerUnknown as error:
            raise NotFound(str(error)) from None
        flash(f"{row.email} is {'disabled' if what == 'disable' else 'enabled again'}.")
        return redirect(url_for("admin.partner", org_id=org_id), 303)

    def _list(self, *, problem: str = "", typed: dict[str, str] | None = None) -> str:
        after = request.args.get("after", "")
        with self._database.reading() as session:
            rows, more = one_page(list_orgs(session, limit=PAGE + 1, after=after if after.isprintable() else ""))
        return render_template(
            "admin/partners.html", rows=rows, more=more, problem=problem, typed=typed or _BLANK, here="admin.partners"
        )

    def _one(self, org_id: str, *, problem: str = "", typed: dict[str, str] | None = None) -> str:
        with self._database.reading() as session:
            row = session.get(PartnerOrgRow, org_id) if org_id.isprintable() else None
            if row is None:
                raise NotFound("There is no such partner organisation.")
            users = list_users(session, org_id)
        return render_template(
            "admin/partner.html", org=row, users=users, problem=problem, typed=typed or {"email": "", "name": ""}
        )
