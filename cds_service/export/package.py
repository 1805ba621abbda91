"""The FHIR package of the content: every resource as a file, with package.json and index, ready for `npm pack`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ..cdshooks.client_config import ClientConfig
from ..content.content import Content
from ..content.valuesets import value_sets
from ..examples.vignette_fhir import ENCODER
from .canonical import USUAL, Canonical
from .library import PathwayLibrary
from .plans import Plans
from .reading import GROUPS, reading
from .tables import EXPORTED
from .valuesets import exported
from .vignettes import bundles

Json = dict[str, Any]
NAME = "b12-cds.guideline"
FHIR_VERSION = "4.0.1"


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
        for table in EXPORTED:
            yield plans.plan(table)
        yield from plans.activities(content)


def package_json(content: Content, canonical: Canonical) -> Json:
    return {
        "name": NAME,
        "version": canonical.version,
        "description": content.title,
        "canonical": canonical.base,
        "url": canonical.base,
        "fhirVersions": [FHIR_VERSION],
        "dependencies": {"hl7.fhir.r4.core": FHIR_VERSION},
        "author": ", ".join(content.owners),
        "license": "Apache-2.0",
        "type": "fhir.ig",
    }


def write(content: Content, folder: Path, clients: Mapping[str, ClientConfig], base: str = USUAL) -> int:
    """Write the package into the folder, which must be new or empty. The number of resources. `clients`: for whom the
    vignettes of each pathway are judged."""
    canonical = canonical_of(content, base)
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for resource in definitions(content, canonical):
        name = f"{resource['resourceType']}-{resource['id']}.json"
        put(folder / name, resource)
        index.append(entry(name, resource))
    for name, library in libraries(content, canonical).items():
        write_tests(folder / "tests", bundles(clients[name], library) if name in clients else ())
        cql = folder / "cql" / f"{library.name}.cql"
        cql.parent.mkdir(exist_ok=True)
        cql.write_text(library.cql(), encoding="utf-8")
    put(folder / ".index.json", {"index-version": 2, "files": index})
    put(folder / "package.json", package_json(content, canonical))
    return len(index)


def write_tests(folder: Path, made: Iterable[Json]) -> None:
    """The test Bundles, each a file, on one line: there are many."""
    folder.mkdir(exist_ok=True)
    for each in made:
        (folder / f"Bundle-{each['id']}.json").write_bytes(ENCODER.encode(each))


def entry(name: str, resource: Json) -> Json:
    """The line of the index about a resource."""
    kept = ("resourceType", "id", "url", "version", "kind", "type")
    return {"filename": name, **{key: resource[key] for key in kept if isinstance(resource.get(key), str)}}


def put(path: Path, resource: Json) -> None:
    path.write_text(json.dumps(resource, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
