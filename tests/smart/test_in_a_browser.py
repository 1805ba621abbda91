"""The evidence view launched in Chromium, from a record system whose authorization server is oidc-provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.driving import PATIENCE, View, launched
from tests.fhir import loopback
from tests.hooks.living import PATIENT, b12, bundle, fhir_server, prefetch
from tests.hooks.processes import free_port, until
from tests.smart.record_system import HOOK_INSTANCE, App, Ehr, app, consent, ehr, own_key, sign_in

pytestmark = pytest.mark.needs("npm", "chromium")
NAME = "Zebedee"
PERSON = {**PATIENT, "name": [{"given": ["Ada"], "family": NAME}]}
OTHER = {**PATIENT, "id": "pt-2", "name": [{"family": "Somebody-Else"}]}


@dataclass(frozen=True)
class World:
    ehr: Ehr
    app: App
    upstream: loopback.Server
    folder: Path

    def launch_address(self, patient: str = "pt-1", **more: object) -> str:
        return self.app.launch_address(self.ehr, self.ehr.launch(patient, **more))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, port = tmp_path_factory.mktemp("smart"), free_port()
    patients = {"Patient/pt-1": loopback.fhir(PERSON), "Patient/pt-2": loopback.fhir(OTHER)}
    with (
        loopback.serving(fhir_server(**patients)) as upstream,
        ehr(upstream.base, f"http://127.0.0.1:{port}", folder) as system,
        app(port, folder, system.base, standalone=True) as service,
    ):
        yield World(system, service, upstream, folder)


@pytest.fixture(autouse=True)
def all_well(world: World) -> None:
    world.ehr.goes_wrong()
    world.upstream.requests.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launched(playwright)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def is_fault(page: Page, word: str) -> None:
    """The page says in words what happened, and under which word the log has it."""
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("main")).to_contain_text(f"[{word}]")
    assert page.locator("article.card").count() == 0
    assert NAME not in page.content()


def looked_at(page: Page, world: World, name: str) -> None:
    """Nothing serious for axe-core, nobody scrolls sideways; and the page is kept to be looked at."""
    view = View(page, world.app.address)
    view.is_accessible()
    view.fits()
    view.photograph(name)


def test_from_the_card_through_consent_to_cards_and_evidence(world: World, page: Page):
    card = world.app.hook(world.ehr, prefetch=prefetch())["cards"][0]
    (link,) = [each for each in card["links"] if each["type"] == "smart"]
    assert link == {"label": "Evidence behind this card", "url": f"{world.app.address}/smart/launch", "type": "smart",
                    "appContext": HOOK_INSTANCE}  # fmt: skip
    launch = world.ehr.launch("pt-1", appContext=link["appContext"])
    shown_before = world.app.launches("shown")
    page.goto(f"{link['url']}?iss={world.ehr.base}&launch={launch}")
    sign_in(page)
    consent(page)
    cards = page.locator("article.card")
    expect(cards.first).to_contain_text(card["summary"])
    expect(page.get_by_label("Patient", exact=True)).to_contain_text(f"Ada {NAME}")
    for words in ("as of", "The card that you followed was made at", "about this patient", "Back to the chart"):
        expect(page.locator("main")).to_contain_text(words)
    expect(page.locator("details.whole")).to_contain_text("interpret/deficient")
    assert page.get_by_role("link", name="Evidence behind this card").count() == 0
    assert page.evaluate("location.search") == ""
    assert [each["name"] for each in page.context.cookies(world.app.address) if "b12" in each["name"]] == []
    assert {
        each.headers["Authorization"] for each in world.upstream.requests if "Authorization" in each.headers
    } == set()
    looked_at(page, world, "smart-launch")
    assert world.app.launches("begun") >= world.app.launches("shown") == shown_before + 1


def test_a_card_that_the_record_has_overtaken_is_said_to_be_out_of_date(world: World, page: Page):
    instance = "7f0d2a0e-3a1b-4f0c-9a55-5d6b8f1f6a11"
    world.app.hook(world.ehr, hook_instance=instance, prefetch=prefetch(b12=bundle(b12(900))))
    page.goto(world.launch_address(appContext=instance, need_patient_banner=False))
    sign_in(page)
    consent(page)
    expect(page.get_by_role("status").first).to_contain_text("out of date")
    assert NAME not in page.content()


def test_who_says_no_reads_that_access_was_not_granted(world: World, page: Page):
    page.goto(world.launch_address())
    sign_in(page)
    page.get_by_text("Cancel").click()
    is_fault(page, "denied")
    looked_at(page, world, "smart-denied")
    assert world.upstream.requests == []


def test_a_scope_that_is_not_granted_is_named_and_what_it_hides_is_missing(world: World, page: Page):
    world.ehr.goes_wrong(withheld=["patient/Observation.rs", "patient/Condition.rs"])
    page.goto(world.launch_address())
    sign_in(page)
    consent(page)
    told = page.get_by_role("status")
    expect(told.first).to_contain_text("patient/Condition.rs")
    expect(told.last).to_contain_text("required data is missing")
    expect(told.last).to_contain_text("does not mean that all is well")
    expect(page.locator("main")).not_to_contain_text("412")
    assert page.locator("article.card").count() == 0
    looked_at(page, world, "smart-withheld")


def test_without_a_card_the_record_system_asks_for_the_patient(world: World, page: Page):
    page.goto(f"{world.app.address}/smart/launch")
    sign_in(page)
    consent(page)
    expect(page.get_by_label("Patient", exact=True)).to_contain_text(NAME)
    expect(page.get_by_role("link", name="read a record anew")).to_be_visible()


def test_another_patient_than_that_of_the_card_is_refused_before_anything_is_read(world: World, page: Page):
    world.app.hook(world.ehr, prefetch=prefetch())
    page.goto(world.launch_address("pt-2", appContext=HOOK_INSTANCE))
    sign_in(page)
    consent(page)
    is_fault(page, "other-patient")
    assert world.upstream.requests == []
    looked_at(page, world, "smart-other-patient")


@pytest.mark.parametrize("token, word", [({"patient": None}, "no-patient"), ({"patient": "pt-1/../x"}, "token-unfit"),
                                         ({"id_token": "a.b.c"}, "id-token"), ({"token_type": "mac"}, "token-unfit"),
                                         ({"access_token": None}, "no-token")])  # fmt: skip
def test_a_token_that_cannot_be_used_is_refused(world: World, page: Page, token: dict, word: str):
    world.ehr.goes_wrong(token=token)
    page.goto(world.launch_address())
    sign_in(page)
    consent(page)
    is_fault(page, word)
    assert world.upstream.requests == []


def test_a_code_is_good_once_and_in_its_own_browser_only(world: World, page: Page, browser: Browser):
    answered: list[str] = []
    page.on("request", lambda request: answered.append(request.url) if "/smart/callback?" in request.url else None)
    page.goto(world.launch_address())
    sign_in(page)
    kept = [each for each in page.context.cookies(world.app.address) if "b12" in each["name"]]
    assert [(each["secure"], each["httpOnly"], each["sameSite"]) for each in kept] == [(True, True, "None")]
    consent(page)
    expect(page.locator("article.card").first).to_be_visible()
    page.goto(answered[0])
    is_fault(page, "unknown-state")
    page.context.add_cookies(kept)  # somebody who has kept all that his browser had
    page.goto(answered[0])
    is_fault(page, "code-refused")
    other = browser.new_context()
    stranger = other.new_page()
    stranger.goto(answered[0])
    is_fault(stranger, "unknown-state")
    other.close()


def test_a_launch_whose_cookie_is_gone_is_not_known(world: World, page: Page):
    page.goto(world.launch_address())
    sign_in(page)
    page.context.clear_cookies(domain="127.0.0.1", name=next(
        each["name"] for each in page.context.cookies(world.app.address) if "b12" in each["name"]
    ))  # fmt: skip
    consent(page)
    is_fault(page, "unknown-state")
    looked_at(page, world, "smart-unknown-state")


@pytest.mark.parametrize("path, word", [
    ("/smart/callback?code=forged&state=" + "x" * 43, "unknown-state"),
    ("/smart/callback?code=forged&state=", "unknown-state"),
    ("/smart/callback", "unknown-state"),
    ("/smart/launch?iss=https://evil.example.org/fhir&launch=1", "foreign-iss"),
    ("/smart/launch?iss=file:///etc/passwd&launch=1", "foreign-iss"),
    ("/smart/launch?iss={base}/below&launch=1", "foreign-iss"),
])  # fmt: skip
def test_what_nobody_launched_is_refused(world: World, page: Page, path: str, word: str):
    page.goto(world.app.address + path.format(base=world.ehr.base))
    is_fault(page, word)
    assert world.upstream.requests == []


def test_in_a_frame_with_a_key_of_our_own(world: World, page: Page, tmp_path: Path):
    port, key = free_port(), own_key(tmp_path)
    client = {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES384",
              "jwks": {"keys": [key.as_dict(private=False)]}}  # fmt: skip
    with (
        ehr(world.upstream.base, f"http://localhost:{port}", tmp_path, client=client) as system,
        app(port, tmp_path, system.base, "localhost", key="ours.jwk.json", frame_ancestors=[system.issuer]) as service,
    ):
        assert service.session.get(f"{service.address}/smart/keys.json", timeout=60).json()["keys"][0]["kid"] == "ours"
        address = service.launch_address(system, system.launch("pt-1")).replace("&", "%26")
        page.goto(f"{system.issuer}/ehr/frame?src={address}")
        frame = page.frame_locator("iframe")
        frame.locator("input[name=login]").fill("gp-1")
        frame.locator("input[name=password]").fill("any")
        frame.locator("button[type=submit]").click()
        expect(frame.locator("text=Continue")).to_be_visible()
        frame.locator("button[type=submit]").click()
        expect(frame.locator("article.card").first).to_be_visible()


def test_nothing_of_a_launch_is_in_the_log_or_in_the_store(world: World, page: Page):
    """Of this launch, and of all that the tests above did."""
    page.goto(world.launch_address())
    sign_in(page)
    consent(page)
    expect(page.locator("article.card").first).to_be_visible()
    page.goto(f"{world.app.address}/smart/callback?code=forged&state={'x' * 43}")
    page.goto(f"{world.app.address}/smart/launch?iss=https://evil.example.org/fhir&launch=1")
    until(lambda: '"why":"foreign-iss"' in world.app.process.told(), world.app.process)
    written = world.app.process.told()
    files = b"".join(each.read_bytes() for each in world.folder.glob("store.sqlite*"))
    secrets = world.ehr.secrets()
    assert len(secrets) >= 3, "a launch, a code, a token"
    for secret in (*secrets, NAME, "pt-2", "gp-1", "evil", "forged", "launch=", "code=", "state="):
        assert secret not in written, secret
        assert secret.encode() not in files, secret
    assert '"event":"smart view"' in written
    assert '"why":"unknown-state"' in written
