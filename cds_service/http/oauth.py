"""Tokens from an authorization server: Authlib's session over the guarded connections, and nothing of its own.

The session asks the environment for nothing, follows no redirect, keeps no cookie, and connects only where the policy
allows; an answer is read to its end or not at all. What fails is said in our own words: an error of an authorization
server may quote the code or the token.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from socket import getaddrinfo
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey, RSAKey
from requests.adapters import HTTPAdapter
from urllib3 import Retry, Timeout
from urllib3.exceptions import HTTPError

from ..fetching import FetchFailed
from .addresses import AddressRefused, Policy, parse_base
from .client import in_our_words
from .connections import Resolve, guarded_pools

LARGEST = 256_000  # decoded bytes of an answer of an authorization server
ASSERTION_LIFE = 300  # seconds that a signed client assertion is good for, as SMART App Launch 2 allows at most
CODES = frozenset(  # RFC 6749, 5.2: an error code of another kind may hold anything, and is not repeated
    "invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope".split()
)


class TokenRefused(Exception):
    """The authorization server gives no token. `code` is its error code where that is a known one, else ""."""

    def __init__(self, code: str) -> None:
        self.code = code if code in CODES else ""
        super().__init__(self.code)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Who we are to an authorization server. Without a key a public client; with one, by `private_key_jwt`."""

    id: str
    key: ECKey | RSAKey | None = field(default=None, repr=False)  # private, with its `kid`

    @property
    def algorithm(self) -> str:
        """The algorithm of the assertion: one of the two that every SMART server knows."""
        return "ES384" if isinstance(self.key, ECKey) else "RS384"


def oauth_session(
    client: OAuthClient, policy: Policy, now: float, resolve: Resolve = getaddrinfo, **more: Any
) -> OAuth2Session:
    """Authlib's session of this client for one token, which calls only what the policy allows.

    `now`: seconds since 1970. `more` is what Authlib takes.
    """
    method = "none" if client.key is None else PrivateKeyJWT.name
    session = OAuth2Session(client.id, client.key, token_endpoint_auth_method=method, **more)
    if client.key is not None:
        claims, header = {"iat": int(now), "exp": int(now) + ASSERTION_LIFE}, {"kid": client.key.kid}
        session.register_client_auth_method(PrivateKeyJWT(claims=claims, headers=header, alg=client.algorithm))
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers = requests.structures.CaseInsensitiveDict({"User-Agent": "b12-cds"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, GuardedAdapter(policy, resolve))
    return session


def fetch_token(session: OAuth2Session, endpoint: str, seconds: float, **sent: str) -> Mapping[str, Any]:
    """What the token endpoint answers. FetchFailed or TokenRefused say why there is no token."""
    try:
        found = session.fetch_token(endpoint, allow_redirects=False, timeout=seconds, **sent)
    except OAuthError as error:
        raise TokenRefused(str(error.error)) from None
    except (requests.RequestException, ValueError):
        raise FetchFailed("the authorization server's answer cannot be read") from None
    if not found.get("access_token"):  # a redirect, or another answer that is no error and no token
        raise FetchFailed("the authorization server's answer holds no token")
    return dict(found)


class GuardedAdapter(HTTPAdapter):
    """Sends a request where the policy allows it, and reads the whole answer within its bytes and its time."""

    def __init__(self, policy: Policy, resolve: Resolve = getaddrinfo) -> None:
        self._policy = policy
        super().__init__(pool_maxsize=policy.at_once, max_retries=Retry(0, read=False, redirect=False))
        self.poolmanager.pool_classes_by_scheme = guarded_pools(policy.may_connect, resolve)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """The answer, whole; FetchFailed otherwise. A redirect is an answer that is not followed. Of the options of
        requests only `timeout` counts (seconds for the whole answer): the policy says the rest."""
        check_called(request.url or "", self._policy)
        timeout = float(options["timeout"])
        ends = time.monotonic() + timeout
        try:
            response = super().send(
                request,
                stream=True,
                timeout=Timeout(total=timeout),  # type: ignore[arg-type]  # requests takes urllib3's as it is
                verify=self._policy.ca_file or True,
            )
            body = whole_body(response, ends)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failed, _ = in_our_words(error, "authorization server")
            raise failed from None
        response.raw = io.BytesIO(body)
        response.headers.pop("Location", None)
        return response


def whole_body(response: requests.Response, ends: float) -> bytes:
    """The decoded body; FetchFailed where it is too large or comes too late."""
    body = bytearray()
    with response:
        for chunk in response.raw.stream(65_536, decode_content=True):
            body += chunk
            if len(body) > LARGEST:
                raise FetchFailed("the answer is too large")
            if time.monotonic() > ends:
                raise FetchFailed("no answer in time")
    return bytes(body)


def check_called(url: str, policy: Policy) -> None:
    """FetchFailed for an address that the operator did not allow, and for one to which a secret would go in clear."""
    try:
        called = parse_base(url.partition("?")[0])
    except AddressRefused as refused:
        raise FetchFailed(str(refused)) from None
    if not policy.allows(called):
        raise FetchFailed("the authorization server is not among the allowed addresses")
    if called.scheme == "http" and not called.loopback_name:
        raise FetchFailed("no secret is sent without encryption")
