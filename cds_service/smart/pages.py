"""The addresses of the evidence view: /smart/launch, /smart/callback, and the keys of a confidential client.

Nothing of a query string is logged: a launch, a code and a state are secrets, and errors of an authorization server may
quote them. What is logged of a launch is the client, how it ended, and whether cards were shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from flask import Flask, Response, make_response, redirect, render_template, request, url_for
from structlog.contextvars import bind_contextvars
from werkzeug.wrappers import Response as BaseResponse

from cds_service.bounds import HeldMemory
from cds_service.http.oauth import CODES
from cds_service.metrics import BEGUN, SHOWN
from cds_service.settings import SettingsError
from cds_service.store.pseudonyms import Keys, KeysUnusable, read_keys
from cds_service.ui.answer_view import AnswerView, add_evidence
from cds_service.ui.frame import add_frame, allow_frames, limited, say_no_referrer, shown
from cds_service.web.calls import Site, fetch_for, holding
from cds_service.web.messages import JSON

from .faults import LaunchFault
from .launch import (
    KEY_BYTES,
    LIFETIME,
    LONGEST,
    Pending,
    Sealer,
    answers,
    begin,
    check_answering_issuer,
    finish,
    is_state,
)
from .servers import RecordSystem, RecordSystems, host_of
from .view import Launched, check_patient, decided, followed

COOKIE = "__Host-b12-launch-"  # and the beginning of the state: launches in two tabs do not meet
PROBE = "__Host-b12-frame"  # is a cookie kept in this frame?
OF_STATE = 16  # characters of a state in the name of its cookie
IN_A_FRAME = ("iframe", "frame", "embed", "object")
NEEDS_KEYS = (
    "CDS_SMART_KEYS: a client has [client.X.smart], and its launches need a file with a key for their cookie; "
    "`b12-cds store new-key > smart.keys` makes one"
)
AES_ONLY = f"CDS_SMART_KEYS: a key of another length; allowed: {KEY_BYTES} bytes, as `b12-cds store new-key` prints"
DENIED = ("access_denied", "consent_required", "interaction_required", "login_required")
View = Callable[[], str | BaseResponse]


@dataclass(frozen=True, slots=True)
class SmartPages:
    """The views."""

    systems: RecordSystems
    sealer: Sealer
    site: Site

    def launch(self) -> str | BaseResponse:
        """GET /smart/launch: from a card with `iss` and `launch`, without a card with `iss` or with neither."""
        iss, launch = request.args.get("iss", ""), request.args.get("launch", "")
        if not iss:
            return self.choose()
        system = self.known(self.systems.record_system(iss))
        if len(launch) > LONGEST or not (launch or system.smart.standalone):
            raise LaunchFault("not-a-launch")
        if request.headers.get("Sec-Fetch-Dest") in IN_A_FRAME and PROBE not in request.cookies:
            return self.probe(iss, launch)
        address, pending = begin(system, launch, self.now())
        sent = redirect(address, 303)
        keep(sent, COOKIE + pending.state[:OF_STATE], self.sealer.sealed(pending), LIFETIME)
        self.site.metrics.launch(BEGUN)
        self.site.log.info("smart launch", client=system.client.name, standalone=pending.standalone)
        return sent

    def choose(self) -> str | BaseResponse:
        """Without a card: the record systems in which the view may be opened; the only one at once."""
        found = self.systems.standalone
        if not found:
            raise LaunchFault("not-a-launch")
        links = [(host_of(each), url_for("smart_launch", iss=each.base.url)) for each in found]
        return redirect(links[0][1], 303) if len(links) == 1 else render_template("smart_choose.html", links=links)

    def probe(self, iss: str, launch: str) -> str | BaseResponse:
        """In a frame: is a cookie kept there? If not, the launch goes on in a window of its own, where it is."""
        if request.args.get("probed"):
            here = {"iss": iss, **({"launch": launch} if launch else {})}
            raise LaunchFault("cookies", f"{url_for('smart_launch')}?{urlencode(here)}")
        again = redirect(url_for("smart_launch", iss=iss, launch=launch, probed="1"), 303)
        keep(again, PROBE, "1", LIFETIME)
        return again

    def callback(self) -> str | BaseResponse:
        """GET /smart/callback: the answer of the authorization server, and with it the page."""
        state, now = request.args.get("state", ""), self.now()
        pending = answers(self.pending(state), state, now)
        system = self.known(self.systems.record_system(pending.iss))
        check_answering_issuer(system.configuration(), request.args.get("iss"))
        if error := request.args.get("error"):
            raise LaunchFault("denied") if error in DENIED else LaunchFault("refused", error if error in CODES else "")
        code = request.args.get("code", "")
        if not code or len(code) > LONGEST:
            raise LaunchFault("refused")
        with self.site.memory.call() as held:
            launched = self.launched(system, pending, code, held)
        found = launched.answered.found
        self.site.metrics.launch(SHOWN)
        self.site.log.info("smart view", client=system.client.name, status=found.status, cards=len(found.cards),
                           withheld=len(launched.access.withheld), fhirAccess=launched.answered.fetched)  # fmt: skip
        return render_template("smart.html", launched=launched, view=launched.view, answered=launched.answered,
                               has_store=False, again=self.again(system, pending))  # fmt: skip

    def launched(self, system: RecordSystem, pending: Pending, code: str, held: HeldMemory) -> Launched:
        """The record read, and decided."""
        access = finish(system, pending, code, self.now())
        earlier = check_patient(system, access, self.site.store)

        def reader(call: Any, config: Any) -> Any:
            fetch, why = fetch_for(call, config)
            return holding(fetch, held), why

        answered, person = decided(system, access, self.site.clock(), reader, self.site.store)
        view = AnswerView(answered, request.host_url)
        return Launched(view, system, access, person, followed(access, earlier, answered.found))

    def again(self, system: RecordSystem, pending: Pending) -> str:
        """Where a view without a card is begun anew; a launch from a card is good once."""
        return url_for("smart_launch", iss=system.base.url) if pending.standalone else ""

    def pending(self, state: str) -> Pending | None:
        """The launch of this browser that waits for that state."""
        sealed = request.cookies.get(COOKIE + state[:OF_STATE], "") if is_state(state) else ""
        return self.sealer.opened(sealed) if sealed else None

    def known(self, system: RecordSystem) -> RecordSystem:
        """The record system of this launch: from now on it is known who may show the page, and that it may be shown."""
        allow_frames(system.smart.frame_ancestors)
        bind_contextvars(client=system.client.name)
        if system.config.is_silent(self.site.clock()):
            raise LaunchFault("silent")
        return system

    def keys(self) -> Response:
        """GET /smart/keys.json: the public halves of our keys, for authorization servers."""
        keys = {each.smart.client_id: each.smart.key for each in self.systems if each.smart.key}
        public = [{**key.as_dict(private=False), "use": "sig"} for key in keys.values()]
        unique = {each["kid"]: each for each in public}
        return Response(msgspec.json.encode({"keys": [*unique.values()]}), content_type=JSON)

    def now(self) -> float:
        return self.site.clock().timestamp()

    def explained(self, view: View) -> View:
        """A view whose faults are pages, and which leaves no cookie of an answered launch behind."""

        def as_page() -> str | BaseResponse:
            say_no_referrer()
            allow_frames(self.systems.frame_ancestors)
            try:
                answered = make_response(view())
            except LaunchFault as error:
                answered = self.fault_page(error)
            state = request.args.get("state", "")
            if request.endpoint == "smart_callback" and is_state(state):
                keep(answered, COOKIE + state[:OF_STATE], "", 0)
            return answered

        return as_page

    def fault_page(self, error: LaunchFault) -> Response:
        """A fault, for the person whom it meets; in the log without anything that the browser sent."""
        link = error.detail if error.why == "cookies" else ""
        detail = "" if link else error.detail
        self.site.metrics.launch(error.fault.outcome)
        self.site.log.warning("smart launch failed", why=error.why, detail=detail)
        page = render_template("smart_fault.html", fault=error.fault, why=error.why, detail=detail, link=link)
        return make_response(page, error.fault.status)


def keep(answer: BaseResponse, name: str, value: str, seconds: int) -> None:
    """Set a cookie that this browser sends to this host alone, in a frame too."""
    answer.set_cookie(
        name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="None", partitioned=True
    )


def add_smart_pages(app: Flask, systems: RecordSystems, site: Site, keys: Keys) -> None:
    """The addresses, where a client has `smart`."""
    add_frame(app, demo=False, playground=False)
    add_evidence(app)
    pages = SmartPages(systems, Sealer(keys), site)
    for path, name, view in (
        ("/smart/launch", "smart_launch", pages.launch),
        ("/smart/callback", "smart_callback", pages.callback),
    ):
        app.add_url_rule(path, name, shown(limited(pages.explained(view), site.limit)), methods=["GET"])
    app.add_url_rule("/smart/keys.json", "smart_keys", pages.keys, methods=["GET"])


def cookie_keys(settings: Any) -> Keys:
    """The keys of the cookie; SettingsError where there are none that can be used."""
    if settings.smart_keys is None:
        raise SettingsError(NEEDS_KEYS)
    try:
        keys = read_keys(settings.smart_keys)
    except KeysUnusable as error:
        raise SettingsError(f"CDS_SMART_KEYS: {error}") from None
    if any(len(key.secret) != KEY_BYTES for key in keys.all):
        raise SettingsError(AES_ONLY)
    return keys
