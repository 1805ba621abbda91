"""The clinical content, compiled: `load_content` reads cards/ (and a site's folder over it) or says all that is wrong.

Loaded once at start; every call reads it and none changes it. What a row may name comes from `cds_service.clinical`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import product
from pathlib import Path

from cds_service.clinical.case import EVIDENCE
from cds_service.clinical.tables import Analyte, FollowUp, Orderable, Pathway, Row, Source, Threshold

from . import build
from .check import (
    ROUTES,
    TABLES,
    Vocabulary,
    check_measures,
    check_orders,
    check_pathway,
    check_phrases,
    check_priorities,
    check_wording,
    clinical_vocabulary,
    with_own,
    words_of_own,
)
from .codes import ROUTE_CODES, SNOMED, Codes
from .elements import BESIDE_PROBLEMS, Element, built, sound
from .elements import elements as read_elements
from .faults import Faults, listing
from .files import Files, read_files
from .laid_over import Toml, entries_in
from .language import ENGLISH, Coverage, Language, coverage
from .prefetch import KEYS, Templates, recall_queries
from .shapes import Coding, ContentFile, ExclusionEntry, MeasureEntry, PathwayFile, RowEntry
from .site import SiteFile, SiteSettings, read_site
from .valuesets import ALLERGIES, CodeRow, drafted_rows, read_value_sets
from .words import Words


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that is in cards/, in the form in which a call reads it."""

    folder: Path
    version: str
    digest: str  # sha256 over the files: names the content exactly
    title: str
    intended_use: str
    owners: tuple[str, ...]
    approver: str  # "" until a site fills it
    approved: date | None
    approved_version: str
    review_by: date
    analytes: dict[str, Analyte]
    codes: Codes
    words: Words
    groups: dict[str, frozenset[str]]  # group -> problem concepts and ingredients
    displays: dict[str, str]  # concept, ingredient or analyte -> our display
    messages: dict[str, str]  # our short phrases; those of a section as "doubt.no-unit"
    plain_words: dict[str, str]  # what a name in a table means: "findings.b12_grey", "thresholds.hb-men"
    pathways: dict[str, Pathway]
    prefetch: dict[str, dict[str, str]]  # set -> key -> template
    recall_queries: tuple[str, ...]  # over all patients of a server: who may have to be recalled
    route_codings: dict[str, Coding]  # route -> the coding that a draft carries
    exclusions: tuple[ExclusionEntry, ...]  # sentences that no answer may hold together
    measures: tuple[MeasureEntry, ...]  # what is counted in a population
    priorities: Mapping[str, str]  # indicator -> how urgent a Task is, by FHIR's priorities
    remarks: tuple[str, ...]  # no faults, but a reader of `check` should know
    site: SiteSettings = field(default_factory=SiteSettings)
    language: Language = ENGLISH
    coverage: Mapping[str, Coverage] = field(default_factory=dict)  # pathway -> how much of it the language says
    developer: str = ""  # who wrote it, and who paid for that; "": not stated
    funding: str = ""

    @property
    def is_approved(self) -> bool:
        """Has somebody approved this version? An approval does not pass on to the next one."""
        return bool(self.approver) and self.approved_version == self.version


def overdue(review_by: date, today: date) -> str:
    """What to say if the day has passed by which the content must be looked at again; "" if it has not."""
    return f"the content was to be reviewed by {review_by}, and that day has passed" if today > review_by else ""


def load_content(
    folder: Path, site: Path | None = None, vocabulary: Vocabulary | None = None, language: str = ""
) -> Content:
    """Load and check the content, in the language that the site chooses, or in this one. Raises ContentError with every
    fault that was found."""
    words_known = vocabulary or clinical_vocabulary()
    faults = Faults()
    files = read_files(folder, site, faults, language)
    elements = {place: read_elements(place, table, faults) for place, table in files.tables.items()}
    shared = Shared(files, elements, words_known, faults, site)
    check_approval(elements["content.toml"], faults)
    built_pathways = [build_pathway(name, shared, faults) for name in files.pathways]
    pathways = {pathway.id: pathway for pathway in built_pathways if pathway is not None}
    for pathway in pathways.values():
        check_orders(pathway, shared.codes, shared.words, faults)
    check_measures(elements, tuple(pathways.values()), words_known, faults)
    check_priorities(elements, faults)
    faults.inherit(files.inherited)
    faults.raise_any()
    return checked_content(folder, shared, pathways)


