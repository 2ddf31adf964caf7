"""What whoever runs the platform does to it under traffic: retention deletes, and a new release comes in."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.exc import NoResultFound

from faults import deleted_rows, journal
from faults.harness import ROOT, Group, TooSlow, free_ports, wait_for
from faults.processes import PATIENT, WEB_WORKERS
from faults.registry import Options, scenario
from faults.reports import Report
from faults.system import Stack
from webhooks_app.db.models import FINAL_STATES, Delivery
from webhooks_app.extensions import db

VERSIONS = ROOT / "webhooks_app" / "db" / "migrations" / "versions"

RETENTION_DAYS = 30  # of a new workspace
# Of each batch that retention deletes, that its process dies before the commit.
DEATH_CHANCE = 0.05
FEWEST_DEATHS = 3

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


@scenario("24: retention, killed half-way again and again, takes nothing that is not final")
def retention(stack: Stack, report: Report, options: Options) -> None:
    """It works as if everything were 30 days older, so that what is finished goes at once."""
    stack.restart(**PATIENT, WEBHOOKS_RETRY_DELAYS="0.2,0.3,0.5,0.5")
    report.schedule_length = 4
    held = stack.endpoint("ok/held")
    for path in ("ok/a", f"mix/{options.seed}/a", "always/500/a", "always/slow-500-200/a"):
        stack.endpoint(path)
    stack.disable(held)
    stack.open_graveyard()
    producer = stack.produce(rate=50, seconds=7, seed=options.seed)
    replayer = threading.Thread(target=_replay, args=(stack, time.monotonic() + 7))
    replayer.start()
    deaths = _retain(stack, options.seed, seconds=4)
    report.figures["held"] = had = stack.enable(held, send_held=True)
    deaths += _retain(stack, f"{options.seed}-2", seconds=4)
    replayer.join()
    stack.nursery.wait(producer, 30)
    report.figures |= {"settled after s": stack.settle(), "killed": deaths}
    report.figures["replays"] = stack.audit_count("delivery.replay")
    _judge(stack, report)
    report.require(had >= 100, f"only {had} deliveries were held meanwhile")
    report.require(deaths >= FEWEST_DEATHS, f"it died only {deaths} times")


def _retain(stack: Stack, seed: str, *, seconds: float) -> int:
    """Starts it again whenever it has died; how often that was."""
    deaths, until, pid = 0, time.monotonic() + seconds, 0
    while time.monotonic() < until:
        if not stack.nursery.is_alive(pid):
            deaths += pid > 0
            pid = stack.nursery.call(
                "faults.programs:retain",
                *(RETENTION_DAYS, f"{seed}-{deaths}", DEATH_CHANCE),
                name="retention",
                env=stack.environment,
            )
        time.sleep(0.02)
    stack.nursery.kill(pid)
    return deaths + 1


def _replay(stack: Stack, until: float) -> None:
    """Replays what is final while it is about to be deleted."""
    final = select(Delivery.id).where(Delivery.state.in_(FINAL_STATES)).order_by(Delivery.id.desc()).limit(3)
    while time.monotonic() < until:
        with stack.app.app_context(), db.engine.connect() as connection:
            found = connection.scalars(final.where(Delivery.workspace_id == stack.workspace_id)).all()
        for delivery_id in found:
            with suppress(NoResultFound):
                stack.replay(delivery_id)
        time.sleep(0.01)


def _judge(stack: Stack, report: Report) -> None:
    with stack.app.app_context(), db.engine.connect() as connection:
        report.problems += deleted_rows.unripe(connection)[:5]
        for table in ("events", "deliveries", "attempts"):
            count = connection.execute(text(f"SELECT count(*) FROM buried_{table}")).scalar_one()
            report.figures[f"deleted {table}"] = count
            report.require(count >= 20, f"only {count} {table} were deleted")


@scenario("25: a rolling upgrade with a migration in between")
def rolling_upgrade(stack: Stack, report: Report, options: Options) -> None:
    """As docs/production.md has it: migrate, then replace the processes one by one. The migration is one of
    the next release's, which adds columns and an index; its processes fill them, those of this one do not."""
    stack.endpoint("ok/a")
    stack.endpoint(f"mix/{options.seed}/upgrade")
    stack.restart(**PATIENT)
    producer = stack.produce(rate=60, seconds=9, seed=f"{options.seed}-old")
    time.sleep(1)
    with _migrated(stack, report):
        _replace_all(stack, report, options)
        stack.nursery.wait(producer, 30)
        report.figures["settled after s"] = stack.settle()
        _judge_upgrade(stack, report)


