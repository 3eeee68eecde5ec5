"""Styles and scripts of the pages: one folder, under an address that changes with what is in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Blueprint, Response, send_from_directory, url_for

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
