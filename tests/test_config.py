"""Settings: the default, a good value and a malformed one of each."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import certifi
import psutil
import pytest

from webhooks_app import config
from webhooks_app.app import create_app
from webhooks_app.config import ConfigError, Settings
from webhooks_app.core.ip_addresses import is_address
from webhooks_app.core.rate_limit import RateLimit
from webhooks_app.core.retry_schedule import DEFAULT_DELAYS
from webhooks_app.endpoints.endpoint_values import LONGEST_TIMEOUT_MS
from webhooks_app.transport.target_policy import refusal_of_address
from webhooks_app.transport.target_ports import DENIED_PORTS

KEYS = [base64.urlsafe_b64encode(bytes([number]) * 32).decode() for number in (7, 8)]
SECRETS = {"SECRET_KEY": "s" * 32, "WEBHOOKS_ENCRYPTION_KEYS": KEYS[0]}
HUGE = "9" * 5_000


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return tmp_path / "instance"


def read(instance: Path, environ: Mapping[str, str] | None = None) -> Settings:
    return config.read({"WEBHOOKS_INSTANCE": str(instance)} | dict(environ or {}))


def line_of(instance: Path, environ: Mapping[str, str]) -> str:
    """What `environ` is refused with."""
    with pytest.raises(ConfigError) as caught:
        read(instance, environ)
    return str(caught.value)


DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8000,
    "workers": 1,
    "web_threads": 8,
    "web_processes": 1,
    "in_flight": 400,
    "lease_seconds": 60,
    "retry_delays": DEFAULT_DELAYS,
    "auto_disable_after": timedelta(days=5),
    "mail_server": None,
    "ca_bundle": None,
    "trusted_proxies": 0,
    "base_url": "http://127.0.0.1:8000",
    "log_level": "INFO",
    "log_format": "text",
    "access_log": False,
    "metrics_token": None,
    "metrics_listen": None,
    "operators": frozenset(),
    "drain_seconds": 0,
    "embedded_database": True,
    "embedded_redis": True,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_without_a_setting_its_default_holds(instance: Path, name: str) -> None:
    assert getattr(read(instance), name) == DEFAULTS[name]


def test_without_settings_database_and_redis_live_in_the_instance_folder(instance: Path) -> None:
    settings = read(instance)
    assert settings.instance == instance
    assert settings.database_url == f"sqlite:///{instance}/webhooks.db"
    assert settings.redis_url == f"unix://{instance}/redis.sock"
    assert settings.redis_socket == instance / "redis.sock"


def test_without_settings_only_https_to_public_addresses_is_allowed(instance: Path) -> None:
    targets = read(instance).targets
    assert not targets.allow_http
    assert targets.allowed_networks == ()
    assert targets.allowed_hosts == frozenset()
    assert targets.denied_ports == DENIED_PORTS
    assert targets.own_listeners == {("127.0.0.1", 8000)}


GOOD: list[tuple[str, str, str, Any]] = [
    ("REDIS_URL", "redis://redis.internal:6379/0", "redis_url", "redis://redis.internal:6379/0"),
    ("REDIS_URL", "rediss://:pw@redis.internal", "redis_url", "rediss://:pw@redis.internal"),
    ("REDIS_URL", "unix:///run/redis.sock", "redis_socket", Path("/run/redis.sock")),
    ("REDIS_URL", "redis://redis.internal", "embedded_redis", False),
    ("SECRET_KEY", "k" * 32, "secret_key", "k" * 32),
    ("HOST", "0.0.0.0", "host", "0.0.0.0"),
    ("HOST", "0.0.0.0", "base_url", "http://0.0.0.0:8000"),
    ("HOST", "::1", "base_url", "http://[::1]:8000"),
    ("WEBHOOKS_HOST", "::", "bind", "[::]:8000"),
    ("PORT", "1", "port", 1),
    ("PORT", "65535", "base_url", "http://127.0.0.1:65535"),
    ("WEBHOOKS_ENCRYPTION_KEYS", KEYS[0], "encryption_keys", (KEYS[0],)),
    ("WEBHOOKS_ENCRYPTION_KEYS", f" {KEYS[1]} , {KEYS[0]},", "encryption_keys", (KEYS[1], KEYS[0])),
    ("WEBHOOKS_WORKERS", "64", "workers", 64),
    ("WEBHOOKS_WEB_PROCESSES", "64", "web_processes", 64),
    ("WEBHOOKS_WEB_THREADS", "256", "web_threads", 256),
    ("WEBHOOKS_IN_FLIGHT", "2000", "in_flight", 2000),
    ("WEBHOOKS_LEASE_SECONDS", "3600", "lease_seconds", 3600),
    ("WEBHOOKS_RETRY_DELAYS", "5, 300,0.5", "retry_delays", (5.0, 300.0, 0.5)),
    ("WEBHOOKS_RETRY_DELAYS", ",".join(["2592000"] * 50), "retry_delays", (2_592_000.0,) * 50),
    ("WEBHOOKS_AUTO_DISABLE_DAYS", "0", "auto_disable_after", timedelta(0)),
    ("WEBHOOKS_AUTO_DISABLE_DAYS", "0.001", "auto_disable_after", timedelta(seconds=86.4)),
    ("WEBHOOKS_AUTO_DISABLE_DAYS", "365", "auto_disable_after", timedelta(days=365)),
    ("WEBHOOKS_CA_BUNDLE", certifi.where(), "ca_bundle", certifi.where()),
    ("WEBHOOKS_CATALOG", __file__, "catalog", Path(__file__)),
    ("WEBHOOKS_TRUSTED_PROXIES", "10", "trusted_proxies", 10),
    ("WEBHOOKS_BASE_URL", "https://hooks.example.com/", "base_url", "https://hooks.example.com"),
    ("WEBHOOKS_BASE_URL", "https://example.com/tools/hooks/", "path_prefix", "/tools/hooks"),
    ("WEBHOOKS_BASE_URL", "https://example.com/", "path_prefix", ""),
    *(
        # By its scheme it is decided whether cookies are for HTTPS only.
        ("WEBHOOKS_BASE_URL", url, "base_url", "https://hooks.example.com/Tools")
        for url in (
            *("HTTPS://Hooks.Example.COM/Tools", "https://hooks.example.com:443/Tools"),
            "https://hooks.example.com:/Tools",
        )
    ),
    ("WEBHOOKS_BASE_URL", "http://[::1]:443", "base_url", "http://[::1]:443"),
    ("WEBHOOKS_LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
    ("WEBHOOKS_METRICS_TOKEN", "t" * 16, "metrics_token", "t" * 16),
    ("WEBHOOKS_METRICS_LISTEN", "127.0.0.1:9464", "metrics_listen", ("127.0.0.1", 9464)),
    ("WEBHOOKS_METRICS_LISTEN", "[::1]:9464", "metrics_listen", ("::1", 9464)),
    (
        "WEBHOOKS_OPERATORS",
        "Me@example.com, you@b.example,",
        "operators",
        {"me@example.com", "you@b.example"},
    ),
    ("WEBHOOKS_DRAIN_SECONDS", "300", "drain_seconds", 300),
    ("WEBHOOKS_TOKEN_RATE", "5", "token_rate", RateLimit(5, 50)),
    ("WEBHOOKS_LOG_FORMAT", "json", "log_format", "json"),
    ("WEBHOOKS_ACCESS_LOG", "1", "access_log", True),
    ("WEBHOOKS_REQUIRE_SECOND_FACTOR", "1", "requires_second_factor", True),
]


@pytest.mark.parametrize(("name", "value", "attribute", "expected"), GOOD)
def test_a_good_value_is_taken(
    instance: Path, name: str, value: str, attribute: str, expected: object
) -> None:
    assert getattr(read(instance, {name: value}), attribute) == expected


GOOD_TARGETS: list[tuple[str, str, str, Any]] = [
    ("WEBHOOKS_ALLOW_HTTP", "1", "allow_http", True),
    ("WEBHOOKS_ALLOW_HTTP", "0", "allow_http", False),
    ("WEBHOOKS_ALLOWED_TARGETS", "10.0.0.0/8", "allowed_networks", (ip_network("10.0.0.0/8"),)),
    ("WEBHOOKS_ALLOWED_TARGETS", "127.0.0.1:8100", "allowed_hosts", {("127.0.0.1", 8100)}),
    ("WEBHOOKS_DENIED_PORTS", "8080, 9090", "denied_ports", {8080, 9090}),
    ("PORT", "9000", "own_listeners", {("127.0.0.1", 9000)}),
    ("HOST", "10.0.0.5", "own_listeners", {("10.0.0.5", 8000)}),
    ("HOST", "localhost", "own_listeners", {("localhost", 8000)}),
    ("WEBHOOKS_HOST", "web1.internal", "own_listeners", {("web1.internal", 8000), ("0.0.0.0", 8000)}),
    *(
        ("WEBHOOKS_BASE_URL", url, "own_listeners", {("127.0.0.1", 8000), pair})
        for url, pair in (
            ("https://Hooks.example.com/", ("hooks.example.com", 443)),
            ("http://hooks.example.com", ("hooks.example.com", 80)),
            ("https://bücher.example:8443", ("xn--bcher-kva.example", 8443)),
            ("https://[2606:4700:0::1]", ("2606:4700::1", 443)),
        )
    ),
]


@pytest.mark.parametrize(("name", "value", "attribute", "expected"), GOOD_TARGETS)
def test_a_good_value_reaches_the_target_policy(
    instance: Path, name: str, value: str, attribute: str, expected: object
) -> None:
    assert getattr(read(instance, {name: value}).targets, attribute) == expected


def test_a_web_that_listens_everywhere_gets_no_deliveries_at_any_address_of_its_machine(
    instance: Path,
) -> None:
    environ = {"HOST": "0.0.0.0", "WEBHOOKS_ALLOWED_TARGETS": "0.0.0.0/1,128.0.0.0/1,::/0"}
    policy = read(instance, environ).targets
    found = [entry.address for each in psutil.net_if_addrs().values() for entry in each]
    mine = [each for each in found if is_address(each) and not ip_address(each).is_link_local]
    assert mine
    for address in mine:
        assert "itself listens" in str(refusal_of_address(address, 8000, "x.example", policy))
        assert refusal_of_address(address, 8001, "x.example", policy) is None
    assert refusal_of_address("9.9.9.9", 8000, "x.example", policy) is None


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgresql://me:pw@db.internal/hooks", "postgresql+psycopg://me:pw@db.internal/hooks"),
        ("postgres://me@db.internal:5433/hooks", "postgresql+psycopg://me@db.internal:5433/hooks"),
        ("postgresql+psycopg://db.internal/hooks", "postgresql+psycopg://db.internal/hooks"),
        ("sqlite:////var/lib/hooks.db", "sqlite:////var/lib/hooks.db"),
    ],
)
def test_a_database_is_taken_and_is_not_embedded(instance: Path, given: str, taken: str) -> None:
    settings = read(instance, SECRETS | {"DATABASE_URL": given})
    assert settings.database_url == taken
    assert not settings.embedded_database
    assert settings.embedded_redis


NUMBERS = {
    "PORT": (1, 65_535),
    "WEBHOOKS_WORKERS": (1, 64),
    "WEBHOOKS_WEB_PROCESSES": (1, 64),
    "WEBHOOKS_WEB_THREADS": (1, 256),
    "WEBHOOKS_IN_FLIGHT": (1, 2_000),
    "WEBHOOKS_LEASE_SECONDS": (1, 3_600),
    "WEBHOOKS_TRUSTED_PROXIES": (0, 10),
    "WEBHOOKS_DRAIN_SECONDS": (0, 300),
    "WEBHOOKS_TOKEN_RATE": (1, 100_000),
}
BAD_NUMBERS = ["-1", "1.5", "1e1", "five", " 5", "5 ", "0x5", "1_0", "٥", "²", "5;6", "5\n6", "None"]

BAD: list[tuple[str, str]] = [
    *((name, value) for name in NUMBERS for value in BAD_NUMBERS),
    *((name, str(low - 1)) for name, (low, _) in NUMBERS.items()),
    *((name, str(high + 1)) for name, (_, high) in NUMBERS.items()),
    *(
        ("DATABASE_URL", url)
        for url in ("postgresql", "mysql://db/hooks", "sqlite://", "sqlite:///", "/hooks.db")
    ),
    *(
        ("REDIS_URL", url)
        for url in (
            *("redis.internal", "http://redis", "redis.internal:6379", "/run/redis.sock"),
            *("redis://redis.internal/zz", "redis://redis.internal?foo=1"),
            "rediss://redis.internal?ssl_ca_certs=/nowhere/ca.pem",
        )
    ),
    *(("SECRET_KEY", key) for key in ("short", "s" * 31)),
    *(("WEBHOOKS_ENCRYPTION_KEYS", keys) for keys in ("x", ",", f"{KEYS[0]},x", "é" * 44)),
    *(
        ("WEBHOOKS_RETRY_DELAYS", text)
        for text in ("x", ",", "5,", "5;6", "0", "-5", "nan", "inf", "5,2592001")
    ),
    ("WEBHOOKS_RETRY_DELAYS", ",".join(["5"] * 51)),
    *(
        ("WEBHOOKS_AUTO_DISABLE_DAYS", text)
        for text in ("-1", "365.1", "nan", "1e1", ".5", "5 ", "never", "٥")
    ),
    *(("WEBHOOKS_ALLOW_HTTP", text) for text in ("yes", "true", "2", "01", " 1")),
    *(
        ("WEBHOOKS_ALLOWED_TARGETS", text)
        for text in ("10.0.0.0/33", "10.0.0.1/8", "localhost", "a:b", "a:0")
    ),
    ("WEBHOOKS_ALLOWED_TARGETS", "169.254.169.254/32"),
    *(("WEBHOOKS_DENIED_PORTS", text) for text in ("x", "0", "65536", "1-5", "1 2", "-1", "²")),
    *(("WEBHOOKS_CA_BUNDLE", path) for path in ("/nowhere/ca.pem", "/", "\0", __file__)),
    *(("WEBHOOKS_CATALOG", path) for path in ("/nowhere/catalog.toml", "\0")),
    *(("WEBHOOKS_BASE_URL", url) for url in ("hooks.example.com", "ftp://a", "https://", "//a", "/console")),
    *(
        ("WEBHOOKS_BASE_URL", f"https://a.example/{rest}")
        for rest in ("?a", "#a", "a b", "a//b", "../a", "%41")
    ),
    *(
        ("WEBHOOKS_BASE_URL", url)
        for url in ("https://me:pw@a.example", "https://a.example\n/", "https://a\t.example", "https://a b")
    ),
    *(("WEBHOOKS_HOST", text) for text in (" ", "a b", "127.0.0.1:80", "http://a", "é")),
    *(("WEBHOOKS_METRICS_TOKEN", text) for text in ("short", "t" * 15, "t" * 16 + " ", "é" * 16, "t\n" * 9)),
    *(
        ("WEBHOOKS_METRICS_LISTEN", text)
        for text in (
            "9464",
            ":9464",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "a b:1",
            "127.0.0.1:8000",
        )
    ),
    *(
        ("WEBHOOKS_OPERATORS", text)
        for text in ("me", "@b.example", "me@", "a@b.example c@d.example", "a@b@c")
    ),
    *(("WEBHOOKS_LOG_FORMAT", text) for text in ("JSON", "logfmt", "json ")),
    *(("WEBHOOKS_ACCESS_LOG", text) for text in ("yes", "true", "2")),
    ("WEBHOOKS_REQUIRE_SECOND_FACTOR", "yes"),
    *(("WEBHOOKS_LOG_LEVEL", text) for text in ("info", "TRACE", "10", "INFO ")),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_malformed_value_is_refused_in_one_line_that_names_it(
    instance: Path, name: str, value: str
) -> None:
    environ = (SECRETS if name == "DATABASE_URL" else {}) | {name: value}
    line = line_of(instance, environ)
    assert name in line
    assert "\n" not in line
    assert len(line) < 300


def test_every_setting_is_tried_here() -> None:
    tried = {name for name, *_ in (*GOOD, *GOOD_TARGETS)} & {name for name, _ in BAD}
    sign_on = {name for name in config.NAMES if name.startswith("WEBHOOKS_OIDC_")}
    elsewhere = {"DATABASE_URL", "HOST", "WEBHOOKS_INSTANCE", "WEBHOOKS_PASSWORD_LOG_IN", *sign_on, *MAIL}
    elsewhere.add("WEBHOOKS_TOKEN_BURST")
    assert tried | elsewhere == config.NAMES


def test_a_burst_goes_with_a_rate(instance: Path) -> None:
    assert read(instance).token_rate is None
    both = {"WEBHOOKS_TOKEN_RATE": "5", "WEBHOOKS_TOKEN_BURST": "7"}
    assert read(instance, both).token_rate == RateLimit(5, 7)
    for wrong in ({"WEBHOOKS_TOKEN_BURST": "7"}, both | {"WEBHOOKS_TOKEN_BURST": "0"}):
        with pytest.raises(ConfigError, match="WEBHOOKS_TOKEN_BURST"):
            read(instance, wrong)


MAIL = {
    "WEBHOOKS_SMTP_URL": "smtp://me:s3cret@mail.example.com:587",
    "WEBHOOKS_MAIL_FROM": "hooks@example.com",
}


def test_passwords_are_switched_off_only_where_there_is_another_way(instance: Path) -> None:
    off = {"WEBHOOKS_PASSWORD_LOG_IN": "0"}
    assert "nobody could log in" in line_of(instance, off)
    assert "WEBHOOKS_PASSWORD_LOG_IN" in line_of(instance, {"WEBHOOKS_PASSWORD_LOG_IN": "no"})
    provider = {
        "WEBHOOKS_OIDC_ISSUER": "https://a.example",
        "WEBHOOKS_OIDC_CLIENT_ID": "avra",
        "WEBHOOKS_OIDC_CLIENT_SECRET": "s3cret",
    }
    found = read(instance, provider | off)
    assert found.oidc is not None
    assert not found.password_log_in
    assert "s3cret" not in repr(found)


def test_mail_needs_a_server_and_a_sender(instance: Path) -> None:
    server = read(instance, MAIL).mail_server
    assert server is not None
    assert (server.host, server.port, server.sender) == ("mail.example.com", 587, "hooks@example.com")
    assert "s3cret" not in repr(read(instance, MAIL))
    for name, other in (MAIL, reversed(MAIL)):
        assert line_of(instance, {name: MAIL[name]}) == f"{other} must be set when {name} is."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("WEBHOOKS_MAIL_FROM", text)
            for text in ("hooks", "a@b, c@d", "A <a@b.example>", "a@b\r\nBcc: c@d")
        ),
        *(
            ("WEBHOOKS_SMTP_URL", text)
            for text in ("mail.example.com", "http://mail", "smtp://", "smtp://a:0")
        ),
        *(
            ("WEBHOOKS_SMTP_URL", text)
            for text in ("smtp://a:port", "smtp://a:70000", "smtp://a/b", "smtp://[a")
        ),
        *(
            ("WEBHOOKS_SMTP_URL", f"smtp://{log_in}@mail.example.com")
            for log_in in ("me:pässword", "me:p%C3%A4ssword", "mé:password")
        ),
    ],
)
def test_malformed_mail_settings_are_refused_without_showing_them(
    instance: Path, name: str, value: str
) -> None:
    line = line_of(instance, MAIL | {name: value})
    assert line.startswith(f"{name} must ")
    assert "\n" not in line
    assert "pässword" not in line


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("SECRET_KEY", "too-short-a-key", "too-short-a-key"),
        ("WEBHOOKS_ENCRYPTION_KEYS", f"{KEYS[0]},broken-key", "broken-key"),
        ("WEBHOOKS_ENCRYPTION_KEYS", f"{KEYS[0]},broken-key", KEYS[0]),
        ("DATABASE_URL", "mysql://me:hunter2@db.internal/hooks", "hunter2"),
        ("REDIS_URL", "http://:hunter2@redis.internal", "hunter2"),
    ],
)
def test_the_line_does_not_repeat_a_secret(instance: Path, name: str, value: str, secret: str) -> None:
    line = line_of(instance, {name: value})
    assert name in line
    assert secret not in line


def test_keys_without_a_comma_between_are_refused(instance: Path) -> None:
    assert "WEBHOOKS_ENCRYPTION_KEYS" in line_of(instance, {"WEBHOOKS_ENCRYPTION_KEYS": " ".join(KEYS)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://[::1"),
        ("WEBHOOKS_BASE_URL", "https://[::1"),
        ("WEBHOOKS_BASE_URL", "https://127.1"),
        ("WEBHOOKS_BASE_URL", "https://a..b"),
        ("HOST", "127.1"),
        ("HOST", "[::1]"),
        ("HOST", "::zz"),
        ("HOST", "10.0.0.300"),
        *(("WEBHOOKS_HOST", text) for text in ("127.1", "a..b", "[::1]", "no host", "::zz", "x_y")),
        ("PORT", HUGE),
        ("WEBHOOKS_DENIED_PORTS", HUGE),
        ("WEBHOOKS_INSTANCE", "/tmp/\0"),
    ],
    ids=lambda text: text[:20],
)
def test_a_value_that_cannot_be_parsed_is_refused_in_one_line(instance: Path, name: str, value: str) -> None:
    assert name in line_of(instance, {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://me@db.internal:port/hooks"),
        ("DATABASE_URL", "sqlite:///:memory:"),  # each connection would have tables of its own, so none
        ("REDIS_URL", "redis://redis.internal:port"),
        ("REDIS_URL", "unix://"),
        ("WEBHOOKS_BASE_URL", "https://hooks.example.com:port"),
    ],
)
def test_an_address_that_cannot_work_is_refused(instance: Path, name: str, value: str) -> None:
    assert name in line_of(instance, SECRETS | {name: value})


def test_a_path_over_two_lines_is_refused_in_one(instance: Path) -> None:
    assert "\n" not in line_of(instance, {"WEBHOOKS_CA_BUNDLE": "/no\nwhere"})


# Names


@pytest.mark.parametrize("name", ["WEBHOOKS_WORKER", "WEBHOOKS_PORT", "WEBHOOKS_", "WEBHOOKS_SECRET_KEY"])
def test_an_unknown_name_is_refused(instance: Path, name: str) -> None:
    assert line_of(instance, {name: "1"}).startswith(f"{name} is not a setting")


def test_names_of_others_are_left_alone(instance: Path) -> None:
    assert (
        read(instance, {"PATH": "/bin", "WEBHOOK_X": "1", "webhooks_x": "1", "MY_WEBHOOKS_X": "1"}).port
        == 8000
    )


@pytest.mark.parametrize("name", sorted(config.NAMES - {"WEBHOOKS_INSTANCE"}))
def test_an_empty_value_is_as_none(instance: Path, name: str) -> None:
    plain = read(instance)
    assert read(instance, {name: ""}) == plain


def test_settings_come_from_the_process_environment_by_default(
    instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in config.NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEBHOOKS_INSTANCE", str(instance))
    monkeypatch.setenv("PORT", "8123")
    assert config.read().port == 8123


# What can be used, but should not


@pytest.mark.parametrize(("seconds", "warns"), [("44", True), ("45", False)])
def test_a_lease_that_an_endpoint_may_outlast_is_warned_of_at_the_start(
    instance: Path, caplog: pytest.LogCaptureFixture, seconds: str, warns: bool
) -> None:
    create_app(read(instance, {"WEBHOOKS_LEASE_SECONDS": seconds}))
    warnings = [vars(record) for record in caplog.records if record.message == "lease_too_short"]
    named = [(each["setting"], each["seconds"], each["safe_seconds"]) for each in warnings]
    assert named == [("WEBHOOKS_LEASE_SECONDS", 44, 45)] * warns
    assert LONGEST_TIMEOUT_MS / 1000 < config.SAFE_LEASE_SECONDS


def test_certificates_that_may_not_be_read_are_refused_in_one_line(instance: Path, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.symlink_to("/proc/self/mem")  # which root may not read from its start either
    assert "cannot be read" in line_of(instance, {"WEBHOOKS_CA_BUNDLE": str(path)})
