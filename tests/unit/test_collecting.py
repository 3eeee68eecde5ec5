"""A request that comes in pieces is whole with its last byte: not before, and not later."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.web.answers import FLASK_LIMIT
from sync_service.web.collecting import MAX_HEAD, Collector, RequestState

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"


def with_length(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(chunks: list[bytes], trailer: bytes = b"") -> bytes:
    framed = b"".join(b"%X;x=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n" + trailer + b"\r\n"


#: What bodies are made of: also what looks like the end of something.
BODIES = st.one_of(st.binary(max_size=60), st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"\r\n0\r\n\r\nX"]))
REQUESTS = st.one_of(
    st.just(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    BODIES.map(with_length),
    st.builds(in_chunks, st.lists(BODIES, max_size=4), st.sampled_from([b"", b"X-Checksum: 1\r\n"])),
)


@given(request=REQUESTS, cuts=st.lists(st.integers(0, 300), max_size=6), behind=st.binary(max_size=20))
def test_a_request_is_whole_with_its_last_byte_however_it_was_cut(
    request: bytes, cuts: list[int], behind: bytes
) -> None:
    places = sorted({min(cut, len(request) - 1) for cut in cuts} | {0, len(request) - 1})
    collector = Collector()

    for begin, end in pairwise(places):
        assert collector.add(request[begin:end]) is RequestState.INCOMPLETE
    assert collector.add(request[places[-1] :] + behind) is RequestState.WHOLE

    assert bytes(collector.data) == request + behind


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"Content-Length: %d\r\n\r\n" % (FLASK_LIMIT + 1),
        HEAD + b"content-length : 999999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD,
    ],
)
def test_what_is_longer_than_any_request_is_not_waited_for(request_: bytes) -> None:
    assert Collector().add(request_) is RequestState.TOO_LONG


@pytest.mark.parametrize("chunks", [b"not a size\r\n", b"5\r\nabcdeXX9\r\n", b"-1\r\n"])
def test_what_can_be_no_chunk_is_left_to_the_parser(chunks: bytes) -> None:
    collector = Collector()

    assert (
        collector.add(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks + b"rest")
        is not RequestState.TOO_LONG
    )


def test_a_sender_that_waits_to_go_on_is_known() -> None:
    collector = Collector()

    assert collector.add(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n") is RequestState.INCOMPLETE
    assert collector.expects
    assert collector.add(b"{}") is RequestState.WHOLE


def test_empty_lines_between_two_requests_are_nothing() -> None:
    collector = Collector()

    assert collector.add(b"\r\n") is RequestState.INCOMPLETE
    assert collector.add(b"\r\nGET / HTTP/1.1\r\n\r\n") is RequestState.WHOLE
