"""`b12-cds mcp`: a Model Context Protocol server on standard input and output, with one tool, `assess_b12`.

A program that speaks the protocol hands over one patient's record and gets what `cds_service.api` says of it. Nothing
is fetched or stored, no address is called, and nothing of a record is logged. Needs the extra `b12-cds[mcp]`.
"""

# No `from __future__ import annotations`: the SDK reads the descriptions of the arguments from evaluated annotations.
import re
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, RootModel, create_model

from .. import __version__
from ..api import Extent, RecordAnswer, RecordRefused, evaluate_record
from ..cdshooks.client_config import ClientConfig
from ..fhir.templates import resource_type

if TYPE_CHECKING:
    from mcp.server import MCPServer

NO_EXTRA = "mcp: the extra is not installed; allowed: pip install 'b12-cds[mcp]'"
READ_FIRST = """\
{intended_use} Show a clinician its cards as they are, with their sources. A record of which a part is missing gets a \
poorer answer: read `missing`, `unavailable` and `incomplete` before anything else. No card is no reassurance."""
ABOUT_TOOL = """\
Judge one patient's record for vitamin B12 deficiency, as a clinical decision support service would when the chart is \
opened. Returns the label, the rows of the decision tables that hold with their sources, the findings with their \
evidence, cards with suggested orders, and what was missing or not used. Refuses a record without a Patient, and one \
without B12 results unless it is said to be complete."""
RECORD = """\
A FHIR R4 Bundle that holds exactly one Patient, and everything of these types that was found: {types}."""
COMPLETE = """\
True only if all of these types of resource were searched for: then what is not in the Bundle is taken as not \
recorded. Otherwise a type that is not in the Bundle counts as not known."""
AS_OF = "The day as of which the record is judged (YYYY-MM-DD); today if it is left out."
ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
PATHWAY = "One of {pathways}; {default} if it is left out."
UNAVAILABLE = "Prefetch keys that could not be had, of {keys}."
INCOMPLETE = "Prefetch keys of which the Bundle holds only a part."


def written_day(sent: object) -> object:
    """What was sent as a day, if it is written as one: a number would be taken for seconds since 1970."""
    if sent is None or (isinstance(sent, str) and ISO_DAY.fullmatch(sent)):
        return sent
    raise ValueError("allowed is a day written YYYY-MM-DD")


class Assessed(RootModel[RecordAnswer]):
    """What is said of the record."""


class NoExtra(Exception):
    """The SDK of the Model Context Protocol is not installed."""


def build_server(config: ClientConfig, day: Callable[[], date]) -> "MCPServer[Any]":
    """The server with its one tool, which says what `config` asks for. `day` is today, for calls that name none."""
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.server.mcpserver.tools import Tool
        from mcp.types import ToolAnnotations
    except ImportError:
        raise NoExtra(NO_EXTRA) from None
    types = ", ".join(dict.fromkeys(map(resource_type, config.templates.values())))
    pathways = PATHWAY.format(pathways=", ".join(config.content.pathways), default=config.pathway.id)
    keys = UNAVAILABLE.format(keys=", ".join(config.templates))

    def assess_b12(
        record: Annotated[dict[str, Any], Field(description=RECORD.format(types=types))],
        *,
        complete: Annotated[bool, Field(strict=True, description=COMPLETE)] = False,
        as_of: Annotated[date | None, BeforeValidator(written_day), Field(description=AS_OF)] = None,
        pathway: Annotated[str, Field(description=pathways)] = "",
        unavailable: Annotated[tuple[str, ...], Field(description=keys)] = (),
        incomplete: Annotated[tuple[str, ...], Field(description=INCOMPLETE)] = (),
    ) -> Assessed:
        try:
            extent = Extent(complete, unavailable, incomplete)
            return Assessed(evaluate_record(record, as_of or day(), pathway, extent=extent))
        except RecordRefused as error:
            raise ToolError(str(error)) from None

    # What fails is said to the caller. Nothing is logged: a traceback could hold what was in a record.
    instructions = READ_FIRST.format(intended_use=config.content.intended_use.strip())
    effects = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    tool = Tool.from_function(assess_b12, title="Assess B12", description=ABOUT_TOOL, annotations=effects)
    # An argument whose name is misspelt is refused, not left out: the record would be judged as of another day, or by
    # another pathway. What is refused is not repeated.
    arguments = tool.fn_metadata.arg_model
    arguments.model_config |= ConfigDict(extra="forbid", hide_input_in_errors=True)
    tool.fn_metadata.arg_model = create_model(arguments.__name__, __base__=arguments)
    tool.parameters = tool.fn_metadata.arg_model.model_json_schema()
    return MCPServer("b12-cds", tools=[tool], version=__version__, instructions=instructions, log_level="CRITICAL")
