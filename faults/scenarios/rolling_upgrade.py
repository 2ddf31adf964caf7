"""A new release replaces this one process by process, under traffic, on a database migrated before."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from faults import journal
from faults.fork_client import ROOT, ProcessGroup, free_ports
from faults.platform_processes import LONG_LEASE, WEB_WORKERS
from faults.scenario_definition import Options, scenario
from faults.scenario_report import Report
from faults.system import System
from faults.waiting import wait_for
from webhooks_app.extensions import db

VERSIONS = ROOT / "webhooks_app" / "db" / "migrations" / "versions"

CURRENT, NEXT = max(path.stem for path in VERSIONS.glob("0*.py"))[:4], "next"
MIGRATION_TRIES = 5
# What the next release may do to this one's tables: columns that may be empty, and indexes.
NEXT_MIGRATION = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{NEXT}", "{CURRENT}", None, None
TABLES = ("events", "deliveries", "pending_deliveries", "attempts", "endpoints", "signing_secrets")


def upgrade():
    for table in TABLES:
        op.add_column(table, sa.Column("made_by", sa.String(20), nullable=True))
    op.create_index("ix_deliveries_made_by", "deliveries", ["made_by", "id"])


def downgrade():
    op.drop_index("ix_deliveries_made_by", "deliveries")
    for table in TABLES:
        op.drop_column(table, "made_by")
"""


@scenario("25: a rolling upgrade with a migration in between")
def rolling_upgrade(system: System, report: Report, options: Options) -> None:
    """Migrate, then replace the processes one by one, as docs/production.md describes it.

    The migration adds columns and an index; only the next release's processes fill one of them.
    """
    system.endpoint("ok/a")
    system.endpoint(f"mix/{options.seed}/upgrade")
    system.restart(**LONG_LEASE)
    producer = system.produce(rate=60, seconds=9, seed=f"{options.seed}-old")
    time.sleep(1)
    with _migrated(system, report):
        _replace_all(system, report, options)
        system.fork_client.wait(producer, 30)
        report.figures["settled after s"] = system.settle()
        require_both_releases(system, report)


@contextmanager
def _migrated(system: System, report: Report) -> Iterator[None]:
    """Migrate to the next release for the block, then back, with the usual processes running again."""
    migrations = next_migrations(system.folder / "migrations")
    usual = system.web, system.pool, system.schedulers
    report.figures["migrated after s"] = migrate(system, migrations, "head")
    try:
        yield
    finally:
        for group in (system.web, system.pool, *system.schedulers, *usual[:2], *usual[2]):
            group.kill()
        system.web, system.pool, system.schedulers = usual
        migrate(system, migrations, CURRENT)
        system.ensure_running()


def _replace_all(system: System, report: Report, options: Options) -> None:
    """Replace every process, old and new side by side for a while; the first new web has its own port."""
    [port] = free_ports(1)
    second = _start_next_release(system, "web", WEB_WORKERS, PORT=str(port))
    wait_for(lambda: system.is_healthy(port), 20, "the new web")
    producer = system.produce(rate=40, seconds=6, seed=f"{options.seed}-new", port=port)
    time.sleep(1)  # old workers, new web
    old_pool, system.pool = system.pool, _start_next_release(system, "pool")
    time.sleep(1)  # both workers, both webs
    report.figures["old workers stopped after s"] = old_pool.stop()
    [old_scheduler], system.schedulers = system.schedulers, [_start_next_release(system, "scheduler")]
    old_scheduler.stop()
    time.sleep(1)  # new workers, old web
    report.figures["old web stopped after s"] = system.web.stop()
    system.web = _start_next_release(system, "web", WEB_WORKERS)
    system.fork_client.wait(producer, 30)
    second.stop()


def _start_next_release(system: System, function: str, *arguments: int, **environ: str) -> ProcessGroup:
    def start() -> int:
        return system.fork_client.call(
            "faults.entry_points:as_next_release",
            *(function, *arguments),
            name=function,
            env=system.environment | environ,
        )

    group = ProcessGroup(system.fork_client, start)
    group.start()
    return group


def next_migrations(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "webhooks_app" / "db" / "migrations", folder)
    (folder / "versions" / f"{NEXT}.py").write_text(NEXT_MIGRATION)
    return folder


def migrate(system: System, folder: Path, revision: str) -> float:
    """Migrate in a process of its own, again where traffic held the locks, and return the seconds it took."""
    began = time.monotonic()
    for _ in range(MIGRATION_TRIES):
        pid = system.fork_client.call(
            "faults.entry_points:migrate", *(str(folder), revision), name="migrate", env=system.environment
        )
        system.fork_client.wait(pid, 40)
        if (_revision(system) == NEXT) == (revision == "head"):
            return time.monotonic() - began
    raise RuntimeError(f"not migrated in {MIGRATION_TRIES} tries; see {system.fork_client.log('migrate')}")


def _revision(system: System) -> str:
    with system.app.app_context(), db.engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def require_both_releases(system: System, report: Report) -> None:
    statuses = {line["error"] for line in journal.read(system.journal) if "error" in line}
    report.figures["not accepted"] = system.not_accepted_count()
    report.require(statuses <= {0, 503}, f"producers were answered {sorted(statuses)}")
    made_by = text(
        "SELECT coalesce(made_by, 'old'), count(*) FROM deliveries WHERE workspace_id = :mine GROUP BY 1"
    )
    with system.app.app_context(), db.engine.connect() as connection:
        made = connection.execute(made_by, {"mine": system.workspace_id}).all()
    by_release = {row[0]: row[1] for row in made}
    report.figures |= {f"made by the {release} release": count for release, count in by_release.items()}
    report.require(min(by_release.get("old", 0), by_release.get("new", 0)) >= 100, f"made by {by_release}")
    report.require(system.outcomes().keys() == {"success"}, f"outcomes: {system.outcomes()}")
