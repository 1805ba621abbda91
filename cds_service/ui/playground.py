"""The playground: choose an example patient or bring a request, change what is recorded, and see the cards and why.

The pages exist in demo mode, or where the operator has switched them on (CDS_PLAYGROUND). Patients travel in the bodies
of forms only. The whole state of a visit is in its forms: the request as it was sent last, and a random name under
which the store remembers what this visit dismissed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from flask import Flask, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from cds_service.cdshooks.registry import HOOKS
from cds_service.cdshooks.requests import log_name
from cds_service.store.records import StoreDown
from cds_service.web.calls import CallLimit, FeedbackStore
from cds_service.web.messages import Refused

from .answer_view import AnswerView, add_evidence
from .client import AnsweredCall, PageCall, PageClient
from .examples import Example, Examples, opened
from .fhir_page import FhirPage
from .form import (
    ADDABLE,
    UNCHANGED,
    Choices,
    Entered,
    Form,
    WrongField,
    add,
    builder,
    choices,
    choose_order,
    day_of,
    edit,
)
from .frame import add_frame, limited, sent_form, shown
from .my_patient import BLANK, is_mine, offered, request_of_form
from .patient import Rows, rows_of
from .request_json import Tree, json_loads, request_of
from .tray import ORDERS, tray
from .what_if import DAYS, VARIED, strip_of

Json = dict[str, Any]
NOT_HERE = "the page that was sent has no such card; reload it and try again"


def feedback_body(form: Mapping[str, str], cards: Sequence[Json], now: datetime) -> bytes:
    """The body of POST /cds-services/{id}/feedback for the button that was pressed: "accept" or "override"."""
    if "accept" in form:
        card_id, _, suggestion = form["accept"].partition("|")
        card = card_with_id(cards, card_id)
        if suggestion not in [each["uuid"] for each in card.get("suggestions", ())]:
            raise Refused(400, NOT_HERE)
        outcome: Json = {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestion}]}
    else:
        card_id = form.get("override", "")
        card = card_with_id(cards, card_id)
        outcome = {"outcome": "overridden", **reason(card, form.get(f"reason-{card_id}", ""))}
    given = {"card": card_id, **outcome, "outcomeTimestamp": now.isoformat(timespec="milliseconds")}
    return msgspec.json.encode({"feedback": [given]})


def card_with_id(cards: Sequence[Json], card_id: str) -> Json:
    """The card of that uuid."""
    card = next((each for each in cards if each.get("uuid") == card_id), None)
    if card is None:
        raise Refused(400, NOT_HERE)
    return card


def reason(card: Json, code: str) -> Json:
    """The reason that was chosen of those that the card offers; none is allowed."""
    for each in card.get("overrideReasons", ()):
        if each["code"] == code:
            return {"overrideReason": {"reason": {"code": each["code"], "system": each["system"]}}}
    return {}


DEFAULT = "neuro-metformin"
SECONDS_FOR_STORE, PAUSE = 1.5, 0.05
MOST_FOUND = 100
IN_PLACE, IN_PLACE_PARTS = "X-In-Place", "parts"  # the header of the script; it says this where the form stays as it is
FACETS = ("pathway", "hook", "label")  # by which examples are narrowed down
MOST_ORDERS, LONGEST_FIELDS = 20, 20_000


@dataclass(frozen=True, slots=True)
class Playground:
    """The views of the playground."""

    client: PageClient
    examples: Examples
    feedback_store: FeedbackStore
    own: bool  # may somebody enter a patient of his own? In demo mode only
    lists: dict[str, Choices] = field(default_factory=dict)  # what the forms offer, by pathway: made once

    def start(self) -> str:
        """GET /: what this is, a blank form for one's own patient, or the cards about an example patient."""
        if self.own and "patient" not in request.args:
            return self.page_of_mine(Entered(BLANK), records=False)
        name = request.args.get("patient", DEFAULT)
        example = self.examples.find(name)
        if example is None:
            raise Refused(404, "there is no example patient of that name")
        pathway = request.args.get("pathway") or example.pathway
        found = opened(example, self.client.config(pathway).content, self.client.today())
        tree = Tree(found.body)
        tree.renew()
        call = PageCall(tree.encoded(), pathway, token_hex(8), found.day, remembers=False, records=False)
        return self.page(self.client.answer(call), example)

    def answer(self) -> str | Response:
        """POST /: the cards about the patient of the form, or about what was pasted. A form with faults comes back."""
        entered = Entered(sent_form())
        if self.own and is_mine(entered.form):
            found = self.page_of_mine(entered, records=True)
            return make_response(found, fault_status()) if entered.faults else found
        if entered.is_pasted:
            return self.answer_pasted(entered)
        form, (pathway, day) = entered.form, self.under(entered)
        config, tree = self.client.config(pathway), Tree(entered.form.get("request", "").encode())
        build = builder(config.content, pathway, day)
        edit(tree, self.rows(tree, pathway, day), entered, build, day)
        add(tree, entered, build)
        with entered.checked():
            choose_order(tree, form.get("order", UNCHANGED), config, build)
        example = self.examples.find(form.get("example", ""))
        if entered.faults:
            call = PageCall(form.get("request", "").encode(), pathway, visit(form), day, remembers=False, records=False)
            return make_response(self.page(self.client.answer(call), example, entered), fault_status())
        tree.renew()
        return self.page(self.client.answer(PageCall(tree.encoded(), pathway, visit(form), day)), example)

    def page_of_mine(self, entered: Entered, records: bool) -> str:
        """The cards about the patient that somebody entered; a form with faults comes back as it was typed."""
        pathway = entered.form.get("pathway", self.client.pathway)
        pathway = pathway if pathway in self.client.pathways else self.client.pathway
        body = request_of_form(entered, self.client.config(pathway), self.client.today())
        records = records and not entered.faults
        call = PageCall(body, pathway, visit(entered.form), self.client.today(), remembers=records, records=records)
        return self.page(self.client.answer(call), None, entered if entered.faults else None, mine=entered)

    def what_if(self) -> str | Response:
        """POST /what-if: which row holds along the whole axis of one number of one's own patient."""
        entered = Entered(sent_form())
        varied = entered.form.get("vary", "")
        if not (self.own and is_mine(entered.form) and varied in (*VARIED, DAYS)):
            raise Refused(400, f"What if: allowed are {', '.join((*VARIED, DAYS))}")
        wanted = entered.form.get("pathway", self.client.pathway)
        config = self.client.config(wanted if wanted in self.client.pathways else self.client.pathway)
        request_of_form(entered, config, self.client.today())
        if entered.faults:
            return make_response(self.page_of_mine(entered, records=False), fault_status())
        return render_template("what_if.html", strip=strip_of(entered, varied, self.client, config), here="playground")

    def answer_pasted(self, entered: Entered) -> str | Response:
        """The cards about what was pasted; or what was pasted, and why it cannot be read."""
        pathway, day = self.under(entered)
        try:
            text = entered.form["pasted"].strip().encode()
            tree = Tree(request_of(text, self.client.config(pathway).templates))
            tree.renew()
            call = PageCall(tree.encoded(), pathway, visit(entered.form), day)
            answered = None if entered.faults else self.client.answer(call)
        except Refused as error:
            answered = None
            entered.faults["pasted"] = "; ".join((*error.texts, *(each.text for each in error.faults)))
        if answered is None:
            return make_response(self.page(None, None, entered), 400)
        return self.page(answered, None)

    def under(self, entered: Entered) -> tuple[str, date]:
        """The pathway and the day of a form; ours and today, where these are among its faults."""
        pathway, day = self.client.pathway, self.client.today()
        with entered.checked():
            day = self.day(entered.form)
        wanted = entered.form.get("pathway", pathway)
        if wanted in self.client.pathways:
            return wanted, day
        entered.faults["pathway"] = f"Pathway: there is no such pathway; known: {', '.join(self.client.pathways)}"
        return pathway, day

    def evidence(self) -> str:
        """POST /evidence: why, as a page of its own to print."""
        form = sent_form()
        answered, example = self.again(form), self.examples.find(form.get("example", ""))
        view = AnswerView(answered, request.host_url, example)
        return render_template("evidence_page.html", view=view, here="playground")

    def feedback(self) -> str:
        """POST /feedback: what the clinician does with a card, stored as a client's feedback is, and what is stored."""
        form = sent_form()
        answered = self.again(form)
        body = feedback_body(form, answered.found.cards, self.client.clock())
        self.feedback_store.save(body, answered.service_id, answered.config)
        if not form.get("kept"):
            self.client.note(answered)
        drafts = tray_of(form)
        if "accept" in form:
            drafts += drafts_of(answered.found.cards, form["accept"].partition("|")[2])
        sent, history = msgspec.json.format(body).decode(), self.history(answered)
        return self.page(answered, self.example_of(form), mine=mine_of(form), history=history, sent=sent,
                         tray=tray(drafts))  # fmt: skip

    def tray(self) -> str:
        """POST /tray: an order taken out of the tray, or all of them signed: the call that a client makes then."""
        form = sent_form()
        drafts = tray_of(form)
        if "sign" in form:
            tree = Tree(form.get("request", "").encode())
            tree.sign(drafts)
            tree.renew()
            pathway = form.get("pathway", self.client.pathway)
            call = PageCall(tree.encoded(), pathway, visit(form), self.day(form), remembers=False)
            answered = self.client.answer(call)
        else:
            drafts = [each for number, each in enumerate(drafts) if str(number) != form.get("remove", "")]
            answered = self.again(form)
        return self.page(answered, self.example_of(form), mine=mine_of(form), tray=tray(drafts),
                         signed="sign" in form)  # fmt: skip

    def example_of(self, form: Form) -> Example | None:
        """The example with which the form began."""
        return self.examples.find(form.get("example", ""))

    def request_file(self) -> Response:
        """POST /request.json: the request as a file."""
        body = sent_form().get("request", "").encode()
        Tree(body)
        headers = {"Content-Disposition": 'attachment; filename="request.json"', "Cache-Control": "no-store",
                   "X-Content-Type-Options": "nosniff"}  # fmt: skip
        return Response(body, headers=headers, content_type="application/json")

    def search(self) -> str | BaseResponse:
        """GET /examples: every example patient, by words, pathway, hook and label."""
        words, *given = (request.args.get(name, "")[:100] for name in ("words", *FACETS))
        facets = dict(zip(FACETS, given, strict=True))
        found = self.examples.search(words, **facets)
        if request.args.get("only") and len(found) == 1:
            return redirect(url_for("playground", patient=found[0].name))
        offered_facets = {name: self.examples.facet(name, words, **facets) for name in FACETS}
        return render_template("examples.html", found=found[:MOST_FOUND], count=len(found), words=words,
                               facets=offered_facets, chosen=facets, here="examples")  # fmt: skip

    def again(self, form: Form) -> AnsweredCall:
        """The same call as the form was made of, neither remembered nor noted once more."""
        pathway = form.get("pathway", self.client.pathway)
        call = PageCall(form.get("request", "").encode(), pathway, visit(form), self.day(form))
        return self.client.answer(replace(call, remembers=False, records=False))

    def page(
        self,
        answered: AnsweredCall | None,
        example: Example | None,
        entered: Entered | None = None,
        *,
        mine: Entered | None = None,
        **given: Any,
    ) -> str:
        """The page about a call; or with `entered`, the form as it was typed and what is wrong with it. `mine`: the
        form of one's own patient."""
        view = AnswerView(answered, request.host_url, example, **given) if answered else None
        pathway = answered.call.pathway if answered else self.client.pathway
        lists = self.choices(pathway)
        return render_template(
            "playground.html",
            view=view,
            in_place=request.headers.get(IN_PLACE) == IN_PLACE_PARTS,
            rows=self.rows(Tree(answered.call.body), pathway, answered.day) if answered and not mine else None,
            mine=mine,
            own=self.own,
            offered=offered(self.client.config(pathway).content, lists) if mine else None,
            entered=entered or Entered(),
            choices=lists,
            addable=ADDABLE,
            examples=self.examples.records.values(),
            first_example=DEFAULT,
            example=example,
            pathway=pathway,
            pathways=self.client.pathways,
            today=self.client.today(),
            has_store=self.client.store is not None,
            here="playground",
        )

    def choices(self, pathway: str) -> Choices:
        """What the forms offer under a pathway."""
        if pathway not in self.lists:
            config = self.client.config(pathway)
            self.lists[pathway] = choices(config.content, config)
        return self.lists[pathway]

    def rows(self, tree: Tree, pathway: str, day: date) -> Rows:
        """The record of a request, as rows of the form."""
        config = self.client.config(pathway)
        record = self.client.record(tree.encoded(), config, day)
        return rows_of(tree, record, config.pathway, day)

    def history(self, answered: AnsweredCall) -> list[dict[str, Any]]:
        """What the store holds of the call. Decisions are written after the answer, so this waits for a moment."""
        latest = time.monotonic() + SECONDS_FOR_STORE
        try:
            while True:
                found = self.client.history(log_name(answered.request.hook_instance))
                if found or time.monotonic() > latest:
                    return found
                time.sleep(PAUSE)
        except StoreDown as error:
            raise Refused(503, f"the feedback is stored, but cannot be shown: {error.why}") from None

    def day(self, form: Form) -> date:
        """The day of the call; today where the form says nothing."""
        text = day_of(form.get("today", ""), "today", "Day of the call")
        day = date.fromisoformat(text) if text else self.client.today()
        if not 1950 <= day.year <= 2200:
            raise WrongField("today", "Day of the call: allowed are the years 1950 to 2200")
        return day


