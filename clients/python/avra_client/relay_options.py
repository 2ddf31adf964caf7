"""The options of `avra-relay run`."""

import argparse

from avra_client.relay_state import DEFAULT_LIMITS, RelayLimits

_ONCE = "exit when nothing is due; status 75 if some events were not accepted"
_LISTEN = "serve /healthz and /metrics there"
# Of each limit that may be set: the type of its value, and what it says.
_LIMITS: dict[str, tuple[type[int] | type[float], str]] = {
    "batch": (int, "rows at once"),
    "poll-seconds": (float, "seconds between checks of an empty outbox"),
    "lease-seconds": (float, "after which others take what a dead relay had claimed"),
    "send-seconds": (float, "that a batch may take, half the lease at most"),
    "keys-kept-hours": (float, "for which the platform knows idempotency keys: its workspace's retention"),
    "keep-sent-hours": (float, "for which rows stay once they are sent; 0 deletes them at once"),
    "failing-hours": (float, "after which a row is set aside that is not taken while others are"),
}


def add_to(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    command.add_argument("--once", action="store_true", help=_ONCE)
    command.add_argument("--listen", metavar="HOST:PORT", help=_LISTEN)
    for name, (kind, text) in _LIMITS.items():
        help = f"{text}; default: %(default)s"
        command.add_argument(f"--{name}", type=kind, default=_default(name), help=help)


def described() -> list[tuple[str, str, str]]:
    """Return of each option how it is written, its default where it has one, and what it says."""
    limits = [(f"--{name}", f"{_default(name):g}", text) for name, (_, text) in _LIMITS.items()]
    return [("--once", "", _ONCE), ("--listen HOST:PORT", "", _LISTEN), *limits]


def _default(name: str) -> int | float:
    default: int | float = getattr(DEFAULT_LIMITS, name.replace("-", "_"))
    return default


def read_limits(options: argparse.Namespace) -> RelayLimits:
    """Return what the options say. Raises ValueError for what cannot be."""
    names = [name.replace("-", "_") for name in _LIMITS]
    return RelayLimits(**{name: getattr(options, name) for name in names})
