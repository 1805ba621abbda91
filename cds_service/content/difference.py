"""What a site's folder changes, in words that a clinical safety officer can sign, and what must not be overlooked.

Found by comparing the content with and without the folder, key by key, so that nothing changes unseen: what has no
words of its own is listed as file, name and value before and after.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from cds_service.clinical.bands import BOUNDS
from cds_service.clinical.tables import Pathway, Row, Threshold

from .check import PLACEHOLDER, provenances
from .content import Content
from .faults import Faults, listing
from .files import Files, code_lines, read_files
from .laid_over import PHRASES, identity, is_entries

SECTIONS = (
    "Approval", "Settings", "Limits", "Rows", "Wording", "Orders", "Codes", "Units and words", "Prefetch", "Other",
)  # fmt: skip
TEXTS = ("summary", "detail", "title", "words", "text", "display", "intended_use")
SAID_OTHERWISE = ("approver", "approved", "approved_version")  # content.toml: the approval as a whole
ROWS = ("course", "interpret", "treat", "safety", "orders", "notes")
USES = {"mass": ", in mass units", "molar": ", in molar units", "either": ", in either kind of unit"}


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs. `path` leads to it inside the file; None: it was not there, or is there no more."""

    place: str
    path: tuple[str, ...]
    before: Any
    after: Any


def difference(ours: Content, theirs: Content) -> dict[str, list[str]]:
    """Section -> sentences, of what the site's folder changes; no section where nothing changes."""
    files = read_files(theirs.folder, theirs.site.folder, Faults())
    found: dict[str, list[str]] = {section: [] for section in SECTIONS}
    found["Approval"] += approval(ours, theirs)
    found["Settings"] += settings(theirs)
    found["Codes"] += codes(files, theirs)
    found["Prefetch"] += prefetch(ours, theirs)
    for change in (each for place in files.ours for each in changes(place, files.ours[place], files.tables[place])):
        section, text = sentence_of(change, theirs)
        if text:
            found[section].append(text)
    for name, pathway in theirs.pathways.items():
        found["Limits"] += limits(ours.pathways[name], pathway, theirs, files.tables[f"{name}/thresholds.toml"])
    return {section: list(dict.fromkeys(lines)) for section, lines in found.items() if lines}


