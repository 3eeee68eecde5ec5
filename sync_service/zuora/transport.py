"""HTTP towards Zuora with a deadline that holds: no answer, however slowly it drips, is waited for any longer.

The usual timeout of `requests` counts the silence between two pieces; here it counts the whole answer with its headers.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from requests.utils import default_headers
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.util import Timeout

from sync_service.errors import NotServed, PayloadInvalid, ZuoraUnavailable

#: Seconds for a connection to each address of a host. Few, because a host with several dead addresses takes it several
#: times: that, and a name server that does not answer, is all that can outlast a deadline.
_CONNECT_SECONDS = 5.0
#: The longest recorded subscription has 0.7 MB.
_LARGEST_BODY = 20 * 1024 * 1024
_MOST_FIELDS, _LONGEST_LINE = 100, 64 * 1024


class Deadline:
    """A point of the monotonic clock that nothing is waited for beyond."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def left(self) -> float:
        """Seconds that are left, more than 0. Raises NotServed once none are."""
        left = self._until - self._clock()
        if left <= 0:
            raise NotServed("Zuora took too long to answer.")
        return left


@dataclass(frozen=True)
class RawAnswer:
    """What came back, unread. Header names are compared without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """One session for many threads, with no more connections at once than `pool_size`."""

    def __init__(self, pool_size: int, headers: Mapping[str, str]) -> None:
        self._free = BoundedSemaphore(pool_size)
        self._session = requests.Session()
        self._of_hosts: dict[str, dict[str, Any]] = {}
        self._headers = {**default_headers(), **headers}
        adapter = DeadlineAdapter(pool_connections=2, pool_maxsize=pool_size, pool_block=True)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> RawAnswer:
        """Send one request and read its whole answer; `url` is encoded as it is to be sent, `params` are not.

        A redirect is an answer like any other. Raises ZuoraUnavailable where there is no connection, NotServed where no
        whole answer comes in time, PayloadInvalid where it is larger than we take, and AnswerCut where the connection
        ended before any of it.
        """
        if not self._free.acquire(timeout=deadline.left()):
            raise ZuoraUnavailable("No connection to Zuora became free in time.")
        try:
            if form is not None:
                body = urlencode(form)  # ASCII
                headers = {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"}
            return self._send(self._prepare(method, url, params, headers, body), deadline)
        except requests.RequestException as error:
            asked = isinstance(error, requests.exceptions.ReadTimeout)
            kind = AnswerCut if _was_cut(error) else NotServed if asked else ZuoraUnavailable
            raise kind(f"Zuora cannot be reached: {_innermost(error)}.") from None
        finally:
            self._free.release()

    def _prepare(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        body: bytes | str | None,
    ) -> requests.PreparedRequest:
        """The request with what every request of ours has.

        By hand, because the session would put all of its own together anew each time, and would take its proof from a
        .netrc file: half of what a call costs.
        """
        request = requests.PreparedRequest()
        request.method, request.body = method, body
        request.url = f"{url}?{urlencode(params, doseq=True)}" if params else url
        # A plain one: all names are ours, and written in one way.
        request.headers = {**self._headers, **(headers or {})}  # type: ignore[assignment]
        if method not in ("GET", "HEAD"):
            request.headers["Content-Length"] = str(len(body or b""))
        return request

    def _send(self, request: requests.PreparedRequest, deadline: Deadline) -> RawAnswer:
        left, url = deadline.left(), str(request.url)
        response = self._session.get_adapter(url).send(
            request,
            # Handed through to urllib3, which knows a total; the published types know pairs of seconds only.
            timeout=Timeout(connect=min(left, _CONNECT_SECONDS), total=left),  # type: ignore[arg-type]
            **self._environment_of(url),
        )
        try:
            # One read; in pieces it would be a tenth of what a call costs.
            body = response.raw.read(_LARGEST_BODY + 1, decode_content=True)
            if len(body) > _LARGEST_BODY:
                raise PayloadInvalid("Zuora's answer is larger than 20 MB.")
            return RawAnswer(response.status_code, response.headers, body)
        except HTTPError as error:
            raise NotServed(f"Zuora's answer broke off: {_innermost(error)}.") from None
        finally:
            # Gives a connection back whose answer was read to the end, and drops any other.
            response.close()

    def _environment_of(self, url: str) -> dict[str, Any]:
        """Proxies and certificates, asked of the environment once for each host: each time is a tenth of a request."""
        host = _host_of(url)
        found = self._of_hosts.get(host)
        if found is None:
            found = dict(self._session.merge_environment_settings(url, {}, True, None, None))
            self._of_hosts[host] = found
        return found


class AnswerCut(NotServed):
    """Zuora closed the connection without an answer, as servers do with connections that were idle."""


class _TimedSocketReader(io.RawIOBase):
    """Reads a socket until one fixed time, instead of giving every piece the same time anew."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._pieces = sock.makefile("rb", buffering=0)
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._pieces.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._pieces.close()
        super().close()


