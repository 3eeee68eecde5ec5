"""Secrets shown once: made by a form, shown by the page that the form leads to, gone when that page is reloaded.

The secret travels in a cookie that only we can read, because the answer to a form must be a redirect: reloading the
answer itself would send the form again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from flask import after_this_request, redirect, request, url_for
from werkzeug.wrappers import Response

from sync_service.access.cipher import TextCipher
from sync_service.web.admin.guard import AdminGuard, who

COOKIE = "sync_handover"
#: How long the browser has to follow the redirect, and how long the page remembers that it showed the secret.
_FOLLOW_SECONDS, _REMEMBER_SECONDS = 60, 600


@dataclass(frozen=True)
class ShownSecret:
    """What a page shows: whose secret, and the secret; None if it was shown already."""

    name: str
    secret: str | None


class Handover:
    """Hands secrets to the person who made them."""

    def __init__(self, secret_keys: tuple[str, ...], guard: AdminGuard) -> None:
        self._cipher = TextCipher(secret_keys, "shown once", longest=1000)
        self._guard = guard

    def lead_to(self, page: str, name: str, secret: str) -> Response:
        """Redirect to `page`, which shows the secret of `name`."""
        answer = redirect(url_for(page), 303)
        self._keep(answer, page, name, secret, _FOLLOW_SECONDS)
        return answer

    def take(self, page: str) -> ShownSecret | None:
        """What `page` has to show to this person, once; afterwards that it was shown."""
        sealed = request.cookies.get(COOKIE, "")
        try:
            kept = json.loads(self._cipher.decrypt(sealed)) if sealed else {}
        except ValueError:
            return None
        if kept.get("page") != page or kept.get("person") != who().email:
            return None
        if kept["secret"] is not None:

            @after_this_request
            def forget(answer: Response) -> Response:
                self._keep(answer, page, kept["name"], None, _REMEMBER_SECONDS)
                return answer

        return ShownSecret(kept["name"], kept["secret"])

    def _keep(self, answer: Response, page: str, name: str, secret: str | None, seconds: int) -> None:
        text = json.dumps({"page": page, "person": who().email, "name": name, "secret": secret})
        self._guard.set_cookie(answer, COOKIE, self._cipher.encrypt(text), seconds=seconds)
