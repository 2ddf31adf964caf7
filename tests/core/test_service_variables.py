"""What a cluster sets for a service of our name is told from a misspelt setting."""

from pathlib import Path

import pytest

from tests.test_config import line_of, read

# As Kubernetes and Docker set them for a service or container of that name, or one that begins with it.
OF_A_CLUSTER = {
    "SERVICE_HOST": "10.96.0.12",
    "SERVICE_PORT": "80",
    "SERVICE_PORT_HTTP": "80",
    "SERVICE_PORT_HTTP_ADMIN": "81",
    "PORT": "tcp://10.96.0.12:80",
    "PORT_80_TCP": "tcp://10.96.0.12:80",
    "PORT_80_TCP_PROTO": "tcp",
    "PORT_80_TCP_PORT": "80",
    "PORT_80_TCP_ADDR": "10.96.0.12",
    "PORT_53_UDP": "udp://[fd00::12]:53",
    "PORT_80_TCP_PORT_START": "80",
    "NAME": "/producer/webhooks",
    "ENV_PYTHON_VERSION": "3.11.7",
}


@pytest.mark.parametrize("service", ["WEBHOOKS_", "WEBHOOKS_WEB_", "WEBHOOKS_BASE_URL_2_"])
def test_what_a_cluster_sets_for_a_service_of_our_name_is_left_alone(tmp_path: Path, service: str) -> None:
    plain = read(tmp_path)
    assert read(tmp_path, {service + name: value for name, value in OF_A_CLUSTER.items()}) == plain
    for name in OF_A_CLUSTER.keys() - {"ENV_PYTHON_VERSION"}:
        assert read(tmp_path, {service + name: OF_A_CLUSTER[name]}) == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOKS_PORT", "8000"),
        ("WEBHOOKS_SERVICE_HOST", "web.internal"),
        ("WEBHOOKS_SERVICE_PORT", "http"),
        ("WEBHOOKS_NAME", "Acme"),
        ("WEBHOOKS_ENV_PYTHON_VERSION", "3.11.7"),
    ],
)
def test_a_misspelt_setting_that_looks_like_a_clusters_is_refused(
    tmp_path: Path, name: str, value: str
) -> None:
    assert line_of(tmp_path, {name: value}).startswith(f"{name} is not a setting")
