"""Traces of calls, by OpenTelemetry: one span for each call, spans for its parts, sent to the operator's collector.

An extra (`b12-cds[traces]`) that is loaded only where CDS_TRACES_URL names a collector; without it a client's
`traceparent` is still logged and passed on. A span says of a call what the log says of it and no more: service, client,
hookInstance, status. Nothing of the patient is ever an attribute, and neither is an address or an error's text.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from structlog.contextvars import bind_contextvars, get_contextvars
from structlog.typing import FilteringBoundLogger

from .. import __version__
from ..http.addresses import Policy, parse_base
from ..http.client import guarded_session
from ..tracing import HEADER, PassedOn, trace_id, traced
from .messages import Refused

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

NAME = "b12-cds"
SECONDS = 3.0  # for one batch of spans to reach the collector
TOLD = ("service", "client", "hookInstance")  # of what the log says of every call
Ended = Callable[[int], None]  # to be called with the status that was answered


class Traces(Protocol):
    """What begins and ends the trace of each call."""

    def call(self, parent: str) -> AbstractContextManager[Ended]:
        """While a call is answered that came with this `traceparent` ("": none)."""

    def begin(self) -> None:
        """This process begins to answer calls."""

    def end(self) -> None:
        """This process has answered its last call."""


class NotRecorded:
    """No collector: a client's trace is logged and passed on."""

    @contextmanager
    def call(self, parent: str) -> Iterator[Ended]:
        name = trace_id(parent)
        if name:
            bind_contextvars(traceId=name)
        with traced(PassedOn(parent if name else "")):
            yield lambda _status: None

    def begin(self) -> None: ...

    def end(self) -> None: ...


class Recorded:
    """Spans that are sent to the collector at `url`, by a thread of each process, a few at a time.

    Which share of the calls is recorded says OpenTelemetry's own OTEL_TRACES_SAMPLER (default: all, but for those whose
    client says that its trace is not recorded).
    """

    def __init__(self, url: str, log: FilteringBoundLogger) -> None:
        self._url, self._remarks = url, _IntoOurLog(log)
        self._provider: Any = None  # of this process: its thread does not survive a fork
        self._tracer: Tracer | None = None

    def begin(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        logging.getLogger("opentelemetry").addHandler(self._remarks)
        logging.getLogger("opentelemetry").propagate = False
        session = guarded_session(Policy(bases=(parse_base(self._url),)))
        exporter = OTLPSpanExporter(endpoint=self._url, timeout=SECONDS, session=session)
        told: dict[str, str | int] = {"service.name": NAME, "service.version": __version__, "process.pid": os.getpid()}
        resource = Resource.create(told)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(NAME, __version__)

    def end(self) -> None:
        if self._provider is not None:
            self._provider.shutdown()
            self._provider = self._tracer = None
            logging.getLogger("opentelemetry").removeHandler(self._remarks)

    @contextmanager
    def call(self, parent: str) -> Iterator[Ended]:
        if self._tracer is None:  # nobody has begun: not a process that answers calls for others
            with NotRecorded().call(parent) as ended:
                yield ended
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, format_trace_id, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        above = TraceContextTextMapPropagator().extract({HEADER: parent}, Context())
        span = self._tracer.start_span("call", above, SpanKind.SERVER)
        bind_contextvars(traceId=format_trace_id(span.get_span_context().trace_id))
        status = 500
        try:
            with traced(_Recording(self._tracer, set_span_in_context(span, Context()))):

                def ended(answered: int) -> None:
                    nonlocal status
                    status = answered

                yield ended
        except Refused as refused:
            status = refused.status
            raise
        finally:
            told = get_contextvars()
            span.update_name(str(told.get("service", "call")))
            span.set_attributes({f"b12_cds.{name}": str(told[name]) for name in TOLD if name in told})
            span.set_attribute("http.response.status_code", status)
            span.end()


@dataclass(frozen=True, slots=True)
class _Recording:
    """The trace of a call whose span is in `root`."""

    tracer: Tracer
    root: Context

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        from opentelemetry.trace import get_current_span

        above = None if get_current_span().get_span_context().is_valid else self.root  # None: what is under way
        with self.tracer.start_as_current_span(name, above, record_exception=False, set_status_on_exception=False):
            yield

    def traceparent(self) -> str:
        from opentelemetry.trace import get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        here = None if get_current_span().get_span_context().is_valid else self.root
        TraceContextTextMapPropagator().inject(carrier, here)
        return carrier.get(HEADER, "")


class _IntoOurLog(logging.Handler):
    """What OpenTelemetry has to say (no collector, a full queue) as a line of our log, without its text."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning("traces not sent", where=record.name)
