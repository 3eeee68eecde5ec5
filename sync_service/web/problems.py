"""What people at a browser are told where something is wrong, and JSON for the scripts of the same pages."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from flask import Blueprint, Response, make_response, render_template, request
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
