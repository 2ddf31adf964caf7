"""What browsers call themselves."""

import pytest

from webhooks_app.web.sign_in.device_names import name_of

_CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"
_SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1 Version/18 Safari/604.1"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (_CHROME, "Chrome on Linux"),
        (f"{_CHROME} Edg/131.0".replace("X11; Linux x86_64", "Windows NT 10.0"), "Edge on Windows"),
        (_SAFARI, "Safari on iPhone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.7; rv:133.0) Gecko/2 Firefox/133.0", "Firefox on macOS"),
        ("curl/8.1", "curl"),
        ("", "an unknown browser"),
    ],
)
def test_a_browser_has_the_name_that_people_know(user_agent: str, name: str) -> None:
    assert name_of(user_agent) == name
