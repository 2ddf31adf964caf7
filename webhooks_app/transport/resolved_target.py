"""From a URL to the addresses that its request may go to, all of them judged. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from webhooks_app.core.outcomes import OutcomeClass
from webhooks_app.transport.address_rules import is_address
from webhooks_app.transport.resolver import LookupResult
from webhooks_app.transport.target_policy import DEFAULT_PORTS, TargetPolicy, address_problem

# Places remembered at most, as with the answers of `names`.
MOST_KEPT = 20_000


@dataclass(slots=True, frozen=True)
class Target:
    """Where a normalised URL leads, before any name is looked up."""

    host: str
    port: int
    is_tls: bool
    is_address: bool


@lru_cache(maxsize=MOST_KEPT)
def target_of(url: str) -> Target:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return Target(host, parts.port or DEFAULT_PORTS[parts.scheme], parts.scheme == "https", is_address(host))


@dataclass(slots=True, frozen=True)
class ResolvedTarget:
    """A name's answer for one port: all its addresses as libcurl takes them, or what forbids the name."""

    answer: LookupResult
    resolved: str = ""
    refusal: tuple[OutcomeClass, str] | None = None


class ResolvedTargets:
    """Judges an answer once per place, as a policy does not change while a process runs."""

    def __init__(self, policy: TargetPolicy) -> None:
        self._policy = policy
        self._known: dict[Target, ResolvedTarget] = {}

    def by(self, answer: LookupResult, place: Target) -> ResolvedTarget:
        route = self._known.get(place)
        if route is None or route.answer is not answer:
            if len(self._known) > MOST_KEPT:
                self._known.clear()
            route = self._known[place] = _judge(answer, place, self._policy)
        return route


def _judge(answer: LookupResult, place: Target, policy: TargetPolicy) -> ResolvedTarget:
    if answer.problem:
        kind = OutcomeClass.PLATFORM if answer.is_ours else OutcomeClass.DNS
        return ResolvedTarget(answer, refusal=(kind, answer.problem))
    for address in answer.addresses:
        if problem := address_problem(address, place.port, place.host, policy):
            sentence = f"{place.host} resolves to {', '.join(answer.addresses[:4])}. {problem}"
            return ResolvedTarget(answer, refusal=(OutcomeClass.BLOCKED, sentence))
    # With the plus, an entry ages in libcurl's cache; each request brings its own.
    addresses = ",".join(f"[{each}]" if ":" in each else each for each in answer.addresses)
    return ResolvedTarget(answer, resolved=f"+{place.host}:{place.port}:{addresses}")
