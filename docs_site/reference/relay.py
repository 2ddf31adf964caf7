"""The options of `avra-relay run`, as the client's own parser has them."""

from avra_client import relay_options
from docs_site.reference.tables import table


def write() -> str:
    rows = ((f"`{option}`", default, text) for option, default, text in relay_options.described())
    return table(("Option", "Default", "Meaning"), rows)
