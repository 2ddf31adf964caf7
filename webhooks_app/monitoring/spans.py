"""Spans of OpenTelemetry. Loaded only where traces are asked for; the only importer of opentelemetry.

An event's trace is told by its id: both have 128 bits. So all processes that ever deal with an event write
into one trace, and nothing about it has to be stored or handed on.
"""

import logging
import os
import socket
import threading
from base64 import b32hexdecode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

import webhooks_app
from webhooks_app.monitoring.tracing import AcceptedEvent, AttemptSpan, ClaimSpan, Interval

log = logging.getLogger(__name__)

_ROOT = "accept event"
# Supervisors kill ten seconds after they ask a process to end.
_LAST_SECONDS = 2.0


class _EventIds(RandomIdGenerator):
    """Gives the root span of a trace the ids of its event."""

    def __init__(self) -> None:
        self.next_event: str | None = None

    def generate_trace_id(self) -> int:
        return trace_id(self.next_event) if self.next_event else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return root_span_id(self.next_event) if self.next_event else super().generate_span_id()


class SpanTracer:
    """One per process; may be called from any thread."""

    def __init__(self, kind: str, exporter: SpanExporter | None = None) -> None:
        self._ids = _EventIds()
        self._lock = threading.Lock()
        self._has_failed = False
        self._provider = TracerProvider(
            resource=_resource(kind), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or _exporter()))
        self._tracer = self._provider.get_tracer("webhooks_app", webhooks_app.__version__)

    def accepted(self, events: Sequence[AcceptedEvent]) -> None:
        """Add the root span of each event's trace."""
        with self._harmless():
            self._add_roots(events)

    def claimed(self, deliveries: Sequence[ClaimSpan], took: Interval) -> None:
        """Add the claim of each, and before its first attempt the wait for a worker."""
        with self._harmless():
            self._add_claims(deliveries, took)

    def attempted(self, attempts: Sequence[AttemptSpan]) -> None:
        """Add the request of each."""
        with self._harmless():
            self._add_attempts(attempts)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Let no trace keep an event from being accepted or delivered; say once what is wrong."""
        try:
            yield
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                log.exception("trace_failed")

    def _add_roots(self, events: Sequence[AcceptedEvent]) -> None:
        for event in events:
            attributes: dict[str, str | int] = {
                "webhooks.event.id": event.id,
                "webhooks.event.type": event.type,
                "webhooks.workspace.id": event.workspace_id,
                "webhooks.deliveries": event.deliveries,
            }
            with self._lock:
                self._ids.next_event = event.id
                try:
                    span = self._tracer.start_span(
                        _ROOT, Context(), SpanKind.SERVER, attributes, start_time=event.took.began_ns
                    )
                finally:
                    self._ids.next_event = None
            span.end(event.took.ended_ns)

    def _add_claims(self, deliveries: Sequence[ClaimSpan], took: Interval) -> None:
        for each in deliveries:
            attributes = _attributes_of(each)
            if each.created_ns is not None and each.created_ns < took.began_ns:
                waited = Interval(each.created_ns, took.began_ns)
                self._add("wait for a worker", each.event_id, waited, attributes)
            self._add("claim", each.event_id, took, attributes)

    def _add_attempts(self, attempts: Sequence[AttemptSpan]) -> None:
        for each in attempts:
            attributes = _attributes_of(each) | {
                "webhooks.outcome": each.outcome,
                "webhooks.delivery.state": each.state,
                "http.request.method": "POST",
            }
            if each.status:
                attributes["http.response.status_code"] = each.status
            has_failed = each.outcome != "success"
            self._add(
                "attempt",
                each.event_id,
                each.took,
                attributes,
                kind=SpanKind.CLIENT,
                problem=each.outcome if has_failed else None,
                phases_us=each.phases_us,
            )

    def _add(
        self,
        name: str,
        event_id: str,
        took: Interval,
        attributes: Mapping[str, str | int],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        problem: str | None = None,
        phases_us: Mapping[str, int] | None = None,
    ) -> None:
        span = self._tracer.start_span(
            name, self._below_root(event_id), kind, attributes, start_time=took.began_ns
        )
        for phase, end_us in (phases_us or {}).items():
            if end_us:
                span.add_event(phase, timestamp=took.began_ns + end_us * 1000)
        if problem is not None:
            span.set_status(Status(StatusCode.ERROR, problem))
        span.end(took.ended_ns)

    def _below_root(self, event_id: str) -> Context:
        """Return the context of the event's root span, sampled as the process that accepted it decided."""
        decision = self._provider.sampler.should_sample(None, trace_id(event_id), _ROOT).decision
        flags = TraceFlags(
            TraceFlags.SAMPLED if decision is Decision.RECORD_AND_SAMPLE else TraceFlags.DEFAULT
        )
        root = SpanContext(trace_id(event_id), root_span_id(event_id), is_remote=True, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(root), Context())

    def close(self) -> None:
        """Send what is left, if whom it goes to takes it soon."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(_LAST_SECONDS)


def trace_id(event_id: str) -> int:
    """Return the id of the event's trace: the 128 bits of its own."""
    return int.from_bytes(_raw(event_id))


def root_span_id(event_id: str) -> int:
    """Return the id of its root span: 64 of the bits that are random."""
    return int.from_bytes(_raw(event_id)[8:]) or 1


def _raw(event_id: str) -> bytes:
    return b32hexdecode(event_id.rpartition("_")[2].upper() + "======")


def _attributes_of(each: ClaimSpan | AttemptSpan) -> dict[str, str | int]:
    return {
        "webhooks.event.id": each.event_id,
        "webhooks.delivery.id": each.delivery_id,
        "webhooks.endpoint.id": each.endpoint_id,
        "webhooks.attempt": each.attempt,
    }


def _resource(kind: str) -> Resource:
    own = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or "avra",
        "service.version": webhooks_app.__version__,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        "webhooks.process": kind,
    }
    return Resource.create(own)  # which adds OTEL_RESOURCE_ATTRIBUTES


def _exporter() -> SpanExporter:
    if os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "console":
        return ConsoleSpanExporter()
    return OTLPSpanExporter()