def fault_status() -> int:
    """The status of a page with a faulty form: the script that exchanges parts of a page reads what is wrong in it."""
    return 200 if request.headers.get(IN_PLACE) else 400


def mine_of(form: Form) -> Entered | None:
    """The form of one's own patient, as another form of the page carries it on."""
    text = form.get("mine-fields", "")[:LONGEST_FIELDS]
    return Entered(dict(parse_qsl(text, keep_blank_values=True, max_num_fields=200))) if text else None


def tray_of(form: Form) -> list[Json]:
    """The draft orders that were accepted so far."""
    try:
        found = json_loads(form.get("tray", "") or "[]")
    except (ValueError, RecursionError):
        raise Refused(400, NOT_HERE) from None
    drafts = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [each for each in drafts if each.get("resourceType") in ORDERS][:MOST_ORDERS]


def drafts_of(cards: Sequence[Json], suggestion: str) -> list[Json]:
    """The orders that a suggestion creates."""
    offered_here = (each for card in cards for each in card.get("suggestions", ()) if each["uuid"] == suggestion)
    actions = [action for each in offered_here for action in each.get("actions", ())]
    return [each["resource"] for each in actions if each["type"] in ("create", "update") and "resource" in each]


def visit(form: Form) -> str:
    """The name of the visit, made of hexadecimal digits."""
    found = form.get("visit", "")
    return found if len(found) == 16 and all(sign in "0123456789abcdef" for sign in found) else token_hex(8)