def changes(place: str, before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[Change]:
    """Every value that differs, as deep as both sides have the same shape."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from changes(place, before.get(key), after.get(key), (*path, key))
    elif is_entries(after) and (is_entries(before) or not before):
        own, new = by_identity(before or []), by_identity(after)
        for name in dict.fromkeys((*own, *new)):
            yield from changes(place, own.get(name), new.get(name), (*path, name))
    else:
        yield Change(place, path, before, after)


def by_identity(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name if isinstance(name := identity(entry), str) else " ".join(name): entry for entry in entries}


def sentence_of(change: Change, content: Content) -> tuple[str, str]:
    """The section and the sentence of one change; "" where another sentence states it."""
    pathway, _, file = change.place.rpartition("/")
    key = change.path[-1]
    if file == "thresholds.toml" or (file == "content.toml" and key in SAID_OTHERWISE):
        return "Limits", ""
    if file.removesuffix(".toml") in ROWS:
        return told_row(change, file.removesuffix(".toml"), pathway, content)
    if isinstance(change.after, dict) and {"system", "code"} <= change.after.keys():
        kind = "order" if file == "orderables.toml" else "prescription"
        coding = f"{change.after['code']} ({change.after['display']}) of {change.after['system']}"
        return "Orders", f"{pathway}: the draft {kind} {change.path[1]!r} also carries the code {coding}."
    if isinstance(change.after, list) and key in ("accepts", "words", "brands", "negations", "past"):
        added = ", ".join(repr(each) for each in change.after if each not in (change.before or ()))
        return "Units and words", f"{change.place} {' '.join(change.path)}: also {added}."
    if file in PHRASES or key in TEXTS:
        return "Wording", wording(f"{change.place} {' '.join(change.path)}", change)
    section = "Orders" if file in ("orderables.toml", "regimens.toml") else "Other"
    return ("Units and words" if file == "analytes.toml" else section), replaced(change)


def told_row(change: Change, table: str, pathway: str, content: Content) -> tuple[str, str]:
    """A row: switched on or off, another indicator, other words, other conditions."""
    row = f"{pathway}: row {table}/{change.path[1]}"
    if len(change.path) == 2:
        return "Rows", f"{row} is new: {value(change.after)}."
    key = change.path[2]
    if key == "off":
        off = "off: its card and drafts are withheld, it still matches and gives its label"
        return "Rows", f"{row} is switched {off if change.after else 'on'}."
    if key == "fall_through":
        gone = "is taken away: its patients fall through to the next row"
        return "Rows", f"{row} {gone if change.after else 'stays'}."
    if key == "indicator":
        raised = raising(content, pathway, table, change.path[1])
        now = " and so makes a card" * (change.before == "none")
        if change.after == "none":
            now = f", and still makes a card where it is raised ({raised})" if raised else " and so makes no card"
        return "Rows", f"{row} has the indicator {change.after} instead of {change.before}{now}."
    if key in TEXTS:
        return "Wording", wording(f"{row}, {key}", change)
    return "Rows", f"{row}, {' '.join(change.path[2:])}: {value(change.after)} instead of {value(change.before)}."


def raising(content: Content, pathway: str, table: str, name: str) -> str:
    """ "warning: neuro; critical: cord" of a row, or "" where nothing raises its indicator."""
    row = next((row for row in getattr(content.pathways[pathway], table) if row.id == name), None)
    return "; ".join(f"{indicator}: {', '.join(names)}" for indicator, names in row.raised) if row else ""


def wording(what: str, change: Change) -> str:
    return f"{what}\n    before: {value(change.before)}\n    after:  {value(change.after)}"


def replaced(change: Change) -> str:
    return f"{change.place} {' '.join(change.path)}: {value(change.after)} instead of {value(change.before)}."


def value(given: Any) -> str:
    """A value of TOML on one line."""
    if given is None or given == []:
        return "nothing"
    if isinstance(given, dict):
        return ", ".join(f"{key} = {value(each)}" for key, each in given.items())
    if isinstance(given, list):
        return "; ".join(value(each) for each in given)
    return " ".join(str(given).split())


def approval(ours: Content, theirs: Content) -> list[str]:
    if theirs.is_approved:
        stated = f"approved by {theirs.approver} on {theirs.approved}, for version {theirs.version}"
        return [f"The content is {stated}: cards no longer say that it is not."]
    if theirs.approver and theirs.approver != ours.approver:
        return [f"Not approved: {theirs.approver} approved version {theirs.approved_version}, and this is "
                f"{theirs.version}. Cards say that the content is not approved."]  # fmt: skip
    return []


def settings(theirs: Content) -> list[str]:
    site, lines = theirs.site, []
    if theirs.language.id:
        shares = ", ".join(f"{name} {each.per_cent} %" for name, each in theirs.coverage.items())
        language = f"{theirs.language.name} ({theirs.language.id})"
        lines.append(f"Cards speak {language}: {shares} of the texts; the rest stays English.")
    if site.time_zone:
        lines.append(f"A day begins and ends by the clock of {site.time_zone}.")
    for name, words in (
        ("max_cards", "At most {} cards on one answer; what no longer fits stands on the last one."),
        ("max_suggestions", "At most {} suggestions on one card; the rest stands in its text."),
        ("selection_behaviour", "Suggestions on one card may be taken: {}."),
    ):
        if name in site.cards:
            lines.append(words.format(site.cards[name]))
    if not site.doses_recorded:
        lines.append("Injections are not recorded here: an order renewed within a year counts as treatment, no due "
                     "date is worked out, and nothing is concluded from a dose that is missing.")  # fmt: skip
    if site.bookings:
        lines.append(
            f"An injection that is due may be arranged as: {', '.join(site.bookings)}. These are asked for too."
        )
    if site.problem_list:
        lines.append("A deficiency that was found is offered for the problem list.")
    if site.follow_up != "ServiceRequest":
        lines.append(f"A follow-up is drafted as a {site.follow_up}.")
    for own in site.own_limits:
        coded = listing(f"{code} of {system}" for system, code in own.codes)
        display = theirs.displays[own.analyte]
        lines.append(f"The laboratory reports {display} under {coded} in {own.unit}, and its limits are set here: "
                     "neither its reference range nor its flag puts that unit in doubt.")  # fmt: skip
    return lines


def limits(ours: Pathway, theirs: Pathway, content: Content, table: Mapping[str, Any]) -> list[str]:
    """Every threshold that differs, and the bands that follow from it."""
    notes = {entry["id"]: entry.get("note", "") for entry in table.get("threshold", [])}
    changed = [name for name, each in theirs.thresholds.items() if each != ours.thresholds.get(name)]
    lines = [
        f"{theirs.id}: {limit(name, ours.thresholds.get(name), theirs.thresholds[name], content, notes[name])}"
        for name in changed
    ]
    for (analyte, _), (low, high) in BOUNDS.items():
        if {low, high} & set(changed):
            below, above = (theirs.thresholds[name].value for name in (low, high))
            in_unit = f"{content.displays[analyte]} in {theirs.thresholds[low].unit}"
            lines.append(f"{theirs.id}: {in_unit} is now deficient below {below}, uncertain from {below} to {above}, "
                         f"unlikely above {above}.")  # fmt: skip
    return lines


def limit(name: str, before: Threshold | None, after: Threshold, content: Content, note: str) -> str:
    """ "total B12 deficient: below 145 ng/L instead of below 180 ng/L. Source: ..."."""
    words, side = f"{name} ({note})" if note else name, ""
    for (analyte, _), (low, high) in BOUNDS.items():
        if name in (low, high):
            display = content.displays[analyte]
            words, side = (f"{display} deficient", "below ") if name == low else (f"{display} unlikely", "above ")
    old = f"{side}{before.value} {before.unit}" if before else "nothing"
    origin, new = after.provenance, f"{side}{after.value} {after.unit}"
    change = f"{new} instead of {old}" if new != old else f"{new}, as before"
    title = next(p.sources[origin.source].title for p in content.pathways.values())
    return f"{words}: {change}. Source: {title} ({origin.evidence}, checked {origin.checked})."


def codes(files: Files, content: Content) -> list[str]:
    """Every code that the site's value sets add."""
    lines = []
    for name, paths in files.value_sets.items():
        kind, _, concept = name.partition("-")
        meaning = content.displays.get(concept, concept) if kind in ("lab", "problem", "medicine") else name
        for line in code_lines(name, tuple(path for path in paths if path[1]), Faults()):
            told_use = USES.get(line.use, f", use {line.use}" if line.use else "")
            lines.append(f"{line.code} ({line.display}) of {line.system} is read as {meaning}{told_use}. "
                         f"Seen: {line.source}.")  # fmt: skip
    return lines


def prefetch(ours: Content, theirs: Content) -> list[str]:
    """Templates that change: where they were typed by hand, they must be typed anew."""
    lines = []
    for key, template in theirs.prefetch["full"].items():
        before = ours.prefetch["full"].get(key, "")
        if template != before:
            old, new = (each.partition("code=")[2].partition("&")[0].split(",") for each in (before, template))
            more, fewer = ([code for code in one if code not in other] for one, other in ((new, old), (old, new)))
            lost = f", and no longer for {', '.join(fewer)}" if fewer else ""
            lines.append(f"Key {key!r} asks for {', '.join(more) or 'no further code'}{lost}. Clients that have the "
                         "template typed in need the new one: b12-cds prefetch.")  # fmt: skip
    return lines


OTHER_KIND = {"mass": "molar", "molar": "mass"}
DECIDING = ("course", "interpret", "treat", "safety", "orders")
FAR = Decimal("0.3")  # of the shipped limit
GUIDELINE = re.compile(r"\b(NICE|NG239|AAFP)\b[^.]{0,30}\bthreshold|\bthresholds?[^.]{0,20}\b(NICE|NG239|AAFP)\b")


def cautions(ours: Content, theirs: Content, today: date | None = None) -> list[str]:
    """Sentences, each naming its pathway. Dates in the future are named where the day is known."""
    found: dict[str, None] = dict.fromkeys(ahead(theirs, today) if today else ())
    elsewhere = [name for name, each in theirs.pathways.items() if each.thresholds != ours.pathways[name].thresholds]
    if ours.language.id != theirs.language.id:
        found["the words of the site's rows are not compared with ours: they are in two languages"] = None
    for name, pathway in theirs.pathways.items():
        before = ours.pathways[name]
        changed = {key for key, each in before.thresholds.items() if each.value != pathway.thresholds[key].value}
        lines = [*half_changed(pathway, changed), *guideline_named(pathway, changed), *switched_off(before, pathway)]
        lines += far_off(before, pathway)
        if ours.language.id == theirs.language.id:
            lines += lost_words(before, pathway)
        lines += looks_molar(pathway, theirs)
        if not changed and elsewhere:
            lines.append(f"no limit is changed here, only in {', '.join(elsewhere)}")
        found |= dict.fromkeys(f"{name}: {line}" for line in lines)
    return list(found)


def half_changed(pathway: Pathway, changed: set[str]) -> Iterator[str]:
    """Limits in one kind of unit were changed, and those in the other were not; or one edge of two."""
    for (analyte, family), edges in BOUNDS.items():
        display = pathway.displays[analyte]
        other = BOUNDS.get((analyte, OTHER_KIND[family]))
        if set(edges) & changed and other and not set(other) & changed:
            low, high = (pathway.thresholds[name] for name in other)
            compared = f"{low.value} and {high.value} {low.unit}"
            yield (f"{display} that is reported in {low.unit} is still compared with {compared}. If the laboratory's "
                   f"assay needs other limits, state them in {low.unit} too.")  # fmt: skip
        for one, two in (edges, edges[::-1]):
            if one in changed and two not in changed:
                kept = pathway.thresholds[two]
                yield f"{one} was changed and {two} was not: it is still {kept.value} {kept.unit}. Is that meant?"


def guideline_named(pathway: Pathway, changed: set[str]) -> Iterator[str]:
    """The limits are local now, and a text still calls them the guideline's."""
    if not changed & {name for edges in BOUNDS.values() for name in edges}:
        return
    rows: tuple[Row, ...] = (*pathway.interpret, *pathway.treat, *pathway.safety, *pathway.orders, *pathway.notes)
    texts = {f"row {row.table}/{row.id}": f"{row.summary} {row.detail}" for row in rows}
    texts |= {f"messages.toml {key}": text for key, text in pathway.messages.items()}
    for place, text in texts.items():
        if GUIDELINE.search(text):
            yield f"{place} still calls the threshold that of a guideline, and it is the site's own now."


def switched_off(before: Pathway, after: Pathway) -> Iterator[str]:
    """Rows whose card is withheld, and rows that are gone. A safety row and a treatment row are said to be one."""
    for table in DECIDING:
        now = {row.id: row for row in getattr(after, table)}
        for row in getattr(before, table):
            safety = table == "safety" or row.speaks_alone
            what = "A SAFETY ROW" if safety else "A TREATMENT ROW" if table == "treat" else "A row"
            said = f", which said: {row.summary}" if row.summary else ""
            if row.id not in now:
                yield f"{what} is gone, and its patients fall through to the next: {table}/{row.id}{said}"
            elif now[row.id].off and not row.off:
                yield f"{what} is switched off: {table}/{row.id}{said}"


def far_off(before: Pathway, after: Pathway) -> Iterator[str]:
    """Limits that lie far from the shipped ones: a slip of a digit or of a unit looks like that."""
    for name, ours in before.thresholds.items():
        theirs = after.thresholds.get(name)
        if theirs and ours.value and abs(theirs.value - ours.value) > ours.value * FAR:
            yield (f"{name} is {theirs.value} {theirs.unit}, more than 30 % from the shipped {ours.value} {ours.unit}. "
                   "Is that meant?")  # fmt: skip


def lost_words(before: Pathway, after: Pathway) -> Iterator[str]:
    """What a reworded row no longer says: a "do not", or a value of the patient."""
    do_not = opening_of_do_not(before)
    for table in (*DECIDING, "notes"):
        now = {row.id: f"{row.summary}\n{row.detail}" for row in getattr(after, table)}
        for row in getattr(before, table):
            old, new = f"{row.summary}\n{row.detail}", now.get(row.id)
            if new is None or new == old:
                continue
            kept = " ".join(new.casefold().split())
            for sentence in do_not.findall(old):
                if " ".join(sentence.casefold().split()) not in kept:
                    yield f'row {table}/{row.id} no longer says: "{" ".join(sentence.split())}"'
            if lost := sorted(set(PLACEHOLDER.findall(old)) - set(PLACEHOLDER.findall(new))):
                yield f"row {table}/{row.id} no longer shows {listing('{' + name + '}' for name in lost)}"


def opening_of_do_not(pathway: Pathway) -> re.Pattern[str]:
    """A sentence that says what not to do, by the words with which the content begins one in its language."""
    words = [each.strip("* ") for each in pathway.messages.get("part.do-not", "").split("|")]
    either = "|".join(re.escape(each) for each in words if each)
    return re.compile(rf"\b(?:{either})\b[^.;]*" if either else r"(?!)", re.IGNORECASE)


def ahead(content: Content, today: date) -> Iterator[str]:
    """Days on which somebody says to have checked or approved something, and that have not come yet."""
    if content.approved and content.approved > today:
        yield f"content.toml: approved on {content.approved}, which has not come yet"
    for pathway in content.pathways.values():
        for place, origin in provenances(pathway):
            if origin.checked > today:
                yield f"{place}: checked on {origin.checked}, which has not come yet"


def looks_molar(pathway: Pathway, content: Content) -> Iterator[str]:
    """A laboratory that sends such limits as its reference range is not believed unless own_limits says so."""
    settled = {(own.analyte, own.family) for own in content.site.own_limits if content.site.states(own, pathway.id)}
    limits = pathway.limits
    low = "b12-deficient-mass"
    below = limits[low] < limits["range-molar-low"]
    if low in content.site.changed.get(pathway.id, ()) and below and ("b12", "mass") not in settled:
        unit = pathway.thresholds[low].unit
        yield (f"a total B12 in {unit} whose reference range begins at {limits[low]} and ends below "
               f"{limits['range-molar-high']} looks like one in pmol/L and is in doubt. If the laboratory confirms the "
               "unit, name its codes in site.toml [[own_limits]].")  # fmt: skip
