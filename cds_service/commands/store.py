"""`b12-cds store …`: keys, tables, what is stored about a call, and deletion of what is old."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .parameters import Day

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from ..settings import Settings
    from ..store.pseudonyms import Key

UNUSABLE = 2  # exit code
DAY = Day()
NOTHING_STORED = "CDS_STORE_URL is none: nothing is stored"


class Unusable(click.ClickException):
    """Ends the program with one line, exit code 2."""

    exit_code = UNUSABLE

    def show(self, file: Any = None) -> None:
        click.echo(f"b12-cds: {self.message}", err=True)


@click.group()
def store() -> None:
    """What is stored: keys, tables, and what the tables hold."""


@store.command("new-key")
@click.option("--id", "key_id", metavar="NAME", help="A name for the key (default: today's date).")
def new_key(key_id: str | None) -> None:
    """Print a line for the key file (CDS_STORE_KEYS). To rotate keys, put a new line on top of the file."""
    from ..store.pseudonyms import KeysUnusable, new_line

    try:
        click.echo(new_line(key_id or datetime.now(UTC).date().isoformat()))
    except KeysUnusable as error:
        raise Unusable(str(error)) from None


@store.command()
def upgrade() -> None:
    """Make the tables, or change those of an older version."""
    from ..store.upgrade import CannotUpgrade
    from ..store.upgrade import upgrade as bring_up

    url = chosen_url(read_settings())
    try:
        before, after = bring_up(url)
    except CannotUpgrade as error:
        raise Unusable(f"CDS_STORE_URL: {error}") from None
    click.echo(f"Version of the tables: {after}, before: {before or 'none'}")


@store.command()
@click.argument("hook_instance", metavar="HOOKINSTANCE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(hook_instance: str, as_json: bool) -> None:
    """Print everything that is stored about a call: what was decided, shown and left out, and its feedback."""
    from ..cdshooks.requests import log_name
    from ..store.maintenance import records_of_call

    # A UUID is the same in small and in capital letters, and is stored as it was sent. Anything else is stored as its
    # hash under a key of the store; before version 2 of the tables it was a hash without a key.
    settings = read_settings()
    names = [log_name(each) for each in (hook_instance, hook_instance.lower(), hook_instance.upper())]
    names += [key.opaque(name) for key in keys_in_file(settings) for name in names]
    with database(settings) as connection:
        found = [each for name in dict.fromkeys(names) for each in records_of_call(connection, name)]
    found.sort(key=itemgetter("at"))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif found:
        click.echo("\n".join(line for each in found for line in lines(each)))
    if not found:
        raise Unusable("nothing is stored about a call of that hookInstance")


@store.command()
@click.option("--before", type=DAY, required=True, metavar="DATE", help="A day, UTC; not later than today.")
@click.option("--dry-run", is_flag=True, help="Only count.")
def purge(before: datetime, dry_run: bool) -> None:
    """Delete decisions and feedback from before DATE (00:00 UTC)."""
    from ..store.maintenance import count_before
    from ..store.maintenance import purge as delete

    if before.date() > datetime.now(UTC).date():
        raise Unusable("--before is in the future; allowed: today or earlier (UTC)")
    at = int(before.replace(tzinfo=UTC).timestamp()) * 1000
    with database(read_settings(), begun=False) as connection:
        if dry_run:
            with connection.begin():
                counts = count_before(connection, at)
        else:
            counts = delete(connection, at)
    deleted = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"{'Would be deleted' if dry_run else 'Deleted'}: {deleted} from before {before.date()}.")


@store.command()
def status() -> None:
    """Print how the store is: its tables, how much it holds, and which keys are still needed."""
    from ..store.maintenance import held, keys_used

    settings = read_settings()
    with database(settings) as connection:
        counts, used = held(connection), keys_used(connection)
        click.echo(f"Database: {connection.dialect.name}, its tables fit this version")
    for name, each in counts.items():
        span = f", {day(each.oldest)} to {day(each.newest)}" if each.count else ""
        click.echo(f"{name.capitalize()}: {each.count}{span}")
    present = key_ids(settings)
    for key, count in used.items():
        click.echo(f"Key {key}: {count} decisions" + ("" if key in present else ", NOT in the key file"))
    for key in present:
        if key not in used:
            click.echo(f"Key {key}: not used" + (" yet" if key == present[0] else " any more, its line can go"))


def read_settings() -> Settings:
    from ..settings import SettingsError, load_settings

    try:
        return load_settings()
    except SettingsError as error:
        raise Unusable(str(error)) from None


def chosen_url(settings: Settings) -> URL:
    """The database of the settings; ends the program with one line where there is none."""
    from ..store.opening import DEFAULT, NONE, CannotOpen, read_chosen

    if settings.store_url == NONE:
        raise Unusable(NOTHING_STORED)
    try:
        return read_chosen(settings.store_url or DEFAULT)
    except CannotOpen as error:
        raise Unusable(str(error)) from None


@contextmanager
def database(settings: Settings, begun: bool = True) -> Iterator[Connection]:
    """A connection to the store with our tables in it, in a transaction where one is `begun`; it ends the program with
    one line if there is none."""
    from sqlalchemy.exc import SQLAlchemyError

    from ..store.database import command_engine, words
    from ..store.records import StoreDown
    from ..store.tables import check, version_of

    url = chosen_url(settings)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
        raise Unusable("CDS_STORE_URL: there is no store yet: its file does not exist")
    engine = command_engine(url)
    try:
        with engine.connect() as connection:
            with connection.begin():
                check(version_of(connection))
                if begun:
                    yield connection
                    return
            yield connection
    except SQLAlchemyError as error:
        raise Unusable(f"CDS_STORE_URL: {words(error)}") from None
    except StoreDown as error:
        raise Unusable(f"CDS_STORE_URL: {error.why}") from None
    finally:
        engine.dispose()


def key_ids(settings: Settings) -> list[str]:
    """The ids in the key file, the newest first; none without a file that can be read."""
    return [key.id for key in keys_in_file(settings)]


def keys_in_file(settings: Settings) -> tuple[Key, ...]:
    """The keys of the key file, the newest first; none without a file."""
    from ..store.pseudonyms import KeysUnusable, read_keys

    if settings.store_keys is None:
        return ()
    try:
        return read_keys(settings.store_keys).all
    except KeysUnusable as error:
        raise Unusable(f"CDS_STORE_KEYS: {error}") from None


def day(at: int | None) -> str:
    """A moment as a calendar day in UTC."""
    return "?" if at is None else datetime.fromtimestamp(at / 1000, UTC).date().isoformat()


def lines(decision: dict[str, Any]) -> Iterator[str]:
    """A decision with all that belongs to it, for a person to read."""
    yield "{at}  {service}  client {client}  status {status}  {ms} ms".format_map(decision)
    yield f"  content {decision['content']}, pathway {decision['pathway']}, label {decision['label'] or '-'}"
    yield f"  decision {decision['id']}, patient {decision['patient']}, user {decision['user']} (key {decision['key']})"
    yield f"  evidence {decision['evidence']}" + (", silent: no card was sent" if decision["silent"] else "")
    yield from listed("row", decision["rows"], str)
    yield from listed("missing", decision["missing"], str)
    for card in decision["cards"]:
        yield f"  card {card['card']} ({card['indicator']}): {', '.join(card['rows'])}"
        yield from listed("  suggestion", card["suggestions"], "{suggestion}: {kind} {draft}".format_map)
        yield from listed("  feedback", card["feedback"], answer_line)
    yield from listed("suppressed", decision["suppressed"], "{what}: {why} on {on}".format_map)


def listed(name: str, found: list[Any], line: Callable[[Any], str]) -> Iterator[str]:
    for each in found:
        yield f"  {name} {line(each)}"


def answer_line(answer: dict[str, Any]) -> str:
    """One feedback on a line."""
    reason = f", reason {answer['reason']}" if answer["reason"] else ""
    comment = ", with a comment (not stored)" if answer["commented"] else ""
    accepted = f", accepted {', '.join(answer['accepted'])}" if answer["accepted"] else ""
    return (
        f"{answer['outcome']} at {answer['at'] or 'unknown'}, received {answer['received']}{reason}{accepted}{comment}"
    )
