"""GET /openapi.json: what this service answers, as OpenAPI 3.1, made from its types and schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..cdshooks.feedback import FeedbackBody
from ..cdshooks.registry import DEFAULT_HOOK, HOOKS
from ..cdshooks.schemas import DIALECT, components_of, load_schema

JSON, FHIR_JSON = "application/json", "application/fhir+json"
OUTGOING = {  # name in the document -> the schema of what leaves us
    "Discovery": "discovery",
    "Response": "response",
    "OperationOutcome": "operation-outcome",
    "Readiness": "readiness",
}
ERRORS = {
    400: "The body is not what it should be; where and why.",
    401: "The call is not authenticated. The reason is in the service's log only.",
    403: "Demo mode answers this machine only.",
    404: "There is no such address, or feedback is not kept here.",
    408: "The body did not come in time.",
    412: "Required data is missing and could not be read; key by key, and why.",
    413: "The body is larger than is allowed (CDS_MAX_BODY_MB), or holds too many objects.",
    415: "The body is not JSON, or it is encoded.",
    429: "This client calls more often than was agreed.",
    500: "The service failed, and the fault is ours.",
    503: "The service is busy, or cannot do it just now.",
}
COME_AGAIN = (429, 503)
OF_A_BODY = (400, 408, 413, 415, 500, 503)


@dataclass(frozen=True, slots=True)
class Installation:
    """What is particular to this installation. `services` are the entries of its discovery."""

    version: str
    services: tuple[Mapping[str, Any], ...]
    demo: bool
    discovery_open: bool

    @property
    def refusals(self) -> tuple[int, ...]:
        """What any address may answer to somebody who may not call."""
        return (403,) if self.demo else ()

    @property
    def of_callers(self) -> tuple[int, ...]:
        """The same, of an address that asks who calls."""
        return (403,) if self.demo else (401, 429)


def openapi(installation: Installation) -> dict[str, Any]:
    """The document."""
    components: dict[str, Any] = {"schemas": schemas()}
    if not installation.demo:
        components["securitySchemes"] = {"client": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "B12 CDS",
            "version": installation.version,
            "summary": "A CDS Hooks service for vitamin B12 deficiency",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {**asked(installation), **called(installation)},
        "components": components,
    }


def asked(installation: Installation) -> dict[str, Any]:
    """The addresses for health and discovery; not those for a person with a browser."""
    closed = {} if installation.discovery_open or installation.demo else secured(installation)
    catalogue = installation.refusals if installation.discovery_open else installation.of_callers
    paths = {
        "/cds-services": operation("discovery", "The CDS services", answers("Discovery"), catalogue, **closed),
        "/healthz": operation("alive", "Does this process answer?", answers({"type": "object"}), installation.refusals),
        "/readyz": operation("ready", "What runs, and how it is", answers("Readiness"), installation.refusals),
        "/about": operation("about", "What this service is", answers({"type": "object"}), installation.refusals),
        "/openapi.json": operation("openapi", "This document", answers({"type": "object"}), installation.refusals),
    }
    return {path: {"get": get} for path, get in paths.items()}


def called(installation: Installation) -> dict[str, Any]:
    """The services, and the feedback of each."""
    paths: dict[str, Any] = {}
    for each in installation.services:
        path, name, whose = f"/cds-services/{each['id']}", each["id"], secured(installation)
        sent = {"allOf": [reference(request_of(each["hook"])), {"properties": {"hook": {"const": each["hook"]}}}]}
        timing = {"Server-Timing": {"description": "Where the time went.", "schema": {"type": "string"}}}
        cards = answers("Response", headers=timing)
        refused = (*installation.of_callers, *OF_A_BODY)
        paths[path] = {
            "post": operation(name, each["title"], cards, (*refused, 412), body(sent), **whose)
            | {"description": each["description"]}
        }
        kept = answers({"type": "object", "maxProperties": 0})
        feedback = operation(
            f"{name}-feedback", "Feedback on its cards", kept, (*refused, 404), body(FeedbackBody.__name__), **whose
        )
        paths[f"{path}/feedback"] = {"post": feedback}
    return paths


def request_of(hook: str) -> str:
    """The name of the schema of a hook's requests."""
    return HOOKS[hook].envelope.__name__


def secured(installation: Installation) -> dict[str, Any]:
    """What an operation says of who may call it."""
    return {} if installation.demo else {"security": [{"client": []}]}


def operation(
    name: str,
    summary: str,
    well: dict[str, Any],
    errors: Iterable[int],
    sent: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One operation."""
    responses = {"200": well} | {str(status): error(status) for status in sorted(errors)}
    given = {} if sent is None else {"requestBody": sent}
    return {"operationId": name, "summary": summary, **given, "responses": responses, **more}


def answers(schema: str | dict[str, Any], headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer when all is well."""
    shown = {} if headers is None else {"headers": headers}
    return {"description": "OK", "content": {JSON: {"schema": reference(schema)}}, **shown}


def error(status: int) -> dict[str, Any]:
    """The answer with an error."""
    found = answers("OperationOutcome") | {"description": ERRORS[status]}
    if status in COME_AGAIN:
        found["headers"] = {"Retry-After": {"description": "In seconds.", "schema": {"type": "string"}}}
    return found


def body(schema: str | dict[str, Any]) -> dict[str, Any]:
    """What is sent, in both media types that are read."""
    return {"required": True, "content": {media: {"schema": reference(schema)} for media in (JSON, FHIR_JSON)}}


def reference(schema: str | dict[str, Any]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema


def schemas() -> dict[str, Any]:
    """Our schemas side by side: of what comes in as the types that read it, of what leaves us as their files."""
    incoming = [*(hook.envelope for hook in HOOKS.values()), FeedbackBody]
    _, found = components_of(incoming, "#/components/schemas/{name}")
    found[HOOKS[DEFAULT_HOOK].envelope.__name__]["examples"] = [load_schema("request.example")]
    for name, file in OUTGOING.items():
        schema = load_schema(file)
        inside = schema.pop("$defs", {})
        del schema["$schema"]
        found[name] = moved(schema, name)
        found |= {f"{name}.{part}": moved(each, name) for part, each in inside.items()}
    return found


def moved(schema: Any, name: str) -> Any:
    """A schema whose references lead to where `schemas` has put what they name."""
    if isinstance(schema, list):
        return [moved(each, name) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("#/$defs/", f"#/components/schemas/{name}.") if key == "$ref" else moved(value, name)
        for key, value in schema.items()
    }
