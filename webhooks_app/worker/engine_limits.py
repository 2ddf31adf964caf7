"""How much the delivery engine does at once, and how long it waits. Tests hand in others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimits:
    """How many requests an endpoint may have in flight; see `concurrency`."""

    initial: int = 16
    smallest: int = 1
    largest: int = 256
    # The share of all slots for endpoints that did not answer the last time, and for these together with the
    # ones that this process has not sent to yet.
    unresponsive_share: float = 0.5
    unproven_share: float = 0.75
    # Idle endpoints are forgotten past this number; 10,000 take about 2 MB.
    remembered_endpoints: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLimits:
    """When an engine looks for due endpoints, and when it claims from them."""

    # Endpoints that one scan steps over; the next scan goes on behind them.
    endpoints_per_scan: int = 1000
    # A busy engine claims this many deliveries at least, or waits for the interval to pass, as a claim has a
    # price whatever its size.
    worthwhile_count: int = 128
    interval_seconds: float = 0.02
    # On PostgreSQL, a claim from so few endpoints, and of so few deliveries, brings the bodies along: one
    # event's comes once for each endpoint, and many may be long. A claim before a scan is of no more there.
    endpoints_with_bodies: int = 4
    deliveries_with_bodies: int = 16
    # From so few that wake-ups name, a claim is made before a scan.
    unscanned_endpoints: int = 4
    # While requests are in flight, a scan finds what falls due by time alone this often.
    scan_interval_seconds: float = 0.25
    # While due endpoints are known, a requested scan waits for this many times the duration of the last scan.
    scan_pause_factor: float = 4
    # A requested scan waits for `pause_seconds_each` per delivery of the last claim, but no longer than
    # `longest_pause_seconds`.
    pause_seconds_each: float = 0.001
    longest_pause_seconds: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferLimits:
    """When outcomes are written: one transaction for many rows under load, hardly any delay without load."""

    largest: int = 250
    oldest_seconds: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffLimits:
    """How long an engine leaves a database alone that did not answer; the time doubles up to the longest."""

    first_seconds: float = 0.25
    longest_seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PostponeLimits:
    """When a delivery is sent again that this platform had no means left to send; see `postponed`."""

    delay_seconds: float = 5.0
    # For this long nothing else is sent, as it would fail in the same way; arriving answers free resources.
    rest_seconds: float = 0.25
    # About five minutes; then it is recorded as an attempt.
    most_times: int = 60
    remembered_deliveries: int = 20_000
    logged_every_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """All limits of a delivery engine."""

    concurrency: ConcurrencyLimits = ConcurrencyLimits()
    claims: ClaimLimits = ClaimLimits()
    buffer: BufferLimits = BufferLimits()
    backoff: BackoffLimits = BackoffLimits()
    postpone: PostponeLimits = PostponeLimits()
    # Destinations kept in memory at most; a thousand take about 1 MB.
    cached_destinations: int = 20_000
    poll_ms: int = 4
    # How long a run with nothing in flight waits at a time: while it has to poll for wake-ups, and while it
    # is notified of them.
    idle_seconds: float = 0.002
    notified_seconds: float = 0.05
    # After its last work a run waits this long for more, which costs less than the job that it saves.
    linger_seconds: float = 0.1
    # Supervisors kill five to ten seconds after they ask a process to stop; requests that are not answered by
    # then are abandoned and their deliveries released.
    stop_grace_seconds: float = 3.0
    # How long a database that is busy just then is asked to take those back.
    release_seconds: float = 2.0


DEFAULT_LIMITS = EngineLimits()
