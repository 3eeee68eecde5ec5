"""Our side of Zuora's REST API: one client per process, one `Reading` per look at Zuora."""

from __future__ import annotations

from collections.abc import Callable

from sync_service.zuora.connection import Connection
from sync_service.zuora.reading import Reading


class ZuoraClient:
    """The connections and the token of one process towards one Zuora tenant; safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        entity_id: str = "",
        org_ids: str = "",
        pool_size: int = 8,
        check_tenant: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`pool_size` is the most connections at once. Nothing is sent before the first reading asks.

        `check_tenant` is told whose each new token is and raises where nothing may be asked there: credentials or an
        address can be changed under a process that runs.
        """
        self._entity_id = entity_id
        self._connection = Connection(
            base_url,
            client_id,
            client_secret,
            entity_id=entity_id,
            org_ids=org_ids,
            pool_size=pool_size,
            check_tenant=check_tenant,
        )

    def reading(self, seconds: float = 60.0) -> Reading:
        """A look at Zuora whose calls have `seconds` in all, counted from now."""
        return Reading(self._connection, seconds)

    @property
    def reported_concurrency(self) -> int | None:
        """Calls at the same time that Zuora permits the whole tenant; None until an answer has said so."""
        return self._connection.reported_concurrency

    def tenant(self, reading: Reading) -> str:
        """Which tenant this is: `tenant.N` from the token's scope, else the configured entity, else an empty text.

        Raises NotConfigured, TokenRefused, RateLimited, ZuoraUnavailable and what `check_tenant` raises.
        """
        return self._connection.get_token(reading.deadline).tenant or self._entity_id

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()
