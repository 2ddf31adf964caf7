"""HTTP receivers for tests: real servers on loopback that answer, fail, hang and count as told."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"

    @property
    def delivery_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    announced_bytes: int | None = None  # of the body, where it is not all that comes


def answer_after(event: threading.Event, seconds: float = 60) -> Callable[[Received], Answer]:
    """An answer that waits for the event; where it does not come, the connection breaks."""

    def answer(_: Received) -> Answer:
        assert event.wait(seconds), "nobody let it answer"
        return Answer()

    return answer


class _Server(ThreadingHTTPServer):
    request_queue_size = 512  # connections come in bursts

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that gave up is no error of the receiver's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Receiver:
    """Answers with `answer`, which may be an Answer or a function of the request."""

    def __init__(self) -> None:
        self.answer: Answer | Callable[[Received], Answer] = Answer()
        self.received: list[Received] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
                received = Received(self.path, headers, body, self.command)
                receiver.received.append(received)
                answer = receiver.answer(received) if callable(receiver.answer) else receiver.answer
                time.sleep(answer.delay_seconds)
                self.reply(answer)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST

            def reply(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                announced = len(answer.body) if answer.announced_bytes is None else answer.announced_bytes
                self.send_header("content-length", str(announced))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
