"""The Helm chart: what it renders is what a cluster takes, and runs what there is to run."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.programs import DEPLOY, run, tool
from tests.docs_site.code_blocks import block
from webhooks_app import __version__, config
from webhooks_app.cli.main import main
from webhooks_app.core import listening_host

CHART = DEPLOY / "helm" / "avra"
WITH_A_SECRET = ("--set", "existingSecret=avra")
WITH_VALUES = tuple(
    part
    for name, value in {
        "databaseUrl": "postgresql://avra:p@db/avra",
        "redisUrl": "rediss://redis:6380/0",
        "secretKey": "s" * 32,
        "encryptionKeys": "key",
    }.items()
    for part in ("--set-string", f"secrets.{name}={value}")
)
RENDERED = {
    "a secret of one's own": WITH_A_SECRET,
    "a secret that the chart makes": WITH_VALUES,
    "event types": (*WITH_A_SECRET, "--set", "catalogConfigMap=event-types"),
    "metrics": (*WITH_A_SECRET, "--set", "metrics.enabled=true"),
    "secret settings": (*WITH_A_SECRET, "--set", "secretSettings={WEBHOOKS_SMTP_URL}"),
    "ingress": (
        *WITH_A_SECRET,
        "--set",
        "ingress.enabled=true,ingress.className=nginx,migrate.enabled=false",
    ),
}


def render(*options: str) -> list[dict[str, Any]]:
    """The objects that the chart makes."""
    return [document for document in yaml.safe_load_all(render_text(*options)) if document]


def render_text(*options: str) -> str:
    return run(*tool("helm", "template", "avra", CHART, *options)).stdout


def containers(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        container
        for document in documents
        if document["kind"] in {"Deployment", "Job"}
        for container in document["spec"]["template"]["spec"]["containers"]
    ]


def test_the_chart_renders_objects_that_kubernetes_takes(tmp_path: Path) -> None:
    """The validator takes two seconds to load what objects may look like: all files at once."""
    files = []
    for name, options in RENDERED.items():
        run(*tool("helm", "lint", "--strict", CHART, *options))
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(render_text(*options))
    for version in ("1.27", "1.34"):
        run(*tool("kubernetes-validate", "--strict", "--kubernetes-version", version, *files))


def test_its_containers_run_commands_that_there_are_under_settings_that_there_are() -> None:
    commands, names = main.list_commands(None), config.NAMES  # type: ignore[arg-type]  # it needs no context
    rendered = containers(render(*WITH_A_SECRET))
    assert {container["name"] for container in rendered} == {"web", "worker", "scheduler", "migrate"}
    for container in rendered:
        assert container["args"] == [container["name"]]
        assert container["name"] in commands
        assert {variable["name"] for variable in container["env"]} <= names


def test_a_catalog_is_mounted_where_its_setting_says() -> None:
    for container in containers(render(*WITH_A_SECRET, "--set", "catalogConfigMap=event-types")):
        environ = {each["name"]: each.get("value") for each in container["env"]}
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert environ["WEBHOOKS_CATALOG"] == mounts["catalog"] == "/etc/avra/catalog"


def test_secret_settings_stand_in_the_secret_and_in_no_pod() -> None:
    made = render(
        *WITH_VALUES, "--set-string", "secrets.settings.WEBHOOKS_SMTP_URL=smtp://me:s3cret@mail:587"
    )
    own = render(*WITH_A_SECRET, "--set", "secretSettings={WEBHOOKS_SMTP_URL}")
    for rendered in (made, own):
        for container in containers(rendered):
            [smtp] = [each for each in container["env"] if each["name"] == "WEBHOOKS_SMTP_URL"]
            assert smtp["valueFrom"]["secretKeyRef"] == {"name": "avra", "key": "WEBHOOKS_SMTP_URL"}
            assert "s3cret" not in str(container)
    [secret] = [each for each in made if each["kind"] == "Secret"]
    assert secret["stringData"]["WEBHOOKS_SMTP_URL"] == "smtp://me:s3cret@mail:587"


def test_no_container_has_a_setting_twice() -> None:
    """A secret may also hold what the chart has a usual value of, and name again what is always in it."""
    secret = "secretSettings={DATABASE_URL,WEBHOOKS_DRAIN_SECONDS,WEBHOOKS_DRAIN_SECONDS}"
    own_catalog = "settings.WEBHOOKS_CATALOG=/etc/types"
    for container in containers(render(*WITH_A_SECRET, "--set", f"{secret},{own_catalog}")):
        names = [each["name"] for each in container["env"]]
        assert sorted(names) == sorted(set(names))
        assert {"WEBHOOKS_DRAIN_SECONDS", "WEBHOOKS_CATALOG"} <= set(names)


@pytest.mark.parametrize("options", [WITH_A_SECRET, WITH_VALUES])
def test_an_upgrade_may_reuse_the_values_of_a_chart_before(options: tuple[str, ...]) -> None:
    """Helm adds no values of the new chart's to them."""
    names = ("secretSettings", "secrets.settings", "extraVolumes", "extraVolumeMounts")
    gone = ",".join(f"{name}=null" for name in names)
    assert containers(render(*options, "--set", gone))


