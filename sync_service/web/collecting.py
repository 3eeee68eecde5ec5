"""A request that comes in piece by piece: is it whole, so that no thread that reads it waits for its sender?

Only that is decided here. What the bytes mean, and whether they are right, is gunicorn's parser's to say.
"""

from __future__ import annotations

import re
from enum import Enum

from sync_service.web.answers import FLASK_LIMIT

#: The longest head that is waited for, in bytes; gunicorn's parser refuses a longer one.
MAX_HEAD = 64 * 1024
#: The most of a chunked body, with the sizes of its chunks, in bytes.
MAX_CHUNKED = 4 * FLASK_LIMIT

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:[^\r]*chunked", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[^\r\n]*\r\n")


class RequestState(Enum):
    """What is to be done about a request."""

    INCOMPLETE = "more is to come"
    WHOLE = "whole"
    #: It will never be collected: it is answered by what there is of it, and its connection closed.
    TOO_LONG = "too long"


class Collector:
    """The bytes of one request, and of what its sender sent behind it."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        #: Where the head ends, and as far as the body has been looked at; 0 before the head is there.
        self._seen = 0
        self._end = 0
        self._is_chunked = False
        #: The sender waits to be told to go on with the body.
        self.expects = False

    def add(self, piece: bytes) -> RequestState:
        """Take another piece, and say how far the request is."""
        self.data += piece
        if not self._seen:
            if self.data.startswith(b"\r\n"):  # between two requests (RFC 9112, 2.2)
                del self.data[: len(self.data) - len(self.data.lstrip(b"\r\n"))]
            self._read_head(len(piece))
        if not self._seen:
            return RequestState.TOO_LONG if len(self.data) > MAX_HEAD else RequestState.INCOMPLETE
        if self._is_chunked:
            return self._follow_chunks()
        if self._end - self._seen > FLASK_LIMIT:
            return RequestState.TOO_LONG
        return RequestState.WHOLE if len(self.data) >= self._end else RequestState.INCOMPLETE

    def _read_head(self, new: int) -> None:
        end = self.data.find(b"\r\n\r\n", max(0, len(self.data) - new - 3))
        if end < 0:
            return
        head = bytes(self.data[: end + 2])
        self._seen = self._end = end + 4
        length = _LENGTH.search(head)
        self._is_chunked = bool(_CHUNKED.search(head))
        self.expects = bool(_EXPECTS.search(head))
        if length:
            self._end += int(length[1])

    def _follow_chunks(self) -> RequestState:
        """Step from chunk to chunk; what cannot be one is whole, for the parser to refuse."""
        while True:
            size = _CHUNK.match(self.data, self._seen)
            if size is None:
                is_more = b"\n" not in self.data[self._seen : self._seen + 1024] and len(self.data) < MAX_CHUNKED
                return RequestState.INCOMPLETE if is_more else RequestState.WHOLE
            if int(size[1], 16) == 0:
                ends = self.data.find(b"\r\n\r\n", size.end() - 2)
                waits = ends < 0 and len(self.data) < MAX_CHUNKED
                return RequestState.INCOMPLETE if waits else RequestState.WHOLE
            after = size.end() + int(size[1], 16) + 2
            if after > MAX_CHUNKED:
                return RequestState.TOO_LONG
            if after > len(self.data):
                return RequestState.INCOMPLETE
            self._seen = after
