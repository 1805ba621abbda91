"""The playground: choose an example patient or bring a request, change what is recorded, and see the cards and why.

Patients travel in the bodies of forms only. The whole state of a visit is in its forms: the request as it was sent
last, and a random name under which the store remembers what this visit dismissed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import date
from secrets import token_hex
from typing import Any

import msgspec
from flask import Response, make_response, redirect, render_template, request, url_for

from cds_service.cdshooks.messages import log_name
from cds_service.store.records import StoreDown
from cds_service.web.bodies import LARGEST_BODY
from cds_service.web.errors import Refused
from cds_service.web.feedback import FeedbackDesk

from . import adding, pasted
from .answer_view import AnswerView
from .desk import Ask, Called, Desk
from .editing import day_of, edit
from .entered import Entered, Form, WrongField
from .examples import Example, Examples, opened
from .feedback_form import feedback_body
from .frame import refuse_foreign
from .record_rows import Rows, rows_of
from .request_tree import Tree

DEFAULT = "neuro-metformin"
MOST_FIELDS = 2_000
SECONDS_FOR_STORE, PAUSE = 1.5, 0.05
MOST_FOUND = 100


@dataclass(frozen=True, slots=True)
class Playground:
    """The views of the playground."""

    desk: Desk
    examples: Examples
    feedback_desk: FeedbackDesk

    def start(self) -> str:
        """GET /: what this is, and the cards about an example patient."""
        name = request.args.get("patient", DEFAULT)
        example = self.examples.find(name)
        if example is None:
            raise Refused(404, "there is no example patient of that name")
        pathway = request.args.get("pathway") or example.pathway
        found = opened(example, self.desk.service(pathway).content, self.desk.today())
        tree = Tree(found.body)
        tree.renew()
        ask = Ask(tree.encoded(), pathway, token_hex(8), found.day, recall=False, keep=False)
        return self.page(self.desk.call(ask), example)

    def answer(self) -> str | Response:
        """POST /: the cards about the patient of the form, or about what was pasted. A form with faults comes back."""
        entered = Entered(sent_form())
        if entered.is_pasted:
            return self.answer_pasted(entered)
        form, (pathway, day) = entered.form, self.under(entered)
        service, tree = self.desk.service(pathway), Tree(entered.form.get("request", "").encode())
        build = adding.builder(service.content, pathway, day)
        edit(tree, self.rows(tree, pathway, day), entered, build, day)
        adding.add(tree, entered, build)
        with entered.checked():
            adding.choose_order(tree, form.get("order", adding.KEEP), service, build)
        example = self.examples.find(form.get("example", ""))
        if entered.faults:
            ask = Ask(form.get("request", "").encode(), pathway, visit(form), day, recall=False, keep=False)
            return make_response(self.page(self.desk.call(ask), example, entered), 400)
        tree.renew()
        return self.page(self.desk.call(Ask(tree.encoded(), pathway, visit(form), day)), example)

    def answer_pasted(self, entered: Entered) -> str | Response:
        """The cards about what was pasted; or what was pasted, and why it cannot be read."""
        pathway, day = self.under(entered)
        try:
            told = entered.form["pasted"].strip().encode()
            tree = Tree(pasted.request_of(told, self.desk.service(pathway).templates))
            tree.renew()
            ask = Ask(tree.encoded(), pathway, visit(entered.form), day)
            called = None if entered.faults else self.desk.call(ask)
        except Refused as error:
            called = None
            entered.faults["pasted"] = "; ".join((*error.texts, *(each.text for each in error.faults)))
        if called is None:
            return make_response(self.page(None, None, entered), 400)
        return self.page(called, None)

    def under(self, entered: Entered) -> tuple[str, date]:
        """The pathway and the day of a form; ours and today, where these are among its faults."""
        pathway, day = self.desk.pathway, self.desk.today()
        with entered.checked():
            day = self.day(entered.form)
        wanted = entered.form.get("pathway", pathway)
        if wanted in self.desk.pathways:
            return wanted, day
        entered.faults["pathway"] = f"Pathway: there is no such pathway; known: {', '.join(self.desk.pathways)}"
        return pathway, day

    def evidence(self) -> str:
        """POST /evidence: why, as a page of its own to print."""
        form = sent_form()
        called, example = self.again(form), self.examples.find(form.get("example", ""))
        view = AnswerView(called, request.host_url, example)
        return render_template("evidence_page.html", view=view, here="playground")

    def feedback(self) -> str:
        """POST /feedback: what the clinician does with a card, stored as a client's feedback is, and what is stored."""
        form = sent_form()
        called = self.again(form)
        body = feedback_body(form, called.found.cards, self.desk.clock())
        self.feedback_desk.taken(body, called.service.options.service, self.desk.client)
        if not form.get("kept"):
            self.desk.note(called)
        example = self.examples.find(form.get("example", ""))
        return self.page(called, example, history=self.history(called), sent=msgspec.json.format(body).decode())

    def request_file(self) -> Response:
        """POST /request.json: the request as a file."""
        body = sent_form().get("request", "").encode()
        Tree(body)
        headers = {"Content-Disposition": 'attachment; filename="request.json"', "Cache-Control": "no-store",
                   "X-Content-Type-Options": "nosniff"}  # fmt: skip
        return Response(body, headers=headers, content_type="application/json")

    def search(self) -> str | Response:
        """GET /examples: every example patient, by words, pathway and hook."""
        words, pathway, hook = (request.args.get(name, "")[:100] for name in ("words", "pathway", "hook"))
        found = self.examples.search(words, pathway, hook)
        if request.args.get("only") and len(found) == 1:
            return redirect(url_for("playground", patient=found[0].name))
        return render_template("examples.html", found=found[:MOST_FOUND], count=len(found), words=words,
                               pathway=pathway, hook=hook, pathways=self.desk.pathways, here="examples")  # fmt: skip

    def again(self, form: Form) -> Called:
        """The same call as the form was made of, neither remembered nor noted once more."""
        ask = Ask(form.get("request", "").encode(), form.get("pathway", self.desk.pathway), visit(form), self.day(form))
        return self.desk.call(replace(ask, recall=False, keep=False))

    def page(self, called: Called | None, example: Example | None, entered: Entered | None = None, **given: Any) -> str:
        """The page about a call; or with `entered`, the form as it was typed and what is wrong with it."""
        view = AnswerView(called, request.host_url, example, **given) if called else None
        pathway = called.ask.pathway if called else self.desk.pathway
        return render_template(
            "playground.html",
            view=view,
            rows=self.rows(Tree(called.ask.body), pathway, called.day) if called else None,
            entered=entered or Entered(),
            choices=adding.choices(self.desk.service(pathway).content, self.desk.service(pathway)),
            addable=adding.ADDABLE,
            examples=self.examples.records.values(),
            example=example,
            pathway=pathway,
            pathways=self.desk.pathways,
            today=self.desk.today(),
            has_store=self.desk.store is not None,
            here="playground",
        )

    def rows(self, tree: Tree, pathway: str, day: date) -> Rows:
        """The record of a request, as rows of the form."""
        service = self.desk.service(pathway)
        record = self.desk.record(tree.encoded(), service, day)
        return rows_of(tree, record, service.pathway, day)

    def history(self, called: Called) -> list[dict[str, Any]]:
        """What the store holds of the call. Decisions are written after the answer, so this waits for a moment."""
        latest = time.monotonic() + SECONDS_FOR_STORE
        try:
            while True:
                found = self.desk.history(log_name(called.request.hook_instance))
                if found or time.monotonic() > latest:
                    return found
                time.sleep(PAUSE)
        except StoreDown as error:
            raise Refused(503, f"the feedback is stored, but cannot be shown: {error.why}") from None

    def day(self, form: Form) -> date:
        """The day of the call; today where the form says nothing."""
        text = day_of(form.get("today", ""), "today", "Day of the call")
        day = date.fromisoformat(text) if text else self.desk.today()
        if not 1950 <= day.year <= 2200:
            raise WrongField("today", "Day of the call: allowed are the years 1950 to 2200")
        return day


def sent_form() -> Form:
    """The form that was sent: from our own page, no larger than a call may be."""
    refuse_foreign()
    request.max_form_memory_size, request.max_form_parts = LARGEST_BODY, MOST_FIELDS
    return request.form


def visit(form: Form) -> str:
    """The name of the visit, made of hexadecimal digits."""
    found = form.get("visit", "")
    return found if len(found) == 16 and all(sign in "0123456789abcdef" for sign in found) else token_hex(8)
