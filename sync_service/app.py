"""The web application as a flat list of its parts. Here and in the command line the environment is read."""

from __future__ import annotations

import sys
from collections.abc import Callable

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from sync_service.access.captcha import CaptchaVerifier
from sync_service.access.cipher import keep_secret_key
from sync_service.access.clients import ClientDirectory
from sync_service.access.partner_login import PartnerLogin
from sync_service.access.sign_on.provider import OpenidProvider, client_for_admins, client_for_partners
from sync_service.access.throttle import Throttle
from sync_service.access.tokens import AccessTokens
from sync_service.errors import SchemaOutdated, SettingsInvalid
from sync_service.partner.baskets import Baskets
from sync_service.partner.orders import PartnerOrders
from sync_service.queue.limit import Share
from sync_service.queue.status.heartbeats import Heartbeat, ProcessRole
from sync_service.settings import Settings
from sync_service.settings.environment import read_environment
from sync_service.store.engine import Database, connect
from sync_service.store.schema import check_schema
from sync_service.telemetry.log import logger, set_up
from sync_service.telemetry.traces import start_tracing
from sync_service.web.admin.blueprint import admin_blueprint
from sync_service.web.answers import FLASK_LIMIT, set_up_answers, trace_requests
from sync_service.web.auth import BearerAuth, SyncAuth
from sync_service.web.callouts import KeyConverter, SyncEndpoint, sync_blueprint
from sync_service.web.customer_invoices import invoices_blueprint
from sync_service.web.gunicorn_conf import threads as web_threads
from sync_service.web.health import health_blueprint
from sync_service.web.limio_objects import objects_blueprint
from sync_service.web.oauth import oauth_blueprint
from sync_service.web.openapi import openapi_blueprint
from sync_service.web.orders import OrderIntake, orders_blueprint
from sync_service.web.partner.auth import PartnerAuth, PersonTokens, partner_tokens_blueprint
from sync_service.web.partner.checkout import checkout_blueprint, partner_orders_blueprint, purchase_blueprint
from sync_service.web.partner.management import management_blueprint
from sync_service.web.partner.objects import partner_objects_blueprint
from sync_service.web.partner.portal.blueprint import portal_blueprint
from sync_service.web.rate import Rate
from sync_service.web.senders import NotedSenders, Senders
from sync_service.web.waiting import Questions, ResultWaiter

#: gunicorn's "worker failed to boot": it stops instead of trying again.
_BOOT_ERROR = 3


def create_app(
    settings: Settings,
    database: Database,
    *,
    threads: int = web_threads,
    check: Callable[[Database], None] = check_schema,
) -> Flask:
    """The application on `database`, for a process of so many `threads`; `check` is what readiness means."""
    app = Flask("sync_service.web")
    app.config["MAX_CONTENT_LENGTH"] = FLASK_LIMIT
    app.config["SECRET_KEY"] = settings.secret_key or None
    app.config["SECRET_KEY_FALLBACKS"] = list(settings.secret_keys[1:])
    app.config.update(SESSION_COOKIE_PATH="/admin", SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_NAME="sync_notes")
    app.config["SESSION_COOKIE_SECURE"] = settings.public_url.startswith("https://")
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask types the provider by its interface
    app.url_map.strict_slashes = False  # Zuora follows no redirect, so none is ever made
    app.url_map.merge_slashes = False
    app.url_map.converters["key"] = KeyConverter

    tokens = AccessTokens(settings.secret_keys, settings.public_url)
    clients = ClientDirectory(database)
    bearer = BearerAuth(tokens, clients, Rate(database))
    waiter = ResultWaiter(database, threads=threads)
    endpoint = SyncEndpoint(settings, database, SyncAuth(settings, bearer), waiter)
    intake = OrderIntake(settings, database, waiter)
    auth = PartnerAuth(bearer)
    partner_orders = PartnerOrders(database, settings)
    senders = Senders((), settings.trusted_proxies)
    share = Share.of(settings)

    app.wsgi_app = NotedSenders(app.wsgi_app, senders)  # type: ignore[method-assign]  # Flask's own way to wrap
    set_up_answers(app, secure=settings.public_url.startswith("https://"))
    app.register_blueprint(sync_blueprint(endpoint, bearer))
    app.register_blueprint(orders_blueprint(intake, bearer))
    app.register_blueprint(oauth_blueprint(tokens, clients, Throttle(database), senders))
    app.register_blueprint(objects_blueprint(database, bearer))
    baskets = Baskets(database, settings)
    captcha = CaptchaVerifier(settings) if settings.captcha_secret else None
    app.register_blueprint(checkout_blueprint(baskets, auth, senders, captcha))
    app.register_blueprint(purchase_blueprint(baskets, partner_orders, auth))
    app.register_blueprint(partner_orders_blueprint(partner_orders, auth, intake))
    app.register_blueprint(management_blueprint(database, bearer))
    questions = Questions(database, waiter, most_seconds=settings.wait_limit_seconds)
    app.register_blueprint(invoices_blueprint(database, questions, bearer))
    app.register_blueprint(partner_objects_blueprint(database, questions, auth))
    provider = OpenidProvider(client_for_partners(settings)) if settings.partner_oidc_issuer else None
    login = PartnerLogin(settings, database)
    app.register_blueprint(partner_tokens_blueprint(PersonTokens(database, tokens, login, provider, senders)))
    app.register_blueprint(portal_blueprint(settings, database, questions, login, provider))
    app.register_blueprint(health_blueprint(database, share, check, metrics_token=settings.metrics_token))
    app.register_blueprint(openapi_blueprint(settings.public_url))
    app.register_blueprint(
        admin_blueprint(
            settings, database, OpenidProvider(client_for_admins(settings)) if settings.oidc_issuer else None, questions
        )
    )
    return app


def create_wsgi() -> Flask:
    """The application that the environment describes, for gunicorn. Refuses to start where it could not work."""
    try:
        settings = keep_secret_key(read_environment())
        set_up(settings.log_format)
        is_traced = start_tracing(settings.otel_exporter_otlp_endpoint, ProcessRole.WEB)
        database = connect(settings.database_url, pool_size=web_threads + 2)
        _check_at_start(database)
    except (SettingsInvalid, SchemaOutdated) as error:
        print(f"Cannot start: {error}", file=sys.stderr)
        sys.exit(_BOOT_ERROR)
    Heartbeat(database, ProcessRole.WEB).beat_beside()
    app = create_app(settings, database)
    if is_traced:
        trace_requests(app)
    return app


def _check_at_start(database: Database) -> None:
    """A schema that is too old is refused; a database that is away just now is waited for, with 503 meanwhile."""
    try:
        check_schema(database)
    except SQLAlchemyError as error:
        logger().error("database_unavailable", at="start", error=type(error).__name__)
