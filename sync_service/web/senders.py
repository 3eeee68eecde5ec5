"""Where a request comes from, through proxies that we trust, and whether callouts may come from there.

Zuora publishes the addresses that its callouts leave from, others for Workflow, and changes both (docs.zuora.com,
"Outbound IP addresses from Zuora"). So a list is a second lock and never the only one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from flask import Request

from sync_service.settings.forms import Network
from sync_service.store.audit import SENDER

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_Address = IPv4Address | IPv6Address


def say_place(place: str | None) -> str:
    """Where a log-in came from, for the log of activity."""
    return f"from {place or 'behind a proxy'}"


class Senders:
    """The allowed networks; none means everywhere. `proxies` is how many proxies are ours, or where they stand."""

    def __init__(self, allowed: tuple[Network, ...], proxies: int | tuple[Network, ...]) -> None:
        self._allowed = allowed
        self._proxies = proxies

    def why_refused(self, request: Request) -> str | None:
        """The address that no callout may come from; None where it may."""
        if not self._allowed:
            return None
        address = self.find_address(request)
        if address is not None and _is_in(address, self._allowed):
            return None
        return "unknown" if address is None else str(address)

    def find_place(self, request: Request) -> str | None:
        """What failures are counted by: the sender's address, of IPv6 the network of one customer.

        None where senders cannot be told apart, because they come through a proxy that TRUSTED_PROXIES does not name.
        """
        if self._proxies == 0 and "X-Forwarded-For" in request.headers:
            return None
        address = self.find_address(request)
        return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)

    def find_address(self, request: Request) -> _Address | None:
        """Who sent the request, as far as trusted proxies say; None where it did not come through all of them."""
        return self._find(request.environ.get("REMOTE_ADDR", ""), request.environ.get("HTTP_X_FORWARDED_FOR", ""))

    def name_sender(self, remote: str, forwarded: str) -> str | None:
        """The same as text, of a request that is not read yet: by its peer and its X-Forwarded-For."""
        address = self._find(remote, forwarded)
        return None if address is None else str(address)

    def _find(self, remote: str, forwarded: str) -> _Address | None:
        peer = _read(remote)
        passed = [_read(each) for each in forwarded.split(",") if each.strip()]
        if isinstance(self._proxies, int):
            chain = [*passed, peer]
            return chain[-1 - self._proxies] if len(chain) > self._proxies else None
        # What stands left of an untrusted address was written by a stranger.
        while peer is not None and _is_in(peer, self._proxies) and passed:
            peer = passed.pop()
        return peer


class NotedSenders:
    """Around the application: all that is recorded and logged for a request names its sender."""

    def __init__(self, inner: WSGIApplication, senders: Senders) -> None:
        self._inner = inner
        # Callouts come from few addresses, by the thousand.
        self._name = lru_cache(maxsize=256)(senders.name_sender)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        noted = SENDER.set(self._name(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", "")))
        try:
            return self._inner(environ, start_response)
        finally:
            SENDER.reset(noted)  # what its thread does next has no sender


@lru_cache(maxsize=1024)  # callouts come from few addresses, by the thousand
def _read(text: str) -> _Address | None:
    """An address, with or without a port; an IPv4 address in IPv6 clothes is the IPv4 one."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _is_in(address: _Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
