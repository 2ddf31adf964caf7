"""The receiver of a run: writes every request to its journal, then answers as the request's path says.

    /ok/…               200                    /always/<answer>/…   that answer
    /mix/<seed>/…       a seeded mix           /switch/<name>/…     what `/control/<name>/<answer>` set last

An answer is a status, `cut` (reads the request and closes the connection), `hang` (never answers),
`slow-<ms>-<answer>` or, of a switch, `held-<answer>`, which waits until the switch is set anew. `/mix`
chooses by the seed, the endpoint, the event's `batch_id` and the number of requests that the delivery has
had, so that a seed gives the same answers in each run.
"""

import asyncio
import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from faults.journal import Journal

MIX = (("200", 78), ("500", 8), ("503", 2), ("slow-150-200", 6), ("slow-500-200", 2), ("slow-300-500", 1))
CUT_SHARE = 3

# A receiver that moves goes from the first to the second.
ADDRESSES = ("127.0.0.1", "127.0.0.2")


class ScriptedReceiver(asyncio.Protocol):
    journal: Journal
    turns: ClassVar["Counter[str]"] = Counter()
    switches: ClassVar[dict[str, str]] = {}
    held: ClassVar[defaultdict[str, list[Callable[[], None]]]] = defaultdict(list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = dict(_header(line) for line in lines[1:])
        rest = end + 4 + int(headers.get("content-length", "0"))
        if len(self.buffer) >= rest:
            body, self.buffer = self.buffer[end + 4 : rest], self.buffer[rest:]
            self._receive(lines[0].split(" ")[1], headers, body)

    def _receive(self, path: str, headers: dict[str, str], body: bytes) -> None:
        parts = path.strip("/").split("/")
        if parts[0] == "control":
            self.switches[parts[1]] = parts[2]
            self._respond("200")
            for answer_now in self.held.pop(parts[1], ()):
                answer_now()
            return
        delivery_id = headers.get("webhook-id", "")
        self.turns[delivery_id] += 1
        answer = self._choose_answer(parts, body, self.turns[delivery_id])
        self.journal.write(
            at=time.time(),
            path=path,
            address=self.transport.get_extra_info("sockname")[0],
            id=delivery_id,
            sha256=hashlib.sha256(body).hexdigest(),
            timestamp=headers.get("webhook-timestamp", ""),
            signature=headers.get("webhook-signature", ""),
            answer=answer,
        )
        if answer.startswith("held-"):
            then = answer.removeprefix("held-")
            self.held[parts[1]].append(partial(self._answer, then, delivery_id))
        else:
            self._answer(answer, delivery_id)

    def _choose_answer(self, parts: list[str], body: bytes, turn: int) -> str:
        match parts[:2]:
            case ["mix", seed]:
                return mixed(seed, "/".join(parts[2:]), json.loads(body)["data"]["batch_id"], turn)
            case ["always", answer]:
                return answer
            case ["switch", name]:
                return self.switches.get(name, "200")
        return "200"

    def _answer(self, answer: str, delivery_id: str) -> None:
        kind, _, rest = answer.partition("-")
        if kind == "slow":
            milliseconds, _, then = rest.partition("-")
            asyncio.get_running_loop().call_later(int(milliseconds) / 1000, self._answer, then, delivery_id)
        elif kind == "cut":
            self.transport.abort()
        elif kind != "hang" and not self.transport.is_closing():
            self.journal.write(at=time.time(), answered=delivery_id, status=int(kind))
            self._respond(kind)

    def _respond(self, status: str) -> None:
        self.transport.write(f"HTTP/1.1 {status} Scripted\r\nContent-Length: 2\r\n\r\nok".encode())


def mixed(seed: str, endpoint: str, event: str, turn: int) -> str:
    """Return the answer of `/mix`. None of the arguments changes from run to run, as ids of deliveries do."""
    rng = random.Random(f"{seed}-{endpoint}-{event}-{turn}")
    answers, weights = zip(*MIX, ("cut", CUT_SHARE), strict=True)
    return str(rng.choices(answers, weights)[0])


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(ScriptedReceiver, ADDRESSES, port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


def main(port: int, journal: str) -> None:
    """Serve on a port of ADDRESSES until killed, with the journal at that path."""
    ScriptedReceiver.journal = Journal(journal)
    asyncio.run(_serve(port))
