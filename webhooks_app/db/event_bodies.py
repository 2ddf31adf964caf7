"""The body of an event, packed for the log. Pure.

Around what a producer sent stand the event's id, moment and workspace, which take 160 bytes as text and 42 as
what they spell; the rest is deflated (RFC 1951) with a dictionary of what such data hold. The first byte is
the version, which says how to read the rest; neither a version nor its dictionary is ever changed, as rows
hold it for years. A body that is not packed begins with a brace, and one that was erased is empty; anything
else is damaged, and so is what unpacks to another body than was packed, is no UTF-8, or names another event.
"""

import re
from base64 import b32hexencode
from zlib import crc32

from webhooks_app.db.preset_deflate import DamagedStream, PresetDeflate

# Followed by the 130 bits of the event's id, those of the workspace's, the 17 digits of the moment, each as a
# number, the CRC-32 of the whole body, and, deflated, the type and what stands behind the workspace's id.
_VERSION = 1
_ID_BYTES, _MOMENT_BYTES, _SUM_BYTES = 17, 8, 4
_WORKSPACE_AT = 1 + _ID_BYTES
_MOMENT_AT = _WORKSPACE_AT + _ID_BYTES
_SUM_AT = _MOMENT_AT + _MOMENT_BYTES
_DEFLATED_AT = _SUM_AT + _SUM_BYTES
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
    """Return whether it is not the body itself."""
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
            crc32(body).to_bytes(_SUM_BYTES, "big"),
            _DEFLATE.pack(b'%b"%b' % (event_type, body[envelope.end() :])),
        )
    )
    return packed if len(packed) < len(body) else body


def read(stored: bytes, *, is_part: bool = False) -> bytes:
    """Return the body that is sent, or `Unreadable` where what is stored is damaged.

    `is_part`: of what is not packed there may be the beginning only, which may end within a character.
    """
    try:
        return unpack(stored, is_part=is_part)
    except DamagedBody:
        return _UNREADABLE


def of_event(event_id: str, body: bytes) -> bytes:
    """Return what was read as the event's body, or `Unreadable` where it is another event's."""
    return _UNREADABLE if body and not body.startswith(b'{"id":"%b"' % event_id.encode()) else body


def unpack(stored: bytes, *, is_part: bool = False) -> bytes:
    """Return the body that is sent, also of what is stored as it is. Raises DamagedBody."""
    if is_packed(stored):
        return _unpack(stored)
    if stored[:1] not in (b"{", b"") or not (is_part or _is_utf8(stored)):
        raise DamagedBody
    return stored


def _is_utf8(body: bytes) -> bool:
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def _unpack(stored: bytes) -> bytes:
    try:
        event_id = _spell_id(stored[1:_WORKSPACE_AT])
        workspace_id = _spell_id(stored[_WORKSPACE_AT:_MOMENT_AT])
        content = _DEFLATE.unpack(stored[_DEFLATED_AT:], largest=LARGEST)
    except (DamagedStream, OverflowError) as error:
        raise DamagedBody from error
    digits = b"%017d" % int.from_bytes(stored[_MOMENT_AT:_SUM_AT], "big")
    moment = b"%b-%b-%bT%b:%b:%b.%bZ" % (
        *(digits[:4], digits[4:6], digits[6:8], digits[8:10]),
        *(digits[10:12], digits[12:14], digits[14:]),
    )
    event_type, _, rest = content.partition(b'"')
    body = b'{"id":"evt_%b","type":"%b","timestamp":"%b","workspace_id":"ws_%b"%b' % (
        *(event_id, event_type, moment, workspace_id, rest),
    )
    if crc32(body) != int.from_bytes(stored[_SUM_AT:_DEFLATED_AT], "big"):
        raise DamagedBody
    return body


def _spell_id(raw: bytes) -> bytes:
    # Base32 encodes from the left on, 160 bits at a time.
    return b32hexencode((int.from_bytes(raw, "big") << 30).to_bytes(20, "big"))[:26].lower()