def checked_content(folder: Path, shared: Shared, pathways: dict[str, Pathway]) -> Content:
    """The content of files in which no fault was found."""
    files, elements = shared.files, shared.elements
    about: ContentFile = elements["content.toml"][0].shape
    spoken = files.language.id
    covered = {name: coverage(name, files.english, files.language) for name in files.pathways} if spoken else {}
    orderables = every_orderable(pathways.values())
    templates = Templates(shared.rows, shared.groups, orderables, shared.analytes.values(), shared.site.bookings)
    return Content(
        folder=folder,
        version=about.version,
        digest=files.digest,
        title=about.title,
        intended_use=about.intended_use.strip(),
        owners=about.owners,
        approver=about.approver.strip(),
        approved=about.approved,
        approved_version=about.approved_version.strip(),
        review_by=about.review_by,
        analytes=shared.analytes,
        codes=shared.codes,
        words=shared.words,
        groups=shared.groups,
        displays=shared.displays,
        messages=shared.messages,
        plain_words={**plain_words_of(pathways.values()), **shared.plain_words},
        pathways=pathways,
        prefetch=templates.sets,
        recall_queries=recall_queries(shared.rows, shared.groups),
        route_codings=shared.route_codings(),
        exclusions=tuple(each.shape for each in sound(elements["exclusions.toml"])),
        measures=tuple(each.shape for each in sound(elements["measures.toml"])),
        priorities={each.id: each.shape.priority for each in sound(elements["tasks.toml"])},
        remarks=(*remarks(templates, about), *language_remarks(files.language, covered)),
        site=shared.site,
        language=files.language,
        coverage=covered,
        developer=about.developer.strip(),
        funding=about.funding.strip(),
    )


def plain_words_of(pathways: Iterable[Pathway]) -> dict[str, str]:
    """What the limits mean that the pathways add."""
    return {name: words for pathway in pathways for name, words in words_of_own(pathway).items()}


def every_orderable(pathways: Iterable[Pathway]) -> list[Orderable]:
    return [orderable for pathway in pathways for orderable in pathway.orderables.values()]


APPROVAL = ("approver", "approved", "approved_version")


def check_approval(about: list[Element], faults: Faults) -> None:
    """An approval is somebody's, of a day, and of the version that was read: all three or none."""
    if not sound(about):
        return
    stated = {key: str(getattr(about[0].shape, key) or "").strip() for key in APPROVAL}
    if any(stated.values()) and not all(stated.values()):
        missing = ", ".join(key for key, value in stated.items() if not value)
        faults.add("content.toml", f"an approval has approver, approved and approved_version; missing: {missing}")


def remarks(templates: Templates, about: ContentFile) -> tuple[str, ...]:
    """What is no fault, but must not stay unsaid."""
    lines = [
        f"prefetch key {key!r}: {len(codes)} codes did not fit and are not asked for: {', '.join(codes)}"
        for key, codes in templates.left_out.items()
    ]
    approver, version = about.approver.strip(), about.approved_version.strip()
    if not approver:
        lines.append("the content is not yet locally approved: content.toml approver is empty")
    elif version != about.version:
        lines.append(f"the approval by {approver} was of version {version}; this is {about.version}: not approved")
    return tuple(lines)


