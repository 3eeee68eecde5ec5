"""Traces by OpenTelemetry: one for each request, through the queue, as far as Zuora's answers.

Off until `start_tracing`: a span then costs a look at one name, and OpenTelemetry is not even imported. What waits in
the database keeps the span that asked for it as a `traceparent` (W3C Trace Context), and the run goes on from there.
The trace's id stands in the log lines of each span and is sent to Zuora as the Track-Id. No span has a text from
outside, a person's value or the message of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from structlog.contextvars import bound_contextvars

from sync_service.errors import SettingsInvalid

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Tracer

#: Of the requests that one run serves so many are linked.
MAX_LINKS = 20

_tracer: Tracer | None = None
_NOTHING: Mapping[str, str | int] = MappingProxyType({})
_OFF: AbstractContextManager[None] = nullcontext()


class Side(StrEnum):
    """OpenTelemetry's kinds of spans."""

    SERVER = "server"
    CLIENT = "client"
    #: Takes up what another process left.
    CONSUMER = "consumer"
    INTERNAL = "internal"


def start_tracing(endpoint: str, role: str) -> bool:
    """Send this process's spans to the collector at `endpoint`, where there is one; whether there is.

    Sent by a thread beside, in batches; while the collector is away they are dropped. OpenTelemetry's own variables
    (OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, …) hold. Raises SettingsInvalid where the libraries are missing.
    """
    global _tracer
    if not endpoint:
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        text = f"OTEL_EXPORTER_OTLP_ENDPOINT: {error.name} is missing: install sync-service[traces]"
        raise SettingsInvalid(text) from error
    provider = TracerProvider(resource=Resource.create({"service.name": f"sync-service-{role}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    _tracer = provider.get_tracer("sync_service")
    return True


def span(
    name: str,
    side: Side = Side.INTERNAL,
    about: Mapping[str, str | int] = _NOTHING,
    *,
    after: Callable[[], Sequence[str]] = tuple,
) -> AbstractContextManager[None]:
    """What happens inside is a span of the current trace; `name` is one of few, what it is `about` has attributes.

    `after` is asked for the spans that it goes on from, as `carry` gave them: its trace is that of the first, the
    others are links.
    """
    return _OFF if _tracer is None else _span(_tracer, name, side, about, after())


def tell(about: Mapping[str, str | int]) -> None:
    """Something that was found out during the current span."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes(about)


def rename(name: str) -> None:
    """The current span is called `name` from now on."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().update_name(name)


def carry() -> str | None:
    """The current span as a `traceparent`, for what is done later or elsewhere; None where there is none."""
    current = _current()
    if current is None:
        return None
    return f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"


def trace_id() -> str | None:
    """The id of the current trace, 32 hexadecimal digits; None where there is none."""
    current = _current()
    return None if current is None else f"{current.trace_id:032x}"


@contextmanager
def _span(
    tracer: Tracer, name: str, side: Side, about: Mapping[str, str | int], carried: Sequence[str]
) -> Iterator[None]:
    from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode, set_span_in_context

    before = [_read(each) for each in carried[:MAX_LINKS]]
    with tracer.start_as_current_span(
        name,
        context=set_span_in_context(NonRecordingSpan(before[0])) if before else None,
        kind=SpanKind[side.name],
        links=[Link(each) for each in before[1:]],
        attributes=about,
        # OpenTelemetry would send the error's message, which may quote a person's values.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            with bound_contextvars(trace_id=trace_id()):
                yield
        except Exception as error:
            current.set_attribute("error.type", getattr(error, "code", None) or type(error).__name__)
            current.set_status(Status(StatusCode.ERROR))
            raise


def _current() -> SpanContext | None:
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    current = get_current_span().get_span_context()
    return current if current.is_valid else None


def _read(carried: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    _, trace, parent, flags = carried.split("-")
    return SpanContext(int(trace, 16), int(parent, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
