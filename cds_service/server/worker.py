"""gunicorn's threaded worker, which gives a thread to whole requests only: slow clients hold up nobody.

gunicorn gives a thread to a connection as soon as a byte of a request has come, and the thread waits for the rest. Here
a request is gathered first, without a thread, in the loop that also accepts connections; a thread begins when all of it
is there. It must be there within some seconds (more for a large body), connections that wait are bounded, the oldest
is closed when there are too many, and too many open files are a pause. What is not gathered (a body beyond the memory
for them all) takes one of few places for slow clients. A request also learns how long it has waited for a thread
(`WAITED`).

docs/adr/ says what other servers did under the same attack.
"""

from __future__ import annotations

import errno
import math
import os
import re
import resource
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http import errors
from gunicorn.workers import gthread

from ..web.calls import WAITED
from ..web.messages import answer_without_the_application, places

SLOW_AFTER = 0.5  # seconds of waiting in a thread, after which its client is a slow one
SLOW_AT_ONCE = 8  # slow clients of one process
PATIENCE = 5.0  # seconds for all of a request, or until an answer is taken
BYTES_A_SECOND = 250_000  # with which a large body may come; it has so much more time
LINGER = 1.0  # seconds for which what a client still sends after its answer is taken by nobody, and breaks nothing
MOST_LINGERING = 100  # such connections of one process; they count as none
LARGEST_HEAD = 80_000  # bytes; gunicorn's own limits are below
LARGEST_BODY = 5_000_000  # bytes, where the application states no limit
MOST_CHUNKS, LEAST_OF_A_CHUNK = 10_000, 256  # more chunks than that must have so many bytes each, on average
AT_ONCE = 16  # pieces of 64 kB that are taken of one connection before others have their turn
MOST_GATHERED = 64_000_000  # bytes of requests that are not whole, in one process
MOST_WAITING = 2_000  # connections without a whole request, in one process
SPARE_FILES = 200  # of the process's open files, for all that is no connection
FILES_WANTED = 8_192
FULL_PAUSE = 0.1  # seconds for which nothing is accepted where no file can be opened
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[^\r\n]{0,200}\r\n")
STATUSES: dict[type[BaseException], int] = {  # the first that fits
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.UnsupportedTransferCoding: 501,
    errors.ParseException: 400,
}
# They count as bad headers of a request, which they are not; by name, because the types of gunicorn do not list them.
FAULTS_OF_AN_ANSWER = ("InvalidResponseHeader", "InvalidResponseHeaderName")


