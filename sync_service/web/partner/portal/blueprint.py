"""The portal put together: who is there, its pages, and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.admission import admit_partner
from sync_service.access.partner_login import PartnerLogin
from sync_service.access.sign_on.attempts import Provider
from sync_service.partner.baskets import Baskets
from sync_service.partner.orders import PartnerOrders
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.page_parts import attach_assets, attach_problems
from sync_service.web.partner.portal.acting import PortalContext, attach_refusals
from sync_service.web.partner.portal.buying import NewOrderPages
from sync_service.web.partner.portal.changes import ChangePages
from sync_service.web.partner.portal.customers import PortalCustomerPages
from sync_service.web.partner.portal.invoices import PortalInvoicePages
from sync_service.web.partner.portal.login import PortalLoginPages
from sync_service.web.partner.portal.order_page import PortalOrderPages
from sync_service.web.partner.portal.session import PATH, PortalSessions
from sync_service.web.sign_on import SignOn
from sync_service.web.waiting import Questions

_PAGES = (("portal.customers", "Customers"), ("portal.new", "New order"), ("portal.invoices", "Invoices"))


def portal_blueprint(
    settings: Settings, database: Database, questions: Questions, login: PartnerLogin, provider: Provider | None
) -> Blueprint:
    """Everything under /partner, for partners' people at a browser."""
    blueprint = Blueprint("portal", __name__, url_prefix=PATH)
    sessions = PortalSessions(database, settings.secret_keys, secure=settings.public_url.startswith("https://"))
    sessions.attach(blueprint)
    name = settings.partner_oidc_name if provider else ""
    PortalLoginPages(settings, sessions, login, provider=name).attach(blueprint)
    if provider is not None:

        def let_in(claims: Mapping[str, Any], wanted: str) -> AnyResponse:
            return sessions.log_in(admit_partner(database, claims), wanted, f"with {name}")

        SignOn(settings, database, sessions, provider, let_in).attach(blueprint)
    baskets, orders = Baskets(database, settings), PartnerOrders(database, settings)
    context = PortalContext(settings=settings, database=database, questions=questions, baskets=baskets, orders=orders)
    for pages in (PortalCustomerPages, PortalOrderPages, ChangePages, NewOrderPages, PortalInvoicePages):
        pages(context).attach(blueprint)
    blueprint.context_processor(lambda: {"pages": _PAGES})
    attach_assets(blueprint)
    attach_refusals(blueprint, attach_problems(blueprint, "partner/problem.html"))
    return blueprint
