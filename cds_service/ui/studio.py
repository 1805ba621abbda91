"""The content studio, /content/edit: a site's folder opened, changed row by row, tried out at once, and taken home.

Nothing is stored on the server: the folder travels in the form, is laid into a temporary folder while a request is
answered, and leaves as a zip. What is said of it is what `b12-cds check --site` says: limits, vignettes and guard rails
come from the same functions, and the page to sign is the same sheet.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

from flask import Flask, Response, make_response, render_template, request
from markupsafe import Markup, escape

from cds_service.approval import NEW_SITE, approval_sheet, remarks
from cds_service.cdshooks.client_config import ClientConfig
from cds_service.clinical.advice import matches
from cds_service.clinical.findings import REGISTRY
from cds_service.clinical.tables import Pathway, Row
from cds_service.content.check import TABLES
from cds_service.content.content import Content, load_content
from cds_service.content.difference import cautions, difference
from cds_service.content.faults import ContentError, Faults
from cds_service.content.files import read_files
from cds_service.content.laid_over import Toml
from cds_service.content.review import TITLES
from cds_service.content.site_files import (
    NoSiteFolder,
    SiteFiles,
    opened,
    packed,
    temporary_folder,
    with_code,
    with_entry,
)
from cds_service.content.valuesets import USES_IN_WORDS, value_sets
from cds_service.evaluate import Evaluation
from cds_service.examples.vignettes import Vignette
from cds_service.settings import SettingsError
from cds_service.site_trial import (
    Baseline,
    Changed,
    Configured,
    answered_otherwise,
    by_kind,
    falling_through,
    played,
    try_out,
)
from cds_service.web.calls import CallLimit
from cds_service.web.messages import Refused

from .frame import limited, linked_head, sent_form
from .frame import shown as show
from .studio_form import (
    Chosen,
    Form,
    entry,
    files_of,
    line,
    signed,
    state_of,
    with_approval,
    with_own_source,
    with_row,
    with_site_name,
)

PATIENTS, MOST_TITLES = 3, 2
SIGNED = ("source", "evidence", "checked")
NUMBER = re.compile(r"\d{1,7}(\.\d{1,6})?")
TOKEN = re.compile(r"\n+|[^\s]+")
LATER = "X-Part"  # the header by which the script asks for what takes longer


@dataclass(frozen=True, slots=True)
class Said:
    """One patient's answer before and after: `changed` is the difference word by word, or None where there is none."""

    title: str
    before: str
    changed: Markup | None


@dataclass(slots=True)
class Result:
    """What the folder does. `moves` is None where it is still to be asked for."""

    faults: list[str] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    changed: Mapping[str, list[str]] = field(default_factory=dict)
    moves: list[Move] | None = None
    fallen: list[str] = field(default_factory=list)
    tried: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """Patients that go from one label to another: how many, what the worst loses and gets of the suggestions, and who
    they are."""

    count: int
    labels: str
    lost: str
    new: str
    titles: tuple[str, ...]
    is_worse: bool


