"""The admin pages put together: the guard in front, the pages, their words, and their errors."""

from __future__ import annotations

from flask import Blueprint

from sync_service import __version__
from sync_service.access.cipher import TextCipher
from sync_service.access.sign_on.attempts import Provider
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.admin import (
    customer_pages,
    entry_pages,
    frame,
    history_pages,
    inbox_pages,
    invoice_pages,
    job_pages,
    manual,
    notification_pages,
    orders_pages,
    overview,
    partner_pages,
    progress,
    search_pages,
    subscription_pages,
    upkeep,
    webhook_pages,
    words,
)
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.differences import difference
from sync_service.web.admin.guard import AdminGuard, Handover
from sync_service.web.admin.login import AccountPage, AdminEntry, LoginPage, PasswordCheck
from sync_service.web.admin.progress import STEPS
from sync_service.web.admin.user_pages import UsersPage
from sync_service.web.page_parts import attach_assets, attach_problems
from sync_service.web.sign_on import SignOn
from sync_service.web.waiting import Questions


def admin_blueprint(
    settings: Settings, database: Database, provider: Provider | None, questions: Questions
) -> Blueprint:
    """Everything under /admin; `provider`: whom people may sign in with.

    Browsers come here and Zuora never does, so that redirects are fine.
    """
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")
    context = PageContext(settings=settings, database=database, cipher=TextCipher(settings.secret_keys))
    guard = AdminGuard(
        database,
        settings.secret_keys,
        secure=settings.public_url.startswith("https://"),
        passwords=settings.password_login,
    )
    guard.attach(blueprint)
    frame.attach(blueprint, settings, database, guard)
    handover = _add_people(blueprint, settings, database, guard, provider)
    for part in (
        overview,
        search_pages,
        subscription_pages,
        progress,
        customer_pages,
        entry_pages,
        history_pages,
        inbox_pages,
        notification_pages,
        job_pages,
        orders_pages,
        partner_pages,
    ):
        part.attach(blueprint, context)
    invoice_pages.attach(blueprint, context, questions)
    upkeep.attach(blueprint, context, handover)
    webhook_pages.attach(blueprint, context, handover)
    manual.attach(blueprint)
    attach_assets(blueprint)
    _add_words(blueprint)
    attach_problems(blueprint, "admin/problem.html")
    return blueprint


def _add_people(
    blueprint: Blueprint, settings: Settings, database: Database, guard: AdminGuard, provider: Provider | None
) -> Handover:
    """The ways in, and the pages about people; what hands them secrets."""
    passwords, name = settings.password_login, settings.oidc_name if provider else ""
    check = PasswordCheck(settings, database)
    LoginPage(guard, check, passwords=passwords, provider=name).attach(blueprint)
    if provider is not None:
        SignOn(settings, database, AdminEntry(settings, database, guard), provider).attach(blueprint)
    AccountPage(database, guard, check, passwords=passwords).attach(blueprint)
    decides = provider is not None and bool(settings.oidc_role_claim)
    handover = Handover(settings.secret_keys, guard)
    UsersPage(database, handover, passwords=passwords, provider=name, provider_decides=decides).attach(blueprint)
    return handover


def _add_words(blueprint: Blueprint) -> None:
    for name in (
        "moment",
        "exact_moment",
        "short",
        "instant",
        "day",
        "money",
        "span",
        "badge",
        "trigger",
        "remedy",
        "cut",
        "isolated",
        "advice",
        "facts",
    ):
        blueprint.add_app_template_filter(getattr(words, name), f"admin_{name}")
    blueprint.add_app_template_filter(difference, "admin_difference")
    known = {"version": __version__, "steps": STEPS}
    blueprint.context_processor(lambda: {**known, "progress_address": subscription_pages.progress_address})
