"""Where a webhook goes: an address that is looked up once, checked, and then connected to and no other.

So no name can lead us to a machine of our own network, nor to one thing when it is checked and to another when it is
used. Redirects are not followed, proxies of the environment not used: either would look the name up again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Any

import requests
from requests.models import PreparedRequest
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util import Timeout

from sync_service import __version__
from sync_service.errors import SyncServiceError
from sync_service.settings.forms import Network
from sync_service.webhooks.address import Address, Destination, DestinationRefused, read_url
from sync_service.zuora.transport import DeadlineAdapter

#: For one delivery with its whole answer, in seconds; a name server that does not answer comes on top.
DEADLINE_SECONDS = 15.0
#: For a connection to one address of a host, in seconds.
_CONNECT_SECONDS = 5.0
#: Addresses of one host that are tried.
MAX_ADDRESSES = 3
#: Of an answer only the status counts; what is longer than this is not read.
MAX_ANSWER = 64 * 1024
#: Of IETF protocols (RFC 6890), also one provider's metadata service; Python calls most of it global.
_PROTOCOLS = IPv4Network("192.0.0.0/24")
#: What IPv6 addresses of the internet begin with (RFC 4291), a translator's for an IPv4 address (RFC 6052), and those
#: of deprecated relays (RFC 7526).
_GLOBAL_UNICAST, _NAT64, _SIX_TO_FOUR = map(IPv6Network, ("2000::/3", "64:ff9b::/96", "2002::/16"))


class NoAnswer(SyncServiceError):
    """The destination gave no whole answer in time."""

    code = "no answer"


def look_up(url: str, allowed: Sequence[Network]) -> Destination:
    """`url` with the addresses that its host stands for now, each one public or in a network of `allowed`.

    Plain http is for allowed networks only. Raises DestinationRefused, and NoAnswer where the name is not known.
    """
    wanted = read_url(url)
    try:
        found = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NoAnswer(f"The name {wanted.host} cannot be looked up.") from None
    addresses = tuple(dict.fromkeys(ip_address(str(each[4][0])) for each in found))
    for address in addresses:
        _check(wanted, address, allowed)
    return replace(wanted, addresses=addresses[:MAX_ADDRESSES])


def _check(wanted: Destination, address: Address, allowed: Sequence[Network]) -> None:
    known = any(address in network for network in allowed)
    if not known and not is_public(address):
        raise DestinationRefused(
            f"{wanted.host} is {address}, which is not a public address: WEBHOOK_ALLOWED_NETWORKS may allow it."
        )
    if wanted.scheme == "http" and not known:
        raise DestinationRefused(
            f"{wanted.host} must be reached by https: plain http is for networks of WEBHOOK_ALLOWED_NETWORKS."
        )


def is_public(address: Address) -> bool:
    """Whether this is a machine of the internet, by IANA's registries of special-purpose addresses.

    An IPv6 address that stands for an IPv4 one is what that one is.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and address not in _PROTOCOLS
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST and address.is_global and address not in _SIX_TO_FOUR


class Connections:
    """Connections to one destination, kept open between deliveries. For one thread."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._sessions = [_PinnedSession(destination, address) for address in destination.addresses]

    def close(self) -> None:
        """Close the connections."""
        for session in self._sessions:
            session.close()

    def post(
        self, body: str, headers: Mapping[str, str], auth: tuple[str, str] | None, *, seconds: float = DEADLINE_SECONDS
    ) -> int:
        """POST `body` as JSON and return the status of the answer, whatever it is. Raises NoAnswer.

        Another address of the host is tried only where no connection was made: nothing was sent then.
        """
        until = time.monotonic() + seconds
        for session in self._sessions:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return session.post_once(body, headers, auth, left)
            except requests.RequestException as error:
                if not _never_connected(error):
                    raise NoAnswer(f"{self.destination.host} {_in_words(error)}.") from None
        raise NoAnswer(f"No connection could be made to {self.destination.host}, port {self.destination.port}.")


class _PinnedAdapter(DeadlineAdapter):
    """Connects to one address, and checks the certificate for the name that the address was looked up for."""

    def __init__(self, destination: Destination, address: Address) -> None:
        self._destination, self._address = destination, address
        super().__init__(pool_connections=1, pool_maxsize=1)

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        host, pool = super().build_connection_pool_key_attributes(*args, **kwargs)
        there = {**host, "host": str(self._address), "port": self._destination.port}
        if self._destination.scheme != "https":
            return there, pool
        return there, {**pool, "server_hostname": self._destination.host, "assert_hostname": self._destination.host}


class _PinnedSession(requests.Session):
    """Takes certificates from the environment, but neither proxies nor passwords."""

    def __init__(self, destination: Destination, address: Address) -> None:
        super().__init__()
        self._url = f"{destination.scheme}://{destination.netloc}{destination.path}"
        self._headers = {
            "Host": destination.netloc,  # it would be the number that we connect to
            "Content-Type": "application/json",
            "User-Agent": f"sync-service/{__version__}",
        }
        self.mount(f"{destination.scheme}://", _PinnedAdapter(destination, address))
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def merge_environment_settings(self, *args: Any, **kwargs: Any) -> Any:
        return super().merge_environment_settings(*args, **kwargs) | {"proxies": {}}

    def post_once(self, body: str, headers: Mapping[str, str], auth: tuple[str, str] | None, seconds: float) -> int:
        response = self.post(
            self._url,
            data=body.encode(),
            headers={**self._headers, **headers},
            auth=auth or _as_it_is,
            # Handed through to urllib3, which knows a total; the published types know pairs of seconds only.
            timeout=Timeout(connect=min(seconds, _CONNECT_SECONDS), total=seconds),  # type: ignore[arg-type]
            allow_redirects=False,
            stream=True,
        )
        try:  # read to its end, so that the connection can serve the next delivery
            response.raw.read(MAX_ANSWER, decode_content=False)
        except HTTPError:  # the status is the answer
            pass
        finally:
            response.close()
        return response.status_code


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    """No authentication, where `requests` would look for a password in the environment's netrc."""
    return request


def _never_connected(error: requests.RequestException) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


def _in_words(error: requests.RequestException) -> str:
    """What the destination did. The texts of these errors hold addresses and are not for people."""
    if isinstance(error, requests.exceptions.SSLError):
        return "shows a certificate that is not accepted"
    if isinstance(error, requests.exceptions.Timeout):
        return "did not answer in time"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "closed the connection without an answer"
    return "did not answer as HTTP"
