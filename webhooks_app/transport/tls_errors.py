"""Explain why no TLS connection came about, by the messages of OpenSSL and libcurl. Pure."""

import re

# How OpenSSL begins to name a server's alert (RFC 8446, section 6). In TLS 1.3 our side of the handshake is
# over before the server has judged it, so that its alert may come when the request was sent already.
_ALERT = re.compile("::(?:sslv3|ssl/tls|tlsv1|tlsv13) ")
_NO_CLIENT_CERTIFICATE = "The server demands a client certificate, and we have none."
# Where its alert is lost: once it fails to send, libcurl reads no more.
LOST_CERTIFICATE_ALERT = (
    "The server asked for a client certificate and ended the connection, as one does that demands a client "
    "certificate: we have none."
)
_REFUSED_CERTIFICATE = (
    "The server refuses our side of the TLS handshake, as one does that demands a client certificate: "
    "we have none."
)
_ALERT_SENTENCES = {
    "certificate required": _NO_CLIENT_CERTIFICATE,
    **dict.fromkeys(
        (
            "bad certificate",
            "unsupported certificate",
            "certificate revoked",
            "certificate expired",
            "certificate unknown",
            "unknown ca",
            "no certificate",
        ),
        _REFUSED_CERTIFICATE,
    ),
    "access denied": "The server refuses us in the TLS handshake: access denied.",
    "protocol version": "The server offers no TLS version that we accept.",
    "inappropriate fallback": "The server offers no TLS version that we accept.",
    "insufficient security": "The server demands stronger TLS parameters than we offer.",
    "handshake failure": "The server and we found no TLS parameters in common, or it demands a client "
    "certificate: we have none.",
    "no application protocol": "The server speaks neither HTTP/1.1 nor HTTP/2 over TLS.",
    "unrecognized name": "The server has no certificate for {host}.",
    "internal error": "The server failed in the TLS handshake, by an error of its own.",
}
_UNKNOWN_ALERT = "The server ended the TLS connection with an alert."
# Parts of OpenSSL's and libcurl's messages, the narrower ones first; {host} is the URL's.
_TLS_SENTENCES = (
    (
        "self-signed certificate in certificate chain",
        "The certificate was issued by a CA that is not trusted.",
    ),
    ("self-signed certificate", "The certificate is self-signed."),
    ("self signed certificate", "The certificate is self-signed."),
    (
        "unable to get local issuer",
        "The certificate's issuer is not known: the server leaves out an intermediate certificate, or the CA "
        "is not trusted.",
    ),
    ("has expired", "The certificate has expired."),
    ("not yet valid", "The certificate is not valid yet."),
    # So libcurl calls the alert that our certificate has expired.
    ("SSL certificate verification failed", _REFUSED_CERTIFICATE),
    ("subject name", "The certificate is not made out to {host}."),
    ("wrong version number", "The port does not speak TLS."),
    ("packet length too long", "The port does not speak TLS."),
    ("SSL_ERROR_SYSCALL", "The server ended the connection during the TLS handshake."),
    ("unexpected eof", "The server ended the connection during the TLS handshake."),
    ("Connection reset", "The server ended the connection during the TLS handshake."),
    ("Broken pipe", "The server ended the connection during the TLS handshake."),
)


def is_alert(message: str) -> bool:
    """Return whether the server ended the connection with an alert."""
    return _ALERT.search(message) is not None


def tls_sentence(message: str) -> str:
    """Return a sentence for an admin, in which {host} is to be replaced by the URL's."""
    if is_alert(message):
        found = (sentence for part, sentence in _ALERT_SENTENCES.items() if part in message)
        return next(found, _UNKNOWN_ALERT)
    found = (sentence for part, sentence in _TLS_SENTENCES if part in message)
    return next(found, "The TLS handshake failed.")
