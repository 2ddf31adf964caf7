"""Variables that a cluster sets by itself for a service whose name begins as our settings do. Pure.

Kubernetes sets them in each container for each service: of one named `webhooks`, WEBHOOKS_SERVICE_HOST,
WEBHOOKS_PORT=tcp://10.0.0.1:80 and so on (its documentation, "Service: environment variables"). Links of
Docker set the same and, beside them, WEBHOOKS_NAME and what is in the other container's environment. None of
them is a setting, and nobody who meets them can take them away.
"""

import re
from collections.abc import Mapping

_LINKED_URL = re.compile(r"(?:tcp|udp|sctp)://\S+")
_LINKED_NAME = re.compile(r"/[^/\s]+/[^/\s]+")
# What follows the name of the service, and what its value looks like.
_SHAPES = tuple(
    (re.compile(name), re.compile(value))
    for name, value in (
        (r"SERVICE_HOST", r"[0-9A-Fa-f:.]+"),
        (r"SERVICE_PORT(_[A-Z0-9_]+)?", r"[0-9]{1,5}"),
        (r"PORT", _LINKED_URL.pattern),
        (r"PORT_[0-9]{1,5}_(TCP|UDP|SCTP)", _LINKED_URL.pattern),
        (r"PORT_[0-9]{1,5}_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)(_(START|END))?", r"\S+"),
        (r"NAME", _LINKED_NAME.pattern),
    )
)


def names_set_by_cluster(env: Mapping[str, str], prefix: str) -> frozenset[str]:
    """Return the names that begin with `prefix` and that a cluster has set, as their values show."""
    own = {name: value for name, value in env.items() if name.startswith(prefix)}
    found = {name for name, value in own.items() if _is_of_a_service(name.removeprefix(prefix), value)}
    links = tuple(name.removesuffix("NAME") + "ENV_" for name in found if name.endswith("_NAME"))
    return frozenset(found | {name for name in own if links and name.startswith(links)})


def _is_of_a_service(name: str, value: str) -> bool:
    """Whether the name, without the prefix, is one of a service that bears the prefix alone or goes on."""
    words = name.split("_")
    ends = ["_".join(words[start:]) for start in range(len(words))]
    return any(
        shape.fullmatch(end) and expected.fullmatch(value) for end in ends for shape, expected in _SHAPES
    )
