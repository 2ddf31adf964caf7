"""Traces of events, where the standard `OTEL_*` variables ask for them; otherwise nothing of it is loaded.

See "OpenTelemetry Environment Variable Specification" at opentelemetry.io.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol, cast
from urllib.parse import urlsplit

from webhooks_app.core.setting_values import ConfigError

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SDK, _INSTALL = "opentelemetry", "pip install 'webhooks-app[tracing]'"
_EXPORTERS = ("otlp", "console")
_DEFAULT_ENDPOINT = "http://localhost:4318"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Interval:
    """From when to when, in nanoseconds since 1970."""

    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class AcceptedEvent:
    id: str
    type: str
    workspace_id: str
    deliveries: int
    took: Interval


@dataclass(frozen=True, slots=True)
class ClaimSpan:
    """A delivery that a worker took; `created_ns` is set for its first attempt."""

    delivery_id: str
    event_id: str
    endpoint_id: str
    attempt: int
    created_ns: int | None


@dataclass(frozen=True, slots=True)
class AttemptSpan:
    """`phases_us`: from the attempt's start to the end of each, by its name."""

    delivery_id: str
    event_id: str
    endpoint_id: str
    attempt: int
    outcome: str
    status: int
    state: str
    took: Interval
    phases_us: Mapping[str, int]


class Tracer(Protocol):
    """What takes the spans of one process. No method waits for whom they are sent to, or raises."""

    def accepted(self, events: Sequence[AcceptedEvent]) -> None: ...

    def claimed(self, deliveries: Sequence[ClaimSpan], took: Interval) -> None: ...

    def attempted(self, attempts: Sequence[AttemptSpan]) -> None: ...

    def close(self) -> None: ...


def is_enabled(environ: Mapping[str, str]) -> bool:
    """Return whether the variables ask for traces. Raises ConfigError for an exporter that there is not."""
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if exporter and exporter not in _EXPORTERS:
        raise ConfigError(f"OTEL_TRACES_EXPORTER must be otlp, console or none, not {exporter[:40]!r}.")
    if not exporter and not any(environ.get(name) for name in _ENDPOINTS):
        return False
    protocols = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((environ[name] for name in protocols if environ.get(name)), "http/protobuf")
    if exporter != "console" and protocol != "http/protobuf":
        raise ConfigError(f"Traces are sent as http/protobuf; {protocols[1]} asks for {protocol[:40]!r}.")
    return True


def block_import_unless_enabled(environ: Mapping[str, str] | None = None) -> None:
    """Have nobody load OpenTelemetry unless traces are asked for; to be called before redis is loaded.

    Where it is installed, the redis library would load it for figures of its own: 16 MiB in each process.
    """
    with suppress(ConfigError):  # `check` will say so
        if not is_enabled(os.environ if environ is None else environ):
            # An import of what is None there raises ImportError.
            sys.modules.setdefault(_SDK, cast(ModuleType, None))


def check(environ: Mapping[str, str] | None = None) -> None:
    """Raise ConfigError where traces are asked for that cannot be made."""
    if is_enabled(os.environ if environ is None else environ) and find_spec(_SDK) is None:
        raise ConfigError(f"OTEL_* variables ask for traces, which need: {_INSTALL}.")


def collector(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Return the host and port that spans are sent to; None where they are not sent.

    Raises ConfigError for variables that cannot be used.
    """
    if not is_enabled(environ) or environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "console":
        return None
    url = next((environ[name] for name in reversed(_ENDPOINTS) if environ.get(name)), _DEFAULT_ENDPOINT)
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, port = urlsplit(""), 0
    if not parts.hostname:
        raise ConfigError("The OTEL_EXPORTER_OTLP_… endpoint must be a URL such as http://collector:4318.")
    return parts.hostname, port


@contextmanager
def tracer_of(kind: str, environ: Mapping[str, str] | None = None) -> Iterator[Tracer | None]:
    """Yield what takes this process's spans while the block runs, or None where nobody asks for any.

    To be called in the process itself, as its thread does not survive a fork; `check` has been before.
    """
    if not is_enabled(os.environ if environ is None else environ):
        yield None
        return
    from webhooks_app.monitoring import spans

    tracer: Tracer = spans.SpanTracer(kind)
    try:
        yield tracer
    finally:
        tracer.close()
