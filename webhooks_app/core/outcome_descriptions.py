"""What each class of outcome is called, why an attempt ends in it, and what to do about it. Pure."""

from typing import NamedTuple

from webhooks_app.core.outcomes import OutcomeClass


class OutcomeDescription(NamedTuple):
    """A label of one to three words, the reason in a sentence, and what to do about it."""

    label: str
    reason: str
    hint: str


DESCRIPTIONS: dict[OutcomeClass, OutcomeDescription] = {
    OutcomeClass.SUCCESS: OutcomeDescription("Success", "The endpoint accepted the delivery.", ""),
    OutcomeClass.DNS: OutcomeDescription(
        "DNS failure",
        "The host name could not be resolved.",
        "Check the host name in the URL and its public DNS records.",
    ),
    OutcomeClass.BLOCKED: OutcomeDescription(
        "Address blocked",
        "The address is not one that deliveries may go to.",
        "Use a public address. Private networks can be allowed by whoever runs this platform.",
    ),
    OutcomeClass.CONNECT: OutcomeDescription(
        "Connection failed",
        "No connection could be made.",
        "Check that the server runs, listens on this port, and lets us through its firewall.",
    ),
    OutcomeClass.TLS: OutcomeDescription(
        "TLS failure",
        "A secure connection could not be made.",
        "Check that the certificate is valid, complete with its chain, and made out to this host name, and "
        "that the server demands none of us.",
    ),
    OutcomeClass.TIMEOUT: OutcomeDescription(
        "Timed out",
        "No complete response came in time.",
        "Acknowledge first and process afterwards, or raise the endpoint's time-out in its settings.",
    ),
    OutcomeClass.CONNECTION_LOST: OutcomeDescription(
        "Connection lost",
        "The connection ended before a response came.",
        "Look for a crash, a restart or a proxy that gives up; the request may have been processed.",
    ),
    OutcomeClass.INVALID_RESPONSE: OutcomeDescription(
        "Not HTTP",
        "What came back is not a valid HTTP response.",
        "Check that the URL's port speaks HTTP and that its response headers are of ordinary size.",
    ),
    OutcomeClass.HTTP_1XX: OutcomeDescription(
        "Only interim response",
        "The endpoint never sent a final response.",
        "Answer with a status from 200 to 299.",
    ),
    OutcomeClass.HTTP_3XX: OutcomeDescription(
        "Redirected",
        "The endpoint answered with a redirect, and redirects are not followed.",
        "Enter the final URL; look at the response's Location header.",
    ),
    OutcomeClass.HTTP_4XX: OutcomeDescription(
        "Rejected",
        "The endpoint refused the request.",
        "401 or 403: check the signing secret and custom headers. 404: check the URL's path.",
    ),
    OutcomeClass.HTTP_410: OutcomeDescription(
        "Gone",
        "The endpoint said that it is gone for good (410), so it was disabled.",
        "Enable it again once it accepts deliveries, or delete it.",
    ),
    OutcomeClass.HTTP_429: OutcomeDescription(
        "Too many requests",
        "The endpoint asked for fewer requests (429).",
        "Set a rate limit in the endpoint's settings that it can bear.",
    ),
    OutcomeClass.HTTP_5XX: OutcomeDescription(
        "Server error",
        "The endpoint failed while handling the request.",
        "Look into the endpoint's own log at this time.",
    ),
    OutcomeClass.PLATFORM: OutcomeDescription(
        "Not sent",
        "This platform had no sockets, ports, memory or threads left to send the request; the endpoint was "
        "not contacted.",
        "It is tried again on schedule. If this continues, tell whoever runs this platform.",
    ),
    OutcomeClass.SECRET: OutcomeDescription(
        "Secret unreadable",
        "The signing secret or a custom header could not be decrypted, so nothing was sent.",
        "Rotate the secret and enter the headers anew; the platform's encryption keys need a check.",
    ),
    OutcomeClass.PAYLOAD: OutcomeDescription(
        "Payload damaged",
        "The stored payload is damaged, so nothing was sent.",
        "Send the event again from where it came. Whoever runs this platform should check its database.",
    ),
    OutcomeClass.CRASHED: OutcomeDescription(
        "Could not be sent",
        "Sending it stopped our worker several times, so it was set aside.",
        "Replay it; if that fails again, report the delivery's id to whoever runs this platform.",
    ),
}

HINTS_BY_STATUS = {
    401: "Check the signing secret and the custom headers.",
    403: "Check the signing secret, the custom headers, and whether a firewall lets us through.",
    404: "Check the URL’s path.",
    405: "The URL takes no POST: check its path.",
    413: "The receiver’s limit for a body is too small.",
    415: "The receiver does not take application/json here: check the URL’s path.",
}


def hint_for(outcome: OutcomeClass, status: int | None) -> str:
    """Return what to do about an outcome, by the status that it was answered with where that says more."""
    return HINTS_BY_STATUS.get(status or 0, "") or DESCRIPTIONS[outcome].hint
