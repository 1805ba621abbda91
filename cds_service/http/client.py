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
from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from socket import getaddrinfo
from weakref import WeakValueDictionary

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry, Timeout
from urllib3.exceptions import DecodeError, HTTPError, NameResolutionError, ReadTimeoutError

from ..fetching import Fetch, FetchFailed
from .addresses import AddressRefused, Base, Policy, parse_base
from .connections import AddressNotAllowed, Resolve, guarded_pools

_TRY_AGAIN = (429, 502, 503)
_PAUSE = 0.1  # seconds before the one retry
_CHUNK = 65_536  # decoded bytes at a time
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LATE = "no answer in time"
_REASONS = {
    400: "the FHIR server does not accept the query",
    401: "the FHIR server does not accept the token",
    403: "the FHIR server does not give access",
    404: "the FHIR server does not have it",
    410: "it was deleted on the FHIR server",
    429: "the FHIR server is asked too often",
}


class HttpClient:
    """The guarded session with its connections. One per process; threads share it."""

    def __init__(self, policy: Policy, resolve: Resolve = getaddrinfo) -> None:
        self.policy = policy
        self.session = _guarded_session(policy, resolve)
        self._lock = threading.Lock()
        self._places: WeakValueDictionary[str, threading.BoundedSemaphore] = WeakValueDictionary()
        for name in ("urllib3", "urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they write addresses, and those name patients

    def fetch_for(self, base: str, token: str = "", lifetime: float | None = None) -> tuple[Fetch | None, str]:
        """A fetch for one hook call, or None and why not. `lifetime` is the token's `expires_in`, in seconds from now.

        The token is sent to this base and to nothing else, and not in the clear to another machine.
        """
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
        return _Call(self, parsed, token, token_ends).fetch, ""

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
        self._base, self._session, self._policy = base, client.session, client.policy
        self._places = client.places_at(base.origin)
        self._token_ends = token_ends
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
        prepared = self._prepared(target)
        if not self._places.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise FetchFailed("too many calls to the FHIR server at once")
        try:
            body, failed, passing = self._attempt(prepared, deadline)
            if failed is not None and passing and deadline - time.monotonic() >= 2 * _PAUSE:
                time.sleep(_PAUSE)
                body, failed, _ = self._attempt(prepared, deadline)
        finally:
            self._places.release()
        if failed is not None:
            raise failed
        return body

    def _prepared(self, target: str) -> requests.PreparedRequest:
        """The request, after checking the address as it will really be sent."""
        refused = ""
        try:
            prepared = self._session.prepare_request(
                requests.Request("GET", self._base.address_of(target), headers=self._headers)
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
        left = deadline - time.monotonic()
        if left <= 0:
            return b"", FetchFailed(_LATE), False
        if self._token_ends is not None and time.monotonic() >= self._token_ends:
            return b"", FetchFailed("the token has expired"), False
        try:
            with self._session.send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=Timeout(total=left, connect=max(left / 2, 0.05)),
                verify=self._policy.ca_file or True,
            ) as response:
                if response.status_code == 200:
                    return self._body(response, deadline), None, False
                failed = FetchFailed(_reason(response.status_code), response.status_code)
                return b"", failed, response.status_code in _TRY_AGAIN
        except FetchFailed as failed:
            return b"", failed, False
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            return b"", *_told(error)

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

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes_left -= size
            if self._bytes_left < 0:
                raise FetchFailed("the answers are too large together")


_NOT_ACCEPTED = "the FHIR server's certificate is not accepted"


def _told(error: Exception) -> tuple[FetchFailed, bool]:
    """A library's error in our words, and whether a second try may help."""
    causes = list(_causes(error))
    if any(isinstance(cause, AddressNotAllowed) for cause in causes):
        return FetchFailed("the FHIR server's name leads to an address that is not allowed"), False
    if any(isinstance(cause, TimeoutError | requests.Timeout | ReadTimeoutError) for cause in causes):
        # a connection that was not made in time may be made the second time; an answer that was slow stays slow
        return FetchFailed(_LATE), any(isinstance(cause, requests.ConnectTimeout) for cause in causes)
    if any(isinstance(cause, requests.exceptions.SSLError) for cause in causes):
        refused = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
        return FetchFailed(_NOT_ACCEPTED if refused else "the FHIR server does not speak TLS there"), False
    if isinstance(error, DecodeError | requests.exceptions.ContentDecodingError):
        return FetchFailed("the answer cannot be decoded"), False
    if isinstance(error, requests.ConnectionError):
        return FetchFailed(f"the FHIR server cannot be reached{_why_unreached(causes)}"), True
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


def _reason(status: int) -> str:
    if 300 <= status < 400:
        return "the FHIR server sends elsewhere, which is not followed"
    return _REASONS.get(status) or ("the FHIR server failed" if status >= 500 else "the FHIR server refused")


class _Session(requests.Session):
    """A session that sees no redirects: requests would read the whole body of one before not following it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def _guarded_session(policy: Policy, resolve: Resolve) -> requests.Session:
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
