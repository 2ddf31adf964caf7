"""Producers at work while something happens to a host, and what they were answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults import journal
from faults.journal import Journal
from faults.scenario_report import Report
from hosts.cluster import Cluster

THREADS = 4  # of producers of each kind
RATE = 50.0  # events a second, half of them from producers that send once


@contextmanager
def traffic(
    cluster: Cluster, report: Report, seed: str, *, seconds: float, allowed: dict[int, int] | None = None
) -> Iterator[None]:
    """Send for so many seconds, through the block, and report every answer that was not 202.

    Producers with the shipped client have to get a 202 for each event. Those that send once may be answered
    with a status of `allowed`, at most so often; 0 is no answer at all.
    """
    once = cluster.folder / f"once-{cluster.scenario_number}.log"
    pids = [
        cluster.produce(
            rate=RATE / 2,
            seconds=seconds,
            seed=f"{seed}-{kind}",
            threads=THREADS,
            kind=kind,
            journal=path,
        )
        for kind, path in (("repeating", cluster.journal), ("once", once))
    ]
    yield
    for pid in pids:
        cluster.fork_client.wait(pid, seconds + 90)
    repeated, single = cluster.refusals(), cluster.refusals(once)
    _keep_accepted(cluster, once)
    report.figures |= {f"answered {status} once": count for status, count in sorted(single.items())}
    report.figures["slowest 202 in ms"] = _slowest(cluster)
    report.require(not repeated, f"repeating producers gave up with {dict(repeated)}")
    for status, count in single.items():
        most = (allowed or {}).get(status, 0)
        report.require(count <= most, f"{count} were answered {status}, of which {most} are allowed")


def _keep_accepted(cluster: Cluster, once: Path) -> None:
    """Add the 202s of producers that send once to the journal that the checker reads."""
    accepted = Journal(cluster.journal)
    for line in journal.read(once):
        if "event" in line:
            accepted.write(**line)
    accepted.close()


def _slowest(cluster: Cluster) -> float:
    return max((line["ms"] for line in journal.read(cluster.journal) if "event" in line), default=0.0)
