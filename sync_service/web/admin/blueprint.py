"""The admin pages put together: the guard in front, the pages, their words, and their errors."""

from __future__ import annotations

from flask import Blueprint

from sync_service import __version__
from sync_service.access.cipher import TextCipher
from sync_service.access.sign_on.attempts import Provider
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.admin import entry_pages, frame, manual, orders_pages, overview, progress, search_pages, words
from sync_service.web.admin.account_pages import AccountPages
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.customer_pages import CustomerPages
from sync_service.web.admin.differences import difference
from sync_service.web.admin.guard import AdminGuard, Handover
from sync_service.web.admin.history_pages import HistoryPages
from sync_service.web.admin.inbox_pages import InboxPages
from sync_service.web.admin.invoice_pages import InvoicePages
from sync_service.web.admin.job_pages import JobPages
from sync_service.web.admin.login import AdminSignOn, LoginPages, PasswordCheck
from sync_service.web.admin.partner_pages import PartnerPages
from sync_service.web.admin.service_pages import UpkeepPages
from sync_service.web.admin.subscription_pages import SubscriptionPages, progress_address
from sync_service.web.admin.user_pages import UserPages
from sync_service.web.admin.webhook_pages import WebhookPages
from sync_service.web.page_parts import attach_assets, attach_problems
from sync_service.web.sign_on import SignOn
from sync_service.web.waiting import Questions

_PAGES = (
    *(SubscriptionPages, CustomerPages, HistoryPages, InboxPages, JobPages, PartnerPages, InvoicePages),
    *(UpkeepPages, UserPages, WebhookPages),
)
#: Filters of templates, each a function of `words`; there they begin with `admin_`.
_WORDS = (
    *("moment", "exact_moment", "short", "instant", "day", "money", "span", "badge", "trigger", "remedy", "cut"),
    *("isolated", "advice", "facts"),
)


def admin_blueprint(
    settings: Settings, database: Database, provider: Provider | None, questions: Questions
) -> Blueprint:
    """Everything under /admin; `provider`: whom people may sign in with.

    Browsers come here and Zuora never does, so that redirects are fine.
    """
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")
    passwords, keys = settings.password_login, settings.secret_keys
    guard = AdminGuard(database, keys, secure=settings.public_url.startswith("https://"), passwords=passwords)
    guard.attach(blueprint)
    frame.attach(blueprint, settings, database, guard)
    name = settings.oidc_name if provider else ""
    context = PageContext(
        settings=settings,
        database=database,
        cipher=TextCipher(keys),
        questions=questions,
        handover=Handover(keys, guard),
        provider=name,
    )
    check = PasswordCheck(settings, database)
    LoginPages(guard, check, passwords=passwords, provider=name).attach(blueprint)
    if provider is not None:
        SignOn(settings, database, guard, provider, AdminSignOn(settings, database, guard).let_in).attach(blueprint)
    AccountPages(context, guard, check).attach(blueprint)
    for pages in _PAGES:
        pages(context).attach(blueprint)
    for part in (overview, search_pages, progress, entry_pages, orders_pages):
        part.attach(blueprint, context)
    manual.attach(blueprint)
    attach_assets(blueprint)
    for word in _WORDS:
        blueprint.add_app_template_filter(getattr(words, word), f"admin_{word}")
    blueprint.add_app_template_filter(difference, "admin_difference")
    known = {"version": __version__, "steps": progress.STEPS, "progress_address": progress_address}
    blueprint.context_processor(lambda: known)
    attach_problems(blueprint, "admin/problem.html")
    return blueprint
