"""What the console is for, as stories: what each may take in actions and page loads, counted how."""

from dataclasses import dataclass, field
from typing import NamedTuple

from playwright.sync_api import Frame, Locator, Page, Request


class Cost(NamedTuple):
    """An action is a click, a press that submits, a selection or a filled field; a load, a new address."""

    actions: int
    loads: int

    def __str__(self) -> str:
        return f"{self.actions}/{self.loads}"


class Story(NamedTuple):
    """`before`: what it cost when the stories were first told; None for what could not be done at all."""

    title: str
    before: Cost | None
    at_most: Cost


# A story may get shorter, never longer.
STORIES = {
    "first": Story("The first endpoint, to a verified delivery", Cost(8, 5), Cost(6, 2)),
    "outage": Story("“Nothing has arrived since 14:00”, until all has", Cost(23, 15), Cost(5, 2)),
    "rotate": Story("Rotate a secret safely", Cost(10, 9), Cost(7, 4)),
    "find": Story("Find what was sent about one batch", Cost(12, 12), Cost(3, 1)),
    "subscribers": Story("Who gets batch-lifecycle?", Cost(2, 1), Cost(1, 1)),
    "invite": Story("Invite a viewer", Cost(3, 2), Cost(3, 2)),
    "maintenance": Story("A receiver’s maintenance, without loss", Cost(5, 5), Cost(4, 4)),
    "go": Story("Verify in Go, from the endpoint’s page", Cost(2, 2), Cost(2, 2)),
    "share": Story("Share what one attempt sent and got", Cost(3, 2), Cost(2, 1)),
    "compare": Story("Compare a failed attempt with a success", None, Cost(2, 2)),
    "test": Story("Send a test that I edited", Cost(7, 4), Cost(5, 3)),
}


@dataclass
class Play:
    """Somebody who plays a story on a page, from where the page is now, and counts."""

    page: Page
    actions: int = 0
    loads: list[str] = field(default_factory=list)
    _address: str = ""
    _is_loading: bool = False

    def __post_init__(self) -> None:
        self.page.wait_for_load_state()
        self._address = self.page.url
        self.page.on("request", self._note_request)
        self.page.on("framenavigated", self._note_address)

    @property
    def cost(self) -> Cost:
        return Cost(self.actions, len(self.loads))

    def click(self, place: Locator) -> None:
        self._act()
        place.click()

    def fill(self, place: Locator, text: str) -> None:
        self._act()
        place.fill(text)

    def choose(self, place: Locator, value: str) -> None:
        self._act()
        place.select_option(value)

    def press(self, key: str) -> None:
        self._act()
        self.page.keyboard.press(key)

    def _act(self) -> None:
        self.page.wait_for_load_state()  # before it, a press may act as it does without JavaScript
        self.actions += 1

    def _note_request(self, request: Request) -> None:
        if request.is_navigation_request() and request.redirected_from is None:
            self.loads.append(request.url)
            self._is_loading = True

    def _note_address(self, frame: Frame) -> None:
        """Note a new address of a page that was changed in place.

        Of a load it comes behind the request; behind both, where the page before was told of last.
        """
        is_loaded = self._is_loading or self.loads[-1:] == [frame.url]
        if frame.url != self._address and not is_loaded:
            self.loads.append(frame.url)
        self._address, self._is_loading = frame.url, False


def table(counted: dict[str, Cost] | None = None) -> str:
    """The stories as a table of Markdown; with what was counted where that is known."""
    head = ["Story", "At first", "At most"] + (["Now"] if counted is not None else [])
    rows = [head, ["---"] * len(head)]
    for name, story in STORIES.items():
        row = [story.title, str(story.before or "–"), str(story.at_most)]
        rows.append(row if counted is None else [*row, str(counted.get(name, "not played"))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
