"""Connections that go only where they may, and that end when they must.

Two things that client libraries leave open. The address that a name resolves to is checked here, on the address that
is then connected to: a name that answers differently the second time (DNS rebinding) gains nothing. And the time for
an answer is a moment on the clock, not a pause between two reads: a server that sends one byte a second would
otherwise be listened to for ever.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

Resolve = Callable[..., list[Any]]  # socket.getaddrinfo, or a stand-in
MayConnect = Callable[[str, int, str], bool]  # (host as asked for, port, IP address it resolved to)

_NO_TIMEOUT_GIVEN = 5.0  # seconds; every caller gives one


class AddressNotAllowed(NewConnectionError):
    """The name resolves to addresses that may not be called."""


def guarded_pools(may_connect: MayConnect, resolve: Resolve) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools by scheme, for a urllib3 pool manager, whose connections ask `may_connect` first."""

    class GuardedConnection(HTTPConnection):
        response_class = _TimedResponse

        def _new_conn(self) -> socket.socket:
            return _connect(self, may_connect, resolve)

        def request(self, *args: Any, **named: Any) -> None:
            _renew_timeout(self)
            super().request(*args, **named)

    class Secure(HTTPSConnection):
        response_class = _TimedResponse

        def _new_conn(self) -> socket.socket:
            return _connect(self, may_connect, resolve)

        def request(self, *args: Any, **named: Any) -> None:
            _renew_timeout(self)
            super().request(*args, **named)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = GuardedConnection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _renew_timeout(connection: HTTPConnection) -> None:
    """A connection used before still has what was left of its last timeout."""
    if connection.sock is not None:
        connection.sock.settimeout(connection.timeout)


def _connect(connection: Any, may_connect: MayConnect, resolve: Resolve) -> socket.socket:
    """A socket to the first address of the connection's host that may be called and answers."""
    host, port = connection.host, connection.port
    allowed_time = connection.timeout if isinstance(connection.timeout, int | float) else _NO_TIMEOUT_GIVEN
    ends = time.monotonic() + allowed_time
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        failed = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(host, connection, failed) from None
    except UnicodeError:  # a host that is no name at all
        raise NewConnectionError(connection, "not a host name") from None
    allowed = [each for each in found if may_connect(host, port, each[4][0])]
    if not allowed:
        raise AddressNotAllowed(connection, "the host resolves to no address that may be called")
    timed_out = False
    refused: OSError | None = None
    for family, kind, protocol, _, address in allowed:
        left = ends - time.monotonic()
        if left <= 0:
            timed_out = True
            break
        opened = socket.socket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                opened.setsockopt(*option)
            opened.settimeout(left)
            opened.connect(address)
            return opened
        except OSError as error:
            opened.close()
            timed_out, refused = isinstance(error, TimeoutError), error
    if timed_out:
        raise ConnectTimeoutError(connection, "no connection in time")
    raise NewConnectionError(connection, "no connection") from refused


class _TimedResponse(http.client.HTTPResponse):
    """An answer that must be whole before the timeout that its socket had when the answer began."""

    def __init__(self, sock: Any, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReads(sock))


class _TimedReads(io.RawIOBase):
    """Reads a socket until a moment on the clock, however slowly it gives its bytes."""

    def __init__(self, sock: Any) -> None:
        self._raw = sock.makefile("rb", buffering=0)
        self._sock = sock
        self._ends = time.monotonic() + (sock.gettimeout() or _NO_TIMEOUT_GIVEN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        if self._sock.fileno() >= 0:
            self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def fileno(self) -> int:
        number: int = self._raw.fileno()
        return number

    def close(self) -> None:
        self._raw.close()
        super().close()


def unused_proxies(named: Mapping[str, str]) -> str:
    """What the start says of proxies in the environment, by scheme ("" for none): one would void the address check."""
    schemes = ", ".join(sorted(set(named) - {"no"}))
    return schemes and (
        f"the environment names a proxy ({schemes}): it is not used. FHIR and key servers are called directly, because "
        "the address that is connected to is checked; where only a proxy leads out, they cannot be reached"
    )