@contextmanager
def _migrated(stack: Stack, report: Report) -> Iterator[None]:
    """The database is as the next release has it, and in the end as it was, with the processes that were."""
    migrations = _next_migrations(stack.folder / "migrations")
    usual = stack.web, stack.pool, stack.schedulers
    report.figures["migrated after s"] = _migrate(stack, migrations, "head")
    try:
        yield
    finally:
        for group in (stack.web, stack.pool, *stack.schedulers, *usual[:2], *usual[2]):
            group.kill()
        stack.web, stack.pool, stack.schedulers = usual
        _migrate(stack, migrations, CURRENT)
        stack.heal()


def _replace_all(stack: Stack, report: Report, options: Options) -> None:
    """The new web on a port of its own at first, as behind a balancer; each pair side by side for a while."""
    [port] = free_ports(1)
    second = _upgraded(stack, "web", WEB_WORKERS, PORT=str(port))
    wait_for(lambda: stack.is_healthy(port), 20, "the new web")
    producer = stack.produce(rate=40, seconds=6, seed=f"{options.seed}-new", port=port)
    time.sleep(1)  # old workers, new web
    old_pool, stack.pool = stack.pool, _upgraded(stack, "pool")
    time.sleep(1)  # both workers, both webs
    report.figures["old workers stopped after s"] = old_pool.stop()
    [old_scheduler], stack.schedulers = stack.schedulers, [_upgraded(stack, "scheduler")]
    old_scheduler.stop()
    time.sleep(1)  # new workers, old web
    report.figures["old web stopped after s"] = stack.web.stop()
    stack.web = _upgraded(stack, "web", WEB_WORKERS)
    stack.nursery.wait(producer, 30)
    second.stop()


def _upgraded(stack: Stack, function: str, *arguments: int, **environ: str) -> Group:
    def start() -> int:
        return stack.nursery.call(
            "faults.programs:upgraded",
            *(function, *arguments),
            name=function,
            env=stack.environment | environ,
        )

    group = Group(stack.nursery, start)
    group.start()
    return group


def _next_migrations(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "webhooks_app" / "db" / "migrations", folder)
    (folder / "versions" / f"{NEXT}.py").write_text(NEXT_MIGRATION)
    return folder


def _migrate(stack: Stack, folder: Path, revision: str) -> float:
    """In a process of its own, as an operator does, and again where the traffic got into its way."""
    began = time.monotonic()
    for _ in range(MIGRATION_TRIES):
        pid = stack.nursery.call(
            "faults.programs:migrate", *(str(folder), revision), name="migrate", env=stack.environment
        )
        stack.nursery.wait(pid, 40)
        if (_revision(stack) == NEXT) == (revision == "head"):
            return time.monotonic() - began
    raise TooSlow(f"not migrated in {MIGRATION_TRIES} tries; see {stack.nursery.log('migrate')}")


def _revision(stack: Stack) -> str:
    with stack.app.app_context(), db.engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _judge_upgrade(stack: Stack, report: Report) -> None:
    statuses = {line["error"] for line in journal.read(stack.journal) if "error" in line}
    report.figures["refusals"] = stack.refusals()
    report.require(statuses <= {0, 503}, f"producers were answered {sorted(statuses)}")
    made_by = text(
        "SELECT coalesce(made_by, 'old'), count(*) FROM deliveries WHERE workspace_id = :mine GROUP BY 1"
    )
    with stack.app.app_context(), db.engine.connect() as connection:
        made = connection.execute(made_by, {"mine": stack.workspace_id}).all()
    by_release = {row[0]: row[1] for row in made}
    report.figures |= {f"made by the {word}": count for word, count in by_release.items()}
    report.require(min(by_release.get("old", 0), by_release.get("new", 0)) >= 100, f"made by {by_release}")
    report.require(stack.outcomes().keys() == {"success"}, f"outcomes: {stack.outcomes()}")
