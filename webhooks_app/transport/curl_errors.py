"""Explain libcurl's errors: the class a failed request falls in, and a sentence for an admin. Pure."""

import errno
from dataclasses import dataclass
from enum import IntEnum

from webhooks_app.core.outcomes import OutcomeClass, Timings
from webhooks_app.transport.tls_errors import LOST_CERTIFICATE_ALERT, is_alert, tls_sentence


class CurlCode(IntEnum):
    """Name those of libcurl's codes that a webhook can run into (curl/curl.h; the numbers never change)."""

    UNSUPPORTED_PROTOCOL = 1
    FAILED_INIT = 2
    COULDNT_RESOLVE_HOST = 6
    COULDNT_CONNECT = 7
    WEIRD_SERVER_REPLY = 8
    HTTP2 = 16
    PARTIAL_FILE = 18
    WRITE_ERROR = 23
    OUT_OF_MEMORY = 27
    OPERATION_TIMEDOUT = 28
    SSL_CONNECT_ERROR = 35
    ABORTED_BY_CALLBACK = 42
    GOT_NOTHING = 52
    SEND_ERROR = 55
    RECV_ERROR = 56
    SSL_CERTPROBLEM = 58
    SSL_CIPHER = 59
    PEER_FAILED_VERIFICATION = 60
    BAD_CONTENT_ENCODING = 61
    SSL_CACERT_BADFILE = 77
    HTTP2_STREAM = 92
    TOO_LARGE = 100


@dataclass(slots=True, frozen=True)
class FailureContext:
    """Hold how far a failed request came.

    `has_opened_socket`: it opened a socket of its own; `has_connection`: that, or it used one that was there.
    `status`: 0 without a status line. `os_error`: an errno, or 0. `is_certificate_asked`: the server was seen
    to ask for a client certificate.
    """

    host: str
    port: int
    is_tls: bool
    timeout_ms: int
    has_opened_socket: bool
    has_connection: bool
    status: int
    os_error: int
    timings: Timings
    is_certificate_asked: bool = False


_TLS_CODES = frozenset(
    {
        CurlCode.SSL_CONNECT_ERROR,
        CurlCode.SSL_CERTPROBLEM,
        CurlCode.SSL_CIPHER,
        CurlCode.PEER_FAILED_VERIFICATION,
    }
)
# What this machine may lack for a socket or a connection.
OWN_SHORTAGES = {
    errno.EMFILE: "its limit of open files is reached",
    errno.ENFILE: "the system's limit of open files is reached",
    errno.ENOBUFS: "no network buffer is left",
    errno.ENOMEM: "no memory is left",
    errno.EADDRNOTAVAIL: "no port of its own is left for connections to that address",
}
# Nothing of the server's. The file with the CAs is ours, and must be opened anew now and then.
_OWN_CODES = frozenset({CurlCode.FAILED_INIT, CurlCode.OUT_OF_MEMORY, CurlCode.SSL_CACERT_BADFILE})
_CONNECT_SENTENCES = {
    errno.ECONNREFUSED: "The connection was refused: nothing listens there, or a firewall rejects us.",
    errno.ETIMEDOUT: "The server's address did not answer.",
    errno.EHOSTUNREACH: "No network route leads to the server's address.",
    errno.ENETUNREACH: "No network route leads to the server's address.",
    errno.ECONNRESET: "The connection was reset before it was set up.",
}
_INVALID_SENTENCES = {
    CurlCode.UNSUPPORTED_PROTOCOL: "What came back does not begin like an HTTP response.",
    CurlCode.WEIRD_SERVER_REPLY: "The head of the response is malformed.",
    CurlCode.HTTP2: "The server broke the rules of HTTP/2.",
    CurlCode.BAD_CONTENT_ENCODING: "The response came in a transfer encoding that was not asked for.",
    CurlCode.RECV_ERROR: "The response is malformed.",
    CurlCode.TOO_LARGE: "The response's headers are too large.",
}
_LOST_SENTENCES = {
    CurlCode.GOT_NOTHING: "The server closed the connection without a response.",
    CurlCode.SEND_ERROR: "The server ended the connection while the request was being sent.",
    CurlCode.RECV_ERROR: "The server ended the connection after the request was sent.",
    CurlCode.PARTIAL_FILE: "The server closed the connection in the middle of its response.",
    CurlCode.HTTP2_STREAM: "The server ended this request without a complete response.",
}
# How libcurl's message begins where a receive error is not the connection's but the content's fault.
_CONTENT_FAULTS = ("Too large", "chunk", "Malformed", "Invalid", "Illegal", "Bad")

_WHOLE_BEFORE_RESET = "reset by server (error 0x0 NO_ERROR)"


