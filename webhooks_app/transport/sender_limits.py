"""Bound look-ups, connections and what is read: values that a `Sender` is given. Pure."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverLimits:
    # getaddrinfo(3) does not tell an answer's time to live. A name that moves is followed once that time has
    # passed in whatever answers the system's resolver, and then this one.
    fresh_seconds: float = 30.0
    # An aged answer helps over name servers that fail for minutes; a site rarely moves just then.
    usable_seconds: float = 300.0
    # How long a request waits for a newer answer before it makes do with an aged one.
    refresh_seconds: float = 0.25
    # Ordinary look-ups take less; for dead name servers the system's resolver waits five seconds and more.
    slow_after_seconds: float = 1.0
    # Each look-up has a thread, as getaddrinfo(3) blocks.
    lookups_at_once: int = 128
    # So many are of names that were slow the last time, so that those take nothing from the others.
    slow_lookups_at_once: int = 16
    # All look-ups, those included that turned out to be slow just now; a thread takes about 0.05 MB.
    threads: int = 512
    # A thousand cached answers take about 0.3 MB.
    cached_names: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    idle: int = 1024
    # Open at once; 0 stands for any number, which is what is in flight and idle.
    total: int = 0
    # As many as the largest concurrency of one endpoint. What waits for a connection inside libcurl costs
    # each request that ends a walk over all that wait (docs/decisions/0009).
    per_host: int = 256
    # Balancers spread new connections only, and a host may move behind an address that stays.
    longest_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodLimits:
    # Most responses take one or two reads of some 0.05 ms. The kernel is asked how much came after so many,
    # or after a read that took far longer: libcurl then read on and on, maybe for other requests as well.
    reads_per_check: int = 4
    slow_read_seconds: float = 0.002
    # The largest head that libcurl takes has 300 KB; what is read of a body, and its wrapping, is far less.
    max_bytes: int = 1024 * 1024
    # Where the kernel does not count bytes: head and body in pieces of 300 bytes.
    max_reads: int = 1024
    # No call of libcurl takes so long, unless OpenSSL reads a TLS handshake that never ends.
    libcurl_call_seconds: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLimits:
    resolver: ResolverLimits = field(default_factory=ResolverLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    floods: FloodLimits = field(default_factory=FloodLimits)


DEFAULT_LIMITS = SenderLimits()

# What a worker has open besides: the database, Redis, its log, the standard streams; some 40 at most.
_OTHER_FILES = 64
# Two files or sockets, as a name server is asked for either kind of address.
_FILES_PER_LOOKUP = 2


def fit_open_files(in_flight: int, open_files: int) -> tuple[int, SenderLimits]:
    """Return how many of the requests in flight fit, and the limits with which a `Sender` sends them.

    Each takes a socket, and another one while it connects to a second address of its name; an idle connection
    takes one.
    """
    free = max(open_files - _OTHER_FILES, 16)
    resolver, connections = DEFAULT_LIMITS.resolver, DEFAULT_LIMITS.connections
    lookups = min(resolver.lookups_at_once, free // 8)
    total = (free - _FILES_PER_LOOKUP * lookups) * 2 // 3
    if total >= max(in_flight, connections.idle):
        return in_flight, DEFAULT_LIMITS
    few = {"lookups_at_once": lookups, "slow_lookups_at_once": max(lookups // 8, 1), "threads": lookups}
    limits = SenderLimits(
        resolver=replace(resolver, **few), connections=replace(connections, idle=total, total=total)
    )
    return min(in_flight, total), limits
