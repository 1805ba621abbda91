"""Promise 8: one decision, whatever the way in. Each way is asked about the same record and day, and compared.

A way is a function `Asked -> Said`; it stands in WAYS by its name, and everything else follows: the tests, the counts,
the table. What a way does not say of an answer stays None, and is not compared; that is counted too. What it cannot be
asked at all (an outbox has no patient who died) it answers with None.

`python -m tests.every_way` asks every way about every vignette and prints the table of ways and vignettes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime, time
from functools import cache, cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from mcp import Client as McpClient
from mcp.server import MCPServer
from mcp.types import CallToolResult
from werkzeug.test import Client

from cds_service.api import DataMissing, Extent, evaluate_record
from cds_service.auth.clients import Client as CdsClient
from cds_service.auth.clients import FhirBase
from cds_service.auth.keys import KeySource
from cds_service.auth.launching import SmartApp
from cds_service.auth.tokens import Issuer
from cds_service.auth.watching import Watch
from cds_service.cli import WOULD_BE_412, main
from cds_service.commands.mcp import build_server
from cds_service.fetching import Fetch, FetchFailed
from cds_service.fhir.templates import fill
from cds_service.http.addresses import parse_base
from cds_service.population.run import Plan, run_population
from cds_service.smart.launch import Access
from cds_service.smart.servers import RecordSystem
from cds_service.smart.view import decided
from cds_service.watch.fhir_server import FhirServer
from cds_service.watch.watcher import Undecided, Watched, Watcher
from tests.api import (
    ENCODER,
    PATIENT,
    CallTime,
    Evaluation,
    Settings,
    Vignette,
    create_app,
    evaluate,
    hook_request,
    overlay_folder,
    read_request,
)
from tests.book import NEVER, PATHWAYS, book, content, overlaid, service
from tests.population.patients import TYPES, cut_off, decisions, lines_of, resources_of, write_extract
from tests.watch.fhir_store import FhirStore
from tests.watch.patients import watch

Json = dict[str, Any]
LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8000", "SERVER_PORT": "8000"}
PATIENT_VIEW = "/cds-services/b12-patient-view"
OF_A_CARD = ("indicator", "summary", "detail", "source", "suggestions")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Asked:
    """One record and day. The call is patient-view, also where the vignette is about orders."""

    vignette: Vignette

    @property
    def name(self) -> str:
        return f"{self.vignette.pathway}/{self.vignette.name}"

    @property
    def pathway(self) -> str:
        return self.vignette.pathway

    @cached_property
    def site(self) -> Path | None:
        """The site's folder that lies over the content."""
        return overlay_folder(self.vignette)

    @property
    def now(self) -> datetime:
        """Noon of the day."""
        return datetime.combine(self.vignette.as_of, time(12), UTC)

    @cached_property
    def request(self) -> Json:
        """The request, decoded: what a client sends that prefetches everything."""
        found = hook_request(self.vignette, overlaid(self.site) if self.site else content())
        context = {name: found["context"][name] for name in ("userId", "patientId")}
        return {**found, "hook": "patient-view", "context": context}

    @cached_property
    def body(self) -> bytes:
        return ENCODER.encode(self.request)

    def bundle(self) -> Json:
        """Everything that the request holds, as one collection Bundle."""
        prefetch = self.request["prefetch"]
        entries = [] if "patient" not in prefetch else [{"resource": prefetch["patient"]}]
        for key, bundle in prefetch.items():
            if key != "patient":
                entries += [{"resource": each["resource"]} for each in bundle.get("entry", ())]
        return {"resourceType": "Bundle", "type": "collection", "entry": entries}

    @property
    def absent(self) -> tuple[str, ...]:
        """Prefetch keys that the request does not hold."""
        return tuple(self.vignette.fields.get("unavailable", ()))

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Prefetch keys of which it holds a part."""
        return tuple(self.vignette.fields.get("incomplete", ()))


@dataclass(frozen=True)
class Said:
    """What one way says. `findings` and `drafts` (kind, id, row) in any order, `cards` without the ids of the call."""

    status: int | None = None
    label: str | None = None
    course: str | None = None
    rows: tuple[str, ...] | None = None
    findings: frozenset[str] | None = None
    drafts: frozenset[tuple[str, ...]] | None = None
    cards: tuple[str, ...] | None = None


Way = Callable[[Asked], Said | None]


def plain(cards: Iterable[Any]) -> tuple[str, ...]:
    """Each card as text, without what differs from call to call."""
    texts = ({name: each.get(name) or None for name in OF_A_CARD} for each in cards)
    return tuple(UUID.sub("id", ENCODER.encode(each).decode()) for each in texts)


def said_by(found: Evaluation, cards: Iterable[Any]) -> Said:
    """What an evaluation says; where nothing can be said, that alone."""
    if found.status != 200:
        return Said(status=found.status, cards=plain(cards))
    decision = found.decision
    drafts = frozenset((one.kind, one.id, each.row) for each in decision.advice for one in each.drafts)
    return Said(
        found.status, decision.label, decision.course, decision.rows, frozenset(decision.findings), drafts, plain(cards)
    )


@dataclass
class Hand:
    """The clock of an application, set before each call."""

    now: datetime = datetime(2026, 1, 15, 12, tzinfo=UTC)


@cache
def app(pathway: str, site: Path | None) -> tuple[Flask, Hand]:
    """The whole service in demo mode, without a store, and its clock."""
    hand = Hand()
    settings = Settings(demo=True, pathway=pathway, site_dir=site, store_url="none")
    return create_app(settings, clock=lambda: hand.now), hand


def visit(asked: Asked, path: str, method: str = "POST", **given: Any) -> Any:
    """A call of the service as on the day that is asked for, from this machine."""
    served, hand = app(asked.pathway, asked.site)
    hand.now = asked.now
    return Client(served).open(path, method=method, environ_overrides=LOCAL, **given)


def reference(asked: Asked) -> Said:
    """The HTTP answer to patient-view. Its cards and status are the service's; the findings, rows and drafts behind
    them are those of the same bytes through `evaluate`, which must give the very same cards."""
    response = visit(asked, PATIENT_VIEW, data=asked.body, content_type="application/json")
    cards = json.loads(response.data)["cards"] if response.status_code == 200 else []
    found = evaluate(
        read_request(asked.body, "patient-view"), service(asked.pathway, asked.site), CallTime(asked.now, seconds=NEVER)
    )
    assert (response.status_code, cards) == (found.status, json.loads(ENCODER.encode(found.cards))), asked.name
    return said_by(found, cards)


def explained(asked: Asked) -> Said:
    """`b12-cds explain REQUEST --json`."""
    environment = {"CDS_SITE_DIR": str(asked.site) if asked.site else None}
    with NamedTemporaryFile(suffix=".json") as file:
        Path(file.name).write_bytes(asked.body)
        words = ["explain", file.name, "--json", "--as-of", str(asked.vignette.as_of), "--pathway", asked.pathway]
        done = CliRunner().invoke(main, words, env=environment)
    found = json.loads(done.stdout)
    if done.exit_code:
        assert done.exit_code == WOULD_BE_412, done.output
        return Said(status=412, cards=plain(found["cards"]))
    names = frozenset(each["name"] for each in found["findings"])
    return Said(200, found["label"], found["course"], tuple(found["rows"]), names, cards=plain(found["cards"]))


def shown_on_a_page(asked: Asked) -> Said | None:
    """POST /evidence, as a person opens it from the playground. The pages have no site of a client without cards."""
    form = {"request": asked.body.decode(), "pathway": asked.pathway, "today": str(asked.vignette.as_of)}
    page = visit(asked, "/evidence", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert page.status_code == 200, page.text
    if "Nothing was decided: required data is missing." in page.text:
        return Said(status=412)
    rows = re.findall(r'class="yes">✓ holds</span> <code>(?:<a [^>]*>)?([^<]+)<', page.text)
    rows += dict.fromkeys(re.findall(r"<code>(fixed/unavailable)</code>", page.text))  # a card that no table makes
    findings = frozenset(re.findall(r"<dt>[^<]* <code>([a-z0-9_]+)</code></dt>", page.text))
    label = re.search(r"Label: <strong>([^<]+)</strong>", page.text)
    return Said(200, label[1] if label else "", None, tuple(rows), findings)


def by_api(asked: Asked) -> Said:
    """`cds_service.api.evaluate_record`, with the record as one Bundle."""
    extent = Extent(complete=True, absent=asked.absent, incomplete=asked.incomplete)
    with environment(asked):
        try:
            found = evaluate_record(asked.bundle(), asked.vignette.as_of, asked.pathway, extent=extent)
        except DataMissing:
            return Said(status=412, cards=())
    drafts = frozenset((each.kind, each.id, each.row) for each in found.drafts)
    rows, names = tuple(each.name for each in found.rows), frozenset(each.name for each in found.findings)
    return Said(200, found.label, found.course, rows, names, drafts, plain(map(asdict, found.cards)))


@cache
def mcp_server(pathway: str, site: Path | None) -> MCPServer[Any]:
    """The server of `b12-cds mcp`."""
    return build_server(service(pathway, site), day=lambda: date(1900, 1, 1))


async def asked_by_mcp(server: MCPServer[Any], arguments: Json) -> CallToolResult:
    """One call by the SDK's own client, through its protocol."""
    async with McpClient(server) as client:
        return await client.call_tool("assess_b12", arguments)


