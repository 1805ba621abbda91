"""The content as pages, /content: every table, number, code and change for a clinician or safety officer to review.

GET only and without any patient data. `?site=NAME` shows the content with the folder of that site laid over it; without
it, the content that the service answers with by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from flask import Flask, Response, render_template, request, url_for
from markupsafe import Markup

from cds_service.clinical.tables import Pathway
from cds_service.content.content import Content, load_content
from cds_service.content.course_picture import picture
from cds_service.content.difference import cautions, difference
from cds_service.content.files import shipped_folder
from cds_service.content.print import as_html as on_paper
from cds_service.content.review import Sheet, sheets
from cds_service.content.valuesets import KINDS, USES_IN_WORDS, unchanged, value_set, value_sets
from cds_service.web.about import AboutAnswers
from cds_service.web.messages import JSON, Refused

from .findings_sheet import findings_sheet
from .frame import GRADES, HTML, as_html, as_one_line, linked_head, shown

EXAMPLE, EXAMPLE_FOLDER = "example", "ruh-bath"


class Contents:
    """Contents by name. What is only asked for here, ours without a site and the example, is loaded when asked for."""

    def __init__(self, contents: Mapping[str, Content]):
        self._contents = dict(contents)
        self._ours: Content | None = None

    def names(self) -> tuple[str, ...]:
        """Every name that can be asked for; "" is the service's own content."""
        return tuple(dict.fromkeys((*self._contents, EXAMPLE)))

    def content(self, name: str) -> Content | None:
        """The content of that name, or None if there is none."""
        if name == EXAMPLE and EXAMPLE not in self._contents:
            folder = shipped_folder("fixtures", holding="sites") / "sites" / EXAMPLE_FOLDER
            self._contents[EXAMPLE] = load_content(self._contents[""].folder, folder)
        return self._contents.get(name)

    def ours(self) -> Content:
        """Our content without any site."""
        if self._ours is None:
            own = self._contents[""]
            self._ours = load_content(own.folder) if own.site.folder else own
        return self._ours


def add_content_pages(app: Flask, contents: Mapping[str, Content], today: Callable[[], date]) -> None:
    """The pages below /content. `contents` by the name in ?site=; "" is the one that the service answers with."""
    pages = ContentPages(Contents(contents), today, contents.values())
    app.add_template_filter(as_html, "wording")
    app.add_template_filter(as_one_line, "wording_line")
    for path, name, view in (
        ("/about", "about_page", pages.about),
        ("/content", "content_start", pages.start),
        ("/content/pathways/<pathway>", "content_pathway", pages.pathway),
        ("/content/pathways/<pathway>/print", "content_print", pages.paper),
        ("/content/pathways/<pathway>/<sheet>", "content_sheet", pages.sheet),
        ("/content/value-sets", "content_value_sets", pages.value_sets),
        ("/content/value-sets/<name>", "content_value_set", pages.value_set),
        ("/content/difference", "content_difference", pages.difference),
        ("/content/changes", "content_changes", pages.changes),
    ):
        app.add_url_rule(path, name, shown(view), methods=["GET"])


