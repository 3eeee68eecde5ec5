"""Managing partners over the API: `/api/partner-organisation…` (Limio's partner management API), for our operators."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request
from marshmallow import fields as typed
from marshmallow import post_load

from sync_service.access.clients import PARTNERS_SCOPE, PartnerUnknown
from sync_service.partner.organisations import (
    MAX_ON_A_PAGE,
    Organisation,
    PartnerRefused,
    Partners,
    list_orgs,
    org_document,
    user_document,
)
from sync_service.store.cursors import CursorInvalid, make_cursor, open_cursor
from sync_service.store.engine import Database
from sync_service.web.answers import answer, read_limit
from sync_service.web.auth import BearerAuth
from sync_service.web.partner.bodies import BodyPart, load

DEFAULT_LIMIT = 20


class _Bool(typed.Boolean):
    """true or false, and no word for them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return value


class OrganisationSchema(BodyPart):
    """The body of an organisation; what we do not know is left alone."""

    name = typed.String(required=True)
    zuora_account_id = typed.String(required=True, data_key="zuoraAccountId")
    is_invoice_owner = _Bool(required=True, data_key="isZuoraInvoiceOwner")
    salesforce_account_id = typed.String(data_key="salesforceAccountId", allow_none=True, load_default=None)
    logo = typed.String(allow_none=True, load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Organisation:
        """The value."""
        return Organisation(**data)


class UserSchema(BodyPart):
    """The body of a partner's user."""

    email = typed.String(required=True)
    name = typed.String(allow_none=True, load_default=None)


def management_blueprint(database: Database, bearer: BearerAuth) -> Blueprint:
    """Organisations and users: make, list, change, disable."""
    blueprint = Blueprint("partner_management", __name__, url_prefix="/api")

    @blueprint.before_request
    def admit() -> None:
        g.partners = Partners(database, f"client {bearer.admit(request, PARTNERS_SCOPE).name}")

    @blueprint.get("/partner-organisations")
    def organisations() -> Response:
        limit, query_more = read_limit(DEFAULT_LIMIT, MAX_ON_A_PAGE), request.args.get("queryMore")
        after = open_cursor("partner_org", query_more) if query_more else ""
        with database.reading() as session:
            rows = list_orgs(session, limit=limit + 1, after=after)
        more = {"queryMore": make_cursor("partner_org", rows[limit - 1].id)} if len(rows) > limit else {}
        return answer(200, {"items": [org_document(row) for row in rows[:limit]], **more})

    @blueprint.post("/partner-organisation")
    def add() -> Response:
        return answer(200, org_document(_partners().add(load(OrganisationSchema()))))

    @blueprint.put("/partner-organisation/<org_id>")
    def change(org_id: str) -> Response:
        return answer(200, org_document(_partners().change(org_id, load(OrganisationSchema()))))

    @blueprint.delete("/partner-organisation/<org_id>")
    def disable(org_id: str) -> Response:
        return answer(200, org_document(_partners().set_disabled(org_id, disabled=True)))

    @blueprint.post("/partner-organisation/<org_id>")
    def add_user(org_id: str) -> Response:
        given = load(UserSchema())
        return answer(200, user_document(_partners().add_user(org_id, given["email"], given["name"])))

    @blueprint.delete("/partner-organisation/<org_id>/<user_id>")
    def disable_user(org_id: str, user_id: str) -> Response:
        return answer(200, user_document(_partners().set_user_disabled(org_id, user_id, disabled=True)))

    @blueprint.errorhandler(PartnerUnknown)
    def unknown(error: PartnerUnknown) -> Response:
        return answer(404, {"message": str(error)})

    @blueprint.errorhandler(PartnerRefused)
    @blueprint.errorhandler(CursorInvalid)
    def refuse(error: Exception) -> Response:
        return answer(400, {"message": str(error)})

    return blueprint


def _partners() -> Partners:
    partners: Partners = g.partners
    return partners
