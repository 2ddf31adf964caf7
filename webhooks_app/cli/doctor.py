"""`doctor`: tries whatever a deployment depends on, from where it runs, and says what is wrong."""

import sys
from collections.abc import Iterator
from datetime import timedelta

import click
from sqlalchemy import select

from webhooks_app import config
from webhooks_app.cli import host_checks
from webhooks_app.cli.findings import Finding, FindingStatus
from webhooks_app.config import ConfigError, Settings
from webhooks_app.core.encryption import Cipher, DecryptionError
from webhooks_app.db import database_clock, dialect_sql, disk_space, engines, schema_version, transient_errors
from webhooks_app.db.database_limits import COMMAND_LIMITS
from webhooks_app.db.engines import Databases
from webhooks_app.db.models import SigningSecret
from webhooks_app.db.schema_version import WrongSchema
from webhooks_app.deliveries.erasure import payload_rows
from webhooks_app.events import catalog
from webhooks_app.events.catalog import CatalogError
from webhooks_app.jobs import redis_check, redis_start
from webhooks_app.monitoring import facts, own_report, problems, write_probe, write_problems
from webhooks_app.monitoring.problem_codes import Severity


@click.command()
def doctor() -> None:
    """Try whether all works that the platform depends on.

    The settings, the catalog, the database and its schema, encryption keys, Redis and the commands that it
    must allow, clocks, the limit of open files, the web's addresses, the collector of traces, the way out,
    the mail server, single sign-on, and the processes that report. Changes nothing. Ends with status 1 if
    something failed.
    """
    has_failed = False
    for finding in examine():
        has_failed = has_failed or finding.status is FindingStatus.FAILED
        click.echo(f"{finding.status.ljust(7)}  {finding.subject.ljust(11)}  {finding.text}")
    sys.exit(1 if has_failed else 0)


def examine() -> Iterator[Finding]:
    """Yield what each check finds, as it is made."""
    try:
        settings = config.read_existing()
    except ConfigError as error:
        yield Finding("settings", FindingStatus.FAILED, str(error))
        return
    for warning in settings.warnings:
        yield Finding("settings", FindingStatus.WARNING, warning)
    yield Finding("settings", FindingStatus.OK, "All can be used; `avra config` shows them.")
    yield _catalog(settings)
    yield from _web(settings)
    yield from _database(settings)
    yield from _redis(settings)
    yield from host_checks.examine(settings)


def _catalog(settings: Settings) -> Finding:
    try:
        loaded = catalog.load(settings.catalog)
    except CatalogError as error:
        more = f" and {len(error.problems) - 1} more; see `avra catalog check`" if error.problems[1:] else ""
        return Finding("catalog", FindingStatus.FAILED, f"{error}{more}")
    which = f"{settings.catalog}" if settings.catalog else "The built-in one"
    count = len(loaded.event_types)
    return Finding(
        "catalog", FindingStatus.OK, f"{which}: {count} event {'type' if count == 1 else 'types'}."
    )


def _web(settings: Settings) -> Iterator[Finding]:
    if settings.base_url.startswith("http://") and not settings.embedded_database:
        text_of = f"WEBHOOKS_BASE_URL is {settings.base_url}: without https://, others can read tokens."
        yield Finding("web", FindingStatus.WARNING, text_of)
    if settings.lease_seconds < config.SAFE_LEASE_SECONDS:
        text_of = f"WEBHOOKS_LEASE_SECONDS is {settings.lease_seconds}: what takes longer is sent twice."
        yield Finding("web", FindingStatus.WARNING, text_of)


def _database(settings: Settings) -> Iterator[Finding]:
    engine = engines.open_engine(settings.database_url, waits_for_disk=True, limits=COMMAND_LIMITS)
    try:
        yield from _opened_database(settings, engines.databases_of(engine))
    except WrongSchema as error:
        yield Finding("schema", FindingStatus.FAILED, str(error))
    except transient_errors.DATABASE_ERRORS as error:
        reason = transient_errors.reason(error)
        yield Finding("database", FindingStatus.FAILED, f"It does not answer as it should: {reason}")
    finally:
        engine.dispose()


def _opened_database(settings: Settings, databases: Databases) -> Iterator[Finding]:
    with databases.read.connect() as connection:
        _, difference = database_clock.compare(connection)
        yield Finding("database", FindingStatus.OK, f"{dialect_sql.server_version(connection)}.")
        if advice := disk_space.advice(connection):
            yield Finding("database", FindingStatus.WARNING, advice)
    if problem := disk_space.low_space_problem(settings.database_url):
        yield Finding("database", FindingStatus.FAILED, problem)
    yield _clock(difference)
    schema_version.require_current_or_newer(databases.read)
    yield Finding("schema", FindingStatus.OK, "It is the one that this version needs.")
    if refusal := write_probe.try_to_write(databases.write):
        yield Finding(
            "database", FindingStatus.FAILED, f"It takes no writes: {write_problems.reason(refusal)}."
        )
    yield _try_keys_on_secrets(settings, databases)
    with databases.read.connect() as connection:
        if advice := payload_rows.samples_advice(connection):
            yield Finding("database", FindingStatus.WARNING, advice)
        known = facts.read(connection)
    found = problems.find(known, up_since=known.now - timedelta(days=1))
    for each in found:
        failed = each.severity is Severity.FAILING
        text_of = " ".join(part for part in (each.text, each.detail) if part)
        yield Finding("processes", FindingStatus.FAILED if failed else FindingStatus.WARNING, text_of)
    if not found:
        counts = ", ".join(f"{len(known.reports.alive(kind))} {kind}" for kind in own_report.KINDS)
        yield Finding("processes", FindingStatus.OK, f"Reporting: {counts}.")


def _clock(difference: timedelta) -> Finding:
    seconds = difference.total_seconds()
    if abs(difference) > problems.LARGEST_CLOCK_DIFFERENCE:
        way = "ahead of" if seconds > 0 else "behind"
        return Finding(
            "clock", FindingStatus.FAILED, f"It is {abs(seconds):,.0f} s {way} the database's; set it by NTP."
        )
    return Finding("clock", FindingStatus.OK, f"It differs from the database's by {abs(seconds):.1f} s.")


def _try_keys_on_secrets(settings: Settings, databases: Databases) -> Finding:
    """Try the keys on the newest and the oldest secret there are."""
    cipher = Cipher(settings.encryption_keys)
    with databases.read.connect() as connection:
        ends = [
            connection.execute(
                select(SigningSecret.endpoint_id, SigningSecret.ciphertext).order_by(order).limit(1)
            ).first()
            for order in (SigningSecret.id, SigningSecret.id.desc())
        ]
    try:
        for row in filter(None, ends):
            cipher.decrypt(row.endpoint_id, row.ciphertext)
    except DecryptionError:
        text_of = (
            "WEBHOOKS_ENCRYPTION_KEYS do not open the signing secrets that are stored; add the key they need."
        )
        return Finding("keys", FindingStatus.FAILED, text_of)
    return Finding(
        "keys", FindingStatus.OK, "They open what is stored." if any(ends) else "Nothing is stored yet."
    )


def _redis(settings: Settings) -> Iterator[Finding]:
    with redis_start.connect(settings.redis_url) as redis:
        if problem := redis_check.find_problem(redis):
            yield Finding("Redis", FindingStatus.FAILED, f"{problem.text}.")
            return
        yield Finding("Redis", FindingStatus.OK, "It takes every command that is needed.")
        if advice := redis_check.advice(redis):
            yield Finding("Redis", FindingStatus.WARNING, advice)
