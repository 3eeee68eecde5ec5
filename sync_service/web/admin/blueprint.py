"""The admin pages put together: the door in front, the pages, their words, and their errors."""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path

from flask import Blueprint, Response, make_response, render_template, request, send_from_directory, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, NotFound

from sync_service import __version__
from sync_service.access.hashing import HashingBusy
from sync_service.access.sealing import Seal
from sync_service.access.sign_on.attempts import Provider
from sync_service.log import logger
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.admin import (
    asking,
    customers,
    entry_pages,
    history_pages,
    job_pages,
    overview,
    subscriptions,
    troubles,
    upkeep,
    words,
)
from sync_service.web.admin.account import AccountPage
from sync_service.web.admin.desk import Desk
from sync_service.web.admin.differences import difference
from sync_service.web.admin.door import Door
from sync_service.web.admin.handover import Handover
from sync_service.web.admin.login import LoginPage, PasswordCheck
from sync_service.web.admin.progress import STEPS
from sync_service.web.admin.sign_on import SignOn
from sync_service.web.admin.users import UsersPage

_ASSETS = Path(__file__).parent.parent / "static" / "admin"
_FOREVER = "public, max-age=31536000, immutable"
_AWAY = "The database does not answer just now. Nothing was changed; please try again in a moment."
_PAGES = (
    ("admin.overview", "Overview"),
    ("admin.subscriptions", "Subscriptions"),
    ("admin.history", "History"),
    ("admin.failed", "Failed"),
    ("admin.held", "Held"),
    ("admin.jobs", "Sweeps and backfills"),
    ("admin.clients", "API clients"),
    ("admin.users", "Users"),
    ("admin.settings", "Settings and checks"),
)


def admin_blueprint(settings: Settings, database: Database, provider: Provider | None) -> Blueprint:
    """Everything under /admin; `provider`: whom people may sign in with.

    Browsers come here and Zuora never does, so that redirects are fine.
    """
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")
    desk = Desk(settings=settings, database=database, seal=Seal(settings.secret_key))
    handover = _add_people(blueprint, settings, database, provider)
    for part in (overview, subscriptions, asking, customers, entry_pages, history_pages, troubles, job_pages):
        part.attach(blueprint, desk)
    upkeep.attach(blueprint, desk, handover)
    _add_assets(blueprint)
    _add_words(blueprint)
    _add_errors(blueprint)
    return blueprint


def _add_people(blueprint: Blueprint, settings: Settings, database: Database, provider: Provider | None) -> Handover:
    """The check of every request, the ways in, and the pages about people; what hands them secrets."""
    passwords, name = settings.password_login, settings.oidc_name if provider else ""
    secure = settings.public_url.startswith("https://")
    door = Door(database, settings.secret_key, secure=secure, passwords=passwords)
    check = PasswordCheck(settings, database)
    door.attach(blueprint)
    LoginPage(door, check, passwords=passwords, provider=name).attach(blueprint)
    if provider is not None:
        SignOn(settings, database, door, provider).attach(blueprint)
    AccountPage(database, door, check, passwords=passwords).attach(blueprint)
    decides = provider is not None and bool(settings.oidc_role_claim)
    handover = Handover(settings.secret_key, door)
    UsersPage(database, handover, passwords=passwords, provider=name, provider_decides=decides).attach(blueprint)
    return handover


def _add_assets(blueprint: Blueprint) -> None:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_ASSETS.iterdir()))).hexdigest()[:12]

    @blueprint.get("/assets/<version>/<path:name>")
    def asset(version: str, name: str) -> Response:
        answer = send_from_directory(_ASSETS, name)
        answer.headers["Cache-Control"] = _FOREVER if version == digest else "no-cache"
        return answer

    blueprint.context_processor(lambda: {"asset": lambda name: url_for("admin.asset", version=digest, name=name)})


def _add_words(blueprint: Blueprint) -> None:
    for name in (
        "moment",
        "instant",
        "day",
        "money",
        "span",
        "badge",
        "trigger",
        "remedy",
        "cut",
        "isolated",
        "facts",
    ):
        blueprint.add_app_template_filter(getattr(words, name), f"admin_{name}")
    blueprint.add_app_template_filter(difference, "admin_difference")
    known = {"pages": _PAGES, "version": __version__, "steps": STEPS}
    blueprint.context_processor(lambda: {**known, "progress_address": subscriptions.progress_address})


def _add_errors(blueprint: Blueprint) -> None:
    @blueprint.route("/<path:_rest>", methods=["GET", "POST"])
    def nowhere(_rest: str) -> str:
        raise NotFound("There is no such page.")

    @blueprint.errorhandler(HTTPException)
    def say_http_error(error: HTTPException) -> Response:
        return _say(error.code or 500, error.name, error.description or "")

    blueprint.register_error_handler(Exception, _say_crash)
    blueprint.register_error_handler(HashingBusy, _say_busy)

    @blueprint.errorhandler(SQLAlchemyError)
    @blueprint.errorhandler(TimeoutError)
    def say_away(error: Exception) -> Response:
        logger().error("database_unavailable", path=request.path, error=type(getattr(error, "orig", error)).__name__)
        answer = _say(503, "Not just now", _AWAY)
        answer.headers["Retry-After"] = "5"
        return answer


def _say_busy(error: HashingBusy) -> Response:
    answer = _say(503, "Not just now", str(error))
    answer.headers["Retry-After"] = "1"
    return answer


def _say_crash(error: Exception) -> Response:
    where = "".join(traceback.format_tb(error.__traceback__)[-6:])
    logger().error("request_crashed", path=request.path, error=type(error).__name__, where=where)
    return _say(500, "Something went wrong", "The fault is on our side; it is in the log.")


def _say(status: int, title: str, text: str) -> Response:
    if request.headers.get("Accept", "").startswith("application/json"):
        return make_response({"message": text}, status)
    return make_response(render_template("admin/problem.html", title=title, text=text, status=status), status)
