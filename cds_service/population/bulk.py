"""`b12-cds population export`: fetches an extract by FHIR Bulk Data, only what our prefetch templates ask for.

The job is begun (with filters where the server takes them), asked after as often as the server wants, and its files are
fetched one by one; then it is deleted there. What was fetched stays: after an interruption the same call goes on with
the job that was begun. A type that the server did not export is not among those of export.json, and so is absent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from ..fetching import FetchFailed
from ..fhir import templates
from ..fhir.fetch import under_base
from ..http.addresses import AddressRefused, Base, Policy, parse_base
from ..http.client import HttpClient, Outgoing, Reply
from .decisions import types_read
from .extract import EXPORT_FILE, JOB, MEDICATION, Exported
from .run import write_whole

Json = dict[str, Any]
SECONDS = 60.0  # for one answer
FILE_SECONDS = 6 * 3600.0  # for one file
TRIES = 4  # of a request that the server puts off, or whose answer breaks off
PAUSE, LONGEST_PAUSE = 2.0, 600.0  # seconds between two looks, where the server does not say, and at most
LARGEST_ANSWER = 50_000_000  # bytes, of what is no file
NDJSON = "application/fhir+ndjson"
SHAPING = ("_sort", "_count")  # parameters of a template that choose nothing
LATER = (429, 500, 502, 503, 504)
NO_SUCH_CALL = (400, 404, 405, 415, 422, 501)  # the server does not take a job in that form
REFUSED_BY_ALL = 403


class ExportFailed(Exception):
    """The export cannot be made, or goes on later. Its text is one line for the operator, without token or patient."""


class Job(msgspec.Struct, frozen=True, rename="camel"):
    """job.json: the job that was begun on the server, and for which call of ours."""

    base: str
    scope: str
    types: tuple[str, ...]
    status: str  # the address at which the server tells how far it is
    filtered: bool


class Output(msgspec.Struct, frozen=True):
    """One file of a manifest."""

    type: str
    url: str
    count: int | None = None


class BulkManifest(msgspec.Struct, frozen=True, rename="camel"):
    """What the server answers when the job is done."""

    transaction_time: str
    output: tuple[Output, ...] = ()
    error: tuple[Output, ...] = ()
    requires_access_token: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported: from where, whom (all patients, or those of a Group), and into which folder. Files may lie at
    `files`, another place than the FHIR base, where the operator says so."""

    base: str
    out: Path
    published: Mapping[str, str]  # prefetch key -> template
    group: str = ""
    files: str = ""
    filtered: bool = True


@dataclass(slots=True)
class Server:
    """The server, asked patiently. `token` gives one for each call, for one may end while an export goes on. `wait`
    pauses for so many seconds."""

    http: HttpClient
    base: Base
    token: Callable[[], str] = field(repr=False)
    wait: Callable[[float], None] = time.sleep

    def ask(self, request: Outgoing) -> Reply:
        """The reply to a request, put off as long as the server says. ExportFailed where there is none."""
        for tried in range(1, TRIES + 1):
            send, why = self.http.send_for(self.base.url, self.had_token())
            if send is None:
                raise ExportFailed(why)
            try:
                reply = send(request, time.monotonic() + SECONDS)
            except FetchFailed as failed:
                if tried == TRIES:
                    raise ExportFailed(failed.reason) from None
                self.wait(PAUSE * tried)
                continue
            if reply.status not in LATER or tried == TRIES:
                return reply
            self.wait(pause_of(reply, PAUSE * tried))
        raise AssertionError

    def had_token(self) -> str:
        """A token that is good now; ExportFailed where there is none to be had."""
        try:
            return self.token()
        except FetchFailed as failed:
            raise ExportFailed(failed.reason) from None

    def save(self, place: Base, address: str, path: Path, *, with_token: bool) -> None:
        """Fetch a file, which is there whole or not at all."""
        save, why = self.http.save_for(place.url, self.had_token() if with_token else "")
        if save is None:
            raise ExportFailed(why)
        begun = path.with_name(f".{path.name}.part")
        for tried in range(1, TRIES + 1):
            try:
                with begun.open("wb") as file:
                    reply = save(
                        Outgoing("GET", address, headers={"Accept": NDJSON}), file, time.monotonic() + FILE_SECONDS
                    )
                    file.flush()
                    os.fsync(file.fileno())
            except FetchFailed as failed:
                if tried == TRIES:
                    raise ExportFailed(f"{path.name}: {failed.reason}") from None
                self.wait(PAUSE * tried)
                continue
            if reply.status == 200:
                begun.replace(path)
                return
            if reply.status not in LATER or tried == TRIES:
                raise ExportFailed(f"{path.name}: the server answered {reply.status}; the same call tries again")
            self.wait(pause_of(reply, PAUSE * tried))


