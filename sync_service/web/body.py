"""The request's body, within the limit."""

from __future__ import annotations

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

#: A callout carries a key and some hints; larger bodies are refused with 413, in bytes.
LARGEST_BODY = 64 * 1024
#: What Flask is told: one byte more, because werkzeug cuts a chunked body off at its limit without a word.
FLASK_LIMIT = LARGEST_BODY + 1


def read_body(request: Request) -> bytes:
    """The body, however it was sent; read once and remembered. Raises RequestEntityTooLarge."""
    body = request.get_data()
    if len(body) > LARGEST_BODY:
        raise RequestEntityTooLarge("The body is larger than any callout's.")
    return body
