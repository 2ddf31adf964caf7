"""A function that answers nothing but 202, on the web's own server: what a request costs before our code.

    python -m bench.bare_server PORT asgi|wsgi

`asgi` is called in the event loop, `wsgi` in a thread, as Flask is.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable
from typing import Any

from webhooks_app.server import listening_socket
from webhooks_app.server.web_server import WebServer

_BODY = b'{"deliveries":1,"id":"evt_00000000000000000000000000"}\n'
_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY)))]


def answer_wsgi(_environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    start("202 ACCEPTED", _HEADERS)
    return [_BODY]


class AnswersInLoop:
    """Takes each request as the intake of events takes an ordinary one."""

    def takes(self, _scope: object) -> bool:
        return True

    async def accept(self, _scope: object, _body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        return [(name.lower().encode(), value.encode()) for name, value in _HEADERS], _BODY


def main() -> None:
    port, interface = int(sys.argv[1]), sys.argv[2]
    intake: Any = AnswersInLoop() if interface == "asgi" else None
    server = WebServer(answer_wsgi, listening_socket.listen("127.0.0.1", port), threads=4, intake=intake)
    asyncio.run(server.run(lambda: print("ready", flush=True)))


if __name__ == "__main__":
    main()
