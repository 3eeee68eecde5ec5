"""The pages of partners: the organisations, and one with the people who act for it."""

from __future__ import annotations

from flask import flash, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.clients import PartnerUnknown
from sync_service.partner.organisations import Organisation, PartnerRefused, Partners, list_orgs, list_users
from sync_service.store.tables import PartnerOrgRow
from sync_service.web.admin.context import PAGE, AdminPages, ask_first, one_page
from sync_service.web.admin.guard import who
from sync_service.web.page_parts import get, post, see_other

_BLANK = {"name": "", "account": "", "pays": ""}


class PartnerPages(AdminPages):
    """The addresses under /admin/partners."""

    @property
    def _partners(self) -> Partners:
        return Partners(self._database, who().email)

    @post("/partners")
    def add_partner(self) -> AnyResponse | tuple[str, int]:
        """A new organisation."""
        typed = {name: request.form.get(name, "").strip() for name in _BLANK}
        asked = Organisation(
            name=typed["name"], zuora_account_id=typed["account"], is_invoice_owner=bool(typed["pays"])
        )
        try:
            row = self._partners.add(asked)
        except PartnerRefused as error:
            return self.partners(problem=str(error), typed=typed), 422
        flash(f"{row.name} is a partner now. Next: the people who act for it.")
        return see_other("admin.partner", org_id=row.id)

    @post("/partners/<org_id>/<any(disable,enable):what>")
    def change_partner(self, org_id: str, what: str) -> AnyResponse | str:
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
        return see_other("admin.partner", org_id=org_id)

    @post("/partners/<org_id>/users")
    def add_partner_user(self, org_id: str) -> AnyResponse | tuple[str, int]:
        """One more person who acts for it."""
        email, name = request.form.get("email", "").strip(), request.form.get("name", "").strip()
        try:
            row = self._partners.add_user(org_id, email, name or None)
        except PartnerUnknown as error:
            raise NotFound(str(error)) from None
        except PartnerRefused as error:
            return self.partner(org_id, problem=str(error), typed={"email": email, "name": name}), 422
        flash(f"{row.email} acts for this partner from now on.")
        return see_other("admin.partner", org_id=org_id)

    @post("/partners/<org_id>/users/<user_id>/<any(disable,enable):what>")
    def change_partner_user(self, org_id: str, user_id: str, what: str) -> AnyResponse:
        """Let a person in no more, or again."""
        try:
            row = self._partners.set_user_disabled(org_id, user_id, disabled=what == "disable")
        except PartnerUnknown as error:
            raise NotFound(str(error)) from None
        flash(f"{row.email} is {'disabled' if what == 'disable' else 'enabled again'}.")
        return see_other("admin.partner", org_id=org_id)

    @get("/partners")
    def partners(self, *, problem: str = "", typed: dict[str, str] | None = None) -> str:
        """The list."""
        after = request.args.get("after", "")
        with self._database.reading() as session:
            rows, more = one_page(list_orgs(session, limit=PAGE + 1, after=after if after.isprintable() else ""))
        return render_template(
            "admin/partners.html", rows=rows, more=more, problem=problem, typed=typed or _BLANK, here="admin.partners"
        )

    @get("/partners/<org_id>")
    def partner(self, org_id: str, *, problem: str = "", typed: dict[str, str] | None = None) -> str:
        """One organisation."""
        with self._database.reading() as session:
            row = session.get(PartnerOrgRow, org_id) if org_id.isprintable() else None
            if row is None:
                raise NotFound("There is no such partner organisation.")
            users = list_users(session, org_id)
        return render_template(
            "admin/partner.html", org=row, users=users, problem=problem, typed=typed or {"email": "", "name": ""}
        )
