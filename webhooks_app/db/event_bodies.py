"""The body of an event, packed for the log. Pure.

Around what a producer sent stand the event's id, moment and workspace, which take 160 bytes as text and 42 as
what they spell; the rest is deflated (RFC 1951) with a dictionary of what such data hold. The first byte is
the version, which says how to read the rest; neither a version nor its dictionary is ever changed, as rows
hold it for years. A body that is not packed begins with a brace, and one that was erased is empty; anything
else is damaged, and so is what cannot be unpacked to its end.
"""

import re
from base64 import b32hexencode
from datetime import datetime

from webhooks_app.db.preset_deflate import DamagedStream, PresetDeflate

# Followed by the 130 bits of the event's id, those of the workspace's, the 17 digits of the moment, each as a
# number, and, deflated, the type and what stands behind the workspace's id, from a quote on either.
_VERSION = 1
_ID_BYTES, _MOMENT_BYTES = 17, 8
_HEAD_BYTES = 1 + 2 * _ID_BYTES + _MOMENT_BYTES
# In bytes, of what is packed: above, PostgreSQL compresses by itself, and no request is to wait for this.
LARGEST = 4096

_ENVELOPE = re.compile(
    rb'\{"id":"evt_([0-9a-v]{26})","type":"([^"\\\0]+)",'
    rb'"timestamp":"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z","workspace_id":"ws_([0-9a-v]{26})"'
)
# What comes last costs least to refer to.
_DICTIONARY = b"".join(
    (
        b'"organization_id":"org_","project_id":"proj_","order_id":"order_","customer_id":"cus_","invoice_id":',
        b'"amount":"currency":"USD","EUR","quantity":"price":"address":{"line1":"city":"country":"postal_code":',
        b'"phone":"+1","first_name":"last_name":"email":"user@example.com","url":"https://www.example.com/',
        b'"description":"title":"message":"code":"type":"metadata":{},"tags":[],"items":[{"id":"',
        b'"scopes":["batches:read","batches:write"],"previous_key_expires_at":"key_prefix":"ak_',
        b'"last_used_at":"archived_at":"changed_fields":["name","retention_days"],"owner_email":"',
        b'"previous_name":"aliases":["staging"],"alias":"production","previous_version":"replaced_by":"version":"',
        b'"upload_expires_at":"expires_at":null,"created_at":"updated_at":"content_type":"application/jsonl",',
        b'"sha256":"size_bytes":"file_name":".jsonl","input_id":"input_01","result_id":"result_01',
        b'"reason":"Retention period of 30 days is over","api_key_id":"key_01","name":"',
        b'"previous_status":"running","queued_at":"started_at":"finished_at":"2026-01-2027-01-2028-01-00:00:00Z",',
        b'"model_version":"request_count":1000,"error":null,true,false,"request_counts":{"total":1000,"succeeded":',
        b'"completed":990,"failed":10}"actor":{"type":"system"}"actor":{"type":"user","id":"user_01',
        b'"actor":{"type":"api_key","id":"key_01"failed","model":"status":"succeeded",',
        b'input-upload"result-deletion"model-registration"workspace-creation"api-key-creation"batch-request"',
        b'batch-lifecycle","data":{"batch_id":"batch_',
    )
)
_DEFLATE = PresetDeflate(_DICTIONARY, level=1)


class DamagedBody(Exception):
    """What is stored is no body that was ever accepted."""


class Unreadable(bytes):
    """What a damaged body is read as: empty, as an erased one is, so that nothing of it is sent or shown."""


_UNREADABLE = Unreadable()


def is_packed(stored: bytes) -> bool:
    """Tell whether it is not the body itself."""
    return stored[:1] == b"%c" % _VERSION


def pack(body: bytes) -> bytes:
    """Return the body packed, or as it is where that would be no smaller, or where it is large."""
    envelope = _ENVELOPE.match(body) if len(body) <= LARGEST else None
    if envelope is None:
        return body
    event_id, event_type, *moment, workspace_id = envelope.groups()
    packed = b"".join(
        (
            b"%c" % _VERSION,
            int(event_id, 32).to_bytes(_ID_BYTES, "big"),
            int(workspace_id, 32).to_bytes(_ID_BYTES, "big"),
            int(b"".join(moment)).to_bytes(_MOMENT_BYTES, "big"),
            _DEFLATE.pack(b'%b"%b' % (event_type, body[envelope.end() :])),
        )
    )
    return packed if len(packed) < len(body) else body


def read(stored: bytes) -> bytes:
    """Return the body that is sent, or `Unreadable` where what is stored is damaged."""
    try:
        return unpack(stored)
    except DamagedBody:
        return _UNREADABLE


def unpack(stored: bytes) -> bytes:
    """Return the body that is sent, also of what is stored as it is. Raises DamagedBody."""
    if not is_packed(stored):
        if stored[:1] in (b"{", b""):
            return stored
        raise DamagedBody
    try:
        return _unpack(stored)
    except (DamagedStream, ValueError, OverflowError) as error:  # no moment; no id of 26 letters
        raise DamagedBody from error


def _unpack(stored: bytes) -> bytes:
    event_id = _spell_id(stored[1 : 1 + _ID_BYTES])
    workspace_id = _spell_id(stored[1 + _ID_BYTES : 1 + 2 * _ID_BYTES])
    digits = b"%017d" % int.from_bytes(stored[1 + 2 * _ID_BYTES : _HEAD_BYTES], "big")
    moment = b"%b-%b-%bT%b:%b:%b.%bZ" % (
        *(digits[:4], digits[4:6], digits[6:8], digits[8:10]),
        *(digits[10:12], digits[12:14], digits[14:]),
    )
    datetime.fromisoformat(moment.decode())
    event_type, quote, rest = _DEFLATE.unpack(stored[_HEAD_BYTES:], largest=LARGEST).partition(b'"')
    if not (event_type and quote and rest.endswith(b"}")):
        raise DamagedBody
    return b'{"id":"evt_%b","type":"%b","timestamp":"%b","workspace_id":"ws_%b"%b' % (
        *(event_id, event_type, moment, workspace_id, rest),
    )


def _spell_id(raw: bytes) -> bytes:
    # Base32 encodes from the left on, 160 bits at a time.
    return b32hexencode((int.from_bytes(raw, "big") << 30).to_bytes(20, "big"))[:26].lower()
