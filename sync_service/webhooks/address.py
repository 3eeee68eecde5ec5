"""The address of a webhook as its parts, before anything is looked up or connected to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from sync_service.errors import SyncServiceError

MAX_URL = 2000

Address = IPv4Address | IPv6Address


class DestinationRefused(SyncServiceError):
    """Webhooks may not go to this address."""

    code = "destination refused"


@dataclass(frozen=True, kw_only=True)
class Destination:
    """An address as its parts, checked to be one that we may send to."""

    scheme: str
    host: str
    port: int
    #: As in the address: host, and the port where one is named.
    netloc: str
    #: Path and query.
    path: str
    #: What the host's name stands for.
    addresses: tuple[Address, ...] = ()


def read_url(url: str) -> Destination:
    """The parts of `url`, not looked up yet. Raises DestinationRefused where it is no address for a webhook."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DestinationRefused("The address cannot be read: give one such as https://example.com/webhooks.") from None
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise DestinationRefused("The address must be like https://example.com/webhooks.")
    if "@" in parts.netloc:
        raise DestinationRefused("The address may hold no user name: WEBHOOK_CREDENTIALS says who we are to a host.")
    if parts.fragment:
        raise DestinationRefused("The address may hold no fragment (#…): it is never sent.")
    return Destination(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        netloc=parts.netloc,
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
