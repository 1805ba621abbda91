"""Pseudonyms: a patient or a user becomes an HMAC under a key that lies outside the database.

The key file has one key a line, "<key id> <base64url of at least 32 bytes>"; "#" begins a comment. The first key makes
what is new, the others still recognise what is old: to rotate, put a new line on top; once nothing under the old key is
kept any more (`b12-cds store status` says so), take its line out. Without the keys nobody can find out who was meant.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from .records import CallParties

PLAIN_HASH, HASHED = "sha256:", "hmac:"  # how an id begins that was no UUID
SHORTEST = 32  # bytes of a key: as many as the HMAC has
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
LARGEST = 100_000  # bytes of a key file
ALLOWED = "a key id and the base64url of at least 32 bytes, as `b12-cds store new-key` prints"


class KeysUnusable(Exception):
    """A key file that cannot be used. Its text is one line for the operator and holds no key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `secret` appears nowhere else."""

    id: str
    secret: bytes = field(repr=False)

    def patient(self, who: CallParties) -> str:
        return self._digest("patient", who.client, who.tenant, who.base, who.patient)

    def user(self, who: CallParties) -> str:
        return self._digest("user", who.client, who.tenant, who.base, who.user)

    def evidence(self, who: CallParties, evidence: str) -> str:
        """Of what a decision rests on. The same evidence of two patients has two digests."""
        return self._digest("evidence", who.client, who.tenant, who.base, who.patient, evidence)

    def opaque(self, name: str) -> str:
        """An id as it is stored. A UUID stays. What was none comes as a plain hash, which whoever guesses the id can
        compute too: it is hashed again, under this key."""
        return f"{HASHED}{self._digest('id', name)[:32]}" if name.startswith(PLAIN_HASH) else name

    def mark(self, *parts: str) -> str:
        """What stands for something that is no patient, user or evidence: a version of a result, say."""
        return self._digest("mark", *parts)

    def sealing(self) -> bytes:
        """A key of 32 bytes for what must be read again by whoever has the key file, and by nobody else."""
        return hmac.new(self.secret, b"sealing", sha256).digest()

    def _digest(self, *parts: str | None) -> str:
        """64 hex digits. The list is written as JSON (ASCII), so no two lists read alike."""
        return hmac.new(self.secret, json.dumps(parts).encode("ascii"), sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys in force, the newest first."""

    all: tuple[Key, ...]

    @property
    def newest(self) -> Key:
        return self.all[0]

    def find(self, key_id: str) -> Key | None:
        """The key of that id, or None if it is not in the file (any more)."""
        return next((key for key in self.all if key.id == key_id), None)

    @classmethod
    def random(cls) -> Keys:
        """One key that is nowhere but in memory, for a demo."""
        return cls((Key("memory", secrets.token_bytes(SHORTEST)),))


def new_line(key_id: str) -> str:
    """A line for the key file, with a new random key."""
    if not KEY_ID.fullmatch(key_id):
        raise KeysUnusable("key id: allowed: 1 to 32 of letters, digits, dot, hyphen and underscore")
    return f"{key_id} {base64.urlsafe_b64encode(secrets.token_bytes(SHORTEST)).decode()}"


def read_keys(path: Path) -> Keys:
    """The keys of a file, or KeysUnusable, which names the line and the fault but never what stands there."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        lines = text.decode("ascii").splitlines()
    except (OSError, ValueError) as error:
        raise KeysUnusable(f"the key file cannot be read: {_fault(error)}") from None
    if len(text) > LARGEST:
        raise KeysUnusable("the key file is too large; allowed: 100 kB")
    keys = tuple(_keys(lines))
    if not keys:
        raise KeysUnusable(f"the key file holds no key; allowed: lines of {ALLOWED}")
    return Keys(keys)


def _keys(lines: list[str]) -> Iterator[Key]:
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        key = _key(words)
        if key is None:
            raise KeysUnusable(f"line {number} of the key file is no key; allowed: {ALLOWED}")
        if key.id in seen:
            raise KeysUnusable(f"line {number} of the key file repeats a key id; allowed: each id once")
        seen.add(key.id)
        yield key


def _key(words: list[str]) -> Key | None:
    if len(words) != 2 or not KEY_ID.fullmatch(words[0]):
        return None
    coded = words[1].rstrip("=")
    try:
        secret = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return Key(words[0], secret) if len(secret) >= SHORTEST else None


def _fault(error: Exception) -> str:
    return (error.strerror or "no such file") if isinstance(error, OSError) else "it is not plain text"
