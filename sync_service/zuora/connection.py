"""What all calls of a process share: the address, the credentials, the token and the pool of connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sync_service import __version__
from sync_service.errors import NotConfigured, NotServed, ZuoraUnavailable
from sync_service.zuora.token import Token, TokenKeeper
from sync_service.zuora.transport import Deadline, RawAnswer, Transport

#: The minor version whose errors and shapes we read; the tenant's default may be years older.
ZUORA_VERSION = "2025-08-12"
#: A longer number of calls at the same time is none.
_MAX_DIGITS = 5


class Connection:
    """The way to one Zuora tenant; safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        entity_id: str,
        org_ids: str,
        pool_size: int,
        check_tenant: Callable[[str], None],
    ) -> None:
        #: How many calls at the same time Zuora permits the whole tenant; None until an answer has said so.
        self.reported_concurrency: int | None = None
        self._base_url = base_url.rstrip("/")
        self._credentials = (client_id, client_secret)
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"sync-service/{__version__}",
            "Zuora-Version": ZUORA_VERSION,
        }
        # Both only where the tenant has the feature: Zuora asks to leave them out otherwise.
        if entity_id:
            headers["Zuora-Entity-Ids"] = entity_id
        if org_ids:
            headers["Zuora-Org-Ids"] = org_ids
        self._transport = Transport(pool_size, headers)
        self._tokens = TokenKeeper(self._ask_for_token, accept=lambda token: check_tenant(token.tenant or entity_id))

    def note_limits(self, headers: Mapping[str, str]) -> None:
        """Remember what an answer says of the tenant's limits; calls of other classes have limits of their own."""
        if headers.get("Concurrency-Limit-Type") == "Default":
            most = headers.get("Concurrency-Limit-Limit", "")
            if most.isdecimal() and len(most) <= _MAX_DIGITS:
                self.reported_concurrency = int(most) or None

    def get_token(self, deadline: Deadline) -> Token:
        """The token of all threads. Raises NotConfigured and what `TokenKeeper.get` raises."""
        if not (self._base_url and all(self._credentials)):
            raise NotConfigured
        return self._tokens.get(deadline)

    def drop_token(self, refused: Token) -> None:
        """Forget a token that Zuora refused."""
        self._tokens.drop(refused)

    def send(
        self,
        method: str,
        path: str,
        token: Token,
        deadline: Deadline,
        *,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | str | None,
        headers: Mapping[str, str],
    ) -> RawAnswer:
        """One request with a bearer token; the answer as it came. A `body` that is text is JSON already.

        Raises what `Transport.send` raises.
        """
        sent = {**headers, "Authorization": f"Bearer {token.value}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = body if isinstance(body, str) else json.dumps(body, allow_nan=False)
        return self._transport.send(
            method,
            self._base_url + path,
            deadline,
            params=params,
            headers=sent,
            body=None if body is None else body.encode(),
        )

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _ask_for_token(self, deadline: Deadline) -> RawAnswer:
        """Documented as "Create an OAuth token": the credentials go in the form body and there is no other proof."""
        client_id, client_secret = self._credentials
        form = {"client_id": client_id, "client_secret": client_secret, "grant_type": "client_credentials"}
        try:
            return self._transport.send(
                "POST",
                f"{self._base_url}/oauth/token",
                deadline,
                form=form,
            )
        except NotServed as error:  # no number's: all of them need a token
            raise ZuoraUnavailable(str(error)) from None
