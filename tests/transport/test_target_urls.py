"""Bring URLs to one spelling, or refuse them."""

import re

import pytest

from tests.transport.odd_urls import NORMALISED, SCHEMES, SPELLINGS
from tests.transport.policies import EVERYTHING, STRICT, policy_allowing, refusal_of
from webhooks_app.transport.host_names import TargetRefused
from webhooks_app.transport.target_urls import normalise_url


@pytest.mark.parametrize("url", ["http://a.example/", "HTTP://a.example/"])
def test_http_needs_the_deployments_leave(url: str) -> None:
    assert refusal_of(url, STRICT) == "The URL must start with https://."
    assert normalise_url(url, EVERYTHING) == "http://a.example/"


@pytest.mark.parametrize("url", SCHEMES)
def test_another_scheme_or_none_is_refused(url: str) -> None:
    assert "must start with https:// or http://" in str(refusal_of(url, EVERYTHING))


@pytest.mark.parametrize(("url", "reason"), SPELLINGS)
def test_a_url_that_programs_may_read_differently_is_refused(url: str, reason: str) -> None:
    problem = refusal_of(url, EVERYTHING)
    assert problem and reason in problem and problem.endswith(".") and "pw" not in problem
    assert problem.startswith(("The URL ", "The host ", "A part of the host "))


def test_a_forbidden_address_in_a_url_is_refused_with_its_reason() -> None:
    with pytest.raises(TargetRefused, match=r"10\.0\.0\.5 is a private address"):
        normalise_url("https://10.0.0.5/", STRICT)
    assert normalise_url("https://hooks.example.com/", STRICT) == "https://hooks.example.com/"


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "[::1]:3000", "10.0.0.5"])
def test_a_refused_private_address_names_the_ways_on(host: str) -> None:
    problem = str(refusal_of(f"https://{host}/", STRICT))
    assert "only go to public addresses. To receive them" in problem
    assert "`avra listen`" in problem and "WEBHOOKS_ALLOWED_TARGETS" in problem


@pytest.mark.parametrize("host", ["169.254.169.254", "0.0.0.0", "10.0.0.5:6379", "127.0.0.1:8000"])
def test_what_is_not_to_be_opened_names_none(host: str) -> None:
    policy = policy_allowing("", ("127.0.0.1", 8000))
    assert not re.search("avra|WEBHOOKS", str(refusal_of(f"https://{host}/", policy)))


@pytest.mark.parametrize(("typed", "expected"), NORMALISED)
def test_a_url_gets_one_spelling_and_keeps_its_path_and_query(typed: str, expected: str | None) -> None:
    normalised = normalise_url(typed, STRICT)
    assert normalised == (expected or typed)
    assert normalise_url(normalised, STRICT) == normalised
