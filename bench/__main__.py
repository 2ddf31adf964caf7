"""`make bench`: figures of this machine, each beside the two yardsticks of the same run."""

import argparse
import os
import platform

from bench import measures, pages, yardsticks
from bench.deployment import Deployment
from bench.measures import Row


def main() -> None:
    options = _options()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    for database in options.database:
        print(f"\n{database}, {options.workers} worker(s)")
        with Deployment(database) as deployment:
            naive = _yardsticks(deployment, options)
            for name, rows in _measures(deployment, options).items():
                if not options.only or name in options.only:
                    for row in rows:
                        _print(row, naive)


def _measures(deployment: Deployment, options: argparse.Namespace) -> dict[str, object]:
    count, workers = options.count, options.workers
    return {
        "drain1": measures.drain(deployment, 1, count, workers),
        "drain10": measures.drain(deployment, 10, count, workers),
        "drain1000": measures.drain(deployment, 1000, count, workers),
        "fanout": measures.fan_out(deployment),
        "latency50": measures.latency(deployment, 50, options.seconds),
        "latency200": measures.latency(deployment, 200, options.seconds),
        "latency500": measures.latency(deployment, 500, options.seconds),
        "hanging": measures.beside_hanging(deployment, 10, 300, 30_000, 20, options.tail_seconds),
        "thousand": measures.beside_hanging(deployment, 700, 300, 30_000, 1, options.tail_seconds),
        "dead": measures.beside_hanging(deployment, 10, 1, 100_000, 20, options.tail_seconds),
        "backlog": measures.backlog(deployment, options.backlog, workers),
        "pages": pages.pages(deployment, options.log),
    }


def _yardsticks(deployment: Deployment, options: argparse.Namespace) -> float:
    limit = yardsticks.bare_libcurl(options.count)
    naive = yardsticks.job_for_each(deployment.environ["REDIS_URL"], options.naive)
    _print(("yardstick: libcurl alone, one process", limit, "requests/s"), naive)
    _print(("yardstick: a job and requests for each", naive, "deliveries/s"), naive)
    return naive


def _print(row: Row, naive: float) -> None:
    what, figure, unit = row
    ratio = f"  {figure / naive:6.1f} x the usual way" if unit == "deliveries/s" else ""
    print(f"  {what:44} {figure:10,.{1 if unit else 2}f} {unit}{ratio}", flush=True)


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
    parser.add_argument("--only", nargs="*", help="names of measures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
