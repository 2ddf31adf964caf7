"""Define a request as `transport.sender` takes it. Pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class Request:
    """Hold a normalised `url`, `headers` as lines, and `timeout_ms` for everything from the look-up on."""

    url: str
    headers: list[str]
    body: bytes
    timeout_ms: int
