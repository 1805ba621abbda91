"""`b12-cds export fhir DIR`: the clinical content as a FHIR package."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from ..app import client_config
from ..content.content import load_content
from ..content.faults import ContentError
from ..content.files import cards_folder
from ..export.canonical import USUAL
from ..export.package import write
from ..settings import SettingsError, load_settings


class CannotExport(click.ClickException):
    """Ends the program with one line, exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        click.echo(f"b12-cds: {self.message}", err=True)


@click.group()
def export() -> None:
    """The content in the form of a standard, for other engines."""


@export.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--canonical", default=USUAL, show_default=True, metavar="URL", help="The address of the publisher.")
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another CDS_SITE_DIR.")
def fhir(folder: Path, canonical: str, site: Path | None) -> None:
    """Write value sets, CQL, plan and activity definitions and the vignettes into DIR, as a FHIR package."""
    if folder.exists() and any(folder.iterdir()):
        raise CannotExport(f"export: {folder} is not empty; allowed: a new or an empty folder")
    if not canonical.startswith(("https://", "http://")):
        raise CannotExport(f"export: --canonical {canonical!r} is no address; allowed: one that begins with https://")
    try:
        settings = load_settings()
        content = load_content(cards_folder(), site or settings.site_dir)
        chosen = {name: settings.model_copy(update={"pathway": name}) for name in content.pathways}
        clients = {name: client_config(each, content) for name, each in chosen.items()}
        written = write(content, folder, clients, canonical)
    except (ContentError, SettingsError) as error:
        raise CannotExport(str(error)) from None
    except OSError as error:
        raise CannotExport(f"export: {folder}: {error.strerror}") from None
    click.echo(
        f"{written.resources} resources and {written.bundles} test Bundles of content {content.version} in {folder}"
        f" ({written.files} files); `npm pack {quote(str(folder.absolute()))}` makes the package"
    )
