"""The outbox on MySQL: where its SQL or its locks could differ from the others'.

That is a MariaDB here, which packages bring; TEST_MYSQL_URL names a database of another server to test on,
such as `mysql+pymysql://root@localhost/app?unix_socket=/run/mysqld.sock`, whose outbox is dropped.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pymysql
import pytest

from avra_client.client import Client
from tests.avra_client import test_failing_rows, test_outbox, test_outbox_rows, test_relay, test_relay_killed
from tests.avra_client.conftest import Store
from tests.conftest import Workspace, unavailable
from tests.waiting import wait_for

RELAYED: list[Callable[[Store, Client], None]] = [
    test_relay.test_everything_is_handed_over_once_and_in_order,
    test_relay.test_an_event_arrives_as_it_was_written,
    test_relay.test_a_refused_row_is_set_aside_and_keeps_no_other_back,
    test_relay.test_what_a_dead_relay_had_sent_is_known_under_its_key,
    test_relay.test_several_relays_share_the_rows,
    test_relay.test_sent_rows_may_be_kept_with_their_events_and_sent_again,
    test_outbox_rows.pass_over_what_is_locked,
    test_outbox_rows.record_after_a_deadlock,
]


@pytest.fixture(scope="module")
def mysql_url(scratch: Path) -> Iterator[str]:
    """A server of the module's own, without accounts and tables of its own, on a socket alone."""
    if url := os.environ.get("TEST_MYSQL_URL"):
        yield url
        return
    path = os.environ["PATH"] + ":/usr/sbin"
    program = shutil.which("mariadbd", path=path) or unavailable(
        "mariadbd", "apt install mariadb-server-core"
    )
    folder, socket = scratch / "mysql", scratch / "mysql.sock"
    folder.mkdir()
    options = [f"--datadir={folder}", f"--socket={socket}", "--skip-networking", "--skip-grant-tables"]
    with (scratch / "mysql.log").open("wb") as log:
        command = [program, "--no-defaults", "--user=root", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    wait_for(lambda: _create_database(socket) or process.poll() is not None, 60)
    yield f"mysql+pymysql://root@localhost/app?unix_socket={socket}"
    process.terminate()
    process.wait(120)


def _create_database(socket: Path) -> bool:
    if not socket.exists():  # a connection that fails warns that it was not closed
        return False
    with suppress(pymysql.err.OperationalError):
        connection = pymysql.connect(unix_socket=str(socket), user="root")
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE app")
            return True
    return False


@pytest.fixture
def empty_store(mysql_url: str) -> Iterator[Store]:
    with closing(Store(mysql_url)) as store:
        yield store
    store.run("DROP TABLE IF EXISTS avra_outbox")


@pytest.mark.parametrize("check", RELAYED, ids=lambda check: check.__name__.removeprefix("test_"))
def test_a_relay_does_as_on_other_databases(
    store: Store, client: Client, check: Callable[[Store, Client], None]
) -> None:
    check(store, client)


@pytest.mark.parametrize(
    "transaction", test_outbox.WAYS, ids=lambda way: getattr(way, "__name__", "").strip("_")
)
def test_an_event_is_there_when_the_transaction_commits_and_not_when_it_rolls_back(
    store: Store, transaction: test_outbox.Transaction
) -> None:
    test_outbox.check_transaction(store, transaction)


def test_the_table_of_the_metadata_is_that_of_the_sql(
    empty_store: Store, request: pytest.FixtureRequest
) -> None:
    test_outbox.check_table(empty_store, request)


def test_rows_that_fail_are_claimed_as_on_other_databases(store: Store) -> None:
    test_failing_rows.test_of_rows_that_fail_one_is_claimed_at_a_time_and_where_nothing_else_is_due_first(
        store
    )


def test_each_row_becomes_one_event_wherever_its_relay_is_killed(store: Store, workspace: Workspace) -> None:
    test_relay_killed.test_each_row_becomes_one_event_wherever_its_relay_is_killed(store, workspace)
