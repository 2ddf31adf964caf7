"""The outcome of an attempt: one of a closed set of classes. Pure.

A new reason for a failed attempt is a member of OutcomeClass with its entry in
`outcome_descriptions.DESCRIPTIONS`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from webhooks_app.core.text_display import flatten

# What the log's column takes.
LONGEST_DETAIL = 300


class OutcomeClass(StrEnum):
    SUCCESS = "success"
    DNS = "dns"
    BLOCKED = "blocked"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    INVALID_RESPONSE = "invalid_response"
    HTTP_1XX = "http_1xx"
    HTTP_3XX = "http_3xx"
    HTTP_4XX = "http_4xx"
    HTTP_410 = "http_410"
    HTTP_429 = "http_429"
    HTTP_5XX = "http_5xx"
    PLATFORM = "platform"
    SECRET = "secret"
    PAYLOAD = "payload"
    CRASHED = "crashed"

    @classmethod
    def _missing_(cls, value: object) -> "OutcomeClass":
        """Return PLATFORM for a class that only a newer version knows: after a downgrade its log is shown."""
        return cls.PLATFORM


# Failures that are the platform's own: they say nothing about the endpoint and never disable one.
PLATFORM_FAILURES = frozenset(
    {OutcomeClass.PLATFORM, OutcomeClass.SECRET, OutcomeClass.PAYLOAD, OutcomeClass.CRASHED}
)


_SUCCESS = OutcomeClass.SUCCESS
# Nothing of a response came, so that the detail quotes none.
WITHOUT_ANSWER = frozenset(
    {
        OutcomeClass.DNS,
        OutcomeClass.BLOCKED,
        OutcomeClass.CONNECT,
        OutcomeClass.TLS,
        OutcomeClass.TIMEOUT,
        OutcomeClass.PLATFORM,
        OutcomeClass.SECRET,
        OutcomeClass.PAYLOAD,
        OutcomeClass.CRASHED,
    }
)


@dataclass(slots=True)
class Timings:
    """Microseconds from the start of the request to the end of each phase (0: the phase did not happen)."""

    dns_us: int = 0
    connect_us: int = 0
    tls_us: int = 0
    first_byte_us: int = 0
    total_us: int = 0


@dataclass(slots=True)
class Outcome:
    """What one attempt produced. `status` is 0 where no status line came.

    `reached_deadline`: the request took all of its time, which it may also do before a success whose body
    never ends.

    `detail` becomes one line that any database takes, as libcurl's messages quote what a server sent.
    """

    kind: OutcomeClass
    detail: str = ""
    status: int = 0
    timings: Timings = field(default_factory=Timings)
    remote_address: str = ""
    response_headers: bytes = b""
    response_body: bytes = b""
    truncated: bool = False
    retry_after: str = ""
    reached_deadline: bool = False

    def __post_init__(self) -> None:
        if self.detail:
            self.detail = " ".join(flatten(self.detail).split())[:LONGEST_DETAIL]

    @property
    def is_success(self) -> bool:
        return self.kind is _SUCCESS


def classify_status(status: int) -> OutcomeClass:
    """Return the class of a final HTTP status; only 2xx is success."""
    if 200 <= status <= 299:
        return OutcomeClass.SUCCESS
    named = {410: OutcomeClass.HTTP_410, 429: OutcomeClass.HTTP_429}
    families = {
        1: OutcomeClass.HTTP_1XX,
        3: OutcomeClass.HTTP_3XX,
        4: OutcomeClass.HTTP_4XX,
        5: OutcomeClass.HTTP_5XX,
    }
    return named.get(status) or families.get(status // 100, OutcomeClass.INVALID_RESPONSE)


def response_name(outcome: OutcomeClass, status: int | None) -> str:
    """Return what an attempt's end is counted as: `404`, or without a final status the outcome, `timeout`."""
    return str(status) if status and outcome in _ANSWERED else outcome.value


def latency_bucket(total_us: int) -> int:
    """Return the rollup's bucket: b for [2^(b-1), 2^b) milliseconds, 0 for under one."""
    return (total_us // 1000).bit_length()


_ANSWERED = frozenset(
    {
        OutcomeClass.SUCCESS,
        OutcomeClass.HTTP_1XX,
        OutcomeClass.HTTP_3XX,
        OutcomeClass.HTTP_4XX,
        OutcomeClass.HTTP_410,
        OutcomeClass.HTTP_429,
        OutcomeClass.HTTP_5XX,
    }
)
