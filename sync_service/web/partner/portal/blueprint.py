"""The portal put together: who is there, its pages, and their errors."""

from __future__ import annotations

from flask import Blueprint

from sync_service.access.mail import Mailer
from sync_service.access.partner_codes import CodesByMail, CodeSender, CodesInLog, LoginCodes
from sync_service.access.sealing import Seal
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.assets import attach_assets
from sync_service.web.partner.portal import customers, subscriptions
from sync_service.web.partner.portal.login import LoginPages
from sync_service.web.partner.portal.session import PATH, PortalSessions
from sync_service.web.problems import attach_problems

_PAGES = (("portal.customers", "Customers"),)


def portal_blueprint(settings: Settings, database: Database) -> Blueprint:
    """Everything under /partner, for partners' people at a browser."""
    blueprint = Blueprint("portal", __name__, url_prefix=PATH)
    sessions = PortalSessions(database, settings.secret_keys, secure=settings.public_url.startswith("https://"))
    sessions.attach(blueprint)
    sender = _sender(settings)
    codes = LoginCodes(database, settings.secret_key, sender) if sender else None
    LoginPages(settings, database, sessions, codes=codes, provider="").attach(blueprint)
    customers.attach(blueprint, database, Seal(settings.secret_keys, "portal search"))
    subscriptions.attach(blueprint, settings, database)
    blueprint.context_processor(lambda: {"pages": _PAGES})
    attach_assets(blueprint)
    attach_problems(blueprint, "partner/problem.html")
    return blueprint


def _sender(settings: Settings) -> CodeSender | None:
    """How codes reach people; None where neither a mail server nor the log is set."""
    if settings.partner_code_in_log:
        return CodesInLog()
    if settings.smtp_host:
        return CodesByMail(Mailer(settings), f"{settings.public_url.rstrip('/')}{PATH}" if settings.public_url else "")
    return None
