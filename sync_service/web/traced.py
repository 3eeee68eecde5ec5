"""Each request as a span, where traces are on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, request

from sync_service.telemetry.traces import Side, rename, span, tell

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
