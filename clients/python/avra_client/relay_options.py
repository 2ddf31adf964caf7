"""The options of `avra-relay run`."""

import argparse

from avra_client.relay_state import DEFAULT_LIMITS, RelayLimits

# Of each limit that may be set: the type of its value, and what it says.
_LIMITS: dict[str, tuple[type[int] | type[float], str]] = {
    "batch": (int, "rows at once"),
    "poll-seconds": (float, "between two looks at an empty outbox"),
    "lease-seconds": (float, "after which others take what a dead relay had claimed"),
    "send-seconds": (float, "that a batch may take, half the lease at most"),
    "keys-kept-hours": (float, "for which the platform knows idempotency keys: its workspace's retention"),
    "keep-sent-hours": (float, "for which rows stay once they are sent; 0 deletes them at once"),
    "failing-hours": (float, "after which a row is set aside that is not taken while others are"),
}


def add_to(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    command.add_argument(
        "--once", action="store_true", help="end when nothing is due; 75 if some was not taken"
    )
    command.add_argument("--listen", metavar="HOST:PORT", help="serve /healthz and /metrics there")
    for name, (kind, text) in _LIMITS.items():
        default = getattr(DEFAULT_LIMITS, name.replace("-", "_"))
        command.add_argument(f"--{name}", type=kind, default=default, help=f"{text}; default: %(default)s")


def read_limits(options: argparse.Namespace) -> RelayLimits:
    """Return what the options say. Raises ValueError for what cannot be."""
    names = [name.replace("-", "_") for name in _LIMITS]
    return RelayLimits(**{name: getattr(options, name) for name in names})
