"""Judge all addresses that a URL's host resolved to, and tell which connections still lead there. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from urllib.parse import urlsplit

from webhooks_app.core.ip_addresses import is_address
from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.name_lookup import LookupResult
from webhooks_app.transport.target_policy import TargetPolicy, refusal_of_address
from webhooks_app.transport.target_ports import DEFAULT_PORTS

# As many as the resolver caches names.
MOST_CACHED_TARGETS = 20_000


@dataclass(slots=True, frozen=True)
class Target:
    """Hold where a normalised URL leads, before any name is looked up."""

    host: str
    port: int
    is_tls: bool
    is_address: bool


@lru_cache(maxsize=MOST_CACHED_TARGETS)
def target_of(url: str) -> Target:
    """Return the target of a normalised URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return Target(host, parts.port or DEFAULT_PORTS[parts.scheme], parts.scheme == "https", is_address(host))


@dataclass(slots=True, frozen=True)
class ResolvedTarget:
    """Hold all addresses of a target as libcurl takes them, or the reason why it is refused.

    libcurl is told to connect to `connection_name` instead of the target's host, by CURLOPT_CONNECT_TO, and
    that this name has the target's addresses, by CURLOPT_RESOLVE. So it reuses a connection only under the
    same name, whether that is idle or shared with requests under way, as in HTTP/2. TLS and the Host header
    keep the target's host. `named_at`: since when this name stands, in seconds of the monotonic clock.
    """

    result: LookupResult
    connection_name: str = ""
    named_at: float = 0.0
    curl_resolve: str = ""
    curl_connect_to: str = ""
    refusal: tuple[OutcomeClass, str] | None = None

    def name_host(self, message: str, target: Target) -> str:
        """Return a message of libcurl with the host that an admin knows."""
        without_detour = message.replace(f" via {self.connection_name}:{target.port}", "")
        return without_detour.replace(self.connection_name, target.host)


class ResolvedTargets:
    """Judge each result once per target, as a policy does not change while a process runs."""

    def __init__(self, policy: TargetPolicy, longest_connection_seconds: float) -> None:
        self._policy = policy
        self._longest_connection_seconds = longest_connection_seconds
        self._cache: dict[Target, ResolvedTarget] = {}
        self._numbers = count()

    def get(self, result: LookupResult, target: Target) -> ResolvedTarget:
        resolved = self._cache.get(target)
        if resolved is None or resolved.result is not result:
            if len(self._cache) > MOST_CACHED_TARGETS:
                self._cache.clear()
            resolved = self._cache[target] = self._resolve(result, target, resolved)
        return resolved

    def _resolve(self, result: LookupResult, target: Target, before: ResolvedTarget | None) -> ResolvedTarget:
        if refusal := _problem_of_result(result, target, self._policy):
            return ResolvedTarget(result, refusal=refusal)
        if before and self._keeps_connections(before, result):
            return _for_libcurl(result, target, before.connection_name, before.named_at)
        return _for_libcurl(result, target, f"{next(self._numbers)}.{target.host}", result.arrived_at)

    def _keeps_connections(self, before: ResolvedTarget, result: LookupResult) -> bool:
        """Return whether each connection that may be there still leads to one of the name's addresses."""
        if before.refusal or result.arrived_at - before.named_at >= self._longest_connection_seconds:
            return False
        return set(before.result.addresses) <= set(result.addresses)


def _problem_of_result(
    result: LookupResult, target: Target, policy: TargetPolicy
) -> tuple[OutcomeClass, str] | None:
    if result.problem:
        return (OutcomeClass.PLATFORM if result.is_platform_fault else OutcomeClass.DNS), result.problem
    for address in result.addresses:
        if problem := refusal_of_address(address, target.port, target.host, policy):
            sentence = f"{target.host} resolves to {', '.join(result.addresses[:4])}. {problem}"
            return OutcomeClass.BLOCKED, sentence
    return None


def _for_libcurl(result: LookupResult, target: Target, name: str, named_at: float) -> ResolvedTarget:
    addresses = ",".join(f"[{each}]" if ":" in each else each for each in result.addresses)
    return ResolvedTarget(
        result,
        name,
        named_at,
        # With the plus, an entry ages in libcurl's cache; each request brings its own.
        curl_resolve=f"+{name}:{target.port}:{addresses}",
        curl_connect_to=f"{target.host}:{target.port}:{name}:{target.port}",
    )
