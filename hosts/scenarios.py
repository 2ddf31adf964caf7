"""What happens to hosts: each is lost or replaced while events are sent at a steady rate."""

import sys
import time
from collections.abc import Callable
from typing import cast

from faults import journal
from faults.platform_processes import LONG_LEASE
from faults.scenario_definition import Options, Scenario
from faults.scenario_report import Report
from faults.scenarios.rolling_upgrade import CURRENT, migrate, next_migrations, require_both_releases
from faults.waiting import wait_for
from hosts.cluster import Cluster, Process
from hosts.producers import THREADS, traffic

_SECONDS = 14.0
# What a web was working on is answered by nobody; only its sender knows whether to send it again.
_IN_FLIGHT = {502: THREADS, 0: THREADS, 504: THREADS}
Run = Callable[[Cluster, Report, Options], None]


def _scenario(what: str) -> Callable[[Run], Scenario]:
    def define(run: Run) -> Scenario:
        name = run.__name__.replace("_", "-")
        return Scenario(name, what, None, False, lambda system, *rest: run(cast(Cluster, system), *rest))

    return define


@_scenario("a web's host loses power, and comes back")
def web_killed(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    # 503 is what hosts give whose one machine stood still for seconds.
    allowed = _IN_FLIGHT | ({503: THREADS} if options.shares_machine else {})
    with traffic(cluster, report, options.seed, seconds=_SECONDS, allowed=allowed):
        _lose(cluster.webs[0])


@_scenario("a web's host is cut off, and comes back")
def web_cut(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    # It has no database either, and says so after 4.5 s: 503, which arrives once the cable is back.
    allowed = _IN_FLIGHT | {503: THREADS}
    with traffic(cluster, report, options.seed, seconds=_SECONDS, allowed=allowed):
        _cut(cluster.webs[1])


@_scenario("a worker's host loses power, and comes back")
def worker_killed(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    with traffic(cluster, report, options.seed, seconds=_SECONDS):
        cluster.note_claims()
        _lose(cluster.workers[0], then=cluster.note_claims)


@_scenario("a worker's host is cut off, and comes back with what it knew")
def worker_cut(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    with traffic(cluster, report, options.seed, seconds=_SECONDS):
        cluster.note_claims()
        _cut(cluster.workers[1], then=cluster.note_claims)


@_scenario("one scheduler's host after the other loses power")
def schedulers_killed(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    with traffic(cluster, report, options.seed, seconds=_SECONDS):
        for process in cluster.scheduler_hosts:
            _lose(process, seconds=2)


@_scenario("the host of Redis's primary loses power; the Sentinels choose the other")
def redis_failed_over(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    with traffic(cluster, report, options.seed, seconds=20):
        time.sleep(2)
        lost = cluster.sentinels.primary_host()
        lost.kill_processes()
        others = lambda: cluster.sentinels.primary() not in ("", lost.address)  # noqa: E731
        report.figures["new primary after s"] = wait_for(others, 20, "a new primary")


@_scenario("webs, workers and schedulers are restarted one by one, and the webs once more by SIGHUP")
def rolling_restart(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    with traffic(cluster, report, options.seed, seconds=60):
        time.sleep(1)
        for process in cluster.processes:
            process.restart()
        for web in cluster.webs:
            web.reload()


@_scenario("the database is migrated, and every process replaced by the next release's")
def rolling_upgrade(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    migrations = next_migrations(cluster.folder / "migrations")
    with traffic(cluster, report, options.seed, seconds=60):
        time.sleep(2)
        report.figures["migrated after s"] = migrate(cluster, migrations, "head")
        for process in cluster.processes:
            process.program = _next_release(process)
            process.restart()
    try:
        report.figures["settled after s"] = cluster.settle()
        require_both_releases(cluster, report)
    finally:
        for process in cluster.processes:
            process.program = None
            process.stop()
        migrate(cluster, migrations, CURRENT)


@_scenario("the host of PostgreSQL's primary loses power; the standby takes its place")
def postgresql_failed_over(cluster: Cluster, report: Report, options: Options) -> None:
    _endpoints(cluster, options)
    with traffic(cluster, report, options.seed, seconds=30, allowed={503: 10**6}):
        time.sleep(2)
        cluster.note_claims()
        cluster.note_database_crash()
        cluster.database.primary.host.kill_processes()
        began = time.monotonic()
        cluster.database.fail_over()
        cluster.pooler.lead_to(cluster.database.primary.url)
        wait_for(lambda: cluster.send(timeout=6).status == 202, 30, "an event that is accepted")
        report.figures["accepts again after s"] = time.monotonic() - began


@_scenario("one, two and four workers send to a receiver that takes its time, and to one that takes none")
def scaling(cluster: Cluster, report: Report, options: Options) -> None:
    """Show that throughput follows the workers where answers take time; else they share the cores."""
    for what, path, each in (("300 ms", "always/slow-300-200", 600), ("at once", "ok/fast", 1500)):
        endpoint_id = cluster.endpoint(path)
        cluster.fan_out = 1
        for hosts in (1, 2, 4):
            figure = f"{hosts} workers, answered {what}, a second"
            report.figures[figure] = round(_drained_a_second(cluster, hosts, each * hosts))
        cluster.remove(endpoint_id)
    cluster.extra_environ = {}
    for process in cluster.workers:
        process.restart()


def _drained_a_second(cluster: Cluster, hosts: int, count: int) -> float:
    """Have so many hosts, each with one worker process, send what waits for them."""
    for process in cluster.workers:
        process.stop()
    cluster.send_many(count, name=f"{hosts}-{time.monotonic()}")
    cluster.extra_environ = {"WEBHOOKS_WORKERS": "1"} | LONG_LEASE
    offset = cluster.receiver_journal.stat().st_size
    for process in cluster.workers[:hosts]:
        process.group.start()
    cluster.settle(120)
    arrived = sorted(line["at"] for line in journal.read(cluster.receiver_journal, offset) if "id" in line)
    middle = arrived[len(arrived) // 10 : -len(arrived) // 10]  # while all of them are up
    return len(middle) / float(middle[-1] - middle[0])


def _endpoints(cluster: Cluster, options: Options) -> None:
    cluster.endpoint("ok/hosts")
    cluster.endpoint(f"mix/{options.seed}/hosts")


def _lose(process: Process, *, seconds: float = 4, then: Callable[[], None] = lambda: None) -> None:
    """Take its host's power away for so long; `then` is called at once."""
    time.sleep(2)
    process.host.kill_processes()
    then()
    time.sleep(seconds)
    process.host.mend()
    process.start()


def _cut(process: Process, *, seconds: float = 5, then: Callable[[], None] = lambda: None) -> None:
    time.sleep(2)
    process.host.cut()
    then()
    time.sleep(seconds)
    process.host.mend()


def _next_release(process: Process) -> list[str]:
    call = {"worker": "'pool'", "scheduler": "'scheduler'", "web": "'web', 1"}[process.command]
    return [
        sys.executable,
        "-c",
        f"from faults import entry_points; entry_points.as_next_release({call})",
    ]


ALL: dict[str, Scenario] = {each.name: each for each in vars().copy().values() if isinstance(each, Scenario)}
