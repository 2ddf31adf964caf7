"""The options of `avra-relay run`, as the client's own parser has them."""

from avra_client import relay_options
from webhooks_app.web.documents.document_blocks import markdown_table


def write() -> str:
    rows = ((f"`{option}`", default, text) for option, default, text in relay_options.described())
    return markdown_table(("Option", "Default", "Meaning"), rows)
