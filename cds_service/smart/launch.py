"""One launch, from the link to the access that it gives: state, PKCE, code, token, and who the clinician is.

What must survive between the launch and the answer of the authorization server (state, verifier, nonce) is encrypted in
a cookie of the browser that began it: no process keeps anything, and any worker can answer. The access token is held by
one answer for as long as it reads, and is written nowhere.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
from joserfc import jwe, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol, OctKey, RSAKey
from joserfc.jwt import JWTClaimsRegistry

from cds_service.auth.keys import ALGORITHMS
from cds_service.auth.tokens import SKEW
from cds_service.fetching import FetchFailed
from cds_service.http.oauth import TokenRefused, fetch_token, oauth_session
from cds_service.store.pseudonyms import Keys

from .faults import LaunchFault
from .servers import PATIENCE, RecordSystem, SmartConfiguration

LIFETIME = 600  # seconds from the link to the answer of the authorization server
KEY_BYTES = 32  # of AES-256
SEALED = {"alg": "dir", "enc": "A256GCM"}
LONGEST = 4_000  # characters of what anybody may send: a launch, a code, a state, a cookie
FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
PERSON = re.compile(r"(?:Practitioner|PractitionerRole|Patient|RelatedPerson|Person)/[A-Za-z0-9.-]{1,64}")
NOT_SAID = "Practitioner/not-said"  # who opened the view, where the record system does not say
STATE = re.compile(r"[A-Za-z0-9_-]{43}")


class Pending(msgspec.Struct, frozen=True):
    """A launch that waits for the answer of the authorization server. It has no repr that could be logged."""

    state: str
    verifier: str
    nonce: str
    iss: str
    until: float  # seconds since 1970
    asked: tuple[str, ...]  # scopes
    standalone: bool

    def __repr__(self) -> str:
        return "Pending(...)"


@dataclass(frozen=True, slots=True)
class Sealer:
    """Encrypts a pending launch for its cookie. The first key seals, all of them open."""

    keys: Keys

    def sealed(self, pending: Pending) -> str:
        key = self.keys.newest
        header = {**SEALED, "kid": key.id}
        return jwe.encrypt_compact(header, msgspec.json.encode(pending), OctKey.import_key(key.secret))

    def opened(self, sealed: str) -> Pending | None:
        """What was sealed here; None for anything else."""
        if len(sealed) > LONGEST:
            return None
        for key in self.keys.all:
            try:
                found = jwe.decrypt_compact(sealed, OctKey.import_key(key.secret), algorithms=list(SEALED.values()))
                return msgspec.json.decode(found.plaintext or b"", type=Pending)
            except (JoseError, ValueError, TypeError):  # of another key, or of nobody's
                continue
        return None


class Granted(msgspec.Struct, frozen=True, rename={"app_context": "appContext"}):
    """The answer of a token endpoint, as far as it is read."""

    access_token: str
    token_type: str
    expires_in: float | None = None
    scope: str | None = None
    patient: str | None = None
    id_token: str | None = None
    need_patient_banner: bool = True
    app_context: Any = None

    def __repr__(self) -> str:
        return "Granted(...)"


@dataclass(frozen=True, slots=True)
class Access:
    """What a launch gave: a token for one patient's record, and what was said beside it."""

    patient: str = field(repr=False)
    user: str = field(repr=False)
    token: str = field(repr=False)
    lifetime: float | None  # seconds
    hook_instance: str  # of the call whose card was followed; "" for none
    banner: bool  # must the page say whose record it is? (The record system shows none of its own)
    withheld: tuple[str, ...] = ()  # scopes that were asked for and not granted


def begin(system: RecordSystem, launch: str, now: float) -> tuple[str, Pending]:
    """Where the browser is sent, and what must be known when it comes back. `launch` is "" without a card."""
    configuration = system.configuration()
    asked = system.scopes(configuration, launch)
    pending = Pending(
        state=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        nonce=secrets.token_urlsafe(24),
        iss=system.base.url,
        until=now + LIFETIME,
        asked=asked,
        standalone=not launch,
    )
    session = oauth_session(system.oauth, system.policy, now, redirect_uri=system.redirect_uri,
                            code_challenge_method="S256", scope=" ".join(asked))  # fmt: skip
    more = {"launch": launch} if launch else {}
    more |= {"nonce": pending.nonce} if configuration.identifies else {}
    with session:
        address, _ = session.create_authorization_url(
            configuration.authorization_endpoint,
            state=pending.state,
            code_verifier=pending.verifier,
            aud=system.base.url,
            **more,
        )
    return address, pending


