"""The command line: `b12-cds demo | serve | explain | check | table | prefetch | doctor | export | feedback | ...`.

What is imported here at the top is little, so that a signal during a slow start already ends the service well.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, datetime, tzinfo
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

from . import __version__
from .commands.parameters import Day, Port

if TYPE_CHECKING:
    from .cdshooks.client_config import ClientConfig
    from .content.content import Content
    from .settings import Settings

PORT = 8000
# commands that have a module of their own
LAZY = ("conform", "examples", "export", "feedback", "population", "replay", "sandbox", "smart", "store", "watch")
Parameters = ParamSpec("Parameters")
Made = TypeVar("Made")
UNUSABLE, WOULD_BE_412 = 2, 3  # exit codes


def refuse(line: str, code: int = UNUSABLE) -> NoReturn:
    """End with one line on the standard error stream."""
    click.echo(f"b12-cds: {line}", err=True)
    sys.exit(code)


def stop_on_signals() -> None:
    """SIGINT, SIGTERM and a closed terminal end the program with exit code 0, from now on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))


class LazyGroup(click.Group):
    """A group that imports some of its commands only when one of them is called, or all are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *LAZY])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(f"cds_service.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="b12-cds")
def main() -> None:
    """A CDS Hooks service for vitamin B12 deficiency."""


@main.command()
@click.option("--port", type=Port(), help="The port; without it the next free one from 8000.")
def demo(port: int | None) -> None:
    """Start the service for this machine only, ask it about an example patient, show the cards, go on serving."""
    stop_on_signals()
    from .commands.demo import DemoFailed, run_demo
    from .content.faults import ContentError

    try:
        run_demo(port, PORT)
    except (DemoFailed, ContentError) as error:
        refuse(str(error))


@main.command()
@click.option("--demo", is_flag=True, help="Demo mode: this machine only, no client authentication.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=Port(), default=PORT, show_default=True)
@click.option("--descriptor", type=int, hidden=True)  # a socket that listens there already: the demo's
def serve(demo: bool, host: str, port: int, descriptor: int | None) -> None:
    """Run the service."""
    stop_on_signals()
    settings = read_settings(**({"demo": True} if demo else {}))
    from .settings import NO_CLIENTS
    from .web.access import is_loopback

    if settings.demo and not is_loopback(host):
        refuse(f"demo mode answers this machine only: --host {host} is not a loopback address")
    if not settings.demo and settings.clients is None:
        refuse(NO_CLIENTS)
    from .server.server import PortTaken, answer_calls, listen

    announce = f"DEMO MODE on {host} port {port}: this machine only, no client authentication, not for real patients."
    if not settings.demo:
        announce = f"Serving the clients of {settings.clients} on {host} port {port}. TLS is for a proxy in front."
    with ExitStack() as sockets:
        try:
            calls = sockets.enter_context(
                listen(host, port) if descriptor is None else socket.socket(fileno=descriptor)
            )
            metrics = None
            if settings.metrics_port:
                metrics = sockets.enter_context(listen(settings.metrics_host, settings.metrics_port))
        except PortTaken as error:
            refuse(str(error))
        guarded(answer_calls, settings, calls, metrics, lambda: click.echo(announce, err=True))


@main.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="REQUEST")
@click.option("--as-of", "as_of", type=Day(), help="Judge as on this day (default: today).")
@click.option("--pathway", help="Another pathway than CDS_PATHWAY.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--fetch", "fetching", is_flag=True, help="Read what is missing from the request's fhirServer.")
def explain(file: Path, as_of: datetime | None, pathway: str | None, as_json: bool, fetching: bool) -> None:
    """Explain what the service answers to a saved request (JSON) or a vignette (TOML)."""
    from .cdshooks.schemas import schema_faults
    from .commands.explain import CannotExplain, overlay_of, read_saved
    from .explanation import answer_saved, explanation

    settings = read_settings()
    try:
        content = read_content(settings, overlay_of(file))
        saved = read_saved(file, content)
    except CannotExplain as error:
        refuse(str(error))
    if pathway:
        known_pathway(pathway, content)
    service = read_service(settings, content, pathway or saved.pathway)
    day = as_of.date() if as_of else saved.as_of or today(service.zone)
    fetch = fetch_for(saved.request, settings) if fetching else None
    found = answer_saved(saved.request, service, day, fetch, saved.history)
    show(explanation(found, service, day), as_json)
    for fault in schema_faults("response", {"cards": found.cards}):
        click.echo(f"explain: a fault of ours, the answer breaks the published schema of CDS Hooks: {fault}", err=True)
    if found.status == 412:
        wanted = "; ".join(f"{key}: {service.templates.get(key, 'as the context names it')}" for key in found.missing)
        refuse(
            f"the service would answer 412: required data is missing: {', '.join(found.missing)}. Send it under "
            f"prefetch, the answer of {wanted}; or name a fhirServer that may be read, and use --fetch",
            WOULD_BE_412,
        )


@main.command()
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another CDS_SITE_DIR.")
@click.option("--html", "as_html", is_flag=True, help="Of a site: the sheet on which it is signed, as an HTML page.")
def check(site: Path | None, as_html: bool) -> None:
    """Load the content and name every fault in it; of a site's folder, print what it changes and try its limits."""
    from .approval import approval_sheet
    from .commands.site_check import check_ours, check_site

    settings = read_settings()
    folder = site or settings.site_dir
    echo = click.echo
    if folder is None and as_html:
        refuse("check: --html is the sheet of a site's folder; name one with --site DIR")
    if folder is None:
        sys.exit(check_ours(echo, today(settings.zone)))
    sys.exit(check_site(folder, settings, echo, today, approval_sheet if as_html else None))


