"""The settings of the service: read once from the environment, checked, and then frozen.

A value that cannot be used is one line that names the variable, the fault and what is allowed; never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .http.addresses import AddressRefused, parse_base
from .store.opening import NONE
from .tracing import can_record

PREFIX = "CDS_"
NO_CLIENTS = (
    "without demo mode the service does not start unless CDS_CLIENTS names a clients.toml, which says who may call. "
    "With --demo (CDS_DEMO=1) it answers this machine only."
)
FORGETFUL = (
    'CDS_WORKERS: without a store (CDS_STORE_URL=none) clients with jti = "once" need one worker; allowed: a store, '
    'CDS_WORKERS=1, jti = "until-exp", or jti_memory = "per-process" at the top of clients.toml (a token is then '
    "accepted once by each worker)"
)
OF_ONE_COMMAND = {"CDS_FHIR_TOKEN"}  # no setting of the service
READ_BY_ALL = 0o004
Listed = Annotated[tuple[str, ...], NoDecode]  # a comma list, not JSON


class SettingsError(Exception):
    """A setting cannot be used. Its text is one line for the operator."""


class Settings(BaseSettings):
    """Everything that an operator may set, by the names CDS_DEMO, CDS_PATHWAY and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    demo: bool = False
    pathway: str = Field("uk-ng239", pattern=r"^[a-z0-9-]+$")
    prefetch: Literal["full", "minimal"] = "full"
    time_zone: str = "UTC"
    fhir_bases: Listed = ()
    origins: Listed = ()
    on_missing: Literal["412", "card"] = "412"  # of who is no client; each client says its own
    site_dir: Path | None = None
    secrets_dir: Path | None = None  # files named CDS_STORE_URL and so on: what is set in neither place is our default
    clients: Path | None = None
    playground: bool = False  # the pages for people, with real clients too; a demo always has them
    studio: bool = False  # /content/edit with real clients too, where the pages are shown; a demo always has it
    workers: int = Field(1, ge=1, le=64)
    max_body_mb: int = Field(30, ge=1, le=200)  # of a call, and of a FHIR server's answer
    metrics_port: int = Field(0, ge=0, le=65_535)  # 0: none
    metrics_host: str = "127.0.0.1"
    traces_url: str = ""  # of an OpenTelemetry collector; "": no traces
    store_url: str = Field("", repr=False)  # "": sqlite:///b12-cds.sqlite; in a demo a temporary file. Holds a password
    store_keys: Path | None = None
    store_days: int = Field(400, ge=0, le=36_500)  # 0: for ever
    smart_keys: Path | None = None  # of the cookie of a SMART launch; needed where a client has [client.X.smart]
    override_days: int = Field(90, ge=0, le=3_650)  # 0: an override is not remembered
    accepted_days: int = Field(14, ge=0, le=3_650)
    watch_state: Path = Path("b12-cds-watch.sqlite")  # of `b12-cds watch`

    @field_validator("fhir_bases", "origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(each.strip().rstrip("/") for each in value.split(",") if each.strip())
        return value

    @field_validator("fhir_bases")
    @classmethod
    def _bases(cls, bases: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_address(base, "a FHIR base URL such as https://ehr.example.org/fhir") for base in bases)

    @field_validator("origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        allowed = "an origin such as https://app.example.org"
        if any(urlsplit(_address(origin, allowed)).path for origin in origins):
            raise ValueError(f"allowed: {allowed}, without a path")
        return tuple(origin.lower() for origin in origins)

    @field_validator("traces_url")
    @classmethod
    def _traces(cls, url: str) -> str:
        if not url:
            return url
        _address(url, "the address of a collector such as http://127.0.0.1:4318/v1/traces")
        if not can_record():
            raise ValueError("allowed: nothing, for the extra is not installed: pip install 'b12-cds[traces]'")
        return url

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            _zone(name)
        except (KeyError, OSError, ValueError):
            raise ValueError("allowed: a name of the time zone database, such as Europe/London or UTC") from None
        return name

    @field_validator("site_dir", "secrets_dir")
    @classmethod
    def _folder(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError("allowed: a folder that exists")
        return folder

    @property
    def zone(self) -> tzinfo:
        """The time zone whose calendar days count, where no site's folder states one."""
        return _zone(self.time_zone)

    @property
    def bases_without_client(self) -> tuple[str, ...]:
        """The FHIR bases that may be called for who is no client: in a demo. Beside clients, whoever sees a page could
        search the patients of those bases."""
        return self.fhir_bases if self.demo else ()

    def states_zone(self, of_site: str) -> bool:
        """Has anybody said which time zone is meant: the environment, or the site's folder?"""
        return bool(of_site) or "time_zone" in self.model_fields_set

    def zone_with(self, of_site: str) -> tzinfo:
        """The time zone, with what the site's folder states ("" is nothing). Two that differ are a SettingsError:
        what the site has signed is not changed from outside."""
        if of_site and "time_zone" in self.model_fields_set and self.time_zone != of_site:
            raise SettingsError(
                f"{PREFIX}TIME_ZONE is {self.time_zone}, but site.toml states {of_site}; leave out one of the two"
            )
        return _zone(of_site or self.time_zone)


def load_settings(**given: Any) -> Settings:
    """The settings of this environment, then of CDS_SECRETS_DIR, with what is given instead. SettingsError says in one
    line what is wrong."""
    try:
        found = Settings(**given)
        return found if found.secrets_dir is None else Settings(**{"_secrets_dir": found.secrets_dir, **given})
    except ValidationError as error:
        raise SettingsError("; ".join(_line(fault) for fault in error.errors())) from None


def start_remarks(settings: Settings, environment: Iterable[str], of_site: str = "") -> Iterator[str]:
    """What an operator should read at every start, a line each; never a value that may be secret. `environment`: the
    names of its variables; `of_site`: the time zone that the site's folder states."""
    yield from _misspelt([*environment, *_files(settings.secrets_dir)])
    if settings.fhir_bases and not settings.demo:
        yield "CDS_FHIR_BASES is for demo mode and the command line: each client has its own bases, the pages have none"
    if settings.on_missing == "card" and not settings.demo:
        yield "CDS_ON_MISSING is for demo mode, the pages and the command line: each client says its own, on_missing"
    if not (settings.demo or settings.states_zone(of_site)):
        yield "CDS_TIME_ZONE is not set: days are those of UTC, so that 00:30 at +01:00 counts as the day before"
    if settings.store_url == NONE:
        return
    yield _store_remark(settings)
    spans = (("OVERRIDE", settings.override_days, "override"), ("ACCEPTED", settings.accepted_days, "acceptance"))
    for name, days, what in spans:
        if 0 < settings.store_days < days:
            yield (
                f"CDS_STORE_DAYS ({settings.store_days}) is less than CDS_{name}_DAYS ({days}): after "
                f"{settings.store_days} days an {what} is forgotten"
            )
    if settings.store_keys is not None and settings.store_keys.stat().st_mode & READ_BY_ALL:
        yield "CDS_STORE_KEYS: every user of this machine can read the key file; better chmod 600 (or 640)"


def _misspelt(names: Iterable[str]) -> Iterator[str]:
    """The names that look like settings and are none, each with the one that may be meant."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OF_ONE_COMMAND
    for name in sorted(each for each in names if each.startswith(PREFIX) and each not in known):
        meant = get_close_matches(name, known, 1)
        yield f"{name} is no setting and has no effect" + (f"; is {meant[0]} meant?" if meant else "")


def _files(folder: Path | None) -> list[str]:
    """The names of its files. A folder may be one whose files can be read and not listed."""
    try:
        return [path.name for path in folder.iterdir()] if folder else []
    except OSError:
        return []


def _store_remark(settings: Settings) -> str:
    """Which kind of store is used, and whether somebody chose it."""
    if settings.store_url.startswith("sqlite"):
        return f"the store is SQLite, in the file {settings.store_url.partition('?')[0].rpartition('/')[2]}"
    if settings.store_url:
        return "the store is PostgreSQL"
    if settings.demo:
        return "the store is SQLite, in a temporary file that is gone at the end"
    nor = ", nor is a file of that name in CDS_SECRETS_DIR" if settings.secrets_dir else ""
    return f"CDS_STORE_URL is not set{nor}: the store is SQLite, in the file b12-cds.sqlite of the working folder"


def _line(fault: Any) -> str:
    """One fault in one line. The value is not repeated: a store URL may hold a password."""
    name = PREFIX + str(fault["loc"][0]).upper() if fault["loc"] else PREFIX + "*"
    return f"{name}: {fault['msg'].removeprefix('Value error, ')}"


def _zone(name: str) -> tzinfo:
    """UTC needs no time zone database: a bare machine may have none."""
    return UTC if name == "UTC" else ZoneInfo(name)


def _address(url: str, allowed: str) -> str:
    try:
        parse_base(url)
    except AddressRefused:
        raise ValueError(f"allowed: {allowed}") from None
    return url
