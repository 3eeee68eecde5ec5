"""One attempt at one endpoint: the request that a receiver sees, and how it ended."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from uuid import uuid4

from sync_service.errors import SyncServiceError
from sync_service.settings import Settings
from sync_service.subscription.limio.documents import timestamp_of
from sync_service.webhooks.destination import Connections, look_up
from sync_service.webhooks.endpoints import Endpoint, Endpoints
from sync_service.webhooks.signing import sign

#: After so long an endpoint's name is looked up again and its secrets are read anew, in seconds.
FRESH_SECONDS = 30.0
#: The type of a message that only tries whether the endpoint takes it.
TEST = "webhook.test"


@dataclass(frozen=True)
class CallResult:
    """How one attempt ended: with the status of an answer, or with the reason why there was none."""

    status: int | None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took it: any 2xx (Standard Webhooks), so no redirect."""
        return self.status is not None and 200 <= self.status < 300


class EndpointCaller:
    """Calls one endpoint, over one connection while it lasts. For one thread."""

    def __init__(self, endpoints: Endpoints, settings: Settings, endpoint_id: str) -> None:
        self._endpoints = endpoints
        self._settings = settings
        self._endpoint_id = endpoint_id
        self._opened: tuple[Endpoint, Connections] | None = None
        self._fresh_until = 0.0

    def close(self) -> None:
        """Close the connection."""
        if self._opened is not None:
            self._opened[1].close()
        self._opened = None

    def call(self, message_id: str, webhook_type: str, body: str) -> CallResult:
        """Send one message, signed now. Raises nothing that belongs to the endpoint."""
        try:
            endpoint, line = self._open()
            status = line.post(body, self._headers(endpoint, message_id, webhook_type, body), self._credentials(line))
        except SyncServiceError as error:
            self.close()
            return CallResult(None, str(error))
        return CallResult(status, None if 200 <= status < 300 else f"The endpoint answered {status}.")

    def test(self) -> CallResult:
        """Send one message of the type `webhook.test`, which is about nothing and is in no log."""
        now = timestamp_of(int(time.time() * 1000))
        body = json.dumps({"type": TEST, "timestamp": now, "data": {}}, separators=(",", ":"))
        return self.call(f"msg_{uuid4().hex}", TEST, body)

    def _open(self) -> tuple[Endpoint, Connections]:
        if self._opened is None or time.monotonic() >= self._fresh_until:
            self.close()
            endpoint = self._endpoints.read(self._endpoint_id)
            self._opened = endpoint, Connections(look_up(endpoint.url, self._settings.webhook_allowed_networks))
            self._fresh_until = time.monotonic() + FRESH_SECONDS
        return self._opened

    def _headers(self, endpoint: Endpoint, message_id: str, webhook_type: str, body: str) -> dict[str, str]:
        """Those of Standard Webhooks, for Limio's types too; the type, because Limio's bodies do not tell it."""
        at = int(time.time())
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(message_id, at, body, endpoint.valid_secrets),
            "X-Limio-Event": webhook_type,
        }

    def _credentials(self, line: Connections) -> tuple[str, str] | None:
        """Who we are to this host, as Limio has it: HTTP Basic by the destination's host name."""
        for host, username, password in self._settings.webhook_credentials:
            if host == line.destination.host:
                return username, password
        return None
