"""gunicorn's threaded worker, with an end to its patience: slow clients have few threads, and none for long.

gunicorn waits for a request as long as its client likes to take, in a thread. Here a connection without data has no
thread at all, a request that comes slowly takes one of few places for slow ones, and after some seconds it has failed.
Also, a request learns how long it has waited for a thread (`calls`).
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.workers import gthread

from ..web.calls import WAITED

GLANCE = 0.01  # seconds that a thread waits for the first byte
SLOW_AFTER = 0.5  # seconds of waiting for a request, after which its client is a slow one
SLOW_AT_ONCE = 8  # slow clients of one process
PATIENCE = 5.0  # seconds of waiting for all of a request, or until an answer is taken
LINGER = 0.05  # seconds for what a client still sends when its connection is closed


class TooSlow(TimeoutError):
    """The client did not send, or take, in time. gunicorn takes it for a reset connection, and is silent."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "too slow")


class Connection(socket.socket):
    """A client's connection that does not wait for ever."""

    def __init__(self, taken: socket.socket, slow: threading.BoundedSemaphore) -> None:
        super().__init__(taken.family, taken.type, taken.proto, fileno=taken.detach())
        self._slow, self._is_slow, self._waited = slow, False, 0.0
        self._closing: float | None = None

    def begin(self) -> None:
        """A request may begin: nothing was waited for yet."""
        self._waited = 0.0

    def end(self) -> None:
        """The request is answered; others may be slow now."""
        if self._is_slow:
            self._is_slow = False
            self._slow.release()

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What has come; TooSlow if nothing has, and the client has no time left."""
        if self._closing is not None:
            return self._within(self._closing - time.monotonic(), size, flags)
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

    def sendall(self, told: bytes, flags: int = 0) -> None:
        """Send everything; TooSlow if the client does not take it."""
        self.settimeout(PATIENCE)
        try:
            super().sendall(told, flags)
        except TimeoutError:
            raise TooSlow from None

    def shutdown(self, how: int) -> None:
        """gunicorn reads on for two seconds after this, in the thread that accepts connections: that is too long."""
        self._closing = time.monotonic() + LINGER
        super().shutdown(how)


class Worker(gthread.ThreadWorker):
    """The worker. `Connection` limits what one client may take of it."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.slow = threading.BoundedSemaphore(SLOW_AT_ONCE)
        self.turn = threading.local()  # .waited: how long the request of this thread had to wait for it

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi = told_of_waiting(self.wsgi, self.turn)

    def enqueue_req(self, conn: Any) -> None:
        conn.queued = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        self.turn.waited = time.monotonic() - conn.queued
        if not isinstance(conn.sock, Connection):
            conn.sock = Connection(conn.sock, self.slow)
        if not conn.initialized and not conn.wait_for_data(GLANCE):
            return gthread._DEFER  # to the poller, which waits without a thread
        conn.sock.begin()
        try:
            return super().handle(conn)
        finally:
            conn.sock.end()


def told_of_waiting(app: Callable[..., Any], turn: threading.local) -> Callable[..., Any]:
    """Wrap the application: its environment says how long the request has waited for a thread."""

    def told(environ: dict[str, Any], start_response: Any) -> Any:
        environ[WAITED] = turn.waited
        return app(environ, start_response)

    return told
