"""What the admin pages and the portal share: styles and scripts, error pages, the page to go on with after a log-in.

Scripts of the pages get errors as JSON. Styles and scripts stand under an address that changes with what is in them.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, render_template, request, send_from_directory, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, NotFound

from sync_service.access.passwords import HashingBusy
from sync_service.telemetry.log import logger

_AWAY = "The database does not answer just now. Nothing was changed; please try again in a moment."


def attach_problems(blueprint: Blueprint, template: str) -> Callable[[int, str, str], Response]:
    """Errors at the addresses of `blueprint` as `template`, which gets a status, a title and a text.

    Returns what shows such a page, for errors of the pages' own.
    """

    def say(status: int, title: str, text: str, retry_after: str | None = None) -> Response:
        if request.headers.get("Accept", "").startswith("application/json"):
            answer = make_response({"message": text}, status)
        else:
            answer = make_response(render_template(template, title=title, text=text, status=status), status)
        if retry_after is not None:
            answer.headers["Retry-After"] = retry_after
        return answer

    @blueprint.route("/<path:_rest>", methods=["GET", "POST"])
    def nowhere(_rest: str) -> str:
        raise NotFound("There is no such page.")

    @blueprint.errorhandler(HTTPException)
    def say_http_error(error: HTTPException) -> Response:
        return say(error.code or 500, error.name, error.description or "")

    @blueprint.errorhandler(HashingBusy)
    def say_busy(error: HashingBusy) -> Response:
        return say(503, "Not just now", str(error), "1")

    @blueprint.errorhandler(SQLAlchemyError)
    @blueprint.errorhandler(TimeoutError)
    def say_away(error: Exception) -> Response:
        logger().error("database_unavailable", path=request.path, error=type(getattr(error, "orig", error)).__name__)
        return say(503, "Not just now", _AWAY, "5")

    @blueprint.errorhandler(Exception)
    def say_crash(error: Exception) -> Response:
        where = "".join(traceback.format_tb(error.__traceback__)[-6:])
        logger().error("request_crashed", path=request.path, error=type(error).__name__, where=where)
        return say(500, "Something went wrong", "The fault is on our side; it is in the log.")

    return say


def next_page(wanted: str | None, folder: str, home: str) -> str:
    """`wanted` where it is an address in `folder`, such as `/admin`; else `home`. Never one elsewhere."""
    if not wanted or "\\" in wanted or not wanted.isprintable() or wanted.startswith("//"):
        return home
    parts = urlsplit(wanted)
    inside = not parts.scheme and not parts.netloc and (parts.path == folder or parts.path.startswith(f"{folder}/"))
    return wanted if inside else home


_FOLDER = Path(__file__).parent / "static" / "admin"
_FOREVER = "public, max-age=31536000, immutable"


def attach_assets(blueprint: Blueprint) -> None:
    """Serve them under `blueprint`, and give its templates `asset(name)`."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_FOLDER.iterdir()))).hexdigest()[:12]

    @blueprint.get("/assets/<version>/<path:name>")
    def asset(version: str, name: str) -> Response:
        answer = send_from_directory(_FOLDER, name)
        answer.headers["Cache-Control"] = _FOREVER if version == digest else "no-cache"
        return answer

    blueprint.context_processor(
        lambda: {"asset": lambda name: url_for(f"{blueprint.name}.asset", version=digest, name=name)}
    )