def server_for(wanted: Wanted, token: Callable[[], str]) -> Server:
    """The server of an export: it may be called at its FHIR base, at the place of its files, and nowhere else."""
    bases = []
    for name, address in (("--fhir", wanted.base), ("--files", wanted.files)):
        if not address:
            continue
        try:
            base = parse_base(address)
        except AddressRefused as error:
            raise ExportFailed(f"{name}: {error}; allowed: an address such as https://ehr.example.org/fhir") from None
        if base.scheme == "http" and not base.loopback_name:
            raise ExportFailed(f"{name}: allowed: https, or http on this machine")
        bases.append(base)
    policy = Policy(bases=tuple(bases), below=True, answer_bytes=LARGEST_ANSWER, call_bytes=100 * LARGEST_ANSWER)
    return Server(HttpClient(policy), bases[0], token)


def pause_of(reply: Reply, otherwise: float) -> float:
    """How long the server wants to be left alone: Retry-After in seconds or as a date, else `otherwise`."""
    said = reply.headers.get("retry-after", "").strip()
    seconds = otherwise
    if said.isdigit():
        seconds = float(said)
    elif said:
        try:
            until = parsedate_to_datetime(said)
            now = parsedate_to_datetime(reply.headers.get("date", ""))
            seconds = (until - now).total_seconds()
        except (ValueError, TypeError):
            seconds = otherwise
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def export(wanted: Wanted, server: Server, progress: Callable[[str, float, float], None]) -> Exported:
    """Make the extract, or go on making it."""
    wanted.out.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (wanted.out / EXPORT_FILE).is_file():
        return msgspec.json.decode((wanted.out / EXPORT_FILE).read_bytes(), type=Exported)
    job = job_of(wanted, server)
    manifest = awaited(job, server, progress, wanted.out)
    fetch_files(wanted, manifest, server, progress)
    exported = Exported(tuple(sorted(types_exported(wanted, job, manifest))), manifest.transaction_time)
    write_whole(wanted.out / EXPORT_FILE, msgspec.json.format(msgspec.json.encode(exported), indent=2))
    server.ask(Outgoing("DELETE", job.status))  # the server keeps patients' data no longer than needed
    (wanted.out / JOB).unlink(missing_ok=True)
    return exported


# The job


def job_of(wanted: Wanted, server: Server) -> Job:
    """The job that was begun for this call, or a new one."""
    path, scope = wanted.out / JOB, f"Group/{wanted.group}" if wanted.group else "Patient"
    if path.is_file():
        known = msgspec.json.decode(path.read_bytes(), type=Job)
        if (known.base, known.scope) != (server.base.url, scope):
            raise ExportFailed(
                f"{wanted.out}: an export of {known.scope} from another address was begun here; allowed: another --out"
            )
        return known
    if any(wanted.out.glob("*.ndjson*")):
        raise ExportFailed(f"{wanted.out}: holds NDJSON files already; allowed: an empty folder")
    types = tuple(sorted(types_read(wanted.published) & types_of(server)))
    if not types:
        raise ExportFailed("the server's CapabilityStatement names none of the types of resource that are read")
    job = begun(scope, types, wanted, server)
    write_whole(path, msgspec.json.encode(job))
    return job


def types_of(server: Server) -> frozenset[str]:
    """The types of resource that the server's CapabilityStatement names."""
    reply = server.ask(Outgoing("GET", "metadata"))
    if reply.status != 200:
        raise ExportFailed(
            f"there is no CapabilityStatement at /metadata (status {reply.status}): is it the FHIR base?"
        )
    try:
        statement = msgspec.json.decode(reply.body)
        return frozenset(each["type"] for rest in statement["rest"] for each in rest.get("resource", ()))
    except (msgspec.DecodeError, KeyError, TypeError):
        raise ExportFailed("what is at /metadata is no CapabilityStatement that can be read") from None


def begun(scope: str, types: tuple[str, ...], wanted: Wanted, server: Server) -> Job:
    """Begin a job: with filters where the server takes them in a POST, else with whole types; and without Medication
    where a server exports nothing but what is a patient's own."""
    own = tuple(each for each in types if each != MEDICATION)
    asked = [(filtered, each) for each in dict.fromkeys((types, own)) for filtered in (True, False)]
    for filtered, types in asked if wanted.filtered else [each for each in asked if not each[0]]:
        reply = server.ask(
            filtered_request(scope, types, wanted.published) if filtered else plain_request(scope, types)
        )
        if reply.status == 202 and (status := address_under(reply.headers.get("content-location", ""), server.base)):
            return Job(server.base.url, scope, types, status, filtered)
        if reply.status not in NO_SUCH_CALL:
            break
    if reply.status == 202:
        raise ExportFailed("the server began a job and does not say under its base where to ask after it")
    if reply.status in (401, REFUSED_BY_ALL):
        raise ExportFailed(
            "the server does not allow the export to this token; it needs system/*.read for what is read"
        )
    raise ExportFailed(f"the server offers no Bulk Data export of {scope} (status {reply.status})")


RESPOND_ASYNC = {"Prefer": "respond-async, handling=lenient"}


def plain_request(scope: str, types: tuple[str, ...]) -> Outgoing:
    """The call for whole types."""
    query = urlencode({"_type": ",".join(types), "_outputFormat": NDJSON}, quote_via=quote)
    return Outgoing("GET", f"{scope}/$export?{query}", headers=RESPOND_ASYNC)


