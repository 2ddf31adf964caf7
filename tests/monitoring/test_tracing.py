"""Traces: an event's whole way is one, sent where OTEL_* variables say; without them nothing is loaded."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from flask import Flask
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from tests.conftest import deployed, new_workspace
from tests.free_ports import free_port
from tests.reading import output_of
from tests.receivers import Answer, Receiver
from tests.waiting import wait_for
from webhooks_app import config
from webhooks_app.core import ids
from webhooks_app.core.setting_values import ConfigError
from webhooks_app.monitoring import spans, tracing

EVENT = {"type": "batch-lifecycle", "data": {"batch_id": "b1", "status": "succeeded"}}
OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


class Collector:
    """What takes traces over OTLP, as http/protobuf."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(f"{named['service.name']} {named['webhooks.process']}")
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.02,))
    thread.start()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    thread.join()


def attributes(span: Span) -> dict[str, object]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_events_way_from_accept_to_its_attempts_is_one_trace(
    app: Flask, receiver: Receiver, collector: Collector, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    workspace = new_workspace(app, "Acme")
    endpoint_id = workspace.endpoint(receiver.url)
    receiver.answer = lambda received: Answer(503)
    port = free_port()
    environ = deployed(database_url, redis_url, tmp_path) | {"PORT": str(port), "OTEL_SERVICE_NAME": "hooks"}
    environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    environ["WEBHOOKS_RETRY_DELAYS"] = "3600"  # no second attempt, however long the first one's trace takes
    processes = [_start(name, environ) for name in ("web", "worker")]

    answer = requests.post(
        f"http://127.0.0.1:{port}/api/v1/events", json=EVENT, headers=workspace.headers, timeout=30
    )
    wait_for(lambda: collector.named("attempt") and collector.named("accept event"))
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
        output_of(process).close()

    event_id = answer.json()["id"]
    [root], [attempt] = collector.named("accept event"), collector.named("attempt")
    [claim], [wait] = collector.named("claim"), collector.named("wait for a worker")
    assert {span.trace_id for span in collector.spans} == {spans.trace_id(event_id).to_bytes(16)}
    assert {span.parent_span_id for span in (attempt, claim, wait)} == {root.span_id}
    assert root.parent_span_id == b""
    assert attributes(root) == attributes(root) | {
        "webhooks.event.id": event_id,
        "webhooks.workspace.id": workspace.id,
        "webhooks.deliveries": 1,
    }
    assert attributes(attempt) == attributes(attempt) | {
        "webhooks.endpoint.id": endpoint_id,
        "webhooks.outcome": "http_5xx",
        "http.response.status_code": 503,
        "webhooks.delivery.state": "pending",
    }
    assert attempt.status.code == 2
    assert "first byte" in {event.name for event in attempt.events}
    assert root.start_time_unix_nano < wait.end_time_unix_nano <= claim.start_time_unix_nano
    assert claim.start_time_unix_nano < claim.end_time_unix_nano <= attempt.end_time_unix_nano
    assert collector.services == {"hooks web", "hooks worker"}


def _start(command: str, environ: dict[str, str]) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if name not in config.NAMES}
    process = subprocess.Popen(
        [sys.executable, "-m", "webhooks_app", command],
        cwd=config.ROOT,
        env=kept | environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert output_of(process).readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        (OTLP, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        (OTLP | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (OTLP | {"OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_SERVICE_NAME": "hooks"}, False),
        (OTLP | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_the_standard_variables_switch_it_on(environ: dict[str, str], asked: bool) -> None:
    assert tracing.is_enabled(environ) is asked


@pytest.mark.parametrize(
    "environ", [{"OTEL_TRACES_EXPORTER": "jaeger"}, OTLP | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}]
)
def test_what_cannot_be_done_is_refused_in_one_line(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        tracing.is_enabled(environ)
    assert "OTEL_" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("process", ["web", "worker_process", "scheduler_process"])
def test_without_the_variables_no_process_loads_what_makes_traces(process: str) -> None:
    program = (
        "import sys; from webhooks_app.cli.main import main; main(['--version'], standalone_mode=False)\n"
        f"import webhooks_app.cli.{process}\n"
        "from webhooks_app.monitoring import tracing\n"
        "with tracing.tracer_of('web', {}) as tracer: assert tracer is None\n"
        "mine = ('opentelemetry.', 'google.protobuf')\n"
        "assert not [name for name in sys.modules if name.startswith(mine)]"
    )
    subprocess.run([sys.executable, "-c", program], cwd=config.ROOT, check=True, timeout=180)


def test_the_ids_of_a_trace_are_told_by_its_event() -> None:
    one, other = ids.several("evt", 2)
    assert spans.trace_id(one) == spans.trace_id(one) != spans.trace_id(other)
    assert 0 < spans.trace_id(one) < 2**128
    assert 0 < spans.root_span_id(one) < 2**64


def test_a_trace_that_cannot_be_made_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    tracer = spans.SpanTracer("web", ConsoleSpanExporter(out=io.StringIO()))
    event = tracing.AcceptedEvent("no id", "x", "ws_1", 1, tracing.Interval(1, 2))
    for _ in range(2):
        tracer.accepted([event])
    tracer.close()

    assert [record.message for record in caplog.records] == ["trace_failed"]
