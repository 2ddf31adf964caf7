"""Judge all addresses that the host of a URL resolved to. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.address_rules import is_address
from webhooks_app.transport.name_lookup import LookupResult
from webhooks_app.transport.target_policy import TargetPolicy, address_problem
from webhooks_app.transport.target_ports import DEFAULT_PORTS

# As many as the resolver caches names.
MAX_CACHED_TARGETS = 20_000


@dataclass(slots=True, frozen=True)
class Target:
    """Hold where a normalised URL leads, before any name is looked up."""

    host: str
    port: int
    is_tls: bool
    is_address: bool


@lru_cache(maxsize=MAX_CACHED_TARGETS)
def target_of(url: str) -> Target:
    """Return the target of a normalised URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return Target(host, parts.port or DEFAULT_PORTS[parts.scheme], parts.scheme == "https", is_address(host))


@dataclass(slots=True, frozen=True)
class ResolvedTarget:
    """Hold all addresses of a target in the form of CURLOPT_RESOLVE, or the reason why it is refused."""

    result: LookupResult
    curl_resolve: str = ""
    refusal: tuple[OutcomeClass, str] | None = None


class JudgedTargets:
    """Judge each result once per target, as a policy does not change while a process runs."""

    def __init__(self, policy: TargetPolicy) -> None:
        self._policy = policy
        self._cache: dict[Target, ResolvedTarget] = {}

    def get(self, result: LookupResult, target: Target) -> ResolvedTarget:
        resolved = self._cache.get(target)
        if resolved is None or resolved.result is not result:
            if len(self._cache) > MAX_CACHED_TARGETS:
                self._cache.clear()
            resolved = self._cache[target] = _judge(result, target, self._policy)
        return resolved


def _judge(result: LookupResult, target: Target, policy: TargetPolicy) -> ResolvedTarget:
    if result.problem:
        kind = OutcomeClass.PLATFORM if result.is_platform_fault else OutcomeClass.DNS
        return ResolvedTarget(result, refusal=(kind, result.problem))
    for address in result.addresses:
        if problem := address_problem(address, target.port, target.host, policy):
            sentence = f"{target.host} resolves to {', '.join(result.addresses[:4])}. {problem}"
            return ResolvedTarget(result, refusal=(OutcomeClass.BLOCKED, sentence))
    # With the plus, an entry ages in libcurl's cache; each request brings its own.
    addresses = ",".join(f"[{each}]" if ":" in each else each for each in result.addresses)
    return ResolvedTarget(result, curl_resolve=f"+{target.host}:{target.port}:{addresses}")
