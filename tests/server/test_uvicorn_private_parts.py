"""What we override in uvicorn, and touch of it, is as it was when it was written.

uvicorn documents neither. Where one of these tests fails after an upgrade: read what has changed in the
method, see whether `webhooks_app/server/` still does what its comments say, and then note the new value here.
`requirements.in` bounds the version.
"""

import inspect

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tests.jobs.test_rq_private_parts import digest
from webhooks_app.server.connections import Connection
from webhooks_app.server.draining_server import DrainingServer

# The sources that we override, call or rely on: the first digits of the SHA-256 of each.
REVIEWED: dict[type, dict[str, str]] = {
    HttpToolsProtocol: {
        "connection_made": "6efb565ff3d3",
        "connection_lost": "c91a4c9bf2e2",
        "data_received": "010a7ae59a5d",
        "on_message_begin": "96d377fdc7c2",
        "on_headers_complete": "1ea8589acfad",
        "shutdown": "d7351fa33f00",
    },
    RequestResponseCycle: {
        "__init__": "4d2f220910c3",
        "receive": "8124ae006be7",
        "send": "abdd8601b326",
    },
    uvicorn.Server: {"handle_exit": "553276efa26e", "shutdown": "9b33c5056299"},
}


@pytest.mark.parametrize("library", REVIEWED, ids=lambda library: library.__name__)
def test_what_surrounds_our_overrides_is_what_was_reviewed(library: type) -> None:
    assert {name: digest(library, name) for name in REVIEWED[library]} == REVIEWED[library]


@pytest.mark.parametrize("ours", [Connection, DrainingServer], ids=lambda ours: ours.__name__)
def test_every_override_is_listed(ours: type) -> None:
    library = ours.__mro__[1]
    inherited = {name for name in vars(ours) if name in dir(library) and not name.startswith("__")}
    assert inherited
    assert inherited <= REVIEWED[library].keys()


def test_a_cycle_has_what_a_connection_reads_and_sets() -> None:
    source = inspect.getsource(RequestResponseCycle.__init__)
    for name in ("keep_alive", "disconnected", "more_body", "response_complete"):
        assert f"self.{name} = " in source