@main.command("new-site")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
def new_site(folder: Path) -> None:
    """Begin the folder of a site (CDS_SITE_DIR): files that change nothing yet, with what may stand in them."""
    from .approval import begin_site

    try:
        paths = begin_site(folder, read_content(read_settings()).version)
    except FileExistsError as error:
        refuse(f"new-site: {error} is there already; allowed: a folder without it")
    except OSError as error:
        refuse(f"new-site: {folder}: {error.strerror}")
    for path in paths:
        click.echo(path)


@main.command()
@click.option("--pathway", help="Another pathway than CDS_PATHWAY.")
@click.option("--html", is_flag=True, help="An HTML page instead of Markdown.")
def table(pathway: str | None, html: bool) -> None:
    """Print thresholds, decision tables and regimens for review on paper."""
    from .content.print import as_html, as_markdown

    settings = read_settings()
    content = read_content(settings)
    name = pathway or settings.pathway
    if pathway:
        known_pathway(pathway, content)
    click.echo((as_html if html else as_markdown)(content, content.pathways[name]), nl=False)


@main.command()
def prefetch() -> None:
    """Print prefetch keys, templates and scopes, for systems in which they are typed by hand."""
    from .content.prefetch import scopes

    settings = read_settings()
    templates = read_content(settings).prefetch[settings.prefetch]
    click.echo(f"Prefetch set {settings.prefetch} (CDS_PREFETCH); required: patient, b12\n")
    for key, template in templates.items():
        click.echo(f"{key}\n  {template}")
    for notation, names in scopes(templates).items():
        click.echo(f"\nScopes, SMART {notation}\n  " + " ".join(names))


@main.command()
@click.argument("name", metavar="NAME")
def schema(name: str) -> None:
    """Print a JSON Schema: clients (for editors of clients.toml), a hook, feedback, response, discovery ..."""
    from .auth.clients import ClientsFile
    from .cdshooks.feedback import FeedbackBody
    from .cdshooks.registry import HOOKS
    from .cdshooks.schemas import OUTGOING, load_schema, schema_of

    kinds = {"clients": ClientsFile, "feedback": FeedbackBody, **{hook.id: hook.envelope for hook in HOOKS.values()}}
    if name not in kinds and name not in OUTGOING:
        refuse(f"schema: there is none of {name!r}; allowed: {', '.join([*kinds, *OUTGOING])}")
    show(schema_of(kinds[name]) if name in kinds else load_schema(name), as_json=True)


