"""The settings of the service: read once from the environment, checked, and then frozen.

A value that cannot be used is one line that names the variable, the fault and what is allowed; never a guess.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .outgoing.addresses import AddressRefused, parse_base

PREFIX = "CDS_"
NO_CLIENTS = (
    "without demo mode the service does not start unless CDS_CLIENTS names a clients.toml, which says who may call. "
    "With --demo (CDS_DEMO=1) it answers this machine only."
)
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
    site_dir: Path | None = None
    secrets_dir: Path | None = None  # files named CDS_STORE_URL and so on: what is set in neither place is our default
    clients: Path | None = None
    playground: bool = False  # the pages for people, beside real clients; a demo always has them
    workers: int = Field(1, ge=1, le=64)
    metrics_port: int = Field(0, ge=0, le=65_535)  # 0: none
    metrics_host: str = "127.0.0.1"
    store_url: str = Field("", repr=False)  # "": sqlite:///b12-cds.sqlite; in a demo a temporary file. Holds a password
    store_keys: Path | None = None
    store_days: int = Field(400, ge=0, le=36_500)  # 0: for ever
    override_days: int = Field(90, ge=0, le=3_650)  # 0: an override is not remembered
    accepted_days: int = Field(14, ge=0, le=3_650)

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
        return found if found.secrets_dir is None else Settings(_secrets_dir=found.secrets_dir, **given)
    except ValidationError as error:
        raise SettingsError("; ".join(_line(fault) for fault in error.errors())) from None


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
