"""Requests to the provider of single sign-on: each with a deadline, and with a limit to what is read."""

import json
import time
from typing import Any

# To connect, and between two reads; a whole answer may take `ANSWER_SECONDS`.
TIMEOUT = (3.05, 5.0)
ANSWER_SECONDS = 10.0
LARGEST_ANSWER = 1024 * 1024


class ProviderAway(Exception):
    """The provider did not answer, or not as a provider does; the message is for the log."""


def fetch_json(client: Any, url: str, *, sends_token: bool = False) -> dict[str, Any]:
    """Return the object at that address. Raises ProviderAway."""
    try:
        response = client.request(
            "GET",
            url,
            withhold_token=not sends_token,
            headers={"Accept": "application/json"},
            timeout=TIMEOUT,
            stream=True,
            allow_redirects=False,
        )
        read_within_limits(response)
        if response.status_code != 200:
            raise ProviderAway(f"{url} answers {response.status_code}")
        found = json.loads(response.content)
    except errors_of_requests() as error:
        raise ProviderAway(f"{url}: {type(error).__name__}") from None
    except ValueError:
        raise ProviderAway(f"{url} is no JSON") from None
    if not isinstance(found, dict):
        raise ProviderAway(f"{url} is no object")
    return found


def read_within_limits(response: Any, *_: Any, **__: Any) -> None:
    """Read the body before its deadline, and no more than it may have: a time-out is for each read only."""
    until, body = time.monotonic() + ANSWER_SECONDS, b""
    for chunk in response.iter_content(64 * 1024):
        body += chunk
        if len(body) > LARGEST_ANSWER or time.monotonic() > until:
            response.close()
            raise ProviderAway("its answer is too long or too slow")
    response._content = body


def errors_of_requests() -> tuple[type[Exception], ...]:
    from requests import RequestException  # where single sign-on is used only

    return (RequestException,)