def by_mcp(asked: Asked) -> Said:
    """`b12-cds mcp`, asked by the SDK's own client. The record is JSON then, and its numbers those of JSON."""
    arguments = {
        "record": json.loads(ENCODER.encode(asked.bundle())),
        "complete": True,
        "as_of": str(asked.vignette.as_of),
        "pathway": asked.pathway,
        "unavailable": asked.absent,
        "incomplete": asked.incomplete,
    }
    with environment(asked):
        result = asyncio.run(asked_by_mcp(mcp_server(asked.pathway, asked.site), arguments))
    if result.is_error:
        assert "required data is missing" in result.content[0].text, result.content
        return Said(status=412, cards=())
    found = result.structured_content
    drafts = frozenset((each["kind"], each["id"], each["row"]) for each in found["drafts"])
    rows = tuple(each["name"] for each in found["rows"])
    names = frozenset(each["name"] for each in found["findings"])
    return Said(200, found["label"], found["course"], rows, names, drafts, plain(found["cards"]))


@contextmanager
def environment(asked: Asked) -> Iterator[None]:
    """The environment of a process whose site is that of the record."""
    with pytest.MonkeyPatch.context() as patch:
        if asked.site:
            patch.setenv("CDS_SITE_DIR", str(asked.site))
        yield


