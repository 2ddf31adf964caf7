"""Gather what comes back for one request, within bounds, and judge it. No I/O: callbacks feed it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webhooks_app.core.outcomes import Outcome, OutcomeClass, Timings, classify_status
from webhooks_app.transport.curl_errors import (
    CurlCode,
    FailureContext,
    cut_body_sentence,
    explain,
    explain_cut_body,
)
from webhooks_app.transport.request import Request
from webhooks_app.transport.resolved_target import ResolvedTarget, Target
from webhooks_app.transport.target_policy import TargetPolicy, refusal_of_address

# What the delivery log records of a response; more of a body is not read at all.
RECORDED_BODY_BYTES = 16 * 1024
RECORDED_HEADER_BYTES = 16 * 1024


@dataclass(slots=True)
class CurlResult:
    """Hold what libcurl says of a request that ended.

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
    """Hold a request and what came back for it. Reused from one request to the next, as its handle is.

    `refusal`: the class and the sentence of a failure that libcurl did not report. `prior_us`: time taken
    before libcurl's current try. `tried_address`: the address of the last socket that was opened.
    `sent_again`: how often the request was sent again on a new connection. `resolved`: the target that the
    handle's CURLOPT_CONNECT_TO was last set for. `is_certificate_asked`: whether the server was seen to ask
    for a client certificate. `is_traced`: whether the handle reports what libcurl does (CURLOPT_VERBOSE).
    `unread_check`: returns whether nothing was read since the request went out; None on a new connection.
    """

    __slots__ = (
        "_has_ended_head",
        "_has_final_status",
        "_header_bytes",
        "body",
        "body_bytes",
        "has_opened_socket",
        "has_used_idle_connection",
        "headers",
        "is_certificate_asked",
        "is_traced",
        "key",
        "needs_new_connection",
        "prior_us",
        "refusal",
        "request",
        "resolved",
        "retry_after",
        "sent_again",
        "target",
        "tried_address",
        "unread_check",
    )

    def __init__(self) -> None:
        self.resolved: ResolvedTarget | None = None
        self.is_traced = False

    def start(self, key: Any, request: Request, target: Target, prior_us: int) -> None:
        """Forget the request before; looking up the name has taken `prior_us`."""
        self.key, self.request, self.target, self.prior_us = key, request, target, prior_us
        self.headers: list[bytes] = []
        self.body: list[bytes] = []
        self.body_bytes = self._header_bytes = 0
        self.retry_after = self.tried_address = ""
        self.refusal: tuple[OutcomeClass, str] | None = None
        self.unread_check: Callable[[], bool] | None = None
        self.has_opened_socket = self._has_ended_head = self._has_final_status = False
        self.has_used_idle_connection = self.needs_new_connection = False
        self.is_certificate_asked = False
        self.sent_again = 0

    def take_header(self, line: bytes) -> int | None:
        """Take one line of a head, with its line break; return 0 for one that does not answer the request."""
        if self.unread_check and self.check_unsolicited():
            return 0
        if self._has_ended_head and self._has_final_status:
            return None  # a trailer (RFC 9110, section 6.5.1), which must not be read as a header
        if line[:5] == b"HTTP/" and not self._has_final_status:  # what came before was an interim response
            self.headers.clear()
            self._header_bytes, self._has_ended_head, self.retry_after = 0, False, ""
            self._has_final_status = line.partition(b" ")[2][:1] != b"1"
        elif len(line) <= 2:
            self._has_ended_head = True
        elif line[:12].lower() == b"retry-after:":
            self.retry_after = line[12:].decode("latin-1").strip()
        self._header_bytes += len(line)
        if self._header_bytes <= RECORDED_HEADER_BYTES:
            self.headers.append(line)
        return None

    def take_body(self, chunk: bytes) -> int:
        """Return how many bytes were taken; less than all ends the request and closes its connection."""
        left = RECORDED_BODY_BYTES - self.body_bytes
        self.body.append(chunk[:left] if len(chunk) > left else chunk)
        self.body_bytes += len(chunk)
        return len(chunk) if self.body_bytes <= RECORDED_BODY_BYTES else 0

    def take_trace(self, _kind: int, text: bytes) -> None:
        """Take what libcurl says of its work, as it does where it is asked to."""
        if b"Request CERT" in text:  # a CertificateRequest (RFC 8446, section 4.3.2)
            self.is_certificate_asked = True

    def check_unsolicited(self) -> bool:
        """Return whether these bytes were received before the request went out, along with a response."""
        unread_check, self.unread_check = self.unread_check, None
        if unread_check is not None and unread_check():
            self.needs_new_connection = True
        return self.needs_new_connection

    @property
    def is_multiplexed(self) -> bool:
        """Return whether other requests may have shared its connection."""
        return bool(self.headers) and self.headers[0][:6] == b"HTTP/2"

    def check_resolving(self) -> int:
        """Return 0 for yes: for addresses only, as names come to libcurl with addresses that were judged."""
        return 0 if self.target.is_address else 1

    def check_address(self, address: str, port: int, policy: TargetPolicy) -> bool:
        """Return whether a socket to this address may be opened; after one refusal none may."""
        if self.refusal and self.refusal[0] is OutcomeClass.BLOCKED:
            return False
        problem = refusal_of_address(address, port, self.target.host, policy)
        self.refusal = (OutcomeClass.BLOCKED, problem) if problem else None
        if not problem:
            self.has_opened_socket, self.tried_address = True, address
        return not problem

    def outcome(self, result: CurlResult, timings: Timings) -> Outcome:
        """Judge what came back. Once a whole final head has, its status counts, whatever ends the body."""
        if self._has_ended_head and (self._has_final_status or not result.code):
            kind, detail = self._classify_answer(result, timings)
        else:
            kind, detail = self._classify_failure(result, timings)
        return Outcome(
            kind=kind,
            detail=detail,
            status=result.status,
            timings=timings,
            remote_address=result.remote_address or self.tried_address,
            response_headers=b"".join(self.headers),
            response_body=b"".join(self.body),
            truncated=self.body_bytes > RECORDED_BODY_BYTES,
            retry_after=self.retry_after,
            reached_deadline=result.code == CurlCode.OPERATION_TIMEDOUT,
        )

    def finish(self) -> Any:
        """Drop the request and its response; return the key."""
        key = self.key
        del self.key, self.request, self.headers, self.body
        return key

    def _classify_answer(self, result: CurlResult, timings: Timings) -> tuple[OutcomeClass, str]:
        kind = classify_status(result.status)
        if kind is OutcomeClass.INVALID_RESPONSE:
            return kind, f"HTTP has no status {result.status}."
        if self._is_whole(result):
            return kind, ""
        if self.refusal:
            return kind, cut_body_sentence(self.refusal[1])
        return kind, explain_cut_body(result.code, result.message, self._failure_context(result, timings))

    def _is_whole(self, result: CurlResult) -> bool:
        """Return whether the body came whole, or is only not read on.

        The server may close the connection after its response while the request is still being sent
        (RFC 9112, section 9.6), or reset its stream (RFC 9113, section 8.1).
        """
        if not result.code or self.body_bytes > RECORDED_BODY_BYTES:
            return True
        return 0 <= result.announced_bytes <= self.body_bytes

    def _classify_failure(self, result: CurlResult, timings: Timings) -> tuple[OutcomeClass, str]:
        if self.refusal and result.code:
            return self.refusal
        if not result.code:
            return (
                OutcomeClass.CONNECTION_LOST,
                "The connection ended in the middle of the response's headers.",
            )
        return explain(result.code, result.message, self._failure_context(result, timings))

    def _failure_context(self, result: CurlResult, timings: Timings) -> FailureContext:
        return FailureContext(
            host=self.target.host,
            port=self.target.port,
            is_tls=self.target.is_tls,
            timeout_ms=self.request.timeout_ms,
            has_opened_socket=self.has_opened_socket,
            has_connection=self.has_opened_socket or bool(result.remote_address),
            status=result.status,
            os_error=result.os_error,
            is_certificate_asked=self.is_certificate_asked,
            timings=timings,
        )
