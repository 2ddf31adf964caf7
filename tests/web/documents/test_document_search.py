"""The search of the documents knows a deployment's own event types."""

import json
from typing import Any

from webhooks_app.web.documents.document_search import SearchedPage, merge

INDEX = {
    "alltitles": {"batch-request": [[1, None]], "Data": [[0, "data"], [1, "data"]]},
    "docnames": ["index", "events/batch-request"],
    "envversion": {"sphinx": 66},
    "filenames": ["index.md", "events/batch-request.md"],
    "terms": {"custom": 0, "old": 1, "both": [0, 1], "ord": 0},
    "titleterms": {"batch": 1},
    "titles": ["Start", "batch-request"],
}
SCRIPT = f"Search.setIndex({json.dumps(INDEX)})"
PAGE = SearchedPage("events/order.paid", "order.paid", "Order paid", "A customer’s Delivery was paid: <b>")


def merged(*pages: SearchedPage, left_out: tuple[str, ...] = ()) -> dict[str, Any]:
    text = merge(SCRIPT, pages, left_out)
    index: dict[str, Any] = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    return index


def test_a_page_is_found_by_its_words_and_by_their_stems() -> None:
    index = merged(PAGE)
    number = index["docnames"].index("events/order.paid")
    assert (index["filenames"][number], index["titles"][number]) == ("events/order.paid.md", "order.paid")
    assert index["alltitles"]["order.paid"] == [[number, None]]
    assert index["terms"]["customer"] == [number] and index["terms"]["custom"] == [0, number]
    assert index["terms"]["deliveri"] == index["terms"]["delivery"] == [number]
    assert index["titleterms"].keys() == {"batch", "order", "paid"}


def test_what_was_replaced_is_found_no_more() -> None:
    index = merged(left_out=("events/batch-request", "events/no-such"))
    assert index["terms"] == {"custom": [0], "both": [0], "ord": [0]}
    assert index["titleterms"] == {}
    assert index["alltitles"] == {"Data": [[0, "data"]]}
    assert index["titles"] == INDEX["titles"], "whose numbers others have"


def test_markup_in_a_heading_stays_text() -> None:
    index = merged(PAGE._replace(heading="<img src=x>"))
    assert index["titles"][-1] == "&lt;img src=x&gt;"
    assert "<img src=x>" not in index["alltitles"]


def test_an_index_of_another_kind_stays_as_it_is() -> None:
    for script in ("", "var x = 1", "Search.setIndex({a: 1})"):
        assert merge(script, [PAGE], []) == script