def test_files_that_a_setting_names_are_mounted_into_every_container(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    volume = {"name": "authorities", "configMap": {"name": "authorities"}}
    mount = {"name": "authorities", "mountPath": "/etc/avra/ca", "readOnly": True}
    values.write_text(yaml.safe_dump({"extraVolumes": [volume], "extraVolumeMounts": [mount]}))
    rendered = render(*WITH_A_SECRET, "--values", str(values))
    pods = [each["spec"]["template"]["spec"] for each in rendered if each["kind"] in {"Deployment", "Job"}]
    assert len(pods) == 4
    for pod in pods:
        assert volume in pod["volumes"]
        assert mount in pod["containers"][0]["volumeMounts"]


def test_metrics_have_a_port_of_the_webs_pods_that_prometheus_finds() -> None:
    monitored = "metrics.enabled=true,metrics.port=9100,metrics.serviceMonitor.enabled=true"
    labelled = "metrics.serviceMonitor.labels.release=prometheus"
    rendered = render(*WITH_A_SECRET, "--set", monitored, "--set", labelled)
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in rendered}
    pod = by_name["Deployment", "avra-web"]["spec"]["template"]
    assert {"name": "metrics", "containerPort": 9100} in pod["spec"]["containers"][0]["ports"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "9100"
    for container in containers(rendered):
        environ = {each["name"]: each.get("value") for each in container["env"]}
        assert listening_host.read_metrics(environ, 8000) == ("0.0.0.0", 9100)

    service, monitor = by_name["Service", "avra-metrics"], by_name["ServiceMonitor", "avra"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint], [port] = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "avra"
    assert endpoint["port"] == port["name"] == port["targetPort"] == "metrics"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    # Those of the console and the API lead to no metrics.
    assert [each["name"] for each in by_name["Service", "avra"]["spec"]["ports"]] == ["http"]


def test_there_are_no_metrics_unless_they_are_asked_for() -> None:
    text = render_text(*WITH_A_SECRET)
    assert "9464" not in text
    assert "prometheus.io" not in text


def test_no_container_has_rights_or_a_writable_root() -> None:
    for container in containers(render(*WITH_A_SECRET)):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_its_version_is_that_of_the_platform() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_an_ingress_takes_host_and_path_from_the_public_address() -> None:
    options = ("--set", "ingress.enabled=true", "--set", "baseUrl=https://example.com:8443/webhooks")
    [ingress] = [one for one in render(*WITH_A_SECRET, *options) if one["kind"] == "Ingress"]
    [rule] = ingress["spec"]["rules"]
    assert (rule["host"], rule["http"]["paths"][0]["path"]) == ("example.com", "/webhooks")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "secrets.databaseUrl or existingSecret must be set"),
        ((*WITH_A_SECRET, "--set", "baseUrl=example.com"), "baseUrl"),
        ((*WITH_A_SECRET, "--set", "web.replicas=-1"), "replicas"),
        ((*WITH_A_SECRET, "--set", "secrets.redisUrl=memcached://x"), "redisUrl"),
        ((*WITH_A_SECRET, "--set", "metrics.port=80"), "port"),
        ((*WITH_A_SECRET, "--set", "secretSettings={smtp-url}"), "secretSettings"),
        ((*WITH_VALUES, "--set", "secretSettings={WEBHOOKS_SMTP_URL}"), "set secrets.settings"),
        ((*WITH_A_SECRET, "--set", "metrics.serviceMonitor.enabled=true"), "needs metrics.enabled"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(options: tuple[str, ...], message: str) -> None:
    assert message in refusal(*options)


def refusal(*options: str) -> str:
    done = subprocess.run(tool("helm", "template", "avra", CHART, *options), capture_output=True, text=True)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(
    ("options", "given", "twice"),
    [
        (
            WITH_A_SECRET,
            (
                "secretSettings={WEBHOOKS_SMTP_URL,WEBHOOKS_TRUSTED_PROXIES}",
                "settings.WEBHOOKS_SMTP_URL=smtp://me:old@mail",
                "settings.WEBHOOKS_BASE_URL=https://example.com",
                "settings.SECRET_KEY=x",
                "settings.WEBHOOKS_CATALOG=/etc/types",
                "catalogConfigMap=event-types",
            ),
            {
                "WEBHOOKS_SMTP_URL (secretSettings, settings)",
                "WEBHOOKS_TRUSTED_PROXIES (trustedProxies, secretSettings)",
                "WEBHOOKS_BASE_URL (baseUrl, settings)",
                "SECRET_KEY (existingSecret, settings)",
                "WEBHOOKS_CATALOG (catalogConfigMap, settings)",
            },
        ),
        (
            WITH_VALUES,
            (
                "secrets.settings.WEBHOOKS_SMTP_URL=smtp://me:new@mail",
                "settings.WEBHOOKS_SMTP_URL=smtp://me:old@mail",
                "secrets.settings.DATABASE_URL=postgresql://db/other",
            ),
            {
                "WEBHOOKS_SMTP_URL (secrets.settings, settings)",
                "DATABASE_URL (secrets, secrets.settings)",
            },
        ),
    ],
)
def test_what_two_values_set_is_refused_by_name(
    options: tuple[str, ...], given: tuple[str, ...], twice: set[str]
) -> None:
    said = refusal(*options, "--set", ",".join(given))
    assert {each for each in twice if each not in said} == set()


def test_the_documents_options_render() -> None:
    name = (
        "kubectl create secret generic avra --from-literal=DATABASE_URL=postgresql://…"
        " --from-literal=REDIS_URL=redis://… \\"
    )
    create, install = (
        shlex.split(line) for line in block("docs/production.md", name).replace("\\\n", " ").splitlines()
    )
    assert install[:4] == ["helm", "install", "avra", "deploy/helm/avra"]
    assert {each.split("=")[1] for each in create if each.startswith("--from-literal")} <= config.NAMES
    kinds = {document["kind"] for document in render(*install[4:])}
    assert {"Deployment", "Ingress"} <= kinds
