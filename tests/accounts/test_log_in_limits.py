"""Tries of passwords: counted before they are checked, and by what."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from webhooks_app.accounts import log_in_limits
from webhooks_app.accounts.log_in_limits import LogInLimits, Source, allowances
from webhooks_app.core import clock
from webhooks_app.db.engines import Databases, WriteDatabase
from webhooks_app.db.models import LogInTries
from webhooks_app.deliveries import retention
from webhooks_app.extensions import db

EMAIL = "ada@example.com"
LIMITS = LogInLimits(per_account=3, per_address=5, per_device=2, per_unknown_proxy=8)
Try = Callable[..., bool]


@pytest.fixture
def attempt(database: WriteDatabase) -> Try:
    """Counts a try; whether it may go on."""

    def attempt(email: str, source: Source, *, now: datetime | None = None) -> bool:
        wanted = allowances(email, source, LIMITS)
        return log_in_limits.reserve(database, wanted, now=now or clock.now(), window=LIMITS.window)

    return attempt


def tried(attempt: Try, count: int, source: Source, *, email: str = "") -> int:
    """Return how many of so many tries went through, each for an account of its own unless one is named."""
    return sum(attempt(email or f"{number}@example.com", source) for number in range(count))


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:8080", "203.0.113.7"),
        ("[2001:db8:1:2:3:4:5:6]:8080", "2001:db8:1:2::/64"),
        ("[::ffff:203.0.113.7]:99", "203.0.113.7"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_ipv6_counts_by_its_network(address: str, key: str) -> None:
    assert log_in_limits.limit_key(address) == key


def test_an_account_is_limited_from_wherever_it_is_tried(attempt: Try) -> None:
    results = [attempt(EMAIL, Source(f"192.0.2.{number}")) for number in range(5)]
    assert results == [True, True, True, False, False]


def test_an_address_is_limited_whatever_it_tries(attempt: Try) -> None:
    assert tried(attempt, 9, Source("192.0.2.1")) == 5
    assert attempt("another@example.com", Source("192.0.2.2"))


def test_a_try_that_is_refused_counts_nowhere(attempt: Try) -> None:
    assert tried(attempt, 9, Source("192.0.2.1"), email=EMAIL) == 3
    assert tried(attempt, 9, Source("192.0.2.1")) == 2


def test_tries_at_the_same_moment_do_not_overshoot(attempt: Try) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: attempt(EMAIL, Source("192.0.2.1")), range(40)))
    assert sum(results) == 3


def test_the_right_password_gives_its_try_back(attempt: Try, database: WriteDatabase) -> None:
    wanted = allowances(EMAIL, Source("192.0.2.1"), LIMITS)
    for _ in range(9):
        assert attempt(EMAIL, Source("192.0.2.1"))
        log_in_limits.give_back(database, wanted, now=clock.now())
    assert tried(attempt, 9, Source("192.0.2.1"), email=EMAIL) == 3


def test_a_window_ends_and_another_begins(attempt: Try) -> None:
    begun = clock.now()
    for _ in range(9):
        attempt(EMAIL, Source("192.0.2.1"), now=begun)
    before = begun + LIMITS.window - timedelta(seconds=1)
    assert not attempt(EMAIL, Source("192.0.2.1"), now=before)
    assert [attempt(EMAIL, Source("192.0.2.1"), now=begun + LIMITS.window) for _ in range(4)] == [
        *(True, True, True, False)
    ]


def test_a_known_device_has_tries_of_its_own_and_no_more(attempt: Try) -> None:
    tried(attempt, 9, Source("192.0.2.1"), email=EMAIL)
    tried(attempt, 9, Source("192.0.2.1"))
    known = Source("192.0.2.1", device="d1")
    assert [attempt(EMAIL, known) for _ in range(3)] == [True, True, False]
    assert attempt(EMAIL, Source("192.0.2.1", device="d2"))


def test_behind_a_proxy_that_is_not_configured_one_client_locks_out_no_other(attempt: Try) -> None:
    assert tried(attempt, 9, Source("10.0.0.1", "203.0.113.9")) == 5
    assert attempt(EMAIL, Source("10.0.0.1", "203.0.113.10"))


def test_who_claims_to_be_a_proxy_gains_a_bounded_number_of_tries(attempt: Try) -> None:
    claims = [Source("127.0.0.1", f"203.0.113.{number}") for number in range(99)]
    assert sum(attempt(f"{claim.claimed_client}@example.com", claim) for claim in claims) == 8


def test_a_claim_gets_nobody_out_of_a_lock(attempt: Try) -> None:
    assert tried(attempt, 9, Source("127.0.0.1")) == 5
    assert not attempt(EMAIL, Source("127.0.0.1", "203.0.113.9"))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1"])
def test_a_claim_from_the_internet_counts_for_nothing(attempt: Try, address: str) -> None:
    claims = [Source(address, f"203.0.113.{number}") for number in range(9)]
    assert sum(attempt(f"{claim.claimed_client}@example.com", claim) for claim in claims) == 5


def test_counts_are_deleted_once_their_window_is_over(
    attempt: Try, databases: Databases, database: WriteDatabase
) -> None:
    now = clock.now()
    attempt(EMAIL, Source("192.0.2.1"), now=now - 2 * LIMITS.window)
    attempt(EMAIL, Source("192.0.2.2"), now=now)
    retention.delete_expired(databases, now=now)
    db.session.rollback()
    kept = set(db.session.scalars(select(LogInTries.resets_at)))
    assert kept == {now + LIMITS.window}
    assert len(db.session.scalars(select(LogInTries.key)).all()) == 2


def test_no_address_and_no_account_can_be_read_from_the_counts(attempt: Try) -> None:
    attempt(EMAIL, Source("192.0.2.1"))
    db.session.rollback()
    for key in db.session.scalars(select(LogInTries.key)):
        assert len(key) == 64
        assert int(key, 16)
