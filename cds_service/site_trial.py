"""What a site's folder does, tried out: its limits at their boundaries, and every shipped vignette answered again.

The numbers of a site are tried out with an invented patient on each side of every limit, through the whole service. A
probe names a threshold, the result that is compared with it, and the finding that must come and go there. Findings,
and not rows, are compared, so that a site may switch rows on and off. Every shipped vignette is asked again too, and
those that are now answered otherwise are listed for the person who signs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock
from typing import Any

from .cdshooks.client_config import ClientConfig
from .clinical.bands import BOUNDS
from .clinical.decide import SEVERITY
from .clinical.findings import REGISTRY
from .clinical.rules import Probe
from .clinical.tables import Threshold
from .content.content import Content
from .content.files import VALUE_SETS
from .content.site import LIMITS, OwnLimits
from .evaluate import Evaluation
from .examples.vignette_fhir import rows_of
from .examples.vignettes import DEFAULT_DAY, Vignette, shipped_vignettes
from .explanation import Saved, answer_saved, saved_vignette

Json = dict[str, Any]
Configured = Callable[[str, Content], ClientConfig]  # what a client gets under a pathway of this content
DAYS_AGO = 5  # how old each result is: current for every test
FAMILY_OF_USE = {"mass": ("mass",), "molar": ("molar",)}  # other uses: both


PROBES = REGISTRY.probes
SITE_LIMITS = {name for edges in LIMITS.values() for name in edges}
CODED = tuple(each for each in PROBES if each.limit in SITE_LIMITS)  # a site may state them for a code of its own
BANDS = tuple(each for each in CODED if each.finding in ("b12_deficient", "b12_above"))


def expected(probe: Probe, value: Decimal, limit: Decimal) -> bool:
    """Must the finding be there with this value?"""
    return {"below": value < limit, "above": value > limit, "from": value >= limit}[probe.side]


def described_beside(probe: Probe) -> Json:
    """What else a vignette records of the patient, so that this limit counts."""
    patient = {"patient": {"sex": probe.sex}} if probe.sex else {}
    return patient | ({"problem": [{"concept": probe.problem, "days_ago": DAYS_AGO}]} if probe.problem else {})


@dataclass(frozen=True, slots=True)
class Boundary:
    """One probe tried: (value, was the finding to come, did it come) for each point."""

    pathway: str
    probe: Probe
    unit: str
    under: str  # the code under which the result was sent; "" for one of ours
    points: tuple[tuple[Decimal, bool, bool], ...]

    @property
    def holds(self) -> bool:
        return all(expected == found for _, expected, found in self.points)

    def line(self) -> str:
        """ "uk-ng239: b12-deficient-mass: b12_deficient at 144 ng/L yes, at 145 ng/L no, at 146 ng/L no"."""
        found = ", ".join(
            f"at {value} {self.unit} {'yes' if came else 'no'}" + ("" if expected == came else " (WRONG)")
            for value, expected, came in self.points
        )
        under = f", sent as {self.under}" if self.under else ""
        return f"{self.pathway}: {self.probe.limit}{under}: {self.probe.finding} {found}"


def boundaries(ours: ClientConfig, theirs: ClientConfig) -> Iterator[Boundary]:
    """Every changed limit at its value and one step either side; and every local code of a test that decides."""
    pathway, site = theirs.pathway, theirs.content.site
    changed = changed_limits(ours, theirs)
    for probe in PROBES:
        if probe.limit in changed:
            yield tried(probe, theirs)
    for probe in CODED:
        for code, label in local_codes(probe, theirs):
            yield tried(probe, theirs, code, label)
    for own in site.own_limits:
        if site.states(own, pathway.id):
            yield from with_range(own, theirs)


def untried(ours: ClientConfig, theirs: ClientConfig) -> list[str]:
    """Changed thresholds for which there is no probe: their effect shows in the shipped vignettes only."""
    probed = {probe.limit for probe in PROBES}
    return [name for name in changed_limits(ours, theirs) if name not in probed]


def changed_limits(ours: ClientConfig, theirs: ClientConfig) -> list[str]:
    """The thresholds whose value the site has changed, or added."""
    before = {name: each.value for name, each in ours.pathway.thresholds.items()}
    return [name for name, each in theirs.pathway.thresholds.items() if each.value != before.get(name)]


def tried(
    probe: Probe, service: ClientConfig, code: str = "", label: str = "", factor: Decimal = Decimal(1), **more: Any
) -> Boundary:
    """One probe at its limit and one step either side. `factor`: how many of the limit's unit are one of `unit`."""
    threshold = service.pathway.thresholds[probe.limit]
    unit = more.pop("unit", threshold.unit)
    points = []
    for value in around(threshold):
        lab = {"analyte": probe.analyte, "value": value / factor, "unit": unit, "days_ago": DAYS_AGO, **more}
        described = {**described_beside(probe), "lab": [lab | ({"code": code} if code else {})]}
        found = played(Vignette(probe.limit, probe.limit, DEFAULT_DAY, service.pathway.id, described, {}), service)
        came = probe.finding in found.assessment.findings
        points.append((value / factor, expected(probe, value, threshold.value), came))
    return Boundary(service.pathway.id, probe, unit, label, tuple(points))