class _TimedResponse(HTTPResponse):
    """An HTTP response whose read timeout is for all of it, from the first byte of the status line."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp.close()
            self.fp = io.BufferedReader(_TimedSocketReader(sock, seconds))

    def begin(self) -> None:
        """Read the head line by line: the base class has a parser of mails read it, a sixth of what a call costs."""
        this: Any = self  # the published types know half of the attributes
        version, status, reason = this._read_status()
        while status < 200:  # an early word before the answer
            _read_fields(self.fp)
            version, status, reason = this._read_status()
        this.code = this.status = status
        this.reason = reason.strip()
        this.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        this.headers = this.msg = fields = _read_fields(self.fp)
        this.chunked, this.chunk_left = fields.get("Transfer-Encoding", "").lower() == "chunked", None
        length = fields.get("Content-Length", "")
        this.length = int(length) if length.isdecimal() and not this.chunked else None
        if status in (204, 304) or this._method == "HEAD":
            this.length = 0
        this.will_close = this._check_close() or not (this.chunked or this.length is not None)


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse


class _TimedTlsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


class DeadlineAdapter(HTTPAdapter):
    """Makes connections that count a timeout once, directly or through a proxy. It repeats nothing by itself.

    How a host is reached is decided once, by the settings of its first request: a third of a call went into deciding
    it again each time.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pools: dict[str, Any] = {}
        #: The hosts that a proxy has to be told of in each request.
        self._told: dict[str, bool] = {}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        url = str(request.url)
        host = _host_of(url)
        pool = self._pools.get(host)
        if pool is None:
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
            super().cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
            self._told[host] = super().request_url(request, proxies).startswith("http")
            self._pools[host] = pool
        return pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Done when the connections of the host were made."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        url = str(request.url)
        host = _host_of(url)
        return url if self._told[host] else url[len(host) :] or "/"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """What we read of it: no cookies, no guess of its encoding."""
        response = requests.Response()
        response.status_code, response.raw, response.request, response.url = resp.status, resp, req, str(req.url)
        response.headers = resp.headers
        return response

    def close(self) -> None:
        self._pools.clear()
        super().close()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _use_timed_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        _use_timed_pools(manager)
        return manager


def _read_fields(lines: io.BufferedIOBase) -> HTTPMessage:
    """The fields of a head up to the empty line; other lines are passed over. Raises HTTPException for too many."""
    fields = HTTPMessage()
    for _ in range(_MOST_FIELDS):
        line = lines.readline(_LONGEST_LINE).decode("iso-8859-1")
        if line in ("\r\n", "\n", ""):
            return fields
        name, colon, value = line.partition(":")
        if colon:
            fields[name] = value.strip()
    raise HTTPException("a head without end")


def _host_of(url: str) -> str:
    """The beginning of an address, up to its path."""
    end = url.find("/", url.index("//") + 2)
    return url if end < 0 else url[:end]


def _use_timed_pools(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedTlsPool}


def _was_cut(error: requests.RequestException) -> bool:
    """Whether the connection ended before the first byte of an answer."""
    inner = error.args[0] if error.args else None
    return isinstance(inner, ProtocolError) and any(isinstance(each, ConnectionError) for each in inner.args)


def _innermost(error: BaseException) -> str:
    """The name of the first cause. The texts of these errors hold addresses and are not for people."""
    seen = set()
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        error = cause
    return type(error).__name__