def explain(code: int, message: str, context: FailureContext) -> tuple[OutcomeClass, str]:
    """Return the class of a request that libcurl ended with `code`, and a sentence with its `message`."""
    if code == CurlCode.OPERATION_TIMEDOUT:
        return OutcomeClass.TIMEOUT, timeout_sentence(context.timeout_ms, _stage(context))
    if code == CurlCode.GOT_NOTHING and 100 <= context.status < 200:
        return OutcomeClass.HTTP_1XX, f"The connection ended after an interim response ({context.status})."
    kind = _kind(code, message, context)
    sentence = _sentence(kind, code, message, context)
    return kind, f"{sentence} ({message})" if message else sentence


def explain_cut_body(code: int, message: str, context: FailureContext) -> str:
    """Return a sentence on a response whose head is complete and whose body was cut; empty if it was not.

    A server may end its response before it has read the request, and say so by a reset without an error
    (RFC 9113, section 8.1).
    """
    if _WHOLE_BEFORE_RESET in message:
        return ""
    if code == CurlCode.OPERATION_TIMEDOUT:
        return cut_body_sentence(f"it did not end within {context.timeout_ms / 1000:g} s.")
    if code == CurlCode.SEND_ERROR:  # libcurl tells nothing of the body's end
        return (
            "The answer's body may have been cut short: the server closed the connection before it had read "
            "the request."
        )
    return cut_body_sentence(f"{message}." if message else "the connection ended.")


def cut_body_sentence(reason: str) -> str:
    return f"The answer's body was cut short: {reason}"


def timeout_sentence(timeout_ms: int, stage: str) -> str:
    return f"No complete response within {timeout_ms / 1000:g} s: {stage}."


def _stage(context: FailureContext) -> str:
    timings = context.timings
    if not context.has_connection:
        return "no connection to the server became free, as other requests hold all that we open to one host"
    if context.has_opened_socket and not timings.connect_us:
        return "the server did not accept the connection"
    if context.has_opened_socket and context.is_tls and not timings.tls_us:
        return "the TLS handshake was not finished"
    if not timings.first_byte_us:
        return "nothing came back"
    if not context.status:
        return "a few bytes came"
    return f"the response began (status {context.status}) but did not end"


def _kind(code: int, message: str, context: FailureContext) -> OutcomeClass:
    if code in _OWN_CODES or (code == CurlCode.COULDNT_CONNECT and context.os_error in OWN_SHORTAGES):
        return OutcomeClass.PLATFORM
    if code in (CurlCode.COULDNT_RESOLVE_HOST, CurlCode.ABORTED_BY_CALLBACK):
        return OutcomeClass.DNS
    if code in _TLS_CODES or (context.is_tls and context.status < 200 and is_alert(message)):
        return OutcomeClass.TLS
    if context.is_certificate_asked and code in _LOST_SENTENCES and not context.status:
        return OutcomeClass.TLS
    if code == CurlCode.UNSUPPORTED_PROTOCOL and not context.has_connection:
        return OutcomeClass.BLOCKED
    if code == CurlCode.RECV_ERROR and message.startswith(_CONTENT_FAULTS):
        return OutcomeClass.INVALID_RESPONSE
    if code in _LOST_SENTENCES:
        return OutcomeClass.CONNECTION_LOST
    return OutcomeClass.INVALID_RESPONSE if code in _INVALID_SENTENCES else OutcomeClass.CONNECT


def _sentence(kind: OutcomeClass, code: int, message: str, context: FailureContext) -> str:
    if kind is OutcomeClass.PLATFORM:
        reason = OWN_SHORTAGES.get(context.os_error, "nothing was sent")
        return f"This platform could not open a connection: {reason}."
    if kind is OutcomeClass.TLS and context.is_certificate_asked and not is_alert(message):
        return LOST_CERTIFICATE_ALERT
    if kind is OutcomeClass.TLS:
        return tls_sentence(message).format(host=context.host)
    if kind is OutcomeClass.CONNECT:
        unknown = f"{context.host} port {context.port} could not be reached."
        return _CONNECT_SENTENCES.get(context.os_error, unknown)
    if kind is OutcomeClass.INVALID_RESPONSE:
        return _INVALID_SENTENCES[CurlCode(code)]
    if kind is OutcomeClass.CONNECTION_LOST:
        if "ENHANCE_YOUR_CALM" in message:  # RFC 9113, section 7
            return "The server asks for fewer requests."
        if "times before giving up" in message:  # libcurl's count, of which each was on a new connection
            return "The server refused the request, or closed the connection, again and again."
        return _LOST_SENTENCES[CurlCode(code)]
    if kind is OutcomeClass.BLOCKED:
        return "Deliveries go to https only."
    return f"The name {context.host} could not be looked up."
