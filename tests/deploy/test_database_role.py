"""The SQL that makes role and database, on the tests' own server."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from tests.conftest import alone, make_settings, opened
from tests.deploy.programs import DEPLOY, postgresql_programs, run
from tests.docs_site.code_blocks import block
from tests.patience import patient_app
from webhooks_app.cli.maintenance import bring_up_to_date

PSQL = postgresql_programs() / "psql"
NAME = "avra_of_the_deployment_test"


def address(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def made(postgresql_url: str) -> Iterator[URL]:
    """The address of a database that the SQL made, for the role that it made."""
    admin = make_url(postgresql_url).set(database="postgres")
    sql = (DEPLOY / "postgresql" / "create.sql").read_text().replace("avra", NAME)
    with alone("deployment-role"):
        try:
            run(PSQL, address(admin), "-X", "-v", "ON_ERROR_STOP=1", "-v", "password=a'secret'", input=sql)
            yield admin.set(username=NAME, password="a'secret'", database=NAME)
        finally:
            drop = f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE);\nDROP ROLE IF EXISTS {NAME};\n"
            run(PSQL, address(admin), "-X", input=drop)


def test_the_role_can_migrate_its_database_and_do_nothing_else(
    made: URL, redis_url: str, tmp_path: Path
) -> None:
    settings = make_settings(made.render_as_string(hide_password=False), redis_url, tmp_path)
    with opened(patient_app(settings)):
        bring_up_to_date()
    with psycopg.connect(address(made)) as connection:
        [row] = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls"
            " FROM pg_roles WHERE rolname = current_user"
        )
        assert row == (False, False, False, False)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_others_can_neither_connect_nor_create(made: URL) -> None:
    with psycopg.connect(address(made)) as connection:
        [rights] = connection.execute(
            "SELECT has_database_privilege('public', current_database(), 'CONNECT'),"
            " has_schema_privilege('public', 'public', 'CREATE, USAGE')"
        )
    assert rights == (False, False)


def test_connections_notice_a_host_that_vanished(made: URL) -> None:
    shown = block("docs/production.md", "ALTER ROLE avra SET tcp_keepalives_idle = 60;")
    with psycopg.connect(address(made), autocommit=True) as connection:
        for statement in shown.splitlines():
            connection.execute(statement.replace("ROLE avra", f"ROLE {NAME}"))
    with psycopg.connect(address(made)) as connection:
        [(settings,)] = connection.execute("SELECT rolconfig FROM pg_roles WHERE rolname = current_user")
    assert settings == ["tcp_keepalives_idle=60", "tcp_keepalives_interval=10", "tcp_keepalives_count=3"]