class Studio:
    """The routes. `ours` is the content without any site."""

    def __init__(self, ours: Callable[[], Content], configured: Configured, today: Callable[[], date]) -> None:
        self._ours, self.configured, self.today = ours, configured, today
        self._baseline: Baseline | None = None

    @property
    def baseline(self) -> Baseline:
        """Our content and what it answers: made when somebody first comes here."""
        if self._baseline is None:
            self._baseline = Baseline(self._ours(), self.configured)
        return self._baseline

    @property
    def ours(self) -> Content:
        return self.baseline.ours

    def start(self) -> str:
        """GET /content/edit: a new folder, and the first row."""
        new = {name: text.replace("{version}", self.ours.version) for name, text in NEW_SITE.items()}
        pathway = next(iter(self.ours.pathways.values()))
        chosen = self.chosen(request.args.get("pathway", pathway.id), request.args.get("row", ""))
        return self.page(new, chosen, self.result(new, chosen, whole=False), {})

    def edit(self) -> str | Response:
        """POST /content/edit: the folder as it is now, and what it does."""
        form, files, faults = self.sent()
        if request.headers.get(LATER):
            return self.later(files, form.get("pathway", ""))
        row = form.get("row", "") if form.get("do") == "open-row" else form.get("edited", "")
        pathway = form.get("pathway", "") if form.get("do") == "open-row" else form.get("edited-pathway", "")
        chosen = self.chosen(pathway, row)
        quick = bool(request.headers.get("X-In-Place"))
        result = Result(faults) if faults else self.result(files, chosen, whole=not quick)
        if form.get("do") == "add-code" and result.faults:
            files = files_of(form)
        status = 400 if result.faults and not quick else 200
        return make_response(self.page(files, chosen, result, form), status)

    def later(self, files: SiteFiles, pathway: str) -> str:
        """The part of the page that takes longer: which vignettes move."""
        with temporary_folder(files) as folder:
            try:
                theirs = load_content(self.ours.folder, folder)
                result = self.with_moves(Result(), theirs, self.chosen(pathway, "").pathway)
            except (ContentError, SettingsError):
                result = Result(faults=["first mend what is said above"])
        return render_template("studio_moves.html", result=result)

    def download(self) -> Response:
        """POST /content/edit/zip: the folder as a zip."""
        _, files, faults = self.sent()
        if faults:
            raise Refused(400, "; ".join(faults))
        headers = {"Content-Disposition": 'attachment; filename="site.zip"', "X-Content-Type-Options": "nosniff"}
        answer = Response(packed(files), mimetype="application/zip", headers=headers)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def sheet(self) -> str | Response:
        """POST /content/edit/sheet: the page to print and to sign, which is that of `check --site --html`."""
        _, files, faults = self.sent()
        with temporary_folder(files) as folder:
            try:
                theirs = load_content(self.ours.folder, folder)
                found = try_out(self.baseline, theirs)
            except (ContentError, SettingsError) as error:
                raise Refused(400, "; ".join(faults or [str(error)])) from None
            return approval_sheet(self.ours, theirs, found, self.today(), linked_head("sheet.css"))

    def sent(self) -> tuple[Form, SiteFiles, list[str]]:
        """The form, the folder with what the form changes, and what of the form could not be taken."""
        form = sent_form()
        zipped = request.files.get("zip")
        try:
            if form.get("do") == "open-zip":
                return form, opened(zipped.read() if zipped else b""), []
            return form, self.changed(files_of(form), form), []
        except NoSiteFolder as error:
            return form, files_of(form), [str(error)]

    def chosen(self, pathway: str, name: str) -> Chosen:
        """The row of that name; the first interpretation that asks for treatment where there is none."""
        known = self.ours.pathways
        found = known.get(pathway) or next(iter(known.values()))
        rows = [(table, row.id) for table in TABLES for row in getattr(found, table)]
        wanted = tuple(name.split("/", 1))
        fallback = ("interpret", next(row.id for row in found.interpret if row.treat == "now" and row.summary))
        return Chosen(found.id, *(wanted if wanted in rows else fallback))

    def changed(self, files: SiteFiles, form: Form) -> SiteFiles:
        """The folder with what the form says of the row, of the limits, of the site, and a code."""
        if "edited" not in form:
            return files
        chosen = self.chosen(form.get("edited-pathway", ""), form.get("edited", ""))
        ours, theirs = self.tables(files)
        files = with_approval(with_site_name(files, form), form, self.ours.version, self.today())
        files = with_row(files, chosen, form, entry(ours, chosen), entry(theirs, chosen))
        files = self.with_limits(files, chosen.pathway, form, ours, theirs)
        if form.get("do") == "add-code":
            files = self.with_own_code(files, form)
        return files

    def tables(self, files: SiteFiles) -> tuple[Mapping[str, Toml], Mapping[str, Toml]]:
        """The tables without and with the folder, as they are written."""
        with temporary_folder(files) as folder:
            found = read_files(self.ours.folder, folder, Faults())
        return found.ours, found.tables

    def with_limits(
        self, files: SiteFiles, pathway: str, form: Form, ours: Mapping[str, Toml], theirs: Mapping[str, Toml]
    ) -> SiteFiles:
        """The limits that were typed otherwise, each with its unit, its source, its grade and its day."""
        place = f"{pathway}/thresholds.toml"
        now = {str(each["id"]): each for each in theirs[place]["threshold"]}
        for shipped in ours[place]["threshold"]:
            name = str(shipped["id"])
            typed = form.get(f"limit-{name}", "").strip().replace(",", ".")
            if not typed or typed == str(now[name]["value"]):
                continue
            if not NUMBER.fullmatch(typed):
                raise NoSiteFolder(f"{name}: {typed[:20]!r} is no number; allowed: digits and one decimal point")
            values: dict[str, Any] = dict.fromkeys(("value", "unit", *SIGNED))
            if Decimal(typed) != shipped["value"]:
                number = Decimal(typed)
                value = int(number) if number == number.to_integral_value() else float(number)
                values = {"value": value, "unit": shipped["unit"], **signed(form)}
                files = with_own_source(files, form)
            files = with_entry(files, f"pathways/{place}", "threshold", name, values)
        return files

    def with_own_code(self, files: SiteFiles, form: Form) -> SiteFiles:
        """One code of the site's own, in a value set that we have."""
        name = form.get("code-set", "")
        cells = [line(form, f"code-{key}") for key in ("system", "code", "display", "use")]
        if name not in value_sets(self.ours) or not all(cells[:3]):
            raise NoSiteFolder("a code of your own needs what it stands for, its system, the code and its display")
        return with_code(files, name, *cells, "site")

    def result(self, files: SiteFiles, chosen: Chosen, whole: bool) -> Result:
        """What the folder does: its faults, or the cards of three patients, the guard rails, and with `whole` who
        moves."""
        with temporary_folder(files) as folder:
            try:
                theirs = load_content(self.ours.folder, folder)
                config = self.configured(chosen.pathway, theirs)
            except ContentError as error:
                return Result(faults=list(error.faults))
            except SettingsError as error:
                return Result(faults=[str(error)])
            result = Result(
                said=list(self.said(chosen, config)),
                cautions=[*cautions(self.ours, theirs, self.today()), *remarks(theirs, self.today())],
                changed=difference(self.ours, theirs),
                digest=theirs.digest,
            )
            if not result.changed:
                result.moves = []
            return self.with_moves(result, theirs, chosen.pathway) if whole and result.changed else result

    def with_moves(self, result: Result, theirs: Content, pathway: str) -> Result:
        """Which vignettes of the pathway are answered otherwise, the worst first."""
        answered = self.baseline.answered(pathway)
        otherwise = answered_otherwise(answered, self.configured(pathway, theirs))
        result.moves = [move(kind, found) for kind, found in by_kind(otherwise).items()]
        result.fallen, result.tried = falling_through(self.ours, theirs, otherwise), len(answered)
        return result

    def said(self, chosen: Chosen, theirs: ClientConfig) -> Iterator[Said]:
        """Three patients for whom the row speaks, with their cards before and after."""
        ours = self.configured(chosen.pathway, self.ours)
        for vignette, found in islice(self.patients(chosen, ours), PATIENTS):
            before, after = cards_as_text(found), cards_as_text(played(vignette, theirs))
            yield Said(vignette.title, before, word_by_word(before, after) if before != after else None)

    def patients(self, chosen: Chosen, ours: ClientConfig) -> Iterator[tuple[Vignette, Evaluation]]:
        """Vignettes for which the row speaks, and their answers."""
        row = row_of(self.ours.pathways[chosen.pathway], chosen)
        rows = set(row.on) if chosen.table == "notes" else {chosen.name}
        for vignette in self.baseline.vignettes(chosen.pathway)[:]:
            if rows & set(vignette.expect.get("rows", ())):
                found = played(vignette, ours)
                if chosen.table != "notes" or matches(row, found.assessment.findings):
                    yield vignette, found

    def page(self, files: SiteFiles, chosen: Chosen, result: Result, form: Form) -> str:
        """The studio: the row left, what the folder does right."""
        ours, theirs = self.tables(files)
        pathway = self.ours.pathways[chosen.pathway]
        row, shipped = entry(theirs, chosen), entry(ours, chosen)
        limits = list(limits_of(pathway, chosen, ours, theirs))
        return render_template(
            "studio.html",
            content=self.ours, here="content", files=files, folder=json.dumps(files), chosen=chosen, result=result,
            row=row, shipped=shipped, state=state_of(row), rows=list(rows_by_table(pathway)),
            limits=[each for each in limits if each.is_near], others=[each for each in limits if not each.is_near],
            sources=sources(theirs), today=self.today(), sets=value_sets(self.ours).values(), uses=USES_IN_WORDS,
            site_name=theirs["site.toml"].get("name", ""), about=theirs["content.toml"],
            typed=form if result.faults else {}, pathways=list(self.ours.pathways),
        )  # fmt: skip


