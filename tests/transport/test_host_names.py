"""Refuse hosts that programs read as different addresses."""

import pytest

from tests.transport.odd_urls import LITERALS, ODD_IPV4, wide
from tests.transport.policies import EVERYTHING, STRICT, policy_allowing, refusal_of
from webhooks_app.transport.host_names import canonical_host
from webhooks_app.transport.target_policy import TargetPolicy


@pytest.mark.parametrize("host", ODD_IPV4.split())
@pytest.mark.parametrize("policy", [STRICT, EVERYTHING, policy_allowing("127.0.0.1:443, 8.8.8.8:443")])
def test_an_odd_spelling_of_an_ipv4_address_is_refused_with_its_meaning(
    host: str, policy: TargetPolicy
) -> None:
    meaning = (
        "8.8.8.8" if host in ("8.8.2056", "134744072") else "0.0.0.0" if host in ("0", "0x") else "127.0.0.1"
    )
    assert f" means {meaning}. Write addresses in full." in str(refusal_of(f"https://{host}/", policy))


@pytest.mark.parametrize(
    "host",
    [
        "256.1.1.1",
        "1.2.3.4.5",
        "1.2.3.4.0",
        "4294967296",
        "1.2.3.256",
        "08.8.8.8",
        "a.1",
        "a.0x1",
        "1.2.3.0xg.9",
    ],
)
def test_a_host_that_ends_in_a_number_but_is_no_address_is_refused(host: str) -> None:
    assert "ends in a number" in str(refusal_of(f"https://{host}/", EVERYTHING))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::1", "::1"),
        ("[0:0::1]", "::1"),
        ("Hooks.Example.com.", "hooks.example.com"),
        ("255.0.0.255", "255.0.0.255"),
    ],
)
def test_a_host_of_a_setting_gets_one_spelling_with_or_without_brackets(host: str, expected: str) -> None:
    assert canonical_host(host) == expected


LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])  # RFC 1123, section 2.1, and RFC 1035, 2.3.4


@pytest.mark.parametrize("host", [LONGEST, f"{LONGEST}."])
def test_the_longest_name_is_taken_with_and_without_the_roots_dot(host: str) -> None:
    assert (len(LONGEST), canonical_host(host)) == (253, LONGEST)


@pytest.mark.parametrize("host", [f"{LONGEST}e", f"{LONGEST}e."])
def test_a_longer_name_is_refused(host: str) -> None:
    assert "over 253 characters" in str(refusal_of(f"https://{host}/", STRICT))


@pytest.mark.parametrize("host", LITERALS.split())
def test_a_literal_address_is_judged_on_save(host: str) -> None:
    assert (
        "No setting" in (problem := str(refusal_of(f"https://{host}/", STRICT)))
        or "only go to public" in problem
    )


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "app.localhost", wide("localhost"), "a.b.LocalHost."]
)
def test_localhost_is_refused_unless_allowed(host: str) -> None:
    url = f"https://{host}:8100/"
    assert "this machine itself" in str(refusal_of(url, STRICT))
    assert refusal_of(url, policy_allowing("127.0.0.1:8100")) is None
    assert refusal_of(url, policy_allowing("127.0.0.0/8")) is None
    assert refusal_of(url, policy_allowing("127.0.0.1:8101")) is not None
    assert refusal_of("https://localhost.example/", STRICT) is None
