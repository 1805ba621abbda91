"""The course of treatment as a picture: its states, what leads from one to another, and the same in words.

A state is a row of the course table. A step is stated as the findings that hold before it and after it; which states
these are, the table says by its first row that holds. What a clinician does is what the rows ask for. So the picture
follows the table, that of a site too. It is one SVG without outside parts, and it is never without its list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from html import escape

from cds_service.clinical.advice import INJECTION, first_match
from cds_service.clinical.tables import Choice, Pathway, Row

Findings = frozenset[str]
TIME, CARE = "time", "care"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens: the findings before it and after it, and its words. Numbers are those of the limits."""

    before: Findings
    words: str
    after: Findings
    but_not: str = ""  # it does not happen to whoever has this finding for good


@dataclass(frozen=True, slots=True)
class Edge:
    """One arrow, from row to row. `kind`: time passes or a finding comes, or a clinician does what the row asks for."""

    start: str
    end: str
    kind: str
    words: str


def findings(names: str) -> Findings:
    return frozenset(names.split())


NOTHING = findings("")
ORDERED = findings("on_im on_im_by_order newly_ordered")
NOT_GIVEN = findings("on_im on_im_by_order")
DOSE = findings("on_im on_im_by_dose")
LOADING = DOSE | findings("loading_now loading_unfinished")
STOPPED = DOSE | findings("loading_stopped")
DUE = DOSE | findings("due_soon")
OVERDUE = DOSE | findings("overdue")
OVER = findings("treatment_ended ended_injections")
TABLETS = findings("on_oral")

HAPPENS = (
    Step(NOTHING, "injections are ordered", ORDERED),
    Step(NOTHING, "B12 by mouth is begun", TABLETS),
    Step(NOTHING, "an operation on stomach or ileum is recorded, no B12 result", findings("resection b12_untested")),
    Step(NOTHING, "deficiency is recorded, and neither treatment nor result", findings("coded_untreated b12_untested")),
    Step(ORDERED, "a dose is given", LOADING),
    Step(ORDERED, "no dose is recorded for more than {order-new} days", NOT_GIVEN),
    Step(NOT_GIVEN, "a dose is given", LOADING),
    Step(NOT_GIVEN, "the order is older than {im-order} days", NOTHING),
    Step(LOADING, "no dose for more than {loading-gap} days", STOPPED),
    Step(LOADING, "loading is complete ({loading-count} doses at least)", DOSE),
    Step(STOPPED, "the next dose would have been due", OVERDUE),
    Step(DOSE, "the due date is {due-soon} days away", DUE),
    Step(DUE, "the due date passes", OVERDUE),
    Step(OVERDUE, "the last dose is too long ago to count as treatment", OVER | {"lapsed"}),
    Step(OVER | {"lapsed"}, "{lapsed-within} months pass", OVER),
    Step(DOSE, "a B12 taken on injections is deficient", DOSE | {"deficient_on_injections"}),
    Step(DOSE | {"deficient_on_injections"}, "a later B12 is not deficient, or it is too old", DOSE),
    Step(DOSE, "the anaemia turns out to be iron deficiency", DOSE | {"response_iron"}),
    Step(DOSE, "the blood count has not recovered", DOSE | {"response_blood"}),
    Step(DOSE, "a symptom is recorded that is new on injections", DOSE | {"new_symptoms"}),
    Step(DOSE, "tablets take the place of injections", TABLETS, but_not="must_im"),
    Step(TABLETS, "signs, or a low result, in spite of the tablets", TABLETS | {"oral_insufficient"}),
    Step(TABLETS, "the dose is low and absorption fails", TABLETS | findings("oral_low malabsorption")),
    Step(TABLETS, "the tablets have ended, {tablets-window} days ago", findings("treatment_ended lapsed")),
)  # fmt: skip
LASTING = (  # what a patient has besides, and for good
    ("", NOTHING),
    ("with neurological signs", findings("neuro symptoms")),
    ("with a cause that needs injections", findings("must_im must_im_disease irreversible_cause")),
    ("after bariatric surgery", findings("bariatric irreversible_cause")),
    ("with deficiency recorded", findings("coded")),
)


def edges(pathway: Pathway) -> tuple[Edge, ...]:
    """Every arrow of the pathway's course, each pair of states and words once."""
    return tuple(dict.fromkeys((*happening(pathway), *asked_for(pathway)))) if pathway.course else ()


def happening(pathway: Pathway) -> Iterator[Edge]:
    """What happens to a patient, for everybody and for those who have something lasting."""
    numbers = {name: str(limit.value) for name, limit in pathway.thresholds.items()}
    for step in HAPPENS:
        usual = None
        for besides, lasting in LASTING:
            if step.but_not in lasting:
                continue
            start, end = (state(pathway, each | lasting) for each in (step.before, step.after))
            usual = usual or (start, end)
            if start != end and (not besides or (start, end) != usual):
                words = step.words.format_map(numbers)
                yield Edge(start, end, TIME, f"{words}, {besides}" if besides else words)
    for besides, lasting in LASTING[1:]:
        if state(pathway, lasting) != state(pathway, NOTHING):
            yield Edge(state(pathway, NOTHING), state(pathway, lasting), TIME, f"a record {besides}, and no treatment")


def state(pathway: Pathway, found: Findings) -> str:
    """The row of the course for these findings."""
    return first_match(pathway.course, found).id


def asked_for(pathway: Pathway) -> Iterator[Edge]:
    """What the rows ask for, and the state of a patient for whom it is done."""
    for row in pathway.course:
        lasting = frozenset(row.when) & findings("must_im must_im_disease bariatric neuro")
        lasting |= findings("must_im") if "must_im_disease" in row.when else NOTHING
        for choice in (*row.tests, *row.regimens):
            words, after = done(pathway, choice)
            end = state(pathway, after | lasting | frozenset(choice.when) & findings("neuro"))
            if words and end != row.id:
                yield Edge(row.id, end, CARE, words)