def around(threshold: Threshold) -> Iterator[Decimal]:
    for value in (threshold.value - threshold.step, threshold.value, threshold.value + threshold.step):
        if value > 0:
            yield value


def local_codes(probe: Probe, service: ClientConfig) -> Iterator[tuple[str, str]]:
    """The site's own codes of the probe's analyte that may come in the threshold's kind of unit: (code, its name)."""
    folder = service.content.site.folder
    path = folder / VALUE_SETS / f"lab-{probe.analyte}.csv" if folder else None
    if path is None or not path.is_file():
        return
    family = next(kind for (name, kind), edges in LIMITS.items() if name == probe.analyte and probe.limit in edges)
    for row in rows_of(path):
        if family in FAMILY_OF_USE.get(row["use"], (family,)):
            yield row["code"], f"{row['code']} of {row['system']}"


def with_range(own: OwnLimits, service: ClientConfig) -> Iterator[Boundary]:
    """A result that comes with the site's own limits as its reference range: its unit must not be in doubt."""
    if (own.analyte, own.family) not in BOUNDS:
        return
    low, high = (service.pathway.thresholds[name].value for name in BOUNDS[own.analyte, own.family])
    analyte = service.pathway.analytes[own.analyte]
    factor = next(unit.factor for unit in analyte.units.values() if unit.spelling == own.unit)
    for system, code in own.codes:
        label = f"{code} of {system}, with the range {low / factor} to {high / factor}"
        for probe in BANDS:
            if probe.limit in BOUNDS[own.analyte, own.family]:
                yield tried(probe, service, code, label, factor, unit=own.unit, low=low / factor, high=high / factor)


def played(vignette: Vignette, service: ClientConfig) -> Evaluation:
    """What the service answers about the vignette's patient."""
    return asked(saved_vignette(vignette, service.content), service)


def asked(saved: Saved, service: ClientConfig) -> Evaluation:
    return answer_saved(saved.request, service, saved.as_of or DEFAULT_DAY)


def shipped(vignettes: Mapping[str, Vignette], pathway: str) -> list[Vignette]:
    """The vignettes of a pathway's folder, without those that need an example site."""
    return [each for name, each in vignettes.items() if name.startswith(f"{pathway}/") and not each.overlay]


@dataclass(frozen=True, slots=True)
class Changed:
    """A shipped vignette that the site's service answers otherwise than ours."""

    vignette: Vignette
    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def drop(self) -> int:
        """By how many degrees its worst indicator fell."""
        return SEVERITY[self.before["indicator"]] - SEVERITY[self.after["indicator"]]

    def kind(self) -> str:
        """ "confirmed, warning -> indeterminate, info"."""
        return " -> ".join(f"{each['label']}, {each['indicator']}" for each in (self.before, self.after))

    def line(self) -> str:
        """The patient, and the rows that spoke before and speak now; the suggestions, where only they differ."""
        differ = [name for name in ("rows", "suggestions", "status") if self.before[name] != self.after[name]]
        names = ["rows"] if "rows" in differ else differ
        parts = [f"{self.before[name]} -> {self.after[name]}" for name in names]
        patient = f"{self.vignette.pathway}/{self.vignette.name} ({self.vignette.title})"
        return f"{patient}: {'; '.join(parts)}" if parts else patient


@dataclass(frozen=True, slots=True)
class Answered:
    """A shipped vignette, its call, and what of the answer a clinician would notice."""

    vignette: Vignette
    saved: Saved
    before: Mapping[str, str]


