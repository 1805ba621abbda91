"""Tokens of SMART Backend Services: a signed assertion (private_key_jwt) is exchanged for one at the one address that
clients.toml names. A token stays in memory, is asked for again before it ends, and is sent to the one base alone.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
from joserfc import jwt

from ..fetching import FetchFailed
from ..http.addresses import Policy, parse_base
from ..http.client import HttpClient, Outgoing
from .watching import Credentials

SECONDS = 30.0  # for one call
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 240  # SMART allows five minutes
SPARE_SECONDS = 30.0  # a token is renewed so long before it ends
USUAL_LIFETIME = 300.0  # of a token, where the server tells none
LARGEST_TOKEN = 64_000  # bytes of the answer


class TokenAnswer(msgspec.Struct):
    """What a token endpoint answers."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 (a kind, no secret)
    expires_in: float | None = None


@dataclass(slots=True)
class _Token:
    text: str = ""
    ends: float = float("-inf")  # monotonic


class TokenEndpoint:
    """Where a token is had, and the one that was had last."""

    def __init__(self, credentials: Credentials, private: bool, ca_file: str | None) -> None:
        self._credentials = credentials
        self._http = HttpClient(
            Policy(
                bases=(parse_base(credentials.token_url),),
                private=private,
                ca_file=ca_file,
                answer_bytes=LARGEST_TOKEN,
            ),
            server="the token server",
        )
        self._last = _Token()

    def close(self) -> None:
        self._http.close()

    def forget(self) -> None:
        self._last = _Token()

    def token(self, now: float) -> tuple[str, float]:
        """A token, and for how many seconds it is good. FetchFailed where there is none to be had."""
        left = self._last.ends - time.monotonic()
        if left <= SPARE_SECONDS:
            self._last = self._asked(now)
            left = self._last.ends - time.monotonic()
        return self._last.text, left

    def _asked(self, now: float) -> _Token:
        credentials, asked_at = self._credentials, time.monotonic()
        url = credentials.token_url
        form = {
            "grant_type": "client_credentials",
            "scope": credentials.scopes,
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion(credentials, now),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        send, why = self._http.send_for(parse_base(url).url)
        if send is None:
            raise FetchFailed(f"no token: {why}")
        try:
            reply = send(Outgoing("POST", url, urlencode(form).encode(), headers), time.monotonic() + SECONDS)
            if reply.status != 200:
                raise FetchFailed(f"no token: the token server answers with HTTP status {reply.status}")
            answer = msgspec.json.decode(reply.body, type=TokenAnswer, strict=False)
        except msgspec.DecodeError:
            raise FetchFailed("no token: the answer of the token server holds none") from None
        if answer.token_type.lower() != "bearer":
            raise FetchFailed("no token: the token server gave one of another kind than Bearer")
        return _Token(answer.access_token, asked_at + (answer.expires_in or USUAL_LIFETIME))


def assertion(credentials: Credentials, now: float) -> str:
    """Who we are, signed, for this one request (SMART Backend Services, private_key_jwt)."""
    header = {"alg": credentials.algorithm, "kid": credentials.key.kid, "typ": "JWT"}
    claims = {
        "iss": credentials.client_id,
        "sub": credentials.client_id,
        "aud": credentials.token_url,
        "exp": int(now) + ASSERTION_SECONDS,
        "iat": int(now),
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode(header, claims, credentials.key, algorithms=[credentials.algorithm])
