"""Allow the ports of the web and refuse others."""

import pytest

from tests.transport.odd_urls import wide
from tests.transport.policies import STRICT, refusal_of
from webhooks_app.transport.target_policy import TargetPolicy, address_problem
from webhooks_app.transport.target_ports import DENIED_PORTS


@pytest.mark.parametrize("port", [80, 443, 1024, 3000, 5000, 8000, 8080, 8443, 9000, 65535])
def test_a_web_port_is_allowed(port: int) -> None:
    assert refusal_of(f"https://hooks.example.com:{port}/", STRICT) is None
    assert address_problem("1.1.1.1", port, "hooks.example.com", STRICT) is None


@pytest.mark.parametrize(
    "port", [1, 22, 25, 444, 1023, 2375, 3306, 5432, 6000, 6063, 6379, 9200, 11211, 27017]
)
def test_another_port_is_refused_on_save_and_on_connect(port: int) -> None:
    for url in (f"https://hooks.example.com:{port}/", f"https://1.1.1.1:{port}/"):
        assert f"Port {port} is not open" in str(refusal_of(url, STRICT))
    assert f"Port {port} is not open" in str(address_problem("1.1.1.1", port, "hooks.example.com", STRICT))


@pytest.mark.parametrize(
    "port", ["0", "65536", "99999", "123456", "-1", "+80", "8o", "٤٤٣", wide("443"), "80:80", "0x50"]
)
def test_a_port_that_is_none_is_refused(port: str) -> None:
    assert "from 1 to 65535" in str(refusal_of(f"https://hooks.example.com:{port}/", STRICT))


def test_the_deny_list_is_a_setting_and_spares_what_is_refused_anyway() -> None:
    assert refusal_of("https://a.example:6379/", TargetPolicy(denied_ports=frozenset())) is None
    assert "Port 443" in str(refusal_of("https://a.example/", TargetPolicy(denied_ports=frozenset({443}))))
    assert min(DENIED_PORTS) >= 1024 and not DENIED_PORTS & {3000, 5000, 8000, 8080, 8081, 8443, 8888, 9000}
