"""The clinical content, compiled: `load_content` reads cards/ (and a site's folder over it) or says all that is wrong.

Loaded once at start; every call reads it and none changes it. What a row may name comes from `cds_service.clinical`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from cds_service.clinical.tables import Analyte, Orderable, Pathway

from .build import Coding
from .check import check_orders
from .codes import Codes
from .faults import Faults
from .files import Toml, read_files
from .pathways import build_pathway
from .prefetch import Templates
from .shapes import Element, Shapes, sound
from .shared import Shared
from .site import SiteSettings
from .vocabulary import Vocabulary, clinical_vocabulary
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
    route_codings: dict[str, Coding]  # route -> the coding that a draft carries
    remarks: tuple[str, ...]  # no faults, but a reader of `check` should know
    site: SiteSettings = field(default_factory=SiteSettings)

    @property
    def is_approved(self) -> bool:
        """Has somebody approved this version? An approval does not pass on to the next one."""
        return bool(self.approver) and self.approved_version == self.version


def overdue(review_by: date, today: date) -> str:
    """What to say if the day has passed by which the content must be looked at again; "" if it has not."""
    return f"the content was to be reviewed by {review_by}, and that day has passed" if today > review_by else ""


def load_content(folder: Path, site: Path | None = None, vocabulary: Vocabulary | None = None) -> Content:
    """Load and check the content. Raises ContentError with every fault that was found."""
    words_known = vocabulary or clinical_vocabulary()
    faults = Faults()
    files = read_files(folder, site, faults)
    shapes = Shapes()
    elements = {place: shapes.elements(place, table, faults) for place, table in files.tables.items()}
    shared = Shared(files, elements, words_known, faults, site)
    check_approval(elements["content.toml"], faults)
    pathways = {name: build_pathway(name, shared, faults) for name in files.pathways}
    for pathway in pathways.values():
        if pathway is not None:
            check_orders(pathway, shared.codes, shared.words, faults)
    faults.raise_any()
    about = elements["content.toml"][0].table
    templates = Templates(shared.rows, shared.groups, every_orderable(pathways.values()))
    return Content(
        folder=folder,
        version=about["version"],
        digest=files.digest,
        title=about["title"],
        intended_use=about["intended_use"].strip(),
        owners=tuple(about["owners"]),
        approver=about["approver"].strip(),
        approved=about.get("approved"),
        approved_version=about.get("approved_version", "").strip(),
        review_by=about["review_by"],
        analytes=shared.analytes,
        codes=shared.codes,
        words=shared.words,
        groups=shared.groups,
        displays=shared.displays,
        messages=shared.messages,
        plain_words=shared.plain_words,
        pathways=pathways,
        prefetch=templates.sets,
        route_codings=shared.route_codings(),
        remarks=remarks(templates, about),
        site=shared.site,
    )


def every_orderable(pathways: Iterable[Pathway | None]) -> list[Orderable]:
    return [orderable for pathway in pathways if pathway for orderable in pathway.orderables.values()]


def check_approval(about: list[Element], faults: Faults) -> None:
    """An approval is somebody's, of a day, and of the version that was read: all three or none."""
    if not sound(about):
        return
    stated = {key: str(about[0].table.get(key, "")).strip() for key in ("approver", "approved", "approved_version")}
    if any(stated.values()) and not all(stated.values()):
        missing = ", ".join(key for key, value in stated.items() if not value)
        faults.add("content.toml", f"an approval has approver, approved and approved_version; missing: {missing}")


def remarks(templates: Templates, about: Toml) -> tuple[str, ...]:
    """What is no fault, but must not stay unsaid."""
    lines = [
        f"prefetch key {key!r}: {len(codes)} codes did not fit and are not asked for: {', '.join(codes)}"
        for key, codes in templates.left_out.items()
    ]
    approver, version = about["approver"].strip(), about.get("approved_version", "").strip()
    if not approver:
        lines.append("the content is not yet locally approved: content.toml approver is empty")
    elif version != about["version"]:
        lines.append(f"the approval by {approver} was of version {version}; this is {about['version']}: not approved")
    return tuple(lines)