def add_studio(app: Flask, studio: Studio, limit: CallLimit) -> None:
    """The studio's pages; each counts toward the concurrency limit as a call does."""
    for path, name, view, method in (
        ("/content/edit", "studio", studio.start, "GET"),
        ("/content/edit", "studio_answer", studio.edit, "POST"),
        ("/content/edit/zip", "studio_zip", studio.download, "POST"),
        ("/content/edit/sheet", "studio_sheet", studio.sheet, "POST"),
    ):
        app.add_url_rule(path, name, show(limited(view, limit)), methods=[method])


@dataclass(frozen=True, slots=True)
class LimitField:
    """A number that decides: what the folder says, and what is shipped. `is_near`: the row rests on it."""

    id: str
    value: str
    shipped: str
    unit: str
    words: str
    is_near: bool


def limits_of(
    pathway: Pathway, chosen: Chosen, ours: Mapping[str, Toml], theirs: Mapping[str, Toml]
) -> Iterator[LimitField]:
    """Every limit of the pathway, with those on which the row rests."""
    row, place = row_of(pathway, chosen), f"{chosen.pathway}/thresholds.toml"
    near = limits_behind_names((*row.when, *row.any))
    shipped = {str(each["id"]): str(each["value"]) for each in ours[place]["threshold"]}
    for each in theirs[place]["threshold"]:
        name = str(each["id"])
        words = REGISTRY.words.get(f"thresholds.{name}", "") or " ".join(str(each.get("note", "")).split())
        yield LimitField(name, str(each["value"]), shipped.get(name, ""), str(each["unit"]), words, name in near)


