"""The address of Redis: what it may be, and what is refused without showing a password."""

import pytest

from webhooks_app.core import redis_url


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.internal",
        "redis://redis.internal/",
        "redis://redis.internal:6380/15",
        "redis://:p%2Fw@redis.internal:6379/0",
        "rediss://user:pw@redis.internal/0?ssl_ca_certs=%2Fetc%2Fca.pem",
        "redis://redis.internal?db=3",
        "redis://[2606:4700::1]:6379/0",
        "redis:///0",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=3",
    ],
)
def test_what_redis_py_understands_is_passed_on(url: str) -> None:
    address = redis_url.parse(url)
    assert (address.url, address.service) == (url, None)


def test_the_behaviour_of_the_client_is_not_the_urls_to_say() -> None:
    address = redis_url.parse("redis://redis.internal/0?socket_timeout=900&retry_on_timeout=yes&db=2")
    assert address.url == "redis://redis.internal/0?db=2"


def test_sentinels_are_named_with_their_primary() -> None:
    address = redis_url.parse(
        "redis+sentinel://app:pw@one.internal:26380,two.internal,[::1]:5/main/3"
        "?sentinel_username=watch&sentinel_password=s%26p"
    )
    assert address.sentinels == (("one.internal", 26380), ("two.internal", 26379), ("::1", 5))
    assert (address.service, address.url) == ("main", "redis://app:pw@one.internal:26380/3")
    assert address.sentinel_log_in == {"username": "watch", "password": "s&p"}


def test_sentinels_with_tls_have_one_ca_file_for_all() -> None:
    address = redis_url.parse("rediss+sentinel://one.internal/main?ssl_ca_certs=/etc/ca.pem")
    assert address.url == "rediss://one.internal/?ssl_ca_certs=%2Fetc%2Fca.pem"
    assert address.files == ("/etc/ca.pem",)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("redis://redis.internal/zz", "number of a database"),
        ("redis://redis.internal/0/1", "number of a database"),
        ("redis://redis.internal/-1", "number of a database"),
        ("redis://redis.internal/9999999", "number of a database"),
        ("redis://redis.internal/?db=zz", "number of a database"),
        ("redis://redis.internal?foo=1", "an option that is not known: foo"),
        ("redis://redis.internal?FOO-1", "an option that is not known: that"),
        ("redis://redis.internal?sentinel_password=x", "not known: sentinel_password"),
        ("rediss://redis.internal?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("redis://redis.internal?ssl_cert_reqs=none", "rediss://"),
        ("unix:///redis.sock?ssl_ca_certs=/etc/ca.pem", "rediss://"),
        ("redis://redis.internal#0", "must look like"),
        ("redis://redis.internal:0/0", "must look like"),
        ("redis://redis.internal:port/0", "must look like"),
        ("redis://[::1/0", "must look like"),
        ("redis://", "must look like"),
        ("http://redis.internal", "must look like"),
        ("sentinel://redis.internal", "must look like"),
        ("unix+sentinel:///run/redis.sock", "must look like"),
        ("redis+sentinel://one.internal,two.internal", "must name"),
        ("redis+sentinel://one.internal/main/zz", "number of a database"),
        ("redis+sentinel://one.internal,,two.internal:x/main", "must look like"),
    ],
)
def test_what_is_none_is_refused_with_a_phrase(url: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        redis_url.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter/2@redis.internal/0",
        "redis://:hunter#2@redis.internal/0",
        "redis://:hunter?2=1@redis.internal/0",
        "redis://app:1234/hunter2@redis.internal/0",
        "redis+sentinel://:hunter/2@one.internal,two.internal/main",
        "http://:hunter2@redis.internal/0",
    ],
)
def test_a_password_with_signs_of_an_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|not known: that") as caught:
        redis_url.parse(url)
    assert "hunter" not in str(caught.value)