@cache
def record_system(pathway: str, site: Path | None) -> RecordSystem:
    """A record system from which the evidence view is launched, with the configuration of that pathway."""
    base, issuer = FhirBase(parse_base("https://ehr.example.org/fhir")), Issuer("https://ehr.example.org", "")
    app = SmartApp("b12-cds", (base.base,))
    return RecordSystem(CdsClient("demo", issuer, KeySource(), (base,), smart=app), base, service(pathway, site), print)


def by_smart_launch(asked: Asked) -> Said:
    """The evidence view of a SMART launch: nothing is prefetched, the record is read from the FHIR server by searches.
    What the vignette lacks, the server does not give."""
    system, prefetch = record_system(asked.pathway, asked.site), asked.request["prefetch"]
    tokens = {"patientId": PATIENT}
    templates = {fill(template, tokens): key for key, template in system.config.templates.items()}

    def fetch(target: str, deadline: float) -> bytes:
        if templates.get(target) not in prefetch:
            raise FetchFailed("the FHIR server does not give access", 403)
        return ENCODER.encode(prefetch[templates[target]])

    access = Access(PATIENT, "Practitioner/gp-1", "token", None, "", banner=True)
    answered, _ = decided(system, access, asked.now, lambda request, config: (fetch, "ready"))
    return said_by(answered.found, answered.found.cards)


