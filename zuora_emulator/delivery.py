"""One callout and one attempt to deliver it, by Zuora's rules of what is success and what is tried again.

Sources: "Callout notification overview" and "Callout template overview" of Zuora's documentation. The first request of
an attempt carries no credentials unless they are preemptive; only 200 is success; tried again are 1xx, 403, 408, 429,
5xx and what never got an answer; no redirect is followed.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import requests

from zuora_emulator.answers import Json

#: What Zuora's own history has for a request that got no answer, and for a body that is no JSON: any negative number.
NO_CONNECTION, TIMED_OUT, BROKEN_BODY = -1, -2, -2000
_STORED_BYTES = 60_000
_SIGNED = re.compile(r"\{\{Request\.(Body|Headers\.[\w-]+)\}\}")


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where callouts go and how; an empty `url` sends none. The defaults are Zuora's."""

    url: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    #: Send credentials with the first request.
    preemptive: bool = False
    #: Confirm success by parsing the response: 200 alone is not enough, the JSON must say success.
    parse_response: bool = True
    max_attempts: int = 3
    interval_seconds: float = 1800.0
    retriable: bool = True
    connect_seconds: float = 10.0
    transfer_seconds: float = 15.0
    #: The share that is never sent, as happens to real ones.
    drop_rate: float = 0.0
    #: The share that is sent twice, as by a second notification definition.
    duplicate_rate: float = 0.0
    #: How long after the change a callout leaves.
    delay_seconds: float = 0.0
    #: Custom events of the tenant's: edits of accounts and contacts send a callout for the account.
    account_events: bool = False
    #: Headers of the template, such as a shared secret.
    headers: Mapping[str, str] = field(default_factory=dict)
    hmac_secret: str = field(default="", repr=False)
    hmac_header: str = ""
    hmac_prefix: str = ""
    hmac_algorithm: str = "sha256"
    hmac_encoding: str = "hex"
    #: What is signed: `{{Request.Body}}` and `{{Request.Headers.<name>}}` stand for themselves.
    hmac_text: str = "{{Request.Body}}"

    @property
    def has_credentials(self) -> bool:
        """Whether the template requires a user name and password."""
        return bool(self.username)


@dataclass
class Callout:
    """One notification and what became of it; `state` is waiting, delivered, failed or dropped."""

    number: int
    event: str
    object_id: str
    url: str
    body: bytes
    destination: Destination
    created: datetime
    notification_id: str = field(default_factory=lambda: uuid4().hex)
    state: str = "waiting"
    attempts: list[Json] = field(default_factory=list)
    queued: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        """The tenant's time: that of the change and what has passed since."""
        return (self.created + timedelta(seconds=time.monotonic() - self.queued)).replace(microsecond=0)

    def as_json(self) -> Json:
        """All of it but the credentials."""
        return {
            "number": self.number,
            "event": self.event,
            "object_id": self.object_id,
            "url": self.url,
            "body": self.body.decode(),
            "created": self.created.isoformat(),
            "notification_id": self.notification_id,
            "state": self.state,
            "attempts": self.attempts,
        }


class Delivery:
    """One attempt to deliver a callout."""

    def __init__(self, session: requests.Session, callout: Callout) -> None:
        self.session = session
        self.callout = callout
        self.to = callout.destination

    def attempt(self) -> Json:
        """Try, and tell how it went."""
        begun = time.monotonic()
        request_id = uuid4().hex
        status, content, confirmed = self._send(request_id)
        failed = status != 200 or not confirmed
        attempt = len(self.callout.attempts) + 1
        again = status < 200 or status in (403, 408, 429) or status >= 500 or (status == 200 and not confirmed)
        return {
            "attempt": attempt,
            "at": self.callout.now().strftime("%Y-%m-%dT%H:%M:%S"),
            "request_id": request_id,
            "status": status,
            "content": content,
            "seconds": round(time.monotonic() - begun, 3),
            "failed": failed,
            "retried": failed
            and again
            and status != BROKEN_BODY
            and self.to.retriable
            and attempt < self.to.max_attempts,
        }

    def _send(self, request_id: str) -> tuple[int, str, bool]:
        """Status, content and whether a 200 counts."""
        try:
            json.loads(self.callout.body or b"{}")
        except ValueError:
            return BROKEN_BODY, "The request body is not valid JSON.", False
        headers = {
            **self.to.headers,
            "Content-Type": "application/json",
            "Zuora-Notification-Id": self.callout.notification_id,
            "Zuora-Request-Id": request_id,
            "X-Amzn-Trace-Id": f"Root=1-{request_id[:8]}-{request_id[8:]}",
        }
        if self.to.hmac_header:
            headers[self.to.hmac_header] = self.to.hmac_prefix + self._sign(headers)
        credentials = (self.to.username, self.to.password) if self.to.has_credentials else None
        try:
            response, content = self._post(headers, credentials if self.to.preemptive else None)
            challenge = response.headers.get("WWW-Authenticate", "").lower()
            challenged = response.status_code == 401 and "basic realm=" in challenge
            if challenged and credentials and not self.to.preemptive:
                response, content = self._post(headers, credentials)
        except requests.Timeout as error:
            return TIMED_OUT, str(error), False
        except requests.RequestException as error:
            return NO_CONNECTION, str(error), False
        return response.status_code, content, self._confirms(response, content)

    def _post(self, headers: Mapping[str, str], auth: tuple[str, str] | None) -> tuple[requests.Response, str]:
        """Send once; the whole transfer has one limit, not each piece of it."""
        end = time.monotonic() + self.to.transfer_seconds
        with self.session.post(
            self.callout.url,
            data=self.callout.body,
            headers=dict(headers),
            auth=auth,
            timeout=(self.to.connect_seconds, self.to.transfer_seconds),
            allow_redirects=False,
            stream=True,
        ) as response:
            content = b""
            for piece in response.iter_content(4096):
                content += piece
                if time.monotonic() > end:
                    raise requests.ReadTimeout("the transfer took too long")
        return response, content[:_STORED_BYTES].decode("utf-8", "replace")

    def _confirms(self, response: requests.Response, content: str) -> bool:
        if not self.to.parse_response:
            return True
        if response.headers.get("Content-Type", "").split(";")[0].strip().lower() != "application/json":
            return False
        try:
            return json.loads(content)["success"] in (True, "true")
        except (ValueError, KeyError, TypeError):
            return False

    def _sign(self, headers: Mapping[str, str]) -> str:
        text = b""
        for place, piece in enumerate(_SIGNED.split(self.to.hmac_text)):
            if place % 2 == 0:
                text += piece.encode()
            else:
                text += self.callout.body if piece == "Body" else headers.get(piece[len("Headers.") :], "").encode()
        digest = hmac.new(self.to.hmac_secret.encode(), text, self.to.hmac_algorithm).digest()
        return digest.hex() if self.to.hmac_encoding == "hex" else b64encode(digest).decode()


def describe(destination: Destination) -> Json:
    """The settings without their secrets."""
    hidden = {name: "…" for name in ("password", "hmac_secret") if getattr(destination, name)}
    return {**asdict(destination), **hidden}