def filtered_request(scope: str, types: tuple[str, ...], published: Mapping[str, str]) -> Outgoing:
    """The call with the filters of our templates: too long for an address."""
    parameters = [{"name": "_type", "valueString": ",".join(types)}, {"name": "_outputFormat", "valueString": NDJSON}]
    parameters += [{"name": "_typeFilter", "valueString": each} for each in type_filters(types, published)]
    body = msgspec.json.encode({"resourceType": "Parameters", "parameter": parameters})
    return Outgoing("POST", f"{scope}/$export", body, {**RESPOND_ASYNC, "Content-Type": "application/fhir+json"})


def type_filters(types: tuple[str, ...], published: Mapping[str, str]) -> list[str]:
    """What of a template chooses by more than the patient, as a filter of its type; of a type of which one template
    asks for all there is no filter."""
    found: dict[str, list[str]] = {}
    for template in published.values():
        kind = templates.resource_type(template)
        own = [part for part in template.partition("?")[2].split("&") if part and "{{" not in part]
        own = [part for part in own if part.partition("=")[0] not in SHAPING]
        found.setdefault(kind, []).append("&".join(own))
    return [f"{kind}?{each}" for kind, queries in found.items() if kind in types and all(queries) for each in queries]


def address_under(address: str, base: Base) -> str:
    """An address of the server's as it is called: servers behind a proxy write a host of their own; "" where it is not
    theirs."""
    found = under_base(address, base.url) if address else None
    return found or ""


def awaited(job: Job, server: Server, progress: Callable[[str, float, float], None], out: Path) -> BulkManifest:
    """The manifest, when the job is done."""
    part = ""  # what is waited for, as it is shown
    while True:
        reply = server.ask(Outgoing("GET", job.status, headers={"Accept": "application/json"}))
        if reply.status == 200:
            break
        if reply.status != 202 and any(out.glob("*.ndjson*")):  # JOB stays: a part is not taken for an extract
            raise ExportFailed(
                f"the server ended the job with status {reply.status}, and {out} holds a part of what it made; "
                "allowed: the same call again, if it was the token; else another --out, or that folder emptied"
            )
        if reply.status != 202:
            (out / JOB).unlink(missing_ok=True)
            raise ExportFailed(f"the server ended the job with status {reply.status}; the same call begins another")
        pause = pause_of(reply, PAUSE * 5)
        part = part or f"the server makes the extract, and is asked again after {pause:.0f} s"
        progress(part, per_cent(reply.headers.get("x-progress", "")), 100)
        server.wait(pause)
    try:
        return msgspec.json.decode(reply.body, type=BulkManifest)
    except msgspec.DecodeError as error:
        raise ExportFailed(f"the server's manifest cannot be read: {error}") from None


def per_cent(said: str) -> float:
    """The first number of X-Progress, a free text; nothing where there is none."""
    digits = "".join(sign if sign.isdigit() or sign == "." else " " for sign in said).split()
    try:
        return min(float(digits[0]), 100.0) if digits else 0.0
    except ValueError:
        return 0.0


# The files


def fetch_files(
    wanted: Wanted, manifest: BulkManifest, server: Server, progress: Callable[[str, float, float], None]
) -> None:
    """Fetch every file that is not here yet. One that holds fewer lines than the server counted is not whole."""
    for place, output in enumerate(manifest.output):
        path = wanted.out / f"{output.type}.{place:04}.ndjson"
        if not output.type.isalnum():
            raise ExportFailed("the server's manifest names a type of resource that is none")
        if not path.is_file():
            fetch_file(wanted, output, path, server, with_token=manifest.requires_access_token)
        if output.count is not None and (lines := lines_in(path)) != output.count:
            path.unlink()
            raise ExportFailed(f"{path.name}: {lines} lines came of {output.count}; the same call fetches it again")
        progress("files are fetched", place + 1, len(manifest.output))


def fetch_file(wanted: Wanted, output: Output, path: Path, server: Server, *, with_token: bool) -> None:
    """Fetch one file, from the FHIR base or from where the operator says that files may lie."""
    elsewhere = parse_base(wanted.files) if wanted.files else None
    if elsewhere is not None and urlsplit(output.url).netloc == urlsplit(elsewhere.url).netloc:
        server.save(elsewhere, output.url, path, with_token=with_token)
        return
    address = address_under(output.url, server.base)
    same = urlsplit(output.url).path.startswith(urlsplit(server.base.url).path)
    if not address or not same:
        host = urlsplit(output.url).hostname or "no host"
        raise ExportFailed(f"the server's files lie at {host}, which may not be called; to allow it: --files URL")
    server.save(server.base, address, path, with_token=with_token)


def lines_in(path: Path) -> int:
    """How many lines that are not blank a file has."""
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def types_exported(wanted: Wanted, job: Job, manifest: BulkManifest) -> set[str]:
    """The types that were exported, be it without any resource. Where the server reports an error, only those of which
    something came are certain."""
    came = {each.type for each in manifest.output}
    return came if manifest.error else came | set(job.types)
