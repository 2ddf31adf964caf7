"""`make bench`: prints figures of this machine, each beside the two yardsticks of the same run."""

import argparse
import os
import platform
from collections.abc import Callable, Iterator

from bench import accept_measures, layers, measures, monitoring_times, page_times, volume, yardsticks
from bench.deployment import Deployment
from bench.measures import Figure

Measure = Callable[[Deployment, argparse.Namespace], Iterator[Figure]]

MEASURES: dict[str, Measure] = {
    "drain1": lambda deployment, options: measures.drain(deployment, 1, options.count, options.workers),
    "drain10": lambda deployment, options: measures.drain(deployment, 10, options.count, options.workers),
    "drain1000": lambda deployment, options: measures.drain(deployment, 1000, options.count, options.workers),
    "fanout": lambda deployment, options: measures.fan_out(deployment),
    "latency50": lambda deployment, options: measures.latency(deployment, 50, options.seconds),
    "latency200": lambda deployment, options: measures.latency(deployment, 200, options.seconds),
    "latency500": lambda deployment, options: measures.latency(deployment, 500, options.seconds),
    "hanging": lambda deployment, options: measures.latency_beside_hanging(
        deployment, healthy=10, hanging=300, backlog=30_000, rate=20, seconds=options.tail_seconds
    ),
    "thousand": lambda deployment, options: measures.latency_beside_hanging(
        deployment, healthy=700, hanging=300, backlog=30_000, rate=1, seconds=options.tail_seconds
    ),
    "dead": lambda deployment, options: measures.latency_beside_hanging(
        deployment, healthy=10, hanging=1, backlog=100_000, rate=20, seconds=options.tail_seconds
    ),
    "noop": lambda deployment, options: accept_measures.no_op(deployment, options.count),
    "accept": lambda deployment, options: accept_measures.accept(deployment, options.count),
    "single": lambda deployment, options: accept_measures.single(deployment, options.count),
    "fanout10": lambda deployment, options: accept_measures.fan_out_to_ten(deployment, options.count // 10),
    "fanout10batch": lambda deployment, options: accept_measures.fan_out_to_ten(
        deployment, options.count // 10, batch=100
    ),
    "batch": lambda deployment, options: accept_measures.batches(deployment, options.count),
    "processes": lambda deployment, options: accept_measures.processes(deployment, options.count // 2),
    "layers": lambda deployment, options: layers.layers(deployment, options.count // 2),
    "memory": lambda deployment, options: accept_measures.memory(deployment, options.workers),
    "backlog": lambda deployment, options: measures.backlog(deployment, options.backlog, options.workers),
    "metrics": lambda deployment, options: monitoring_times.measure(deployment, options.log),
    "pages": lambda deployment, options: page_times.measure(deployment, options.log),
    "volume": lambda deployment, options: volume.measure(deployment, options.log, options.count),
}


def main() -> None:
    options = _options()
    processor = platform.processor() or platform.machine()
    print(f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for database in options.database:
        print(f"\n{database}, {options.workers} worker(s)")
        with Deployment(database) as deployment:
            naive = _yardsticks(deployment, options)
            for name in options.only or MEASURES:
                for figure in MEASURES[name](deployment, options):
                    _print(figure, naive)


def _yardsticks(deployment: Deployment, options: argparse.Namespace) -> float:
    """Print both yardsticks and return the deliveries a second of the second, the usual way."""
    limit = yardsticks.bare_libcurl(options.count)
    naive = yardsticks.job_for_each(deployment.environ["REDIS_URL"], options.naive)
    _print(("yardstick: libcurl alone, one process", limit, "requests/s"), naive)
    _print(("yardstick: a job and requests for each", naive, "deliveries/s"), naive)
    return naive


def _print(figure: Figure, naive: float) -> None:
    what, value, unit = figure
    ratio = f"  {value / naive:6.1f} x the usual way" if unit == "deliveries/s" else ""
    print(f"  {what:44} {value:10,.{1 if unit else 2}f} {unit}{ratio}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--count", type=int, default=40_000, help="deliveries of each drain")
    parser.add_argument("--naive", type=int, default=500, help="deliveries of the usual way")
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--log", type=int, default=1_000_000, help="deliveries in the log behind the pages")
    parser.add_argument("--seconds", type=float, default=10, help="of each measure of latency")
    parser.add_argument("--tail-seconds", type=float, default=30, help="of each p99 beside dead endpoints")
    parser.add_argument("--only", nargs="*", choices=MEASURES, metavar="MEASURE", help=", ".join(MEASURES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
