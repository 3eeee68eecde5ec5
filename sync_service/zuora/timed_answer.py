"""One HTTP answer, read off its socket until one fixed time: what urllib3's connections give in their own's place."""

from __future__ import annotations

import io
import socket
import time
import zlib
from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException, IncompleteRead, LineTooLong, RemoteDisconnected
from http.client import HTTPConnection as PlainConnection
from typing import Any

from httptools import HttpParserError, HttpResponseParser
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError

#: The most that is received, or unpacked, at once.
CHUNK = 64 * 1024
_LARGEST_HEAD = 256 * 1024
#: How long an answer may take for which no time was given, in seconds.
_LONGEST_SECONDS = 60.0
#: By these headers a body has an end of its own; any other ends with the connection.
_FRAMES = ("Content-Length", "Transfer-Encoding")
#: zlib's word for its own format inside of gzip's.
_GZIP = 16 + zlib.MAX_WBITS


class TimedAnswer:
    """One answer, read off the socket until one fixed time, instead of giving every piece the same time anew.

    httptools reads it: http.client's and urllib3's own ways of reading took half of what a call cost. To both it is a
    response, and its body a stream that is read once.
    """

    # What http.client asks of a response, what urllib3 notes of one, and what urllib3 gives it.
    will_close, version_string, length_remaining = False, "HTTP", None
    retries: Any = None
    _connection: Any = None
    _pool: Any = None

    def __init__(self, sock: socket.socket, *_: Any, **__: Any) -> None:
        self._sock = sock
        self._until = time.monotonic() + (sock.gettimeout() or _LONGEST_SECONDS)
        self._parser = HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._is_begun = self._is_head_read = self._is_whole = False
        #: The connection serves no other request.
        self._is_last = False
        self.status = 0
        self.headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()

    def begin(self) -> None:
        """Read the head: what http.client does first."""
        left = _LARGEST_HEAD
        while not self._is_head_read:
            if left <= 0:
                raise LineTooLong("head")
            left -= self._receive()

    def _read_status(self) -> tuple[str, int, str]:
        """For http.client: what a proxy says that is asked for a tunnel."""
        self.begin()
        return self.version_string, self.status, ""

    @property
    def fp(self) -> io.BytesIO:
        """For http.client: the end of that proxy's head, which is read."""
        return io.BytesIO(b"\r\n")

    def stream(self, *_: Any, decode_content: bool = True, **__: Any) -> Iterator[bytes]:
        """The body in pieces, unpacked where `decode_content`; then the connection is free for the next request."""
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if not decode_content or encoding in ("", "identity"):
            yield from self._received()
        elif encoding in ("gzip", "x-gzip"):
            yield from _unpack(self._received())
        else:
            raise DecodeError("packed as it was not asked for")

    def read(self, amount: int, **_: Any) -> bytes:
        """The body as it came, or its beginning of about `amount` bytes."""
        body = bytearray()
        for piece in self._received():
            body += piece
            if len(body) >= amount:
                break
        return bytes(body)

    def close(self) -> None:
        """Close the connection, if it is still this answer's."""
        if self._connection is not None:
            self._connection.close()

    def release_conn(self) -> None:
        """Give the connection back to its pool, once."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._pool._put_conn(connection)

    def isclosed(self) -> bool:
        """For http.client: whether the next request may go out."""
        return self._is_whole

    def on_message_begin(self) -> None:
        self._is_last = self._is_whole  # behind our answer there is nothing to come

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        before = self.headers.get(key)
        self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # the answer itself is still to come
            self.headers.clear()
        elif not self._is_head_read:
            self.status, self._is_head_read = status, True

    def on_body(self, piece: bytes) -> None:
        if not self._is_whole:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self._is_whole = self._is_head_read
        self._is_last = self._is_last or not self._parser.should_keep_alive()

    def _received(self) -> Iterator[bytes]:
        """The body's bytes as they come."""
        while True:
            pieces, self._pieces = self._pieces, []
            yield from pieces
            if self._is_whole:
                break
            try:
                self._receive()
            except TimeoutError as error:
                raise ReadTimeoutError(self._pool, "", "timed out") from error
            except (OSError, HTTPException) as error:
                raise ProtocolError("Connection broken", error) from error
        if self._is_last:
            self.close()
        self.release_conn()

    def _receive(self) -> int:
        """Take in what comes next, and return how much that is. Raises OSError and HTTPException."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        piece = self._sock.recv(CHUNK)
        if not piece:
            if not self._is_begun:
                raise RemoteDisconnected("closed without an answer")
            if not self._is_head_read or any(name in self.headers for name in _FRAMES):
                raise IncompleteRead(b"")
            self._is_whole = self._is_last = True
            return 0
        self._is_begun = True
        try:
            self._parser.feed_data(piece)
        except HttpParserError as error:
            if not self._is_whole:
                raise BadStatusLine("no HTTP") from error
            self._is_last = True
        return len(piece)


def _unpack(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What was packed with gzip, however often, in pieces of at most CHUNK: few bytes may be a great many."""
    unpacker = zlib.decompressobj(_GZIP)
    for each in pieces:
        piece = each
        while piece:
            if unpacker.eof:
                unpacker = zlib.decompressobj(_GZIP)
            try:
                yield unpacker.decompress(piece, CHUNK)
            except zlib.error as error:
                raise DecodeError("not packed with gzip") from error
            piece = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if not unpacker.eof:
        raise DecodeError("broken off")


class _TimedConnection(HTTPConnection):
    response_class = TimedAnswer  # type: ignore[assignment] # it is made like one

    def getresponse(self) -> Any:
        self.sock.settimeout(self.timeout)
        return PlainConnection.getresponse(self)


class _TimedTlsConnection(HTTPSConnection):
    response_class = TimedAnswer  # type: ignore[assignment] # it is made like one

    def getresponse(self) -> Any:
        self.sock.settimeout(self.timeout)
        return PlainConnection.getresponse(self)


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


def use_timed_pools(manager: Any) -> None:
    """Make `manager`, urllib3's, open connections whose answers are read so."""
    manager.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedTlsPool}