def language_remarks(language: Language, covered: Mapping[str, Coverage]) -> Iterator[str]:
    """How much of the cards the language says, what is still English, and whether a clinician has approved it."""
    if not language.id:
        return
    place = f"lang/{language.id} ({language.name})"
    if not language.is_approved:
        yield (f"{place}: NO CLINICIAN HAS APPROVED THIS TRANSLATION. One who works in that language must read it "
               f"beside the English before it is used, and then states in language.toml approver, approved and "
               f'approved_texts = "{language.digest}"')  # fmt: skip
    for name, each in covered.items():
        yield f"{place}: {name}: {each.per_cent} % of {each.total} texts; what is missing stays English"
        if each.per_cent >= MOSTLY:
            yield from (f"{place}: {name}: not translated: {text}" for text in each.missing)


MOSTLY = 90  # per cent: of a pathway that is meant to be in the language each missing text is named
PARTS = ("pathway", "thresholds", "orderables", "regimens", "follow-ups")


def build_pathway(name: str, shared: Shared, faults: Faults) -> Pathway | None:
    """One pathway, checked; None if its pathway.toml cannot be read."""
    parts = {file: shared.elements[f"{name}/{file}.toml"] for file in (*TABLES, *PARTS)}
    if not sound(parts["pathway"]):
        return None
    about: PathwayFile = parts["pathway"][0].shape
    if about.id != name:
        faults.add(f"{name}/pathway.toml", f"id is {about.id!r}; it must be the folder's name")
    tables = {
        table: tuple(built(Row, each.shape) for each in sound(parts[table]) if is_kept(each.shape)) for table in TABLES
    }
    pathway = Pathway(
        id=name,
        title=about.title,
        version=about.version,
        sources=shared.sources,
        card_source=about.card_source,
        thresholds={each.id: built(Threshold, each.shape) for each in sound(parts["thresholds"])},
        analytes=shared.analytes,
        groups=shared.groups,
        displays=own_words(name, "displays", about.displays, shared.displays, faults),
        messages=own_words(name, "messages", build.messages(about.messages), shared.messages, faults),
        regimens={each.id: build.regimen(each, faults) for each in sound(parts["regimens"])},
        orderables={each.id: built(Orderable, each.shape) for each in sound(parts["orderables"])},
        follow_ups={each.id: built(FollowUp, each.shape) for each in sound(parts["follow-ups"])},
        fixed={key: build.fixed_card(key, table) for key, table in about.fixed.by_name().items()},
        **tables,
        problem_list=shared.site.problem_list,
        doses_recorded=shared.site.doses_recorded,
        site_limits=shared.site.limits_for(name),
    )
    known = {kind: [each.id for each in parts[kind]] for kind in ("orderables", "regimens", "thresholds")}
    known["sources"] = [each.id for each in shared.elements["sources.toml"]]
    known["rows"] = [f"{table}/{each.id}" for table in TABLES for each in parts[table]]
    vocabulary = with_own(shared.vocabulary, pathway, faults)
    check_pathway(pathway, known, vocabulary, faults)
    check_wording(pathway, vocabulary, faults)
    return pathway


def is_kept(row: RowEntry) -> bool:
    """Is the row part of its table? One that is off is, so that nobody falls into the row below, whose words would be
    false; a note that is off says nothing and decides nothing."""
    return not row.fall_through and not (row.off and row.table == "notes")