def add_pages(app: Flask, client: PageClient, limit: CallLimit, demo: bool, bases: tuple[str, ...]) -> None:
    """The frame, the playground, the example patients and the FHIR tab, which may call `bases`."""
    add_frame(app, demo, playground=True)
    add_evidence(app)
    services = {hook.id: hook.service_id for hook in HOOKS.values()}
    app.jinja_env.globals.update(demo=demo, services=services, default_pathway=client.pathway)
    # What is tried out here is no feedback of clinicians: it stays out of the metrics.
    feedback_store = FeedbackStore(client.store, client.clock, client.log)
    pages = Playground(client, Examples(client.pathway, client.pathways), feedback_store, demo)
    fhir = FhirPage(client, bases)
    for path, name, view, method in (
        ("/", "playground", pages.start, "GET"),
        ("/", "page_answer", pages.answer, "POST"),
        ("/examples", "examples", pages.search, "GET"),
        ("/evidence", "evidence", pages.evidence, "POST"),
        ("/feedback", "page_feedback", pages.feedback, "POST"),
        ("/what-if", "page_what_if", pages.what_if, "POST"),
        ("/tray", "page_tray", pages.tray, "POST"),
        ("/request.json", "request_file", pages.request_file, "POST"),
        ("/fhir", "fhir", fhir.start, "GET"),
        ("/fhir", "fhir_search", fhir.search, "POST"),
        ("/fhir/cards", "fhir_cards", fhir.cards, "POST"),
    ):
        app.add_url_rule(path, name, shown(limited(view, limit)), methods=[method])