def done(pathway: Pathway, choice: Choice) -> tuple[str, Findings]:
    """What is done when a draft of the row is accepted and carried out, and what is found then."""
    if choice.id == INJECTION:
        return "the injection is given", DOSE
    regimen = pathway.regimens.get(choice.id)
    if regimen is None:
        return "", NOTHING  # a test changes nothing until its result is there
    first = regimen.phases[0]
    if first.route == "oral":
        return "B12 by mouth is begun", TABLETS | {"on_oral_high"}
    loads = first.count is not None or first.duration is not None
    return ("loading is begun", LOADING) if loads else ("the injection is given", DOSE)


# --- On a page: rows one below the other in the order of the table, time on the right, what is done on the left

HIGH, WIDE, LEFT, TOP = 30, 230, 290, 26
TONES = {"none": "#767676", "info": "#1a5fb4", "warning": "#9a5b00", "critical": "#a51d2d"}


def picture(pathway: Pathway) -> str:
    """The course as a figure in HTML: the drawing, and every arrow in words. "" for a pathway that tells of none."""
    found = edges(pathway)
    if not found:
        return ""
    items = "".join(f"<li>{in_words(each)}</li>" for each in found)
    return (
        '<figure class="course-picture" tabindex="0" aria-label="The course as a picture">'
        f"{drawing(pathway, found)}<figcaption>Every state of the course, in the order "
        "in which the table is read: the first that holds is the patient's. Arrows on the right: what happens. On the "
        "left: what the state asks for, when it is done. The number of an arrow is that of the list.</figcaption>"
        f"<ol>{items}</ol></figure>"
    )


def in_words(edge: Edge) -> str:
    return f"<b>{escape(edge.start)}</b> to <b>{escape(edge.end)}</b>: {escape(edge.words)}"


def drawing(pathway: Pathway, found: tuple[Edge, ...]) -> str:
    """The SVG. Attributes alone give it its look: no style that a strict policy would refuse."""
    places = {row.id: number for number, row in enumerate(pathway.course)}
    numbered = {each: number for number, each in enumerate(found, start=1)}
    grouped: dict[tuple[str, str, str], list[Edge]] = {}
    for each in found:
        grouped.setdefault((each.start, each.end, each.kind), []).append(each)
    arrows = "".join(arrow(places, same, [numbered[each] for each in same]) for same in grouped.values())
    boxes = "".join(box(row, number) for row, number in zip(pathway.course, places.values(), strict=True))
    size = f"0 0 {LEFT * 2 + WIDE} {TOP + HIGH * len(places)}"
    return (
        f'<svg viewBox="{size}" width="100%" role="img" aria-labelledby="course-picture-title course-picture-about" '
        'font-family="sans-serif" font-size="11" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="course-picture-title">The course of treatment in {escape(pathway.id)}: '
        f"{len(places)} states, {len(found)} steps</title>"
        '<desc id="course-picture-about">The list below says every step in words.</desc>'
        '<defs><marker id="course-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>'
        f'<text x="{LEFT - 12}" y="14" text-anchor="end" fill="currentColor">what is done</text>'
        f'<text x="{LEFT + WIDE + 12}" y="14" fill="currentColor">what happens</text>{arrows}{boxes}</svg>'
    )


def box(row: Row, number: int) -> str:
    """One state: its name, and the cards that it may have."""
    levels = [row.indicator, *(level for level, _ in row.raised)] if not row.off else ["none"]
    shown = [level for level in dict.fromkeys(levels) if level != "none"]
    tone = TONES[max(levels, key=tuple(TONES).index)]
    y = TOP + number * HIGH
    return (
        f'<g><rect x="{LEFT}" y="{y}" width="{WIDE}" height="{HIGH - 8}" rx="3" fill="none" stroke="{tone}" '
        f'stroke-width="{2 if shown else 1}"/><text x="{LEFT + 8}" y="{y + 15}" fill="currentColor" '
        f'font-weight="700">{escape(row.id)}</text><text x="{LEFT + WIDE - 8}" y="{y + 15}" text-anchor="end" '
        f'fill="currentColor">{escape(" or ".join(shown) or "no card")}</text></g>'
    )


def arrow(places: dict[str, int], same: Collection[Edge], numbers: list[int]) -> str:
    """One curve for all steps of a kind between two states, with their numbers at its turn."""
    edge = next(iter(same))
    start, end = places[edge.start], places[edge.end]
    sign = 1 if edge.kind == TIME else -1
    x = LEFT + WIDE if edge.kind == TIME else LEFT
    first, last = (TOP + place * HIGH + (HIGH - 8) // 2 for place in (start, end))
    reach = x + sign * (24 + 17 * abs(end - start))
    first, last = (first + 4, last - 4) if start < end else (first - 4, last + 4)
    words = escape("; ".join(each.words for each in same))
    dashed = "" if edge.kind == TIME else ' stroke-dasharray="4 2"'
    turn, middle = x + sign * 3 * abs(reach - x) // 4, (first + last) // 2
    return (
        f'<g><title>{escape(edge.start)} to {escape(edge.end)}: {words}</title><path d="M{x} {first}C{reach} {first} '
        f'{reach} {last} {x} {last}" fill="none" stroke="currentColor" stroke-width="1"{dashed} '
        f'marker-end="url(#course-arrow)"/><text x="{turn}" y="{middle + 4}" font-size="9" text-anchor="middle" '
        f'fill="currentColor" stroke="Canvas" stroke-width="3" paint-order="stroke">{", ".join(map(str, numbers))}'
        "</text></g>"
    )
