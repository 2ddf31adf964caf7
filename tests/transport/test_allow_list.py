"""Parse the allow list."""

from ipaddress import ip_network

import pytest

from webhooks_app.transport.allow_list import parse_allow_list


def test_the_allow_list_reads_networks_and_pairs() -> None:
    networks, hosts = parse_allow_list(
        " 10.0.0.0/8, 127.0.0.1:8100,[::1]:9000,\n hooks.internal:8443, bücher.test:80, "
    )
    assert networks == (ip_network("10.0.0.0/8"),)
    names = {("127.0.0.1", 8100), ("::1", 9000), ("hooks.internal", 8443), ("xn--bcher-kva.test", 80)}
    assert hosts == names
    assert parse_allow_list("") == ((), frozenset())


@pytest.mark.parametrize("port", [1, 65535])
def test_any_port_of_a_host_may_be_opened(port: int) -> None:
    assert parse_allow_list(f"hooks.internal:{port}") == ((), frozenset({("hooks.internal", port)}))


MALFORMED = """
    10.0.0.1/8 10.0.0.0/33 a/b localhost 10.0.0.5 ::1 ::1:9000 x:0 x:65536 x:http x: :80 *.x:80 a..b:80
    http://x:80 0x7f.1:80 u@x:80 169.254.0.0/16 169.254.169.254:80 fe80::/64 [fd00:ec2::254]:80 0.0.0.0:80
"""


@pytest.mark.parametrize("entry", MALFORMED.split())
def test_a_malformed_or_useless_allow_list_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_allow_list(f"10.0.0.0/8, {entry}")
    assert repr(entry) in str(caught.value) and str(caught.value).endswith(".")
