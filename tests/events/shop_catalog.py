"""A deployment's own event types, as a file that WEBHOOKS_CATALOG could name."""

from pathlib import Path

TEXT = """
[[groups]]
key = "orders"
title = "Orders & <returns>"

[[event_types]]
name = "order.paid"
title = "Order paid"
group = "orders"
description = "An order was paid | in full <script>alert(1)</script>"
indexed = ["order_id"]
schema = '''
{"type": "object", "required": ["order_id"], "properties": {
  "order_id": {"type": "string", "description": "[x](javascript:alert) <b>bold</b>"},
  "lines": {"type": "array", "items": true},
  "any": true
}}
'''
example = '{"order_id": "o_1", "lines": [1.5, null, "<i>"], "any": true}'

[[event_types]]
name = "batch-request"
group = "batches"
description = "A batch was asked for here"
schema = '{"type": "object"}'
example = '{}'
"""


def write(folder: Path, head: str = "") -> Path:
    """Write the file and return where it is."""
    path = folder / "orders.toml"
    path.write_text(head + TEXT)
    return path
