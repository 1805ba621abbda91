"""The only HTTP client: every call to another machine goes through one guarded session.

Which bases may be called is the operator's decision (`Policy`), never the caller's. A call ends at its moment on the
clock, reads no more than it may, follows no redirect, keeps no cookie, and asks the environment for nothing: `.netrc`
would replace the caller's token. What fails is reported in our own words, without address, token or patient.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from socket import getaddrinfo
from typing import BinaryIO
from weakref import WeakValueDictionary

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry, Timeout
from urllib3.exceptions import DecodeError, HTTPError, NameResolutionError, ReadTimeoutError

from .. import tracing
from ..fetching import Fetch, FetchFailed
from .addresses import AddressRefused, Base, Policy, parse_base
from .connections import AddressNotAllowed, Resolve, guarded_pools

_TRY_AGAIN = (429, 502, 503)
_PAUSE = 0.1  # seconds before the one retry
_CHUNK = 65_536  # decoded bytes at a time
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LATE = "no answer in time"
_FHIR_SERVER = "the FHIR server"  # whom our words name, unless the caller says who is called
_REASONS = {
    400: "{server} does not accept the query",
    401: "{server} does not accept the token",
    403: "{server} does not give access",
    404: "{server} does not have it",
    410: "it was deleted on {server}",
    429: "{server} is asked too often",
}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request of any kind. `target` is an address under the base; `headers` come after ours and replace them."""

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, whatever its status. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# (request, latest moment on the monotonic clock) -> the reply; FetchFailed where none came. Nothing is sent twice.
Send = Callable[[Outgoing, float], Reply]
# The same for what is too large for memory: the body of a 200 is written to a file, of any size; the reply has none.
Save = Callable[[Outgoing, BinaryIO, float], Reply]


