"""What this service is: the start page, our HTTP interface as OpenAPI 3.1, and a page that shows it.

The document is `openapi.json` beside this module; tests hold it against the routes and what they answer.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, render_template, request

from sync_service import __version__
from sync_service.web.answers import answer
from sync_service.web.rate import MAX_A_MINUTE

_DOCUMENT = Path(__file__).with_name("openapi.json")


#: What every address may answer that takes an API client's token.
_TOO_OFTEN = {
    "description": f"An API client: more than {MAX_A_MINUTE} requests a minute; `Retry-After` says when to come back.",
    "headers": {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}},
}


def describe(public_url: str) -> dict[str, Any]:
    """The OpenAPI document of this release, served at `public_url`, which may be empty."""
    document: dict[str, Any] = json.loads(_DOCUMENT.read_text(encoding="utf-8"))
    info = {**document["info"], "version": __version__}
    for methods in document["paths"].values():
        for operation in methods.values():
            if any("bearer" in way for way in operation.get("security", ())):
                operation["responses"].setdefault("429", _TOO_OFTEN)
    return {**document, "info": info, "servers": [{"url": public_url.rstrip("/") or "/"}]}


def openapi_blueprint(public_url: str) -> Blueprint:
    """`/`, `/openapi.json` and `/docs`."""
    blueprint = Blueprint("openapi", __name__)
    document = describe(public_url)
    about = document["info"]["description"]

    @blueprint.get("/")
    def start() -> Response | str:
        ways = {"docs": "/docs", "openapi": "/openapi.json", "admin": "/admin", "ready": "/readyz"}
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return render_template("start.html", document=document)
        return answer(200, {"service": "sync-service", "version": __version__, "about": about, **ways})

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return answer(200, document)

    @blueprint.get("/docs")
    def docs() -> str:
        return render_template("docs.html", document=document, look_up=partial(_look_up, document))

    return blueprint


def _look_up(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """`part` itself, or the component that it refers to."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = document["components"][kind][name]
    return found
