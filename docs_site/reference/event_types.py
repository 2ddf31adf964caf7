"""A page for each event type of the built-in catalog, and the page that lists them."""

from webhooks_app.events import catalog
from webhooks_app.web.documents import event_type_documents
from webhooks_app.web.documents.document_blocks import as_markdown

_INTRODUCTION = """The event types of the built-in catalog, written by `make reference`. A deployment may have
[others](../catalog.md), which its own `/docs` has as well; `GET /api/v1/event-types` and *Event catalog* in
the console list what it has."""
_BASE_URL = "http://127.0.0.1:8000"


def write() -> dict[str, str]:
    """Return the pages' texts, by the names of their files without `.md`."""
    found = catalog.load()
    pages = {
        each.name: as_markdown(event_type_documents.page(each, base_url=_BASE_URL))
        for each in found.event_types
    }
    return {"README": as_markdown(event_type_documents.index(found, _INTRODUCTION)), **pages}
