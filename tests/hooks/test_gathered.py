"""What the loop that accepts connections makes of a request that comes in pieces."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.server.worker import (
    LEAST_OF_A_CHUNK,
    MOST_CHUNKS,
    MOST_LINGERING,
    Connection,
    Gathered,
    TooSlow,
    Worker,
)
from tests.endings import SOON

LARGEST = 30_000_000
HEAD = b"POST /cds-services/x HTTP/1.1\r\nHost: a\r\n"
REQUESTS = {
    "without a body": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "with a length": HEAD + b"Content-Length: 11\r\n\r\n" + b"\r\n\r\n\n\n{}   ",
    "in chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n\r\n\r\n\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "after a word": HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
}


def fed(*pieces: bytes) -> tuple[Gathered, list[bool]]:
    gathered, whole = Gathered(LARGEST), []
    for piece in pieces:
        gathered.bytes += piece
        whole.append(gathered.is_whole())
    return gathered, whole


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
@given(data=st.data())
def test_however_it_is_cut_it_is_whole_with_its_last_byte_and_not_before(request_bytes: bytes, data: st.DataObject):
    places = sorted(data.draw(st.sets(st.integers(1, len(request_bytes) - 1), max_size=6)))
    pieces = [request_bytes[a:b] for a, b in zip([0, *places], [*places, len(request_bytes)], strict=True)]
    gathered, whole = fed(*pieces)
    assert whole == [False] * (len(pieces) - 1) + [True]
    assert not gathered.is_hopeless


def chunks(count: int, size: int) -> bytes:
    return (f"{size:x}\r\n".encode() + b"x" * size + b"\r\n") * count


def test_a_body_of_tiny_chunks_is_given_up_long_before_its_end():
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    gathered, whole = fed(start, chunks(MOST_CHUNKS, 1), chunks(1_000, 1))
    assert (whole, gathered.is_hopeless) == ([False, False, True], True)


def test_a_large_body_in_chunks_of_a_usual_size_is_waited_for():
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    gathered, whole = fed(start, *[chunks(1_000, 2 * LEAST_OF_A_CHUNK)] * 20, b"0\r\n\r\n")
    assert (whole[-2:], gathered.is_hopeless) == ([False, True], False)


def test_a_head_that_ends_in_bare_line_feeds_is_answered_at_once_and_waits_in_no_thread():
    gathered, whole = fed(b"GET / HTTP/1.1\n", b"\n")
    assert (whole, gathered.is_hopeless) == ([False, True], True)


def test_the_end_of_a_head_is_looked_for_in_what_is_new_and_its_body_read_out_once(monkeypatch: pytest.MonkeyPatch):
    """A head of 78 kB and then a body byte by byte must not cost the head again with every byte."""
    read = []
    heads = Gathered._find_head
    monkeypatch.setattr(Gathered, "_find_head", lambda self: read.append(1) or heads(self))
    head = HEAD + b"t:t\r\n" * 15_000 + b"Content-Length: 1000\r\n\r\n"
    _, whole = fed(head, *[b"x"] * 1_000)
    assert (whole[-1], whole.count(True), len(read)) == (True, 1, 1)


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(the server's end, the client's end) of a connection over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        taken, _ = listener.accept()
        with taken, client:
            client.settimeout(SOON)
            yield taken, client


def test_a_client_that_still_sends_gets_its_answer_and_nobody_waits_for_it(connected):
    taken, client = connected
    lingering: list[socket.socket] = []
    connection = Connection(taken, threading.BoundedSemaphore(1), LARGEST, lingering.append)
    client.sendall(b"x" * 100_000)  # nobody will read it
    connection.sendall(b"HTTP/1.1 413 Too large\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    with pytest.raises(TooSlow):
        connection.recv(4096)
    connection.close()
    client.sendall(b"x" * 1_000)
    assert client.recv(100).startswith(b"HTTP/1.1 413")
    assert client.recv(100) == b""
    lingering[0].close()


def test_connections_that_are_kept_open_after_their_answer_are_bounded():
    worker = SimpleNamespace(lingering=deque())
    kept = [socket.socket() for _ in range(MOST_LINGERING + 3)]
    for each in kept:
        Worker.linger(worker, each)
    assert [each.fileno() < 0 for each in kept] == [True] * 3 + [False] * MOST_LINGERING
    for each in kept:
        each.close()