def by_population(asked: Asked) -> Said | None:
    """`b12-cds population run` over an extract of this one patient. Results are exported all or not at all: a record of
    which only some of their keys are known cannot be one. A part of a key is a line that was cut off."""
    lacking = {TYPES[key] for key in asked.absent}
    if "Observation" in lacking:
        return None
    client = service(asked.pathway, asked.site)
    lines = lines_of(resources_of(asked.vignette, client.content))
    for key in asked.incomplete:
        lines.setdefault(TYPES[key], []).append(cut_off(client.templates[key], TYPES[key]))
    known = {kind: own for kind, own in lines.items() if kind not in lacking}
    with TemporaryDirectory() as folder:
        extract = write_extract(Path(folder) / "in", {PATIENT: known}, set(TYPES.values()) - lacking)
        plan = Plan(extract, Path(folder) / "out", asked.vignette.as_of, "ndjson")
        made = run_population(plan, client, lambda *_: None)
        (row,) = decisions(plan.out / made.decisions)
    if not row["cards"] and {"patient", "b12"} & set(row["unavailable"]):
        return Said(status=412)
    return Said(200, row["label"], row["course"], tuple(row["rows"]))


class Searched(FhirServer):
    """A FHIR server that answers the searches of the templates with what a vignette holds, and nothing else."""

    def __init__(self, how: Watch, answers: Mapping[str, Any]) -> None:
        super().__init__(how, None, 0)
        self.answers = answers

    def fetch(self, now: float) -> Fetch:
        def fetched(target: str, deadline: float) -> bytes:
            if target not in self.answers:
                raise FetchFailed("the FHIR server does not give access", 403)
            return ENCODER.encode(self.answers[target])

        return fetched


def by_result_watcher(asked: Asked) -> Said:
    """`b12-cds watch`: a result has arrived, the record is read by searches. What becomes of it as a Task is tested in
    tests/watch/test_promise_8.py."""
    client, how = service(asked.pathway, asked.site), watch(FhirStore())
    queries = {key: fill(template, {"patientId": PATIENT}) for key, template in client.templates.items()}
    answers = {queries[key]: each for key, each in asked.request["prefetch"].items() if key in queries}
    watched = Watched(client, how, Searched(how, answers), None, lambda: asked.now, None)
    try:
        found = Watcher(watched).decided(PATIENT)
    except Undecided:
        return Said(status=412, cards=())
    return said_by(found, found.cards)


WAYS: dict[str, Way] = {
    "hook call": reference,
    "explain": explained,
    "evidence page": shown_on_a_page,
    "Python API": by_api,
    "MCP": by_mcp,
    "SMART launch": by_smart_launch,
    "population run": by_population,
    "result watcher": by_result_watcher,
}


# Asking and counting


@dataclass
class Compared:
    """How one way answered: how many records it was asked about, and where it says something else."""

    way: str
    asked: int = 0
    not_asked: int = 0  # it has no answer to such a record
    parts: Counter[str] = field(default_factory=Counter)  # how often each part of an answer was compared
    differing: list[str] = field(default_factory=list)

    def line(self) -> str:
        """A row of the table: ways in x vignettes."""
        counts = " | ".join(str(self.parts[each.name]) for each in fields(Said))
        return f"| {self.way} | {self.asked} | {counts} | {self.not_asked} | {len(self.differing)} |"


HEAD = (
    f"| way in | vignettes | {' | '.join(each.name for each in fields(Said))} | not asked | different |",
    f"|{' --- |' * (len(fields(Said)) + 4)}",
)


@cache
def answered(name: str) -> Said:
    """The reference answer to a vignette."""
    return reference(EVERY[name])


EVERY: dict[str, Asked] = {asked.name: asked for pathway in PATHWAYS for asked in map(Asked, book(pathway))}


def compare(way: str, ask: Way, names: Iterable[str]) -> Compared:
    """Ask one way about these vignettes, and compare each answer with that to the hook call."""
    result = Compared(way)
    for name in names:
        said, wanted = ask(EVERY[name]), answered(name)
        if said is None:
            result.not_asked += 1
            continue
        result.asked += 1
        for part in (each.name for each in fields(Said)):
            found, expected = getattr(said, part), getattr(wanted, part)
            if found is None or expected is None:
                continue
            result.parts[part] += 1
            if found != expected:
                result.differing.append(f"{way}: {name}: {part}: {found} instead of {expected}")
    return result


def table(results: Iterable[Compared]) -> str:
    """Ways in x vignettes."""
    return "\n".join((*HEAD, *(each.line() for each in results)))
