"""Allow the ports of the web and refuse others."""

import pytest

from tests.transport.odd_urls import wide
from tests.transport.policies import STRICT, refusal_of
from webhooks_app.transport.target_policy import TargetPolicy, refusal_of_address
from webhooks_app.transport.target_ports import DENIED_PORTS, port_problem


@pytest.mark.parametrize("port", [80, 443, 1024, 3000, 5000, 8000, 8080, 8443, 9000, 65535])
def test_a_web_port_is_allowed(port: int) -> None:
    assert refusal_of(f"https://hooks.example.com:{port}/", STRICT) is None
    assert refusal_of_address("1.1.1.1", port, "hooks.example.com", STRICT) is None


@pytest.mark.parametrize(
    "port", [1, 22, 25, 444, 1023, 2375, 3306, 5432, 6000, 6063, 6379, 9200, 11211, 27017]
)
def test_another_port_is_refused_on_save_and_on_connect(port: int) -> None:
    for url in (f"https://hooks.example.com:{port}/", f"https://1.1.1.1:{port}/"):
        assert f"Port {port} is not open" in str(refusal_of(url, STRICT))
    assert f"Port {port} is not open" in str(refusal_of_address("1.1.1.1", port, "hooks.example.com", STRICT))


@pytest.mark.parametrize(
    ("before", "first", "last", "behind"),
    [(1432, 1433, 1434, 1435), (2180, 2181, 2181, 2182), (5899, 5900, 5909, 5910), (5999, 6000, 6063, 6064)],
)
def test_a_denied_range_ends_where_it_says(before: int, first: int, last: int, behind: int) -> None:
    assert port_problem(before, DENIED_PORTS) is port_problem(behind, DENIED_PORTS) is None
    assert all(port_problem(port, DENIED_PORTS) for port in range(first, last + 1))


def test_each_scheme_has_its_port() -> None:
    policy = TargetPolicy(allow_http=True, denied_ports=frozenset({80, 443}))
    for scheme, port in (("http", 80), ("https", 443)):
        assert str(refusal_of(f"{scheme}://hooks.example.com/", policy)).startswith(
            f"Port {port} is not open"
        )


@pytest.mark.parametrize(("port", "is_one"), [(0, False), (1, True), (65535, True), (65536, False)])
def test_a_number_past_those_of_ports_is_said_to_be_none(port: int, is_one: bool) -> None:
    told = port_problem(port, frozenset({1, 65535}))
    assert (told == "The port must be a number from 1 to 65535.") is not is_one
    assert str(told).startswith(f"Port {port} is not open") is is_one


@pytest.mark.parametrize(
    "port", ["0", "65536", "99999", "123456", "-1", "+80", "8o", "٤٤٣", wide("443"), "80:80", "0x50"]
)
def test_a_port_that_is_none_is_refused(port: str) -> None:
    assert "from 1 to 65535" in str(refusal_of(f"https://hooks.example.com:{port}/", STRICT))


def test_the_deny_list_is_a_setting_and_spares_what_is_refused_anyway() -> None:
    assert refusal_of("https://a.example:6379/", TargetPolicy(denied_ports=frozenset())) is None
    assert "Port 443" in str(refusal_of("https://a.example/", TargetPolicy(denied_ports=frozenset({443}))))
    assert min(DENIED_PORTS) >= 1024 and not DENIED_PORTS & {3000, 5000, 8000, 8080, 8081, 8443, 8888, 9000}