class HttpClient:
    """The guarded session with its connections. One per process; threads share it. `server` is how our words for what
    failed name who was called."""

    def __init__(self, policy: Policy, resolve: Resolve = getaddrinfo, server: str = _FHIR_SERVER) -> None:
        self.policy = policy
        self.server = server
        self.session = guarded_session(policy, resolve)
        self._lock = threading.Lock()
        self._places: WeakValueDictionary[str, threading.BoundedSemaphore] = WeakValueDictionary()
        for name in ("urllib3", "urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they write addresses, and those name patients

    def fetch_for(self, base: str, token: str = "", lifetime: float | None = None) -> tuple[Fetch | None, str]:
        """A fetch for one hook call, or None and why not. `lifetime` is the token's `expires_in`, in seconds from now.

        The token is sent to this base and to nothing else, and not in the clear to another machine.
        """
        call, why = self._call_for(base, token, lifetime)
        return (call.fetch if call else None), why

    def send_for(self, base: str, token: str = "") -> tuple[Send | None, str]:
        """As `fetch_for`, for requests of any kind: who uses it writes to the server, or reads what else it answers."""
        call, why = self._call_for(base, token, None)
        return (call.send if call else None), why

    def save_for(self, base: str, token: str = "") -> tuple[Save | None, str]:
        """As `send_for`, for answers that are too large for memory."""
        call, why = self._call_for(base, token, None)
        return (call.save if call else None), why

    def _call_for(self, base: str, token: str, lifetime: float | None) -> tuple[_Call | None, str]:
        """The access to a base, or None and why there is none."""
        try:
            parsed = parse_base(base)
        except AddressRefused:
            return None, "the fhirServer is not an address that can be called"
        if not self.policy.allows(parsed):
            return None, "the fhirServer is not among the allowed FHIR bases"
        if not token and not self.policy.anonymous:
            return None, "no token was passed"
        if token and not _TOKEN.fullmatch(token):
            return None, "the token is not usable"
        if token and lifetime is not None and not lifetime > 0:
            return None, "the token has expired"
        if token and parsed.scheme == "http" and not parsed.loopback_name:
            return None, "a token is not sent without encryption"
        token_ends = time.monotonic() + lifetime if token and lifetime is not None else None
        return _Call(self, parsed, token, token_ends), ""

    def close(self) -> None:
        """Close every connection."""
        self.session.close()

    def places_at(self, origin: str) -> threading.BoundedSemaphore:
        """The places for calls to one origin: a slow server fills its own places and nobody else's."""
        with self._lock:
            places = self._places.get(origin)
            if places is None:
                places = self._places[origin] = threading.BoundedSemaphore(self.policy.at_once)
            return places


class _Call:
    """The access of one hook call to one base. It has no repr that could show the token."""

    def __init__(self, client: HttpClient, base: Base, token: str, token_ends: float | None) -> None:
        self._base, self._session, self._policy, self._server = base, client.session, client.policy, client.server
        self._places = client.places_at(base.origin)
        self._token_ends = token_ends
        self._trace = tracing.current()  # of the hook call: fetches run in other threads
        self._headers = {
            "Accept": "application/fhir+json, application/json;q=0.9",
            "Accept-Encoding": "gzip, deflate",
            "Cache-Control": "no-cache",  # a server may answer a search from what it found a minute ago
            "User-Agent": "b12-cds",
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._bytes_left = client.policy.call_bytes
        self._lock = threading.Lock()

    def fetch(self, target: str, deadline: float) -> bytes:
        """The body at `target` under the base. FetchFailed for anything else than a whole 200 before the deadline."""
        with self._trace.span("fetch"), self._place(deadline):
            prepared = self._prepared(Outgoing("GET", target))
            body, failed, passing = self._attempt(prepared, deadline)
            if failed is not None and passing and deadline - time.monotonic() >= 2 * _PAUSE:
                time.sleep(_PAUSE)
                body, failed, _ = self._attempt(prepared, deadline)
        if failed is not None:
            raise failed
        return body

    def send(self, request: Outgoing, deadline: float) -> Reply:
        """The reply to a request, once: what it wrote may have been written though no reply came."""
        prepared = self._prepared(request)
        with self._place(deadline):
            reply, failed, _ = self._exchange(prepared, deadline, of_any_status=True)
        if reply is None:
            raise failed or FetchFailed(_LATE)
        return reply

    def save(self, request: Outgoing, into: BinaryIO, deadline: float) -> Reply:
        """The reply to a request, once, its body in a file. What was written is a part where FetchFailed is raised."""
        prepared = self._prepared(request)
        with self._place(deadline):
            reply, failed, _ = self._exchange(prepared, deadline, of_any_status=True, into=into)
        if reply is None:
            raise failed or FetchFailed(_LATE)
        return reply

    @contextmanager
    def _place(self, deadline: float) -> Iterator[None]:
        """One of the places for calls to this origin."""
        if not self._places.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise FetchFailed(f"too many calls to {self._server} at once")
        try:
            yield
        finally:
            self._places.release()

    def _traced(self) -> Mapping[str, str]:
        """The header by which the server may join its part of the trace to ours."""
        parent = self._trace.traceparent()
        return {tracing.HEADER: parent} if parent else {}

    def _prepared(self, request: Outgoing) -> requests.PreparedRequest:
        """The request, after checking the address as it will really be sent."""
        refused = ""
        try:
            prepared = self._session.prepare_request(
                requests.Request(
                    request.method,
                    self._base.address_of(request.target),
                    headers={**self._headers, **self._traced(), **request.headers},
                    data=request.body,
                )
            )
            self._base.address_of(prepared.url or "")
        except AddressRefused as error:
            refused = str(error)
        except (requests.RequestException, ValueError):
            refused = "an address that cannot be called"
        if refused:
            raise FetchFailed(refused)
        return prepared

    def _attempt(self, prepared: requests.PreparedRequest, deadline: float) -> tuple[bytes, FetchFailed | None, bool]:
        """One try: the body, or what failed and whether it may pass."""
        reply, failed, passing = self._exchange(prepared, deadline, of_any_status=False)
        if reply is None or reply.status == 200:
            return reply.body if reply else b"", failed, passing
        return b"", FetchFailed(_reason(reply.status, self._server), reply.status), reply.status in _TRY_AGAIN

    def _exchange(
        self, prepared: requests.PreparedRequest, deadline: float, *, of_any_status: bool, into: BinaryIO | None = None
    ) -> tuple[Reply | None, FetchFailed | None, bool]:
        """One try: the reply, or what failed and whether it may pass. The body of an error only `of_any_status`."""
        left = deadline - time.monotonic()
        if left <= 0:
            return None, FetchFailed(_LATE), False
        if self._token_ends is not None and time.monotonic() >= self._token_ends:
            return None, FetchFailed("the token has expired"), False
        try:
            with self._session.send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=Timeout(total=left, connect=max(left / 2, 0.05)),
                verify=self._policy.ca_file or True,
            ) as response:
                whole = response.status_code == 200
                if whole and into is not None:
                    self._save_body(response, into, deadline)
                    wanted = False
                else:
                    wanted = of_any_status or whole
                body = self._body(response, deadline) if wanted else b""
                names = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, names, body), None, False
        except FetchFailed as failed:
            return None, failed, False
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            return None, *in_our_words(error, self._server)

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        """The decoded body, as long as it stays within its bytes and its time."""
        body = bytearray()
        for chunk in response.raw.stream(_CHUNK, decode_content=True):
            body += chunk
            self._count(len(chunk))
            if len(body) > self._policy.answer_bytes:
                raise FetchFailed("the answer is too large")
            if time.monotonic() > deadline:
                raise FetchFailed(_LATE)
        return bytes(body)

    def _save_body(self, response: requests.Response, into: BinaryIO, deadline: float) -> None:
        """The decoded body, written as it comes, as long as it stays within its time."""
        for chunk in response.raw.stream(_CHUNK, decode_content=True):
            into.write(chunk)
            if time.monotonic() > deadline:
                raise FetchFailed(_LATE)

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes_left -= size
            if self._bytes_left < 0:
                raise FetchFailed("the answers are too large together")