class TooSlow(TimeoutError):
    """The client did not send, or take, in time. gunicorn takes it for a reset connection, and is silent."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "too slow")


class Gathered:
    """The bytes of a request that have come, as far as no thread has taken them."""

    def __init__(self, largest: int) -> None:
        self.largest = largest  # bytes of a body that may be waited for
        self.bytes = bytearray()
        self.continues = False  # the client waits for a word before it sends the body
        self.is_hopeless = False  # it will never be a request that is worth waiting for
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._head = 0  # bytes of the head with its empty line; 0 while that has not come
        self._searched = 0  # bytes in which its end was looked for
        self._length: int | None = None  # of the body, as the head states it
        self._is_chunked = False
        self._chunk, self._chunks = 0, 0  # where the next chunk begins, and how many came

    @property
    def has_head(self) -> bool:
        """Is enough there to answer that the rest did not come?"""
        return bool(self._head)

    def is_whole(self) -> bool:
        """May a thread begin? Also where there is nothing to wait for: what is wrong is for the parser to say."""
        if not self._head and not self._find_head():
            return self.is_hopeless or len(self.bytes) > LARGEST_HEAD
        if self._is_chunked:
            return self._last_chunk_is_there()
        return self._length is None or len(self.bytes) >= self._head + self._length

    def _find_head(self) -> bool:
        """Look for the end of the head in what is new, and read once what it says of the body."""
        begin = max(self._searched - 3, 0)
        end = self.bytes.find(b"\r\n\r\n", begin)
        self._searched = len(self.bytes)
        if end < 0:
            self.is_hopeless = self.bytes.find(b"\n\n", begin) >= 0  # gunicorn would wait for the rest in a thread
            return False
        self._head = self._chunk = end + 4
        if EXPECTS.search(self.bytes, 0, self._head):
            self._take_out_expect()
        head = bytes(self.bytes[: self._head])
        self._is_chunked = CHUNKED.search(head) is not None
        length = LENGTH.search(head)
        self._length = int(length[1]) if length and int(length[1]) <= self.largest else None
        return True

    def take(self, size: int) -> bytes:
        """The next bytes for a thread."""
        taken = bytes(self.bytes[:size])
        del self.bytes[:size]
        self._begin_anew()
        return taken

    def _take_out_expect(self) -> None:
        """The client is told here to go on, and gunicorn need not."""
        found = EXPECTS.search(self.bytes, 0, self._head)
        if found is not None:
            del self.bytes[found.start() : found.end()]
            self._head -= found.end() - found.start()
            self._chunk, self.continues = self._head, True

    def _last_chunk_is_there(self) -> bool:
        """Has the body ended, or become something that is no body, or too large?"""
        while len(self.bytes) - self._head <= self.largest:
            size = CHUNK_SIZE.match(self.bytes, self._chunk)
            if size is None:
                line = self.bytes[self._chunk : self._chunk + 220]
                return b"\n" in line or len(line) == 220
            if int(size[1], 16) == 0:
                return self.bytes.find(b"\r\n\r\n", size.end() - 2) >= 0 or len(self.bytes) - size.end() > LARGEST_HEAD
            following = size.end() + int(size[1], 16) + 2
            if following > len(self.bytes):
                return following - self._head > self.largest
            self._chunk, self._chunks = following, self._chunks + 1
            if self._chunks > MOST_CHUNKS and self._chunk < self._chunks * LEAST_OF_A_CHUNK:
                self.is_hopeless = True
                return True
        return True


class Connection(socket.socket):
    """A client's connection that does not wait for ever."""

    def __init__(
        self,
        taken: socket.socket,
        slow: threading.BoundedSemaphore,
        largest: int,
        linger: Callable[[socket.socket], None],
    ) -> None:
        super().__init__(taken.family, taken.type, taken.proto, fileno=taken.detach())
        self.gathered = Gathered(largest)
        self._slow, self._is_slow, self._waited = slow, False, 0.0
        self._linger, self._is_closing = linger, False
        self.is_late = False  # its request did not come in time, or never will: it is not waited for any more

    def gather(self, room: int) -> bool:
        """Take what has come, `room` bytes at most, without waiting. True if a thread may begin."""
        for _ in range(AT_ONCE):
            try:
                piece = super().recv(65_536, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                return True
            self.gathered.bytes += piece
            if not piece or len(self.gathered.bytes) > room or self.gathered.is_whole():
                self.is_late = self.is_late or self.gathered.is_hopeless
                return True
            if self.gathered.continues:
                self.gathered.continues = False
                self._go_on()
        return False

    def _go_on(self) -> None:
        try:
            super().send(b"HTTP/1.1 100 Continue\r\n\r\n", socket.MSG_DONTWAIT)
        except OSError:  # it is found out when the body does not come
            return

    def begin(self) -> None:
        """A request may begin: nothing was waited for yet, unless it took too long to come."""
        self._waited = math.inf if self.is_late else 0.0

    def end(self) -> None:
        """The request is answered; others may be slow now."""
        if self._is_slow:
            self._is_slow = False
            self._slow.release()

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What was gathered, then what comes; TooSlow if nothing does, and the client has no time left."""
        if self.gathered.bytes:
            return self.gathered.take(size)
        if self._is_closing:
            raise TooSlow
        if not self._is_slow:
            try:
                return self._within(SLOW_AFTER - self._waited, size, flags)
            except TooSlow:
                if not self._slow.acquire(blocking=False):
                    raise
                self._is_slow = True
        return self._within(PATIENCE - self._waited, size, flags)

    def _within(self, seconds: float, size: int, flags: int) -> bytes:
        """What comes within this time, which then has been waited."""
        if seconds <= 0:
            raise TooSlow
        began = time.monotonic()
        self.settimeout(seconds)
        try:
            return super().recv(size, flags)
        except TimeoutError:
            raise TooSlow from None
        finally:
            self._waited += time.monotonic() - began

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send everything; TooSlow if the client does not take it."""
        self.settimeout(PATIENCE)
        try:
            super().sendall(data, flags)
        except TimeoutError:
            raise TooSlow from None

    def shutdown(self, how: int) -> None:
        """The answer is sent. gunicorn would read on for two seconds now, in the thread that accepts connections, so
        that a client that still sends is not cut off from its answer: the worker keeps the connection open instead."""
        self._is_closing = True
        super().shutdown(how)
        with suppress(OSError):  # too many open files: then it is closed at once
            self._linger(socket.socket(fileno=os.dup(self.fileno())))


class Worker(gthread.ThreadWorker):
    """The worker. `Connection` limits what one client may take of it."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.slow = threading.BoundedSemaphore(SLOW_AT_ONCE)
        self.turn = threading.local()  # .waited: how long the request of this thread had to wait for it
        self.largest = LARGEST_BODY
        self.most = min(int(self.cfg.worker_connections), max(raise_open_files() - SPARE_FILES, 100))
        self.worker_connections = self.most
        self.lingering: deque[tuple[float, socket.socket]] = deque()  # answered, and until when they are kept open
        self._held = 0  # bytes that connections without a thread have gathered
        self._looked = 0.0

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.largest = getattr(self.wsgi, "config", {}).get("MAX_CONTENT_LENGTH") or LARGEST_BODY
        self.wsgi = with_waiting(self.wsgi, self.turn)

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; a thread is only for what has sent a whole request."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(FULL_PAUSE)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        connection = Connection(client, self.slow, self.largest, self.linger)
        self._wait_for_request(gthread.TConn(self.cfg, connection, address, listener.getsockname()))
        while self.nr_conns >= self.most and (self.pending_conns or self.keepalived_conns):
            self._close_waiting((self.pending_conns or self.keepalived_conns)[0])

    def linger(self, answered: socket.socket) -> None:
        """Keep an answered connection open for a moment, without waiting for it."""
        self.lingering.append((time.monotonic() + LINGER, answered))
        if len(self.lingering) > MOST_LINGERING:
            self.lingering.popleft()[1].close()

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """A connection that was kept alive sends its next request."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._wait_for_request(conn)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        """A connection whose request is not whole yet sends more of it."""
        if self._gather(conn):
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self.enqueue_req(conn)
        else:
            conn.timeout = conn.began + PATIENCE + len(conn.sock.gathered.bytes) / BYTES_A_SECOND

    def murder_pending(self) -> None:
        """Close those that took too long, and when this process ends those that sent nothing; once a second."""
        now = time.monotonic()
        if now - self._looked >= 1.0 or not self.alive:
            self._looked = now
            while self.lingering and (self.lingering[0][0] <= now or not self.alive):
                self.lingering.popleft()[1].close()
            waiting: list[Any] = [*self.pending_conns]
            for conn in waiting:
                if conn.timeout <= now and conn.sock.gathered.has_head:
                    self._answer_late(conn)
                elif conn.timeout <= now or not (self.alive or conn.held):
                    self._close_waiting(conn)

    def enqueue_req(self, conn: Any) -> None:
        conn.queued, conn.data_ready = time.monotonic(), True
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """What came together with the last request, of a client that did not wait for its answer, is the next one."""
        super().finish_request(conn, fs)
        if conn.sock.gathered.bytes and conn in self.keepalived_conns:
            self.poller.unregister(conn.sock)
            self.keepalived_conns.remove(conn)
            self.enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        self.turn.waited = time.monotonic() - conn.queued
        conn.sock.begin()
        try:
            return super().handle(conn)
        finally:
            conn.sock.end()

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: BaseException) -> None:
        """Answer what never reaches the application as it answers errors, and quote nothing of the request in the log:
        gunicorn's own line has its first line, with a query string that may be a secret."""
        status = status_of(exc)
        if status != 500:
            self.log.warning("Refused with %d: %s", status, type(exc).__name__)
        else:
            self.log.error("Failed with %d: %s at %s", status, type(exc).__name__, places(exc))
        with suppress(OSError):
            client.sendall(answer_without_the_application(status))

    def _wait_for_request(self, conn: Any) -> None:
        """Give it to a thread if its request is there, else wait for it without one."""
        conn.sock.setblocking(False)
        conn.began, conn.held = time.monotonic(), 0
        if self._gather(conn):
            self.enqueue_req(conn)
            return
        conn.timeout = conn.began + PATIENCE
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))
        if len(self.pending_conns) > MOST_WAITING:
            self._close_waiting(self.pending_conns[0])

    def _answer_late(self, conn: Any) -> None:
        """Give it to a thread that says so, and waits for nothing."""
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        self._held -= conn.held
        conn.held, conn.sock.is_late = 0, True
        self.enqueue_req(conn)

    def _close_waiting(self, conn: Any) -> None:
        """Close a connection that no thread has."""
        for waiting in (self.pending_conns, self.keepalived_conns):
            if conn in waiting:
                waiting.remove(conn)
        self.poller.unregister(conn.sock)
        self._held -= conn.held
        self.nr_conns -= 1
        conn.close()

    def _gather(self, conn: Any) -> bool:
        """Take what has come of its request. True if a thread may begin, to which it then belongs."""
        whole: bool = conn.sock.gather(MOST_GATHERED - self._held + conn.held)
        now_held = 0 if whole else len(conn.sock.gathered.bytes)
        self._held += now_held - conn.held
        conn.held = now_held
        return whole


def status_of(error: BaseException) -> int:
    """The status for an error of a request that never reaches the application, or of an answer that is none."""
    if type(error).__name__ in FAULTS_OF_AN_ANSWER:
        return 500
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)


def raise_open_files() -> int:
    """Allow this process as many open files as it may have, within reason; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    wanted = FILES_WANTED if unlimited else min(FILES_WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return FILES_WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def with_waiting(app: Callable[..., Any], turn: threading.local) -> Callable[..., Any]:
    """Wrap the application: its environment says how long the request has waited for a thread."""

    def app_with_waiting(environ: dict[str, Any], start_response: Any) -> Any:
        environ[WAITED] = turn.waited
        return app(environ, start_response)

    return app_with_waiting
