"""What this service is, derived: the source attributes of evidence-based decision support, for GET /about and its page.

Nothing here is written by hand but the names of the attributes. Citations, dates and grades are those of the content;
who made and paid for it is what `content.toml` says, and where it says nothing, that; the use of each demographic
element is what was found by changing it (`demographics`); the rows that ask for action at once are those whose card may
be critical.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain

import msgspec

from . import __version__
from .clinical.advice import row_name
from .clinical.tables import Pathway, Provenance, Row
from .content.content import Content, load_content
from .demographics import ELEMENTS, Demographics, Element, Outcome, shipped_demographics

CRITERION = "45 CFR 170.315(b)(11)(iv)(A)"
ATTRIBUTES = {  # their numbers in the criterion; 0: beyond it
    1: "Citation",
    2: "Developer",
    3: "Funding of the technical implementation",
    4: "Release and revision dates",
    5: "Use of race",
    6: "Use of ethnicity",
    7: "Use of language",
    8: "Use of sexual orientation",
    9: "Use of gender identity",
    10: "Use of sex",
    11: "Use of date of birth",
    12: "Use of social determinants of health",
    13: "Use of health status assessments",
    0: "Beyond the list",
}
NOT_STATED = "not stated"
NEVER_READ = "never read"
MOVES_NOTHING = "read, and moves no row and no suggestion of the vignettes"
MOVES = "used"
MENTIONED = {"race": r"\b(?:race|racial|Black|Asian)\b", "ethnicity": r"\bethnic", "language": r"\blanguage\b"}
RELEASE = re.compile(r"^## (\d+\.\d+\.\d+\S*) \((\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)
CRITICAL = "critical"
SAME_CONTENT = "found with the content that runs here"
OTHER_CONTENT = (
    "found with the shipped content {version}; what runs here (digest {running}) differs from it, by a site's folder "
    "or its version, and its numbers may be others: `b12-cds about --compute FILE` finds them. Everything else here is "
    "derived from what runs."
)


class Citation(msgspec.Struct, frozen=True):
    """A publication, and what rests on it: how many rows, limits, regimens and tests, by evidence grade, and when the
    first and the last of them were compared with it."""

    id: str
    title: str
    url: str
    published: str
    parts: dict[str, int]
    checked_from: date
    checked_to: date


class Release(msgspec.Struct, frozen=True):
    """A version of the content, and its day."""

    version: str
    day: date


class Varied(msgspec.Struct, frozen=True):
    """What one variation of an element moves: `rows` to in how many vignettes each is lost, and gained."""

    id: str
    words: str
    vignettes: int
    read: int
    moved: int
    rows: dict[str, tuple[int, int]]


class Use(msgspec.Struct, frozen=True):
    """How one element of a person is used. `mentioned`: rows and notes whose words speak of it to every reader."""

    id: str
    title: str
    use: str
    variations: tuple[Varied, ...]
    findings: tuple[str, ...]
    mentioned: tuple[str, ...]


class Attribute(msgspec.Struct, frozen=True):
    """One source attribute. `value` is a line; what stands behind it is in the other parts."""

    number: int
    title: str
    value: str
    uses: tuple[Use, ...] = ()


class Urgent(msgspec.Struct, frozen=True):
    """A row whose card may be critical: it speaks of action at once. `off`: the site has withheld it."""

    pathway: str
    row: str
    summary: str
    source: str
    switch: str  # what a site writes, and where, to withhold it
    off: bool


class Measured(msgspec.Struct, frozen=True):
    """Over what the use of the elements was found: with the content as it is shipped, of that version and digest.
    `note` says in words whether that is the content which runs here."""

    vignettes: int
    content: str
    content_digest: str  # "" where another version is shipped by now, whose digest is not known here
    service: str
    is_current: bool  # is it the content that runs here?
    note: str


class About(msgspec.Struct, frozen=True):
    """Everything that GET /about says."""

    service: str
    version: str
    licence: str
    content: str
    content_version: str
    content_digest: str
    intended_use: str
    site: str
    owners: tuple[str, ...]
    approver: str
    approved: date | None
    review_by: date
    releases: tuple[Release, ...]
    criterion: str
    attributes: tuple[Attribute, ...]
    citations: dict[str, tuple[Citation, ...]]  # by pathway
    urgent: tuple[Urgent, ...]
    measured: Measured
    others: tuple[str, ...] = ()  # digests of other contents that run here: GET /about?content=DIGEST


def about(content: Content, found: Demographics | None = None, others: tuple[str, ...] = ()) -> About:
    """What this service is, with that content. `found`: what was found by changing elements; the shipped data.
    `others`: digests of other contents that run here."""
    found = found or shipped_demographics()
    cited = {name: tuple(citations(pathway)) for name, pathway in content.pathways.items()}
    released = releases((content.folder / "CHANGELOG.md").read_text(encoding="utf-8"))
    return About(
        service="B12 CDS",
        version=__version__,
        licence="Apache-2.0",
        content=content.title,
        content_version=content.version,
        content_digest=content.digest,
        intended_use=content.intended_use,
        site=content.site.name if content.site.folder else "",
        owners=content.owners,
        approver=content.approver if content.is_approved else "",
        approved=content.approved if content.is_approved else None,
        review_by=content.review_by,
        releases=released,
        criterion=CRITERION,
        attributes=tuple(attributes(content, cited, released, found)),
        citations=cited,
        urgent=tuple(chain.from_iterable(map(urgent, content.pathways.values()))),
        measured=measured(content, found),
        others=others,
    )


def measured(content: Content, found: Demographics) -> Measured:
    """Over what it was found, and whether that is what runs here. A site's folder, or another version, makes it another
    content: then the numbers are not its own, and the note says so."""
    shipped = load_content(content.folder) if content.site.folder else content
    digest = shipped.digest if found.content == shipped.version else ""
    is_current = digest == content.digest
    note = SAME_CONTENT if is_current else OTHER_CONTENT.format(version=found.content, running=content.digest)
    return Measured(found.vignettes, found.content, digest, found.service, is_current, note)


def releases(changelog: str) -> tuple[Release, ...]:
    """The versions that a changelog names, the newest first."""
    return tuple(Release(version, date.fromisoformat(day)) for version, day in RELEASE.findall(changelog))


def attributes(
    content: Content,
    cited: dict[str, tuple[Citation, ...]],
    released: tuple[Release, ...],
    found: Demographics,
) -> Iterator[Attribute]:
    """Each source attribute with its value."""
    titles = dict.fromkeys(each.title for each in chain.from_iterable(cited.values()))
    checked = [each.checked_to for each in chain.from_iterable(cited.values())]
    dates = "; ".join(f"content {each.version} of {each.day}" for each in released)
    values = {
        1: f"{len(titles)} sources, listed with what rests on each",
        2: content.developer or NOT_STATED,
        3: content.funding or NOT_STATED,
        4: f"{dates}; last compared with its sources on {max(checked)}",
    }
    for number, title in ATTRIBUTES.items():
        if number in values:
            yield Attribute(number, title, values[number])
            continue
        uses = tuple(use(each, found, content) for each in ELEMENTS if each.attribute == number)
        yield Attribute(number, title, in_words(uses), uses)


def in_words(uses: Iterable[Use]) -> str:
    """The use of the elements of one attribute in a line."""
    return "; ".join(f"{each.title.lower()}: {each.use}" for each in uses)


def use(element: Element, found: Demographics, content: Content) -> Use:
    """How an element is used, as its variations show."""
    outcomes = found.outcomes[element.id]
    return Use(
        element.id,
        element.title,
        used(outcomes.values()),
        tuple(
            Varied(each.id, each.words, outcome.asked, outcome.read, outcome.moved, outcome.rows())
            for each in element.variations
            for outcome in [outcomes[each.id]]
        ),
        tuple(dict.fromkeys(chain.from_iterable(outcome.findings for outcome in outcomes.values()))),
        tuple(mentions(element.id, content)),
    )


def used(outcomes: Iterable[Outcome]) -> str:
    """Never read, read without effect, or used."""
    outcomes = tuple(outcomes)
    if not any(each.read for each in outcomes):
        return NEVER_READ
    return MOVES if any(each.moved for each in outcomes) else MOVES_NOTHING


def mentions(element: str, content: Content) -> Iterator[str]:
    """Rows and notes that speak of an element to every reader, whoever the patient is: "uk-ng239 notes/ethnicity"."""
    words = re.compile(MENTIONED[element]) if element in MENTIONED else None
    for name, pathway in content.pathways.items():
        for row in chain(rows_of(pathway), pathway.notes):
            if words is not None and words.search(f"{row.summary} {row.detail}"):
                yield f"{name} {row_name(row)}"


def rows_of(pathway: Pathway) -> Iterator[Row]:
    """Every row of the decision tables."""
    return chain(pathway.course, pathway.interpret, pathway.treat, pathway.safety, pathway.orders)


def citations(pathway: Pathway) -> Iterator[Citation]:
    """Every source on which anything of the pathway rests, the one with the most first."""
    parts = list(provenances(pathway))
    counts = Counter(each.source for each in parts)
    for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        source, resting = pathway.sources[name], [each for each in parts if each.source == name]
        days = [each.checked for each in resting]
        grades = Counter(each.evidence for each in resting)
        yield Citation(name, source.title, source.url, source.published, dict(grades), min(days), max(days))


def provenances(pathway: Pathway) -> Iterator[Provenance]:
    """Where each row, note, fixed card, limit, regimen, test and follow-up comes from."""
    yield from (each.provenance for each in chain(rows_of(pathway), pathway.notes))
    yield from (each.provenance for each in pathway.fixed.values())
    yield from (each.provenance for each in pathway.thresholds.values())
    yield from (each.provenance for each in pathway.regimens.values())
    yield from (each.provenance for each in pathway.orderables.values())
    yield from (each.provenance for each in pathway.follow_ups.values())


def urgent(pathway: Pathway) -> Iterator[Urgent]:
    """The rows whose card may be critical."""
    for row in rows_of(pathway):
        if row.indicator == CRITICAL or any(indicator == CRITICAL for indicator, _ in row.raised):
            switch = f'[[row]] id = "{row.id}", off = true in pathways/{pathway.id}/{row.table}.toml'
            source = pathway.sources[row.provenance.source].title
            yield Urgent(pathway.id, f"{row.table}/{row.id}", row.summary.strip(), source, switch, row.off)