def in_our_words(error: Exception, server: str) -> tuple[FetchFailed, bool]:
    """A library's error in our words, and whether a second try may help."""
    causes = list(_causes(error))
    if any(isinstance(cause, AddressNotAllowed) for cause in causes):
        return FetchFailed(f"{server}'s name leads to an address that is not allowed"), False
    if any(isinstance(cause, TimeoutError | requests.Timeout | ReadTimeoutError) for cause in causes):
        # a connection that was not made in time may be made the second time; an answer that was slow stays slow
        return FetchFailed(_LATE), any(isinstance(cause, requests.ConnectTimeout) for cause in causes)
    if any(isinstance(cause, requests.exceptions.SSLError) for cause in causes):
        refused = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
        not_accepted = f"{server}'s certificate is not accepted"
        return FetchFailed(not_accepted if refused else f"{server} does not speak TLS there"), False
    if isinstance(error, DecodeError | requests.exceptions.ContentDecodingError):
        return FetchFailed("the answer cannot be decoded"), False
    if isinstance(error, requests.ConnectionError):
        return FetchFailed(f"{server} cannot be reached{_why_unreached(causes)}"), True
    return FetchFailed("the answer broke off"), False


def _why_unreached(causes: Iterable[object]) -> str:
    """Why there is no connection, as far as the system says: ": the connection was refused"."""
    for cause in causes:
        if isinstance(cause, NameResolutionError | socket.gaierror):
            return ": its name is not known"
        if isinstance(cause, ConnectionRefusedError):
            return ": the connection was refused"
        if isinstance(cause, ConnectionResetError):
            return ": the connection was reset"
    return ""


def _causes(error: object) -> Iterable[object]:
    """The error, and those that libraries wrapped in it."""
    for _ in range(8):
        if not isinstance(error, Exception):
            return
        yield error
        inner = [each for each in error.args if isinstance(each, Exception)]
        error = getattr(error, "reason", None) or (inner[0] if inner else None) or error.__cause__


def _reason(status: int, server: str) -> str:
    if 300 <= status < 400:
        return f"{server} sends elsewhere, which is not followed"
    known = _REASONS.get(status) or ("{server} failed" if status >= 500 else "{server} refused")
    return known.format(server=server)


class _Session(requests.Session):
    """A session that sees no redirects: requests would read the whole body of one before not following it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def guarded_session(policy: Policy, resolve: Resolve = getaddrinfo) -> requests.Session:
    """A session that connects to what the policy allows, follows no redirect and asks the environment for nothing."""
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    retries = Retry(0, read=False, redirect=False, respect_retry_after_header=False)
    for scheme in ("http://", "https://"):
        adapter = HTTPAdapter(pool_maxsize=policy.at_once, max_retries=retries)
        adapter.poolmanager.pool_classes_by_scheme = guarded_pools(policy.may_connect, resolve)
        session.mount(scheme, adapter)
    return session
