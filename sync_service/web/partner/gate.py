"""Who comes in at the partner's addresses, and what all of their answers have in common."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from sync_service.access.clients import PARTNER_SCOPE
from sync_service.access.partner_scope import NoPartner, PartnerScope, scope_of_client
from sync_service.web.auth import BearerGate, NotLetIn


class PartnerGate:
    """Lets in who holds a token of ours with the scope `partner` and the claim of an organisation."""

    def __init__(self, bearer: BearerGate) -> None:
        self._bearer = bearer

    def guard(self, blueprint: Blueprint) -> None:
        """Admit only partners at the addresses of `blueprint`, and let no cache on the way keep an answer."""
        blueprint.before_request(self._admit)
        blueprint.after_request(_keep_private)

    def _admit(self) -> None:
        client = self._bearer.admit(request, PARTNER_SCOPE)
        try:
            g.partner_scope = scope_of_client(client)
        except NoPartner as error:
            text = str(error)
            raise NotLetIn(403, text, "Bearer", error="insufficient_scope", error_description=text) from None


def partner_scope() -> PartnerScope:
    """The scope that the gate noted for this request."""
    scope: PartnerScope = g.partner_scope
    return scope


def _keep_private(response: Response) -> Response:
    response.headers["Cache-Control"] = "private, no-store"
    return response
