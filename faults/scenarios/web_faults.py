"""Webs that are replaced under traffic, and one that is killed while several requests share its commit."""

from concurrent.futures import ThreadPoolExecutor

from faults.api_requests import ApiResponse
from faults.fork_client import ProcessGroup, free_ports
from faults.load_balancer import LoadBalancer
from faults.platform_processes import LONG_LEASE, WEB_WORKERS
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for

RATE, SECONDS = 50.0, 16.0
# At once, and how often: each of the three processes then has several to commit together.
AT_ONCE, WAVES = 60, 4
# Of the commits, so that most kills meet one that several requests share, and not the first of a process.
KILLED = 0.4


@scenario("33: a rolling restart at 50 events a second")
def rolling_restart(system: System, report: Report, options: Options) -> None:
    """Replace two webs and the workers one after the other behind a proxy, which sends none to who ends."""
    system.endpoint("ok/a")
    system.endpoint("ok/b")
    system.restart(**LONG_LEASE)
    own_port, second_port = free_ports(2)
    second = _second_web(system, second_port)
    try:
        wait_for(lambda: system.is_healthy(second_port), 20, "the second web")
        with LoadBalancer(own_port, [system.web_port, second_port]).running() as balancer:
            producer = system.produce(rate=RATE, seconds=SECONDS, seed=options.seed, port=own_port)
            for web, port in ((system.web, system.web_port), (second, second_port)):
                with balancer.without(port):
                    report.figures[f"web {port} stopped after s"] = web.stop()
                    web.start()
                    wait_for(lambda port=port: system.is_healthy(port), 20, "the new web")  # type: ignore[misc]
            report.figures["workers stopped after s"] = system.pool.stop()
            system.pool.start()
            system.fork_client.wait(producer, 60)
    finally:
        second.stop()
    accepted = system.event_count()
    report.figures |= {"accepted": accepted, "other answers": dict(system.refusals())}
    report.require(not system.refusals(), f"producers were answered {dict(system.refusals())}")
    report.require(accepted > RATE * SECONDS / 3, f"{accepted} events are too few to tell")
    report.figures["settled after s"] = system.settle()


def _second_web(system: System, port: int) -> ProcessGroup:
    def start() -> int:
        environment = system.environment | {"PORT": str(port)}
        return system.fork_client.call(
            "faults.entry_points:web", WEB_WORKERS, name="second-web", env=environment
        )

    group = ProcessGroup(system.fork_client, start)
    group.start()
    return group


@scenario("34: killed in the middle of a commit that several requests share")
def shared_commit_killed(system: System, report: Report, options: Options) -> None:
    system.endpoint("ok/a")
    for place in ("accept.committing", "accept.committed"):
        system.restart(FAILPOINTS=f"{place}={KILLED}", FAILPOINT_SEED=options.seed)
        _send_waves(system, report, place)
        groups = system.events_killed(place)
        report.figures[f"killed at {place}, events"] = [len(group) for group in groups]
        report.require(len(groups) >= WAVES, f"{len(groups)} killed at {place} are too few to tell")
        report.require(any(len(group) > 1 for group in groups), f"no group was killed at {place}")
        events = set[str]().union(*groups)
        there = system.stored(events)
        if place == "accept.committing":
            report.require(not there, f"{len(there)} of {len(events)} not committed events are there")
        else:
            report.require(there == events, f"only {len(there)} of {len(events)} committed events are there")
    system.restart()
    report.figures["settled after s"] = system.settle()


def _send_waves(system: System, report: Report, place: str) -> None:
    """Send events at once, again and again, while processes are killed at `place`.

    What has a 202 must be there. More may be: a process may die with a commit whose answers it has not sent,
    also at the next commit.
    """
    before, answers = system.event_count(), list[ApiResponse]()
    for wave in range(WAVES):
        wait_for(system.is_healthy, 20, "the web")
        with ThreadPoolExecutor(AT_ONCE) as senders:
            names = [f"{place}-{wave}-{number}" for number in range(AT_ONCE)]
            answers += senders.map(system.send, names)
    statuses = [answer.status for answer in answers]
    stored = system.event_count() - before
    accepted, unanswered = statuses.count(202), statuses.count(0)
    report.figures[f"at {place}: 202, no answer, stored"] = f"{accepted}, {unanswered}, {stored}"
    report.require(set(statuses) <= {0, 202}, f"answers: {sorted(set(statuses))}")
    report.require(
        accepted <= stored <= accepted + unanswered, f"{stored} events are there, {accepted} have a 202"
    )
