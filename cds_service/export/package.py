"""The FHIR package of the content: every resource as a file, with package.json and index, ready for `npm pack`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from ..cdshooks.client_config import ClientConfig
from ..content.content import Content
from ..content.valuesets import value_sets
from ..examples.vignette_fhir import ENCODER
from .canonical import USUAL, Canonical, identifier
from .library import PathwayLibrary
from .plans import Plans
from .reading import GROUPS, reading
from .tables import EXPORTED
from .valuesets import exported
from .vignettes import bundles

Json = dict[str, Any]
NAME = "b12-cds.guideline"
FHIR_VERSION = "4.0.1"
LICENSE = "Apache-2.0"
NOBODY = "b12-cds (nobody owns this content yet)"


def canonical_of(content: Content, base: str = USUAL) -> Canonical:
    """The addresses under which this content is exported."""
    checked = [
        each.provenance.checked
        for pathway in content.pathways.values()
        for table in (*(getattr(pathway, name) for name in EXPORTED), pathway.regimens.values())
        for each in table
    ]
    return Canonical(base, content.version, max(checked, default=date.min), content.is_approved)


def libraries(content: Content, canonical: Canonical | None = None) -> dict[str, PathwayLibrary]:
    """The Library of each pathway."""
    known, address = value_sets(content), canonical or canonical_of(content)
    return {
        name: PathwayLibrary(pathway, content.plain_words, reading(pathway, known), address)
        for name, pathway in content.pathways.items()
    }


def definitions(content: Content, canonical: Canonical) -> Iterator[Json]:
    """Every resource but the test Bundles."""
    yield from exported(content, canonical, GROUPS)
    for name, library in libraries(content, canonical).items():
        plans = Plans(content.pathways[name], canonical)
        yield library.resource()
        yield from plans.plans()
        yield from plans.activities(content)


def package_json(content: Content, canonical: Canonical) -> Json:
    """The manifest. The specification asks for an author: whoever owns the content, else the program that wrote it."""
    return {
        "name": NAME,
        "version": canonical.version,
        "description": content.title,
        "canonical": canonical.base,
        "url": canonical.base,
        "fhirVersions": [FHIR_VERSION],
        "dependencies": {"hl7.fhir.r4.core": FHIR_VERSION},
        "author": ", ".join(content.owners) or NOBODY,
        "license": LICENSE,
        "type": "fhir.ig",
    }


def guide(content: Content, canonical: Canonical, resources: Iterable[Json]) -> Json:
    """The ImplementationGuide: the list of what is in the package."""
    return {
        **canonical.about("ImplementationGuide", NAME, identifier(NAME, "")),
        "title": content.title,
        "packageId": NAME,
        "license": LICENSE,
        "fhirVersion": [FHIR_VERSION],
        "definition": {
            "resource": [
                {
                    "reference": {"reference": f"{each['resourceType']}/{each['id']}"},
                    "name": each["title"],
                    "exampleBoolean": False,
                }
                for each in resources
            ]
        },
    }


@dataclass(frozen=True, slots=True)
class Written:
    """How many files were written: resources of the package, and test Bundles beside them; others are few."""

    resources: int
    bundles: int
    files: int


def write(content: Content, folder: Path, clients: Mapping[str, ClientConfig], base: str = USUAL) -> Written:
    """Write the package into the folder, which must be new or empty. `clients`: for whom the vignettes of each pathway
    are judged."""
    canonical = canonical_of(content, base)
    folder.mkdir(parents=True, exist_ok=True)
    resources = list(definitions(content, canonical))
    resources.append(guide(content, canonical, resources))
    written = libraries(content, canonical)
    tests = [each for name, client in clients.items() for each in bundles(client, written[name])]
    for each in resources:
        put(folder / filename(each), each)
    for library in written.values():
        cql = folder / "cql" / f"{library.name}.cql"
        cql.parent.mkdir(exist_ok=True)
        cql.write_text(library.cql(), encoding="utf-8")
    (folder / "tests").mkdir(exist_ok=True)
    for each in tests:  # on one line: there are many
        (folder / "tests" / filename(each)).write_bytes(ENCODER.encode(each))
    put(folder / ".index.json", index_of(resources))
    put(folder / "tests" / ".index.json", index_of(tests))
    put(folder / "package.json", package_json(content, canonical))
    return Written(len(resources), len(tests), sum(each.is_file() for each in folder.rglob("*")))


def filename(resource: Json) -> str:
    return f"{resource['resourceType']}-{resource['id']}.json"


def index_of(resources: Iterable[Json]) -> Json:
    """What the specification of FHIR packages wants in each folder of resources."""
    return {"index-version": 2, "files": [entry(filename(each), each) for each in resources]}


def entry(name: str, resource: Json) -> Json:
    """The line of the index about a resource."""
    kept = ("resourceType", "id", "url", "version", "kind", "type")
    return {"filename": name, **{key: resource[key] for key in kept if isinstance(resource.get(key), str)}}


def put(path: Path, resource: Json) -> None:
    path.write_bytes(msgspec.json.format(ENCODER.encode(resource), indent=1) + b"\n")
