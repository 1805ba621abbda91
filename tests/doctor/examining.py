"""The doctor at a small server, in this process: what it tells as JSON, and a site's folder made of its lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cds_service.app import client_config
from cds_service.cdshooks.client_config import ClientConfig
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.doctor.examine import ExaminationRequest, examine
from cds_service.doctor.fhir_server import Limits, server_at
from cds_service.doctor.report import document, report_of
from cds_service.settings import Settings
from tests.doctor.small_server import Record, small_server
from tests.fhir.loopback import Server

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
QUICK = Limits(answer_seconds=5, reading_seconds=5, total_seconds=60)
CALL_SECONDS = 20.0  # for one call: a busy machine is no slow server
LOCAL = "urn:example:laboratory"
LOINC = "http://loinc.org"


@cache
def service() -> ClientConfig:
    """The service with our content alone."""
    return service_with(None)


def service_with(site: Path | None) -> ClientConfig:
    return client_config(Settings(), load_content(cards_folder(), site))


def examined(
    record: Record,
    site: Path | None = None,
    patients: Iterable[str] = (),
    token: str = "",
    limits: Limits = QUICK,
    call_seconds: float = CALL_SECONDS,
) -> dict[str, Any]:
    """What the doctor tells about such a server."""
    with small_server(record) as server:
        return told_about(server, site, patients, token, limits, call_seconds)


def told_about(
    server: Server,
    site: Path | None = None,
    patients: Iterable[str] = (),
    token: str = "",
    limits: Limits = QUICK,
    call_seconds: float = CALL_SECONDS,
) -> dict[str, Any]:
    used = service() if site is None else service_with(site)
    request = ExaminationRequest(used, ("full", "minimal"), tuple(patients), site, call_seconds, bool(token))
    found = examine(server_at(server.base, token, limits), request, NOW, lambda _: None)
    return document(report_of(found, used.content))


def paste(files: Mapping[str, Iterable[str]], site: Path) -> None:
    """The lines at the end of their files, as a person would put them there."""
    for name, lines in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
