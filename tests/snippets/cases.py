"""Deliveries that the platform signed and sent, as they came, and what can be done to them on the way."""

import base64
import hmac
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tests.conftest import TESTER, Workspace
from tests.receivers import Receiver
from webhooks_app.core import signing
from webhooks_app.db.models import Endpoint
from webhooks_app.endpoints import signing_secrets
from webhooks_app.endpoints.signing_secrets import OVERLAPS
from webhooks_app.extensions import db, services
from webhooks_app.web.api.event_input import LARGEST_EVENT_BYTES
from webhooks_app.worker.engine import DeliveryEngine

NAMES = (signing.ID_HEADER, signing.TIMESTAMP_HEADER, signing.SIGNATURE_HEADER)
GARBAGE_TIMESTAMPS = (
    *("", " ", "soon", "NaN", "-1", "1e400", "9" * 25, "9" * 400, "0x7fffffff", "1.5", "1750000000s"),
    *("9223372036854775807", "-9223372036854775808", "\xff\xfe", "a[$(touch intruder)]"),
)


@dataclass(frozen=True)
class Case:
    """One request as a consumer gets it, and the secret that the consumer holds."""

    group: str
    title: str
    secret: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def line(self) -> str:
        values = [self.headers.get(name) for name in NAMES]
        fields = ["-" if value is None else _base64(value.encode("latin-1")) for value in values]
        return ":".join([_base64(self.secret.encode()), *fields, _base64(self.body)])


@dataclass(frozen=True)
class Platform:
    """Sends what the cases are made of to one endpoint, whose secret it rotates."""

    workspace: Workspace
    endpoint_id: str
    receiver: Receiver
    engine: DeliveryEngine

    def cases(self) -> list[Case]:
        """Fresh ones: they are good for as long as the tolerance."""
        plain = self._deliver("genuine", "as it came")
        foreign = self._deliver("genuine", "a body beyond ASCII", batch_id="“ünï” e\u0301 漢字 🎉 \u2028")
        self._rotate("24h")
        overlapping = self._deliver("rotated", "the new secret, while two sign")
        self._rotate("now")
        after = self._deliver("rotated", "the newest secret, after the overlap")
        old, new = plain.secret, overlapping.secret
        assert len({old, new, after.secret}) == 3
        assert [len(case.headers[NAMES[2]].split()) for case in (overlapping, after)] == [2, 1]
        return [
            plain,
            foreign,
            *_genuine(plain),
            overlapping,
            replace(overlapping, title="the old secret, while two sign", secret=old),
            after,
            replace(after, group="wrong secret", title="after the overlap", secret=old),
            replace(after, group="wrong secret", title="one rotation later", secret=new),
            replace(plain, group="wrong secret", title="a stranger's", secret=signing.new_secret()),
            *_tampered(foreign),
            *_untimely(plain),
            *_garbage(plain),
            *_unset(plain),
        ]

    def requests(self) -> list[Case]:
        """What a server gets that holds all the time what is the secret now, before these rotate it."""
        cases = self.cases()
        plain = cases[0]
        # Whether white space around a header's value is part of it is each server's own affair.
        return [
            *(case for case in cases if case.secret == plain.secret and case.group != "nearly right"),
            *_hard_to_keep(plain),
        ]

    def _deliver(self, group: str, title: str, **data: object) -> Case:
        self.workspace.send(1, **data)
        before = len(self.receiver.received)
        self.engine.run(seconds=60)
        [request] = self.receiver.received[before:]
        headers = {name: request.headers[name] for name in NAMES}
        return Case(group, title, self.secret, headers, request.body)

    @property
    def secret(self) -> str:
        return signing_secrets.reveal(services().write, services().cipher, self._endpoint(), actor=TESTER)[0]

    def _rotate(self, overlap: str) -> None:
        signing_secrets.rotate(
            services().write, services().cipher, self._endpoint(), overlap=OVERLAPS[overlap], actor=TESTER
        )

    def _endpoint(self) -> Endpoint:
        db.session.rollback()
        db.session.expire_all()
        return db.session.get_one(Endpoint, self.endpoint_id)


def _genuine(case: Case) -> Iterator[Case]:
    """What a consumer must not be pickier about than Standard Webhooks is."""
    for seconds in (-180, 270):  # they age while a program is compiled
        yield _signed_anew(replace(case, title=f"{seconds:+} seconds off"), seconds)
    signature = case.headers[NAMES[2]]
    for title, value in (
        ("an unknown version before it", f"v1a,{'A' * 86}== {signature}"),
        ("another signature before it", f"v1,{'A' * 43}= {signature}"),
        ("another signature behind it", f"{signature} v1,{'A' * 43}="),
    ):
        yield _with(replace(case, title=title), NAMES[2], value)