def texts(value: object) -> list[str]:
    """The texts of a list; what else it holds is reported with the shapes."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def own_words(name: str, kind: str, own: dict[str, str], shared: dict[str, str], faults: Faults) -> dict[str, str]:
    """The shared displays or phrases, with those that the pathway words differently (a spelling, a unit)."""
    place = f"{name}/pathway.toml {kind}"
    for key in sorted(own.keys() - shared.keys()):
        faults.unknown(place, kind.removesuffix("s"), key, shared)
    if kind == "messages":
        check_phrases(place, own, faults)
    return shared | own


Elements = Mapping[str, list[Element]]
NAMED = ("analytes", "problems", "medicines")
NEEDED = (
    "accepted-earlier", "b12-begun", "b12-ordered", "folate-later", "name.b12", "name.active-b12", "today.start",
    "today.allergy", "today.pregnant", "undated", "date.day", "date.month", "date.months", *EVIDENCE,
)  # fmt: skip


class Shared:
    """What all pathways share, built from the elements; lives while the content is loaded, no longer."""

    def __init__(
        self, files: Files, elements: Elements, vocabulary: Vocabulary, faults: Faults, site: Path | None = None
    ):
        self.files, self.elements, self.vocabulary, self.faults = files, elements, vocabulary, faults
        self.sources: dict[str, Source] = {
            each.id: Source(each.id, each.shape.title, each.shape.url, each.shape.published)
            for each in sound(elements["sources.toml"])
        }
        self.analytes = {each.id: build.analyte(each, faults) for each in sound(elements["analytes.toml"])}
        problems, medicines = elements["problems.toml"], elements["medicines.toml"]
        self.displays = self._displays(elements["analytes.toml"], problems, medicines)
        self.groups = self._groups(problems, medicines)
        messages = elements["messages.toml"]
        self.messages = build.messages(messages[0].shape) if sound(messages) else {}
        if sound(messages):
            self._check_messages()
        self.plain_words = self._plain_words(elements["plain-words.toml"])
        self.rows = read_value_sets(files, self._concepts(files), faults)
        self.rows += drafted_rows(self._drafted(files), self.rows, faults)
        self.codes = Codes(self.rows)
        self.words = self._words(files.tables["problems.toml"], problems, medicines)
        self._check_recognised()
        about = elements["site.toml"]
        own = about[0].shape if sound(about) else SiteFile()
        self.site = read_site(site, own, files.theirs, faults, analytes=self.analytes, codes=self.codes)

    def _check_messages(self) -> None:
        """What a card may have to say is there, and what settles a dismissed warning is a reason that can be given."""
        words = self.messages
        check_phrases("messages.toml", words, self.faults)
        for key in KEYS:
            if f"prefetch.{key}" not in words:
                self.faults.add("messages.toml", f"[prefetch] says nothing for {key!r}, which a card may have to name")
        for key in (each for each in NEEDED if each not in words):
            self.faults.add("messages.toml", f"'{key}' is missing, which a card may have to say")
        reasons = {key.removeprefix("override.") for key in words if key.startswith("override.")}
        for key in (key.removeprefix("settles.") for key in words if key.startswith("settles.")):
            if key not in reasons:
                self.faults.unknown("messages.toml [settles]", "override reason", key, reasons)

    def _plain_words(self, elements: list[Element]) -> dict[str, str]:
        """What each finding and threshold means: as it is declared, or as a language's plain-words.toml says it."""
        known = self.vocabulary
        if not elements or not sound(elements):
            return dict(known.words)
        for section, needed in (("findings", known.findings), ("thresholds", {*known.thresholds, *known.optional})):
            place, section_words = f"plain-words.toml [{section}]", elements[0].shape.get(section, {})
            for name in sorted(section_words.keys() - needed):
                self.faults.unknown(place, section.removesuffix("s"), name, needed)
        return {**known.words, **build.messages(elements[0].shape)}

    def _displays(self, *files: list[Element]) -> dict[str, str]:
        """One display per id: where a problem and a medicine share an id, they share the display."""
        displays: dict[str, str] = {}
        for element in (each for elements in files for each in sound(elements)):
            text = element.shape.display
            if displays.setdefault(element.id, text) != text:
                self.faults.add(element.place, f"display {text!r}, but elsewhere {displays[element.id]!r}")
        return displays

    def _groups(self, problems: list[Element], medicines: list[Element]) -> dict[str, frozenset[str]]:
        stated = {
            each.id: (*each.shape.groups, *(("lifelong",) if each.shape.lifelong else ())) for each in sound(problems)
        }
        of_problems = build.group_members(stated, sound(problems), self.vocabulary.problem_groups, self.faults)
        stated = {each.id: each.shape.groups for each in sound(medicines)}
        of_medicines = build.group_members(stated, sound(medicines), self.vocabulary.medicine_groups, self.faults)
        names = of_problems.keys() | of_medicines.keys()
        return {name: frozenset(of_problems.get(name, set()) | of_medicines.get(name, set())) for name in sorted(names)}

    def _concepts(self, files: Files) -> dict[str, frozenset[str]]:
        """What may follow each kind in a value set's name; an empty set means anything."""
        ids = {name: frozenset(each.id for each in self.elements[f"{name}.toml"]) for name in NAMED}
        orderables = (each.id for name in files.pathways for each in self.elements[f"{name}/orderables.toml"])
        return {
            "lab": ids["analytes"],
            "other": ids["analytes"],
            "order": frozenset(orderables),
            "problem": ids["problems"],
            "medicine": ids["medicines"],
            "allergy": frozenset(ALLERGIES),
            "route": frozenset(ROUTES),
            "specimen": frozenset(),
            "status": frozenset(),
        }

    def _drafted(self, files: Files) -> Iterator[tuple[str, str, Coding]]:
        """(place, concept, coding) of everything that a draft carries because the site says so."""
        for name, (kind, key) in product(files.pathways, (("orderable", "more_codings"), ("regimen", "codings"))):
            place = f"{name}/{kind}s.toml"
            theirs = files.theirs.get(place, {}).get(kind)
            lists = (each.get(key) for each in entries_in(theirs))
            entries = [entry for each in lists for entry in entries_in(each)]
            added = {tuple(str(entry.get(name)) for name in ("system", "code", "display")) for entry in entries}
            for each in sound(self.elements[place]):
                concept = f"order-{each.id}" if kind == "orderable" else f"medicine-{each.shape.ingredient}"
                for coding in each.shape.more_codings if kind == "orderable" else each.shape.codings:
                    if coding in added:
                        yield each.place, concept, coding

    def _words(self, settings: Toml, problems: list[Element], medicines: list[Element]) -> Words:
        phrases = {
            "problem": {each.id: each.shape.words for each in sound(problems)},
            "medicine": {each.id: (*each.shape.words, *each.shape.brands) for each in sound(medicines)},
            "analyte": {each.id: each.shape.words for each in sound(self.elements["analytes.toml"])},
        }
        negations, past = (texts(settings.get(name)) for name in BESIDE_PROBLEMS)
        return Words(phrases, negations, past, self.groups.get("lifelong", frozenset()))

    def _check_recognised(self) -> None:
        """A concept that neither code nor word leads to would silently never be found, and a result whose code
        is for a kind of unit that its analyte does not have is in doubt."""
        coded: dict[str, set[str]] = {}  # a concept -> what its codes are for
        for row in self.rows:
            coded.setdefault(row.concept, set()).add(row.use)
        for analyte in self.analytes.values():
            uses = coded.get(f"lab-{analyte.id}", set())
            if uses and uses <= {"mass", "molar"} - analyte.bases.keys():
                fault = f"its codes are for {listing(uses)} units, and {analyte.id} has {listing(analyte.bases)} only"
                self.faults.add(f"value-sets/lab-{analyte.id}.csv", f"{fault}: each result would be in doubt")
        for kind, file in (("lab", "analytes"), ("problem", "problems"), ("medicine", "medicines")):
            for element in sound(self.elements[f"{file}.toml"]):
                by_words = kind != "lab" and (element.shape.words or (kind == "medicine" and element.shape.brands))
                if f"{kind}-{element.id}" not in coded and not by_words:
                    self.faults.add(element.place, f"nothing is recognised as it: value-sets/{kind}-{element.id}.csv "
                                                   "is missing or empty, and there are no words")  # fmt: skip

    def route_codings(self) -> dict[str, Coding]:
        """The first SNOMED coding of each route, else the first of HL7's."""
        found: dict[str, CodeRow] = {}
        for row in self.rows:
            kind, _, route = row.concept.partition("-")
            if kind == "route" and row.system in (SNOMED, ROUTE_CODES):
                known = found.get(route)
                if known is None or (row.system == SNOMED and known.system != SNOMED):
                    found[route] = row
        return {route: (row.system, row.code, row.display) for route, row in found.items()}