def finish(system: RecordSystem, pending: Pending, code: str, now: float) -> Access:
    """The access that an authorization code gives; LaunchFault where it gives none, or none that can be used."""
    configuration = system.configuration()
    granted = exchanged(system, configuration, pending, code, now)
    if not granted.patient:
        raise LaunchFault("no-patient")
    patient = granted.patient.removeprefix("Patient/")
    if granted.token_type.lower() != "bearer" or not FHIR_ID.fullmatch(patient):
        raise LaunchFault("token-unfit")
    scopes = pending.asked if granted.scope is None else tuple(granted.scope.split())
    user = NOT_SAID
    if configuration.identifies and "openid" in scopes:
        user = person(identity(system, configuration, granted.id_token or "", pending.nonce, now))
    return Access(
        patient=patient,
        user=user,
        token=granted.access_token,
        lifetime=granted.expires_in,
        hook_instance=granted.app_context if isinstance(granted.app_context, str) else "",
        banner=granted.need_patient_banner,
        withheld=tuple(each for each in pending.asked if not is_granted(each, scopes)),
    )


def exchanged(
    system: RecordSystem, configuration: SmartConfiguration, pending: Pending, code: str, now: float
) -> Granted:
    """What the token endpoint gives for the code."""
    try:
        with oauth_session(system.oauth, system.policy, now, redirect_uri=system.redirect_uri) as session:
            answered = fetch_token(session, configuration.token_endpoint, PATIENCE, grant_type="authorization_code",
                                   code=code, code_verifier=pending.verifier)  # fmt: skip
    except TokenRefused as refused:
        raise LaunchFault("code-refused", refused.code) from None
    except FetchFailed as failed:
        raise LaunchFault("no-token", failed.reason) from None
    try:
        return msgspec.convert(dict(answered), Granted, strict=False)
    except msgspec.ValidationError:
        raise LaunchFault("token-unfit") from None


def identity(
    system: RecordSystem, configuration: SmartConfiguration, id_token: str, nonce: str, now: float
) -> dict[str, Any]:
    """The claims of an id_token that is believed: signed with a key of the issuer, for us, now, for this launch."""
    keys, tick = system.keys(configuration), time.monotonic()

    def key_of(token: GuestProtocol) -> ECKey | RSAKey:
        header = token.headers()
        found = keys.find(str(header.get("kid")), str(header.get("alg")), tick)
        if found is None:
            raise LaunchFault("id-token", "no such key on record")
        return found.key

    if len(id_token) > LONGEST:
        raise LaunchFault("id-token", "too long")
    try:
        claims = jwt.decode(id_token, key_of, algorithms=list(ALGORITHMS)).claims
        JWTClaimsRegistry(
            now=int(now),
            leeway=SKEW,
            iss={"essential": True, "value": configuration.issuer},
            aud={"essential": True, "value": system.smart.client_id},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise LaunchFault("id-token", getattr(error, "error", "")) from None
    return claims


def person(claims: dict[str, Any]) -> str:
    """The FHIR reference of who is signed in, without its server; what is none says nothing."""
    named = claims.get("fhirUser") or claims.get("profile")
    found = "/".join(named.split("/")[-2:]) if isinstance(named, str) else ""
    return found if PERSON.fullmatch(found) else NOT_SAID


def is_granted(asked: str, granted: tuple[str, ...]) -> bool:
    """Does one of the scopes cover it? A wider one does: patient/*.rs covers patient/Observation.rs, .cruds covers .rs;
    and the two notations say the same."""
    if asked in granted:
        return True
    wanted = parts(asked)
    return wanted is not None and any(covers(found, wanted) for each in granted if (found := parts(each)))


def parts(scope: str) -> tuple[str, str, frozenset[str]] | None:
    """Whose resources, of which type, and what may be done with them (c r u d s); None for a scope of another kind."""
    match = re.fullmatch(r"(patient|user|system)/(\*|[A-Za-z]+)\.([a-z*]+)(\?.*)?", scope)
    if match is None or match[4]:
        return None
    rights = {"read": "rs", "write": "cud", "*": "cruds"}.get(match[3], match[3])
    return match[1], match[2], frozenset(rights)


def covers(found: tuple[str, str, frozenset[str]], wanted: tuple[str, str, frozenset[str]]) -> bool:
    """A scope for the user covers the patient's, for it is of the patient's record that we read."""
    return found[0] in (wanted[0], "user") and found[1] in (wanted[1], "*") and found[2] >= wanted[2]


def is_state(text: str) -> bool:
    """Has it the shape of a state of ours?"""
    return STATE.fullmatch(text) is not None


def answers(pending: Pending | None, state: str, now: float) -> Pending:
    """The pending launch that this answer is for; LaunchFault where there is none, or it came too late."""
    if pending is None or not hmac.compare_digest(pending.state.encode(), state.encode()):
        raise LaunchFault("unknown-state")
    if pending.until < now:
        raise LaunchFault("expired-state")
    return pending


def check_answering_issuer(configuration: SmartConfiguration, named: str | None) -> None:
    """Is the answer that of the authorization server that was asked (RFC 9207)?"""
    if named is None and not configuration.authorization_response_iss_parameter_supported:
        return
    if named != configuration.issuer:
        raise LaunchFault("other-issuer")
