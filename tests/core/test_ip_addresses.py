import pytest

from webhooks_app.core import ip_addresses


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_what_is_sent_to_loopback_stays_on_this_machine(host: str, is_it: bool) -> None:
    assert ip_addresses.is_loopback(host) is is_it
