"""What those tables of clients.toml are read with that have a module of their own, and our private keys in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from ..content.faults import Faults
from ..http.addresses import Base
from .keys import ALGORITHMS

SIGNING = ("RS384", "ES384")  # what SMART Backend Services asks servers to take


class ListedBase(Protocol):
    """A FHIR base that the client has."""

    @property
    def base(self) -> Base: ...
    @property
    def anonymous(self) -> bool: ...
    @property
    def private(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What a watch table is read with: where it stands, its client's bases, and how its client's file names addresses
    and files."""

    place: str
    bases: Sequence[ListedBase]
    base: Callable[[str, str], Base | None]
    file: Callable[[str, str], Path | None]
    faults: Faults


def private_key(file: Path, place: str, faults: Faults) -> ECKey | RSAKey | None:
    """The private key of a file, as one JSON Web Key with a kid; None with its fault. The fault quotes nothing."""
    allowed = f"allowed: one private JSON Web Key with a kid, for {' or '.join(SIGNING)}"
    try:
        told = msgspec.json.decode(file.read_bytes(), type=dict[str, str | list[str]])
        key = (ECKey if told.get("kty") == "EC" else RSAKey).import_key(dict(told))
    except (OSError, msgspec.DecodeError, JoseError, ValueError, TypeError):
        faults.add(place, f"holds no key that can be read; {allowed}")
        return None
    if not key.is_private or not key.kid or not algorithm_of(key):
        faults.add(place, f"holds a key that cannot be used; {allowed}")
        return None
    return key


def algorithm_of(key: ECKey | RSAKey) -> str:
    """The algorithm of SMART Backend Services that a key is for; "" for none."""
    told = key.as_dict(private=False)
    kind = (told["kty"], told.get("crv"))
    return next((name for name in SIGNING if ALGORITHMS[name] == kind), "")
