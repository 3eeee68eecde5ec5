"""What this service is: the start page, our HTTP interface as OpenAPI 3.1, and a page that shows it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, render_template, request

from sync_service import __version__
from sync_service.web.answers import answer
from sync_service.web.openapi_paths import COMPONENTS, PATHS

_ABOUT = (
    "Keeps Limio subscriptions in step with Zuora. Zuora callouts and Workflows, and API clients, name a subscription; "
    "the service reads it from Zuora and writes exactly the difference to the local Limio store."
)


def describe(public_url: str) -> dict[str, Any]:
    """The OpenAPI document; `public_url` may be empty."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Zuora to Limio subscription sync", "version": __version__, "description": _ABOUT},
        "servers": [{"url": public_url.rstrip("/") or "/"}],
        "paths": PATHS,
        "components": COMPONENTS,
    }


def openapi_blueprint(public_url: str) -> Blueprint:
    """`/`, `/openapi.json` and `/docs`."""
    blueprint = Blueprint("openapi", __name__)
    document = describe(public_url)

    @blueprint.get("/")
    def start() -> Response | str:
        ways = {"docs": "/docs", "openapi": "/openapi.json", "admin": "/admin", "ready": "/readyz"}
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return render_template("start.html", document=document)
        return answer(200, {"service": "sync-service", "version": __version__, "about": _ABOUT, **ways})

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return answer(200, document)

    @blueprint.get("/docs")
    def docs() -> str:
        return render_template("docs.html", document=document)

    return blueprint
