"""How the results of a client are watched: its table `watch` in clients.toml, read with the rest of that file.

The watcher is the one part that writes: so it starts silent, somebody must own what it writes, and it may only call a
base that the client has anyway, with a token of its own (SMART Backend Services), asked for at one address.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from joserfc.jwk import ECKey, RSAKey
from msgspec import Meta

from ..content.shapes import LabKey
from ..content.typed import Shape
from ..http.addresses import Base
from .reading import Reading, algorithm_of, private_key

Text = Annotated[str, Meta(pattern=r"\S")]
OWNER = r"^(Organization|Practitioner|PractitionerRole|CareTeam|HealthcareService|Device)/[A-Za-z0-9.-]{1,64}$"
SCOPES = "system/*.rs system/Task.cu"


class WatchTable(Shape, frozen=True, kw_only=True):
    """How the results of a client are watched (`b12-cds watch`), and the Tasks that follow."""

    fhir: Text  # one of its bases
    mode: Literal["silent", "active"] = "silent"
    least: Literal["info", "warning", "critical"] = msgspec.field(default="warning", name="from")
    recall_from: Literal["info", "warning", "critical", "never"] = "info"
    owner: Annotated[str, Meta(pattern=OWNER)] | None = None
    performer: Text | None = None  # whoever does such work, in words: Task.performerType
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9.-]{1,64}$")] = "b12-cds"
    results: Annotated[tuple[LabKey, ...], Meta(min_length=1)] = ("b12",)
    every: Annotated[int, Meta(ge=1, le=3600)] = 60
    overlap: Annotated[int, Meta(ge=0, le=86_400)] = 300
    look_back: Annotated[int, Meta(ge=0, le=365)] = 7
    recheck: Annotated[int, Meta(ge=1, le=1440)] = 60
    unanswered: Annotated[int, Meta(ge=1, le=90)] = 7
    client_id: Text | None = None
    key: Text | None = None
    token_url: Text | None = None
    scopes: Text = SCOPES


@dataclass(frozen=True, slots=True)
class Credentials:
    """With what a token is asked for, and where."""

    client_id: str
    key: ECKey | RSAKey = field(repr=False)
    algorithm: str
    token_url: str  # as the operator wrote it: the audience of what is signed
    scopes: str


@dataclass(frozen=True, slots=True)
class Watch:
    """How a client's results are watched. Spans are in the unit that the name says."""

    fhir: Base
    active: bool
    least: str  # the least indicator of a card that makes a Task
    recall_from: str  # the same where a row of the course asks to recall the patient
    owner: str | None
    performer: str | None
    name: str  # of this installation, on its Tasks
    results: tuple[str, ...]  # the prefetch keys whose results are watched
    every_seconds: int
    overlap_seconds: int
    look_back_days: int
    recheck_minutes: int
    unanswered_days: int
    private: bool  # the base may lie in a private network, or on this machine
    credentials: Credentials | None  # None: the base may be called without a token


def watch_of(table: WatchTable, reading: Reading) -> Watch | None:
    """What the table means; None where its base is no address. Every fault is noted, and then nothing starts."""
    place, faults = reading.place, reading.faults
    fhir = reading.base(f"{place} fhir", table.fhir)
    under = [each for each in reading.bases if fhir is not None and each.base.holds(fhir)]
    if fhir is not None and not under:
        faults.add(f"{place} fhir", "is none of the client's FHIR bases; allowed: one of them, or an address under it")
    credentials = credentials_of(table, reading)
    if under and credentials is None and not any(each.anonymous for each in under):
        faults.add(place, "asks for no token; allowed: client_id, key and token_url, or a base with anonymous = true")
    if table.mode == "active" and not (table.owner or table.performer):
        faults.add(place, "writes Tasks that nobody owns; allowed with an owner (a reference such as "
                          '"Organization/b12-clinic") or a performer (words)')  # fmt: skip
    if fhir is None:
        return None
    return Watch(
        fhir=fhir,
        active=table.mode == "active",
        least=table.least,
        recall_from=table.recall_from,
        owner=table.owner,
        performer=table.performer,
        name=table.name,
        results=table.results,
        every_seconds=table.every,
        overlap_seconds=table.overlap,
        look_back_days=table.look_back,
        recheck_minutes=table.recheck,
        unanswered_days=table.unanswered,
        private=any(each.private for each in under),
        credentials=credentials,
    )


def credentials_of(table: WatchTable, reading: Reading) -> Credentials | None:
    """The credentials that the table names; None where it names none, or, with its fault, only a part of them."""
    if not (table.client_id or table.key or table.token_url):
        return None
    if not (table.client_id and table.key and table.token_url):
        reading.faults.add(reading.place, "a token needs client_id, key and token_url: give all three, or none")
        return None
    url = reading.base(f"{reading.place} token_url", table.token_url)
    if url is not None and url.scheme != "https" and not url.loopback_name:
        reading.faults.add(f"{reading.place} token_url", "is not encrypted; allowed: an https address")
    file = reading.file(f"{reading.place} key", table.key)
    key = None if file is None else private_key(file, f"{reading.place} key", reading.faults)
    if url is None or key is None:
        return None
    return Credentials(table.client_id, key, algorithm_of(key), table.token_url, table.scopes)
