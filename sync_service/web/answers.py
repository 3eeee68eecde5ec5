"""What every answer has: JSON for errors, headers that keep browsers careful, and 503 when nothing can commit."""

from __future__ import annotations

import traceback
from typing import Any

from flask import Flask, Response, jsonify, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from sync_service.log import logger

#: After how many seconds to try again when the database could not commit.
RETRY_SECONDS = 5

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}


def answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; its type is the bare `application/json`, the only one that Zuora promises to parse."""
    response = jsonify(body)
    response.status_code = status
    response.headers.update(headers or {})
    return response


def set_up_answers(app: Flask, *, secure: bool) -> None:
    """Errors as JSON and careful headers for all of `app`; `secure`: the world reaches us over https only."""
    app.register_error_handler(HTTPException, _say_http_error)
    app.register_error_handler(SQLAlchemyError, _say_no_commit)
    app.register_error_handler(TimeoutError, _say_no_commit)
    app.register_error_handler(Exception, _say_crash)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
        if secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return response


def _say_http_error(error: HTTPException) -> Response:
    """The error as JSON with the headers that belong to it: Allow, WWW-Authenticate, Retry-After."""
    response = answer(error.code or 500, {"message": error.description or error.name})
    for name, value in error.get_response().headers.items():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _say_no_commit(error: Exception) -> Response:
    """Nothing was made durable, so nothing is acknowledged: Zuora retries a 503."""
    # The error's own text may hold the values of the statement: its type says enough.
    cause = getattr(error, "orig", None) or error
    logger().error("database_unavailable", path=request.path, error=type(cause).__name__)
    text = "The database cannot commit just now; nothing was accepted. Please try again."
    return answer(503, {"message": text}, {"Retry-After": str(RETRY_SECONDS)})


def _say_crash(error: Exception) -> Response:
    where = "".join(traceback.format_tb(error.__traceback__)[-6:])
    logger().error("request_crashed", path=request.path, error=type(error).__name__, where=where)
    return answer(500, {"message": "Something went wrong on our side; it is in the log."})
