"""What every answer has: JSON for errors, careful headers, 503 when nothing can commit, a span where traces are on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, current_app, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from sync_service.access.passwords import HashingBusy
from sync_service.store.cursors import ObjectPage
from sync_service.telemetry.log import logger
from sync_service.telemetry.traces import Side, rename, span, tell

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: A callout carries a key and some hints; larger bodies are refused with 413, in bytes.
LARGEST_BODY = 64 * 1024
#: What Flask is told: one byte more, because werkzeug cuts a chunked body off at its limit without a word.
FLASK_LIMIT = LARGEST_BODY + 1
_TOO_LARGE = f"The body is too large: no address takes more than {LARGEST_BODY // 1024} KiB."


def read_body(request: Request) -> bytes:
    """The body, however it was sent; read once and remembered. Raises RequestEntityTooLarge."""
    body = request.get_data()
    if len(body) > LARGEST_BODY:
        raise RequestEntityTooLarge(_TOO_LARGE)
    return body


#: After how many seconds to try again when the database could not commit.
RETRY_SECONDS = 5

#: What a page may load, and from where: nothing inline, and nothing of other hosts.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}


#: For addresses that machines call; Werkzeug's own words are for people at a browser.
_PLAIN = {
    404: "There is nothing at this address; /docs lists all.",
    405: "This address does not take this method; the Allow header says which it takes.",
    413: _TOO_LARGE,
}


def answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; its type is the bare `application/json`, the only one that Zuora promises to parse."""
    said = {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}
    return Response(f"{current_app.json.dumps(body, separators=(',', ':'))}\n", status, said)


def answer_page(page: ObjectPage, **more: Any) -> Response:
    """Some objects, and where there are more what to ask for them with."""
    following = {} if page.query_more is None else {"queryMore": page.query_more}
    return answer(200, {"items": list(page.items), **more, **following})


def set_up_answers(app: Flask, *, secure: bool) -> None:
    """Errors as JSON and careful headers for all of `app`; `secure`: the world reaches us over https only."""
    app.register_error_handler(HTTPException, _say_http_error)
    app.register_error_handler(SQLAlchemyError, _say_no_commit)
    app.register_error_handler(HashingBusy, _say_busy)
    app.register_error_handler(TimeoutError, _say_no_commit)
    app.register_error_handler(Exception, _say_crash)
    always = [*_HEADERS.items(), *([("Strict-Transport-Security", "max-age=31536000")] if secure else [])]
    app.wsgi_app = _WithHeaders(app.wsgi_app, always)  # type: ignore[method-assign]  # Flask's own way to wrap
    app.session_interface = _SessionsWhereTheyAre()


class _WithHeaders:
    """Adds headers that hardly ever differ. Around the application, because callouts pass here by the thousand."""

    def __init__(self, inner: WSGIApplication, headers: list[tuple[str, str]]) -> None:
        self._inner = inner
        self._headers = headers

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            own = {name for name, _ in headers}
            always = [each for each in self._headers if each[0] not in own]
            return start_response(status, [*headers, *always], exc_info)

        return self._inner(environ, start)


class _SessionsWhereTheyAre(SecureCookieSessionInterface):
    """Flask's sessions, without setting up a signature for requests that carry none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of the cookie; an empty one without a cookie."""
        if app.secret_key and (
            "HTTP_COOKIE" not in request.environ or self.get_cookie_name(app) not in request.cookies
        ):
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Nothing where nothing looked at it: callouts have none."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)


def _say_http_error(error: HTTPException) -> Response:
    """The error as JSON with the headers that belong to it: Allow, WWW-Authenticate, Retry-After."""
    said = _PLAIN.get(error.code or 500) if error.description == type(error).description else None
    response = answer(error.code or 500, {"message": said or error.description or error.name})
    for name, value in error.get_response().headers.items():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def log_no_commit(error: Exception) -> None:
    """Note that the database did not answer; the error's own text may hold values of the statement."""
    cause = getattr(error, "orig", None) or error
    logger().error("database_unavailable", path=request.path, error=type(cause).__name__)


def log_crash(error: Exception) -> None:
    """Note a fault of ours, and where it is."""
    where = "".join(traceback.format_tb(error.__traceback__)[-6:])
    logger().error("request_crashed", path=request.path, error=type(error).__name__, where=where)


def _say_no_commit(error: Exception) -> Response:
    """Nothing was made durable, so nothing is acknowledged: Zuora retries a 503."""
    log_no_commit(error)
    text = "The database cannot commit just now; nothing was accepted. Please try again."
    return answer(503, {"message": text}, {"Retry-After": str(RETRY_SECONDS)})


def _say_busy(error: HashingBusy) -> Response:
    return answer(503, {"message": str(error)}, {"Retry-After": "1"})


def _say_crash(error: Exception) -> Response:
    log_crash(error)
    return answer(500, {"message": "Something went wrong on our side; it is in the log."})


def read_limit(default: int, most: int, name: str = "limit") -> int:
    """How many items the caller wants by the parameter `name`, from 1 to `most`. Raises BadRequest."""
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most):
        raise BadRequest(f"{name} must be a number from 1 to {most}.")
    return int(text)


#: Asked every few seconds by those who watch; nothing goes on from there.
_PROBES = ("/healthz", "/readyz", "/metrics")


def trace_requests(app: Flask) -> None:
    """A span for each request that `app` serves, called by its method and rule: no key of an address is in it."""
    app.wsgi_app = _Traced(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way to wrap
    app.before_request(_name_span)


class _Traced:
    def __init__(self, inner: WSGIApplication) -> None:
        self._inner = inner

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            tell({"http.response.status_code": int(status[:3])})
            return start_response(status, headers, exc_info)

        if environ.get("PATH_INFO") in _PROBES:
            return self._inner(environ, start_response)
        with span(environ["REQUEST_METHOD"], Side.SERVER):
            return self._inner(environ, start)


def _name_span() -> None:
    if request.url_rule is not None:
        rename(f"{request.method} {request.url_rule.rule}")
        tell({"http.request.method": request.method, "http.route": request.url_rule.rule})