def _hard_to_keep(case: Case) -> Iterator[Case]:
    """Bodies that are other bytes once something has parsed them, or that are over small limits."""
    data = '{"é": "\\u00e9 \\ud83c\\udf89 “ü” 漢字 🎉", "n": 1.10, "n": 1e2}'
    written = '{ "type": "a\\/b",\r\n\t"data": ' + data + " }\n"
    large = '{"type":"large","data":"' + "é" * (LARGEST_EVENT_BYTES // 2) + '"}'
    for title, body in (("as it was written", written), ("as large as an event may be", large)):
        genuine = replace(case, title=title, body=body.encode())
        yield _signed_anew(genuine, 0)
        yield replace(_signed_anew(genuine, 0), group="tampered", body=genuine.body[:-1])


def _tampered(case: Case) -> Iterator[Case]:
    tampered = replace(case, group="tampered")
    yield replace(tampered, title="a byte of the body", body=case.body.replace(b"succeeded", b"succeeder"))
    yield replace(tampered, title="a byte more", body=case.body + b" ")
    yield replace(tampered, title="a byte less", body=case.body[:-1])
    yield replace(tampered, title="no body", body=b"")
    yield _with(replace(tampered, title="the id"), NAMES[0], case.headers[NAMES[0]] + "x")
    later = str(int(case.headers[NAMES[1]]) + 1)
    yield _with(replace(tampered, title="the timestamp"), NAMES[1], later)


def _untimely(case: Case) -> Iterator[Case]:
    for group, all_seconds in (("old", (-330, -86_400)), ("future", (420, 86_400))):
        for seconds in all_seconds:
            yield _signed_anew(replace(case, group=group, title=f"{seconds:+} seconds"), seconds)


def _garbage(case: Case) -> Iterator[Case]:
    for name in NAMES:
        rest = {other: value for other, value in case.headers.items() if other != name}
        yield replace(case, group="missing header", title=name, headers=rest)
    now = case.headers[NAMES[1]]
    for group, stamp in (
        *(("garbage timestamp", each) for each in GARBAGE_TIMESTAMPS),
        *(("nearly right", each) for each in (f"{now}s", f"{now}.5", f"{now},")),
    ):
        garbled = replace(case, group=group, title=repr(stamp[:30]))
        yield _with(garbled, NAMES[1], stamp)
        # Signed with the right key, so that only the check of the timestamp can refuse it.
        signed = f"{case.headers[NAMES[0]]}.{stamp}.".encode("latin-1") + case.body
        digest = hmac.digest(signing.key_of(case.secret), signed, "sha256")
        garbled = _with(garbled, NAMES[1], stamp)
        yield _with(replace(garbled, title=f"{garbled.title}, signed"), NAMES[2], f"v1,{_base64(digest)}")
    version, mac = case.headers[NAMES[2]].split(",")
    for value in (
        *("", " ", ",", "v1", "v1,", "v1, ", "garbage", "v1,####", "v1,\xe4", "*", "v1,*", f"v1,{mac[:-4]}"),
        *(mac, f"v2,{mac}", f"v1a,{mac}", f"V1,{mac}", f"{version}{mac}", f"v1,v1,{mac}"),
        *(f"v1,{mac[:20]} {mac[20:]}", f"v1,{mac.swapcase()}", "v1,= " * 50),
    ):
        yield _with(replace(case, group="garbage signature", title=repr(value)), NAMES[2], value)
    for value in (f"v1,{mac}AAAA", f"v1,{mac}=", f"v1,{mac}\xa0", f"v1,{mac},v1"):
        yield _with(replace(case, group="nearly right", title=repr(value)), NAMES[2], value)


def _unset(case: Case) -> Iterator[Case]:
    """Whoever forgets to set the secret must not trust what anyone can sign."""
    signed = b".".join([case.headers[NAMES[0]].encode(), case.headers[NAMES[1]].encode(), case.body])
    signature = f"v1,{_base64(hmac.digest(b'', signed, 'sha256'))}"
    for secret in ("", signing.SECRET_PREFIX):
        unset = replace(case, group="unset secret", title=repr(secret), secret=secret)
        yield _with(unset, NAMES[2], signature)
        yield _with(unset, NAMES[2], "v1,")


def _signed_anew(case: Case, seconds: int) -> Case:
    """As the platform would have signed it so many seconds from now."""
    timestamp = int(time.time()) + seconds
    signature = signing.signature(
        [signing.key_of(case.secret)],
        message_id=case.headers[NAMES[0]],
        timestamp=timestamp,
        body=case.body,
    )
    return _with(_with(case, NAMES[1], str(timestamp)), NAMES[2], signature)


def _with(case: Case, name: str, value: str) -> Case:
    return replace(case, headers={**case.headers, name: value})


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