def limits_behind_names(findings: Iterable[str]) -> set[str]:
    """The limits that these findings declare, and those that they directly follow from."""
    rules = [REGISTRY.rules[name] for name in findings if name in REGISTRY.rules]
    rules += [REGISTRY.rules[name] for rule in rules for name in rule.follows_from if name in REGISTRY.rules]
    return {limit for rule in rules for limit in rule.limits}


def row_of(pathway: Pathway, chosen: Chosen) -> Row:
    found: Row = next(row for row in getattr(pathway, chosen.table) if row.id == chosen.row)
    return found


def rows_by_table(pathway: Pathway) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The rows to choose from: table -> (name, how it begins)."""
    for table in TABLES:
        rows = [(f"{table}/{row.id}", row.summary or row.detail) for row in getattr(pathway, table)]
        yield TITLES[table].partition(":")[0], [(name, f"{name}: {' '.join(text.split())[:60]}") for name, text in rows]


def sources(tables: Mapping[str, Toml]) -> list[tuple[str, str]]:
    return [(name, str(each.get("title", name))) for name, each in tables["sources.toml"].items()]


def cards_as_text(found: Evaluation) -> str:
    """What a clinician reads of an answer, as text."""
    parts = []
    for card in found.cards:
        parts += [f"{card['summary']} [{card['indicator']}]", card.get("detail", "")]
        parts += [f"→ {each['label']}" for each in card.get("suggestions", ())]
    return "\n".join(filter(None, parts)).replace("**", "") or "no card"


def word_by_word(before: str, after: str) -> Markup:
    """The second text, with what was taken away and what was added marked."""
    old, new = TOKEN.findall(before), TOKEN.findall(after)
    parts = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(escape(joined(old[i:j])))
            continue
        if i < j:
            parts.append(Markup('<del><span class="unseen">taken away: </span>{}</del>').format(joined(old[i:j])))
        if k < m:
            parts.append(Markup('<ins><span class="unseen">added: </span>{}</ins>').format(joined(new[k:m])))
    return Markup(" ").join(parts)


def joined(tokens: Iterable[str]) -> str:
    return "".join(f"{each} " if each.strip() else "\n" for each in tokens).strip(" ")


def move(kind: str, changed: list[Changed]) -> Move:
    """One line of the table: label to label."""
    worst = max(changed, key=lambda each: each.drop)
    before, after = (each["suggestions"].split(", ") for each in (worst.before, worst.after))
    return Move(
        count=len(changed),
        labels=kind.replace(" -> ", " → "),
        lost=", ".join(each for each in before if each not in after and each != "none"),
        new=", ".join(each for each in after if each not in before and each != "none"),
        titles=tuple(each.vignette.title for each in sorted(changed, key=lambda each: -each.drop)[:MOST_TITLES]),
        is_worse=worst.drop > 0,
    )