class ContentPages:
    """The routes."""

    def __init__(self, contents: Contents, today: Callable[[], date], running: Iterable[Content]):
        self.contents, self.today, self.answers = contents, today, AboutAnswers(running)

    def about(self) -> str | Response:
        """GET /about: what this service is; as JSON for whoever does not ask for a page."""
        content = self.content()
        if request.accept_mimetypes.best_match((JSON, HTML)) != HTML:
            return self.answers.answer(content)
        return self.page("about.html", here="about", about=self.answers.about(content))

    def start(self) -> str:
        """GET /content: which content this is, who answers for it, and where its parts are."""
        content = self.content()
        pathways = [(each, every_sheet(content, each)) for each in content.pathways.values()]
        counts = value_sets(content)
        codes = sum(each.count for each in counts.values())
        return self.page("content.html", pathways=pathways, sets=len(counts), codes=codes, evidence=GRADES,
                         overdue=content.review_by < self.today(), open_points=open_points(content, self.today()),
                         to_compare={pathway.id: to_compare(every) for pathway, every in pathways})  # fmt: skip

    def pathway(self, pathway: str) -> str:
        """GET /content/pathways/{id}: every table of the pathway on one page, as one prints it."""
        return self.tables(self.found(pathway), None)

    def sheet(self, pathway: str, sheet: str) -> str:
        """GET /content/pathways/{id}/{table}"""
        return self.tables(self.found(pathway), sheet)

    def paper(self, pathway: str) -> str:
        """GET /content/pathways/{id}/print: the whole pathway as it goes on paper, for review and signature."""
        return on_paper(self.content(), self.found(pathway), linked_head("print.css"))

    def tables(self, pathway: Pathway, name: str | None) -> str:
        """Every sheet of the pathway, or the one of that name."""
        every = every_sheet(self.content(), pathway)
        chosen = [each for each in every if name is None or each.id == name]
        if not chosen:
            raise Refused(404, f"there is no such table; known: {', '.join(each.id for each in every)}")
        return self.page("content_tables.html", pathway=pathway, every=every, chosen=chosen, name=name,
                         evidence=GRADES, picture=Markup(picture(pathway)))  # fmt: skip  # noqa: S704  every word in it is escaped

    def value_sets(self) -> str:
        """GET /content/value-sets"""
        content = self.content()
        return self.page("content_value_sets.html", sets=value_sets(content), kinds=KINDS, same=unchanged(content))

    def value_set(self, name: str) -> str:
        """GET /content/value-sets/{name}"""
        found = value_set(self.content(), name)
        if found is None:
            raise Refused(404, "there is no such value set; GET /content/value-sets lists them")
        same = unchanged(self.content())
        return self.page("content_value_set.html", set=found, kinds=KINDS, uses=USES_IN_WORDS, same=same)

    def difference(self) -> str:
        """GET /content/difference: what a site's folder changes, sentence by sentence."""
        theirs = self.content()
        if theirs.site.folder is None:
            return self.page("content_difference.html", changed={}, cautions=[])
        ours = self.contents.ours()
        return self.page("content_difference.html", changed=difference(ours, theirs), cautions=cautions(ours, theirs))

    def changes(self) -> str:
        """GET /content/changes"""
        text = (self.content().folder / "CHANGELOG.md").read_text(encoding="utf-8")
        return self.page("content_changes.html", text=text.partition("\n")[2])

    def page(self, template: str, **given: Any) -> str:
        """A page, with what all of them show."""
        site = self.site()
        common = {"content": self.content(), "site": site, "sites": self.contents.names(), "link": linked(site)}
        return render_template(template, **{**common, "here": "content", **given})

    def site(self) -> str:
        return request.args.get("site", "")

    def content(self) -> Content:
        """The content that the address asks for."""
        found = self.contents.content(self.site())
        if found is None:
            raise Refused(404, f"there is no such site; known: {', '.join(filter(None, self.contents.names()))}")
        return found

    def found(self, pathway: str) -> Pathway:
        known = self.content().pathways
        if pathway not in known:
            raise Refused(404, f"there is no such pathway; known: {', '.join(known)}")
        return known[pathway]


def every_sheet(content: Content, pathway: Pathway) -> tuple[Sheet, ...]:
    """The tables of a pathway, and after them the findings that their rows ask for."""
    found = sheets(content, pathway)
    last = max(number for number, sheet in enumerate(found) if sheet.is_decision) + 1
    return (*found[:last], findings_sheet(content, pathway), *found[last:])


def open_points(content: Content, today: date) -> list[str]:
    """What is still to be done for the content as a whole, each in a sentence."""
    found = [] if content.owners else ["Name who owns this content and answers for it (content.toml: owners)."]
    if not content.is_approved:
        found.append("Find who approves it: a clinician with the authority to do so at this hospital.")
    if content.review_by < today:
        found.append(f"Review it: the day for that, {content.review_by}, has passed.")
    return found


def to_compare(every: Iterable[Sheet]) -> dict[str, dict[str, list[str]]]:
    """What nobody has compared with a publication: grade -> sheet -> ids, in the order of the tables."""
    found: dict[str, dict[str, list[str]]] = {grade: {} for grade in GRADES if grade != "primary"}
    for sheet in every:
        for entry in sheet.entries:
            if entry.provenance and entry.provenance.evidence in found:
                found[entry.provenance.evidence].setdefault(sheet.id, []).append(entry.id)
    return found


def linked(site: str) -> Callable[..., str]:
    """`url_for` that stays with the site that is looked at."""

    def link(page: str, **given: Any) -> str:
        return url_for(page, **(({"site": site} if site else {}) | given))

    return link
