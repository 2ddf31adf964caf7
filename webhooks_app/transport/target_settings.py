"""The settings of where deliveries may go."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from webhooks_app.core import setting_values
from webhooks_app.core.ip_addresses import is_address
from webhooks_app.core.setting_values import ConfigError, flag
from webhooks_app.transport import local_addresses
from webhooks_app.transport.allow_list import parse_allow_list
from webhooks_app.transport.host_names import TargetRefused, canonical_host
from webhooks_app.transport.target_policy import HostPorts, TargetPolicy
from webhooks_app.transport.target_ports import DEFAULT_PORTS

_EVERYWHERE = "0.0.0.0"  # noqa: S104  compared, not bound


def read(
    env: Mapping[str, str], *, host: str, port: int, base_url: str, beside: tuple[str, int] | None = None
) -> TargetPolicy:
    """Return the policy; `host` and `port` are where the web listens, `base_url` where it is reached.

    `beside`: where it listens besides that.

    Raises ConfigError.
    """
    try:
        networks, hosts = parse_allow_list(env.get("WEBHOOKS_ALLOWED_TARGETS", ""))
    except ValueError as error:
        raise ConfigError(f"WEBHOOKS_ALLOWED_TARGETS: {error}") from None
    options: dict[str, frozenset[int]] = {}
    if "WEBHOOKS_DENIED_PORTS" in env:
        options["denied_ports"] = setting_values.ports("WEBHOOKS_DENIED_PORTS", env["WEBHOOKS_DENIED_PORTS"])
    return TargetPolicy(
        allow_http=flag(env, "WEBHOOKS_ALLOW_HTTP"),
        allowed_networks=networks,
        allowed_hosts=hosts,
        own_listeners=_own_listeners(env, host, port, base_url) | ({beside} if beside else set()),
        is_own_address=local_addresses.is_own_address,
        **options,
    )


def _own_listeners(env: Mapping[str, str], host: str, port: int, base_url: str) -> HostPorts:
    """Where the web listens and where it is reached from outside."""
    console = urlsplit(base_url)
    own = {
        (_canonical("WEBHOOKS_HOST" if "WEBHOOKS_HOST" in env else "HOST", host), port),
        (
            _canonical("WEBHOOKS_BASE_URL", console.hostname or ""),
            console.port or DEFAULT_PORTS[console.scheme],
        ),
    }
    # A name may stand for any of the machine's addresses.
    return frozenset(own if is_address(host) or host == "localhost" else own | {(_EVERYWHERE, port)})


def _canonical(setting: str, host: str) -> str:
    try:
        return canonical_host(host)
    except TargetRefused as error:
        raise ConfigError(f"{setting}: {error}") from None