class Baseline:
    """What our own content answers to the shipped vignettes. Each pathway is asked once, and then compared with any
    number of folders."""

    def __init__(self, ours: Content, configured: Configured) -> None:
        self.ours, self.configured = ours, configured
        self._lock = Lock()
        self._vignettes: dict[str, Vignette] = {}
        self._answered: dict[str, list[Answered]] = {}

    def vignettes(self, pathway: str) -> list[Vignette]:
        """Those of a pathway."""
        with self._lock:
            self._vignettes = self._vignettes or shipped_vignettes()
        return shipped(self._vignettes, pathway)

    def answered(self, pathway: str) -> list[Answered]:
        """Those of a pathway, with our own answers."""
        vignettes = self.vignettes(pathway)
        with self._lock:
            if pathway not in self._answered:
                self._answered[pathway] = answered_by(vignettes, self.configured(pathway, self.ours))
            return self._answered[pathway]


def answered_by(vignettes: Iterable[Vignette], service: ClientConfig) -> list[Answered]:
    """The vignettes' calls, and what this service answers."""
    saved = [(each, saved_vignette(each, service.content)) for each in vignettes]
    return [Answered(vignette, call, outcome(asked(call, service))) for vignette, call in saved]


def answered_otherwise(baseline: Iterable[Answered], theirs: ClientConfig) -> list[Changed]:
    """The vignettes whose one call the other service answers otherwise."""
    found = []
    for each in baseline:
        after = outcome(asked(each.saved, theirs))
        if each.before != after:
            found.append(Changed(each.vignette, each.before, after))
    return found


def outcome(found: Evaluation) -> dict[str, str]:
    """What of an answer a clinician would notice."""
    decision = found.decision
    worst = max((each.indicator for each in decision.advice), key=SEVERITY.__getitem__, default="none")
    drafts = dict.fromkeys(draft.id for each in decision.advice for draft in each.drafts)
    return {
        "label": decision.label,
        "rows": ", ".join(decision.rows) or "none",
        "indicator": worst,
        "suggestions": ", ".join(drafts) or "none",
        "status": str(found.status),
    }


@dataclass(slots=True)
class Tried:
    """What the site's numbers did: at their boundaries, and to the vignettes that are shipped."""

    boundaries: list[Boundary] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    otherwise: list[Changed] = field(default_factory=list)
    vignettes: int = 0

    @property
    def holds(self) -> bool:
        return all(each.holds for each in self.boundaries)


def try_out(baseline: Baseline, theirs: Content) -> Tried:
    """Every pathway at the site's boundaries, and every shipped vignette again."""
    found = Tried()
    for name in theirs.pathways:
        plain, local = (baseline.configured(name, content) for content in (baseline.ours, theirs))
        found.boundaries += boundaries(plain, local)
        found.untried += [f"{name}: {threshold}" for threshold in untried(plain, local)]
        answered = baseline.answered(name)
        found.vignettes += len(answered)
        found.otherwise += answered_otherwise(answered, local)
    return found


def falling_through(ours: Content, theirs: Content, otherwise: Iterable[Changed]) -> list[str]:
    """Where the patients of a row go that is gone: how many shipped vignettes, to which row, and what it suggests."""
    groups: dict[tuple[str, str, str], list[Changed]] = {}
    for each in otherwise:
        name = each.vignette.pathway
        now = each.after["rows"].split(", ")
        for row in each.before["rows"].split(", "):
            table, _, identity = row.partition("/")
            kept = {known.id for known in getattr(theirs.pathways[name], table, ())}
            if table in ("interpret", "treat", "course") and identity not in kept:
                goes = next((other for other in now if other.startswith(f"{table}/")), "no row")
                groups.setdefault((name, row, goes), []).append(each)
    lines = []
    for (name, row, goes), cases in sorted(groups.items(), key=lambda item: (-max(c.drop for c in item[1]), item[0])):
        worst = max(cases, key=lambda case: case.drop)
        count = f"{len(cases)} vignette{'s' if len(cases) > 1 else ''}"
        before, after = worst.before["suggestions"], worst.after["suggestions"]
        lines.append(f"{name}: {count} of {row} now go to {goes}; suggested before: {before}, now: {after} "
                     f"({worst.kind()}: {worst.vignette.title})")  # fmt: skip
    return lines


def by_kind(otherwise: Iterable[Changed]) -> dict[str, list[Changed]]:
    """Group what changed alike; first where the indicator fell most."""
    kinds: dict[str, list[Changed]] = {}
    for each in sorted(otherwise, key=lambda each: (-each.drop, each.kind())):
        kinds.setdefault(each.kind(), []).append(each)
    return kinds
