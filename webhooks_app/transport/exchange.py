"""One request and what comes back for it, gathered within bounds and judged. No I/O: `transport` feeds it."""

from dataclasses import dataclass
from typing import Any

from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings, classify_status
from webhooks_app.transport.curl_errors import CurlCode, FailureContext, explain
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import Target
from webhooks_app.transport.target_policy import TargetPolicy, address_problem

KEPT_BODY_BYTES = 16 * 1024
KEPT_HEADER_BYTES = 16 * 1024


@dataclass(slots=True)
class CurlResult:
    """What libcurl says of a request that ended.

    `code`: its CURLE_ number. `status`: 0 without a status line. `announced_bytes`: of the body, else -1.
    `remote_address`: of the connection, empty without one.
    """

    code: int
    message: str
    status: int
    os_error: int
    announced_bytes: int
    remote_address: str


class Exchange:
    """Reused from one request to the next: `begin` starts anew."""

    __slots__ = (
        "_has_ended_head",
        "_has_final_status",
        "_header_bytes",
        "body",
        "body_bytes",
        "has_opened",
        "headers",
        "is_sent_afresh",
        "key",
        "needs_new_connection",
        "place",
        "refusal",
        "request",
        "retry_after",
        "tried_address",
        "waited_us",
        "was_sent",
    )

    def begin(self, key: Any, request: Request, place: Target, waited_us: int) -> None:
        """`waited_us` is what looking up the name took, before libcurl got the request."""
        self.key, self.request, self.place, self.waited_us = key, request, place, waited_us
        self.headers: list[bytes] = []
        self.body: list[bytes] = []
        self.body_bytes = self._header_bytes = 0
        self.retry_after = self.tried_address = ""
        self.refusal: tuple[OutcomeClass, str] | None = None
        self.has_opened = self._has_ended_head = self._has_final_status = False
        self.was_sent = self.needs_new_connection = self.is_sent_afresh = False

    def take_header(self, line: bytes) -> None:
        if line[:5] == b"HTTP/" and not self._has_final_status:  # what came before was an interim response
            self.headers.clear()
            self._header_bytes, self._has_ended_head, self.retry_after = 0, False, ""
            self._has_final_status = line.partition(b" ")[2][:1] != b"1"
        elif len(line) <= 2:
            self._has_ended_head = True
        elif line[:12].lower() == b"retry-after:":
            self.retry_after = line[12:].decode("latin-1").strip()
        self._header_bytes += len(line)
        if self._header_bytes <= KEPT_HEADER_BYTES:
            self.headers.append(line)

    def take_body(self, chunk: bytes) -> int:
        """How much of it was taken; less than all ends the request and closes its connection."""
        room = KEPT_BODY_BYTES - self.body_bytes
        self.body.append(chunk[:room] if len(chunk) > room else chunk)
        self.body_bytes += len(chunk)
        return len(chunk) if self.body_bytes <= KEPT_BODY_BYTES else 0

    @property
    def is_multiplexed(self) -> bool:
        """Whether other requests may have shared its connection."""
        return bool(self.headers) and self.headers[0][:6] == b"HTTP/2"

    def may_resolve(self) -> int:
        """Lets libcurl read addresses only; names come to it with their addresses, all of them judged."""
        return 0 if self.place.is_address else 1

    def allows(self, address: str, port: int, policy: TargetPolicy) -> bool:
        """Whether a socket to this address may be opened; after one refusal none may."""
        if self.refusal and self.refusal[0] is OutcomeClass.BLOCKED:
            return False
        problem = address_problem(address, port, self.place.host, policy)
        self.refusal = (OutcomeClass.BLOCKED, problem) if problem else None
        if not problem:
            self.has_opened, self.tried_address = True, address
        return not problem

    def outcome(self, end: CurlResult, timings: Timings) -> Outcome:
        kind, detail = self._judge(end, timings)
        return Outcome(
            kind=kind,
            detail=detail,
            status=end.status,
            timings=timings,
            remote_address=end.remote_address or self.tried_address,
            response_headers=b"".join(self.headers),
            response_body=b"".join(self.body),
            truncated=self.body_bytes > KEPT_BODY_BYTES,
            retry_after=self.retry_after,
        )

    def finish(self) -> Any:
        """The key; nothing of the request and its answer is kept."""
        key = self.key
        del self.key, self.request, self.headers, self.body
        return key

    def _judge(self, end: CurlResult, timings: Timings) -> tuple[OutcomeClass, str]:
        if self.refusal and end.code:
            return self.refusal
        if self._is_answered(end):
            kind = classify_status(end.status)
            odd = kind is OutcomeClass.INVALID_RESPONSE
            return kind, f"HTTP has no status {end.status}." if odd else ""
        if not end.code:
            return (
                OutcomeClass.CONNECTION_LOST,
                "The connection ended in the middle of the response's headers.",
            )
        return explain(end.code, end.message, self._seen(end, timings))

    def _is_answered(self, end: CurlResult) -> bool:
        """Whether the status counts: also of an answer that we cut short, and of one that came, as it may
        (RFC 9112, section 9.6), before a connection that was closed while we were still sending.
        """
        if not self._has_ended_head:
            return False
        if end.code == CurlCode.WRITE_ERROR:
            return self.body_bytes > KEPT_BODY_BYTES
        is_cut_off = end.code == CurlCode.SEND_ERROR or (end.code == CurlCode.RECV_ERROR and end.os_error)
        is_whole = end.status >= 200 and self.body_bytes >= end.announced_bytes
        return not end.code or bool(is_cut_off and is_whole)

    def _seen(self, end: CurlResult, timings: Timings) -> FailureContext:
        return FailureContext(
            host=self.place.host,
            port=self.place.port,
            is_tls=self.place.is_tls,
            timeout_ms=self.request.timeout_ms,
            has_opened=self.has_opened,
            has_connection=self.has_opened or bool(end.remote_address),
            status=end.status,
            os_error=end.os_error,
            timings=timings,
        )