@main.command()
@click.option("--fhir", "url", required=True, metavar="URL", help="FHIR base: https, or http on this machine.")
@click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token (else CDS_FHIR_TOKEN).")
@click.option("--patients", "patients_file", type=click.Path(path_type=Path), help="A file of ids to try, one a line.")
@click.option("--prefetch", type=click.Choice(["full", "minimal"]), help="Time this set only (default: both).")
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another CDS_SITE_DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(url: str, site: Path | None, **options: Any) -> None:
    """Examine a FHIR server before go-live: would the service work there, and which codes are not mapped?"""
    from .cdshooks.client_config import SECONDS
    from .doctor.command import CannotExamine, Options, run

    settings = read_settings(**({"site_dir": site} if site else {}))
    asked = Options(url=url, site=settings.site_dir, **options)
    try:
        run(asked, lambda: read_service(settings, read_content(settings), ""), datetime.now(settings.zone), SECONDS)
    except CannotExamine as error:
        refuse(f"doctor: {error}", error.code)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: what GET /about answers.")
@click.option(
    "--compute", type=click.Path(dir_okay=False, path_type=Path), help="Change every vignette anew, into here."
)
def about(as_json: bool, compute: Path | None) -> None:
    """Say what this service is: sources, dates, developer, funding, which elements of a person it uses and how."""
    import msgspec

    from .about import about as about_content
    from .commands.display import console, show_about

    settings = read_settings()
    content = read_content(settings)
    found = None
    if compute is not None:
        from .demographics import as_file, computed

        configs = {name: read_service(settings, content, name) for name in content.pathways}
        found = computed(configs.__getitem__, __version__)
        try:
            compute.write_bytes(as_file(found))
        except OSError as error:
            refuse(f"about: {compute}: {error.strerror}")
    told = about_content(content, found)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))
    else:
        show_about(console(), told)


@main.command()
def mcp() -> None:
    """Answer programs that speak the Model Context Protocol, on standard input and output: one tool, assess_b12."""
    from .commands.mcp import NoExtra, build_server

    settings = read_settings()
    config = read_service(settings, read_content(settings), "")
    try:
        server = build_server(config, lambda: today(config.zone))
    except NoExtra as error:
        refuse(str(error))
    server.run("stdio")


def read_settings(**given: Any) -> Settings:
    from .settings import load_settings

    return guarded(load_settings, **given)


def read_content(settings: Settings, site: Path | None = None) -> Content:
    """Our content with a site's folder over it: the one given, else that of the settings."""
    from .content.content import load_content
    from .content.files import cards_folder

    return guarded(lambda: load_content(cards_folder(), site or settings.site_dir))


def known_pathway(name: str, content: Content) -> None:
    """End with the names of those that are there, if the content has no such pathway."""
    if name not in content.pathways:
        refuse(f"--pathway: there is no pathway {name!r}; known: {', '.join(sorted(content.pathways))}")


def read_service(settings: Settings, content: Content, pathway: str) -> ClientConfig:
    from .app import client_config

    chosen = settings.model_copy(update={"pathway": pathway}) if pathway else settings
    return guarded(client_config, chosen, content)


def fetch_for(request: Any, settings: Settings) -> Any:
    """A fetch for the request's own FHIR server, if the settings allow it; else say why there is none."""
    from .http.addresses import Policy, parse_base
    from .http.client import HttpClient

    if request.fhir_access is None:
        refuse("--fetch: the request names no fhirServer that could be read")
    access, policy = request.fhir_access, Policy(bases=tuple(map(parse_base, settings.fhir_bases)), demo=True)
    fetch, why = HttpClient(policy).fetch_for(access.base, access.token)
    if fetch is None:
        refuse(f"--fetch: {why}; to allow it, set CDS_FHIR_BASES={access.base}")
    return fetch


def guarded(make: Callable[Parameters, Made], *args: Parameters.args, **given: Parameters.kwargs) -> Made:
    """What `make` gives; a setting or content that cannot be used ends the program with its line, exit 2."""
    from .content.faults import ContentError
    from .settings import SettingsError

    try:
        return make(*args, **given)
    except (SettingsError, ContentError) as error:
        refuse(str(error))


def today(zone: tzinfo) -> date:
    """The calendar day where the service stands."""
    return datetime.now(zone).date()


def show(explained: dict[str, Any], as_json: bool) -> None:
    """An explanation on the standard output: JSON, or for a reader's eye."""
    if as_json:
        import msgspec

        text = msgspec.json.Encoder(decimal_format="number").encode(explained)
        click.echo(msgspec.json.format(text, indent=2))
        return
    from .commands.display import console, show_explanation

    show_explanation(console(), explained)


if __name__ == "__main__":
    main()
