"""The files in deploy/ are valid, agree with each other, and name only what is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from facet import __version__
from facet.server.config import Config, ServerConfig
from scripts.lock import INCLUDED, PYTHONS
from tests.deployment import (
    DEPLOY,
    ROOT,
    compose,
    compose_environment,
    dockerfile,
    documents,
    image_environment,
    instructions,
    pod,
    pod_environment,
    resources,
    unit,
)

CONFIG = Config()
TASKS_OF_A_PROCESS = 110
"""Threads and decoders of a server on one core, counted."""
METRICS_PORT = int(image_environment()["FACET_METRICS__PORT"])
COMPOSE = ("compose.yaml", "compose.tls.yaml")
KUBERNETES = [path for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if path.name != "kustomization.yaml"]
SERVICES = compose()["services"]


def tool(name: str) -> str:
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        pytest.skip(f"needs the program {name}")
    return found


def run(*command: str | Path, **environment: str) -> str:
    """Run a program that must succeed; what it says on standard error."""
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stderr


def test_every_file_is_of_its_format() -> None:
    for path in DEPLOY.rglob("*.y*ml"):
        assert all(documents(path)), path
    json.loads((DEPLOY / "grafana" / "facet.json").read_text("utf-8"))


@pytest.mark.parametrize("name", COMPOSE)
def test_the_files_of_compose_follow_its_specification(name: str) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("needs the package check-jsonschema")
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / name)


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_resources_of_kubernetes_follow_their_schemas(path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="needs the package kubernetes-validate")
    for each in documents(path):
        validate.validate(each, validate.latest_version(), strict=True)


def test_every_resource_of_kubernetes_is_applied() -> None:
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in KUBERNETES]


def test_hadolint_accepts_the_image() -> None:
    run(tool("hadolint"), DEPLOY / "Dockerfile")


def test_prometheus_accepts_its_settings_and_the_rules() -> None:
    promtool = tool("promtool")
    run(promtool, "check", "config", "--syntax-only", DEPLOY / "prometheus" / "prometheus.yml")
    run(promtool, "check", "rules", *sorted((DEPLOY / "prometheus").glob("*.rules.yml")))


def test_systemd_accepts_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    shutil.copytree(DEPLOY / "systemd", tmp_path / "units")
    text = (DEPLOY / "systemd" / "facet.service").read_text("utf-8")
    # The program must exist: any other one stands for it.
    (tmp_path / "units" / "facet.service").write_text(text.replace("/opt/facet/bin/facet", sys.executable), "utf-8")
    environment = {"SYSTEMD_UNIT_PATH": f"{tmp_path / 'units'}:"}
    said = run(analyze, "verify", "--man=no", tmp_path / "units" / "facet.service", **environment)
    assert "facet.service" not in said, said  # an unknown setting is a warning only
    run(analyze, "security", "--offline=yes", "--threshold=20", tmp_path / "units" / "facet.service", **environment)


def test_the_image_is_of_this_version_and_of_a_python_that_the_requirements_have() -> None:
    assert f"VERSION={__version__}" in instructions("ARG")
    (python,) = (rest for word, rest in dockerfile() if word == "ARG" and rest.startswith("PYTHON="))
    assert python.removeprefix("PYTHON=").split("-")[0] in PYTHONS
    (extras,) = (rest for word, rest in dockerfile() if word == "ARG" and rest.startswith("EXTRAS="))
    assert set(extras.removeprefix("EXTRAS=").strip('"').split()) < INCLUDED.keys()
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert [image["newTag"] for image in kustomization["images"]] == [__version__]
    assert SERVICES["facet"]["image"] == f"${{FACET_IMAGE:-facet:{__version__}}}"


def test_what_the_image_copies_is_there_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = [
        word for line in dockerfile() if line[0] == "COPY" and "--from" not in line[1] for word in line[1].split()[:-1]
    ]
    assert {word.rstrip("/") for word in copied} == sent
    assert all((ROOT / name).exists() for name in sent)


def test_the_image_starts_the_server_as_the_first_process_and_as_no_root() -> None:
    assert instructions("ENTRYPOINT") == ['["facet"]']  # the form without a shell, which would swallow SIGTERM
    assert instructions("CMD") == ['["serve", "--json"]']
    (user,) = instructions("USER")
    context = pod()["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["fsGroup"] == context["runAsGroup"]


def test_ports_are_those_of_the_server() -> None:
    server, (container,) = CONFIG.server.port, pod()["containers"]
    assert instructions("EXPOSE") == [f"{server} {METRICS_PORT}"]
    assert {each["name"]: each["containerPort"] for each in container["ports"]} == {
        "grpc": server,
        "metrics": METRICS_PORT,
    }
    (service,) = resources()["Service"]["spec"]["ports"]
    assert (service["port"], service["targetPort"]) == (server, "grpc")
    for name in ("facet", "facet-2"):
        assert [each.rpartition(":")[2] for each in SERVICES[name]["ports"]] == [str(server)]
    (prometheus,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    (targets,) = prometheus["scrape_configs"][0]["dns_sd_configs"]
    assert targets["port"] == METRICS_PORT
    assert set(targets["names"]) == {name for name in SERVICES if name.startswith("facet")}
    toml = (DEPLOY / "systemd" / "facet.toml").read_text("utf-8")
    assert f"port = {METRICS_PORT}\n" in toml


def test_programs_have_time_to_finish_their_calls() -> None:
    drain, (container,) = CONFIG.server.drain_seconds, pod()["containers"]
    _, before = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod()["terminationGracePeriodSeconds"] >= drain + float(before) + 10
    assert int(SERVICES["facet"]["stop_grace_period"].removesuffix("s")) >= drain + 10
    (stop,) = unit()["TimeoutStopSec"]
    assert int(stop) >= drain + 10


def test_the_unit_leaves_room_for_all_processes_and_keeps_those_that_memory_does_not_kill() -> None:
    (most,) = (limit.le for limit in ServerConfig.model_fields["processes"].metadata if hasattr(limit, "le"))
    (tasks,) = unit()["TasksMax"]
    assert int(tasks) >= int(most) * TASKS_OF_A_PROCESS
    assert unit()["OOMPolicy"] == ["continue"]


def test_the_image_has_no_installer_and_grafana_installs_nothing() -> None:
    assert any("pip uninstall --yes" in command for command in instructions("RUN")), "the base image has one"
    assert SERVICES["grafana"]["environment"]["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_imports_fit_into_the_volume_of_a_pod() -> None:
    (state,) = (each for each in pod()["volumes"] if each["name"] == "state")
    room = int(state["emptyDir"]["sizeLimit"].removesuffix("Gi")) * 2**30
    assert CONFIG.gallery.max_transfers * int(pod_environment()["FACET_GALLERY__MAX_IMPORT_BYTES"]) < room


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_of_compose_is_confined_and_reached_from_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "healthcheck" in service or name.startswith("facet")  # the image has one
    assert service["image"].startswith("${FACET_IMAGE") or re.fullmatch(r"[\w/]+:v?\d+[\w.-]*", service["image"])


def test_secrets_come_from_files_only() -> None:
    for environment in (*(SERVICES[name].get("environment", {}) for name in SERVICES), pod_environment()):
        for variable in environment:
            if re.search(r"TOKEN|PASSWORD|_URL|SECRET", variable):
                assert variable.endswith("_FILE"), variable
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/deploy/secrets/" in ignored
    made = (DEPLOY / "make-secrets").read_text("utf-8")
    for name, secret in compose()["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert re.search(rf"\b{name}\b", made)
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}
    assert used == compose()["secrets"].keys()


def test_what_services_of_compose_mount_is_there() -> None:
    for name in COMPOSE:
        for service in compose(name)["services"].values():
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                there = (DEPLOY / source).exists() if source.startswith(".") else source in compose()["volumes"]
                assert there or source.startswith("./secrets/"), volume
            for secret in service.get("secrets", ()):
                assert secret in compose()["secrets"]


def test_prometheus_reads_rules_that_are_there_and_grafana_the_dashboard() -> None:
    (prometheus,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    assert prometheus["rule_files"]
    assert all((DEPLOY / "prometheus" / name).is_file() for name in prometheus["rule_files"])
    (providers,) = documents(DEPLOY / "grafana" / "provisioning" / "dashboards" / "facet.yml")
    folder = providers["providers"][0]["options"]["path"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounted["./grafana/facet.json"] == f"{folder}/facet.json"
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/facet.json"
    (sources,) = documents(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml")
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"


def test_files_that_the_server_of_compose_reads_are_mounted() -> None:
    mounts = {f"/run/secrets/{name}" for name in SERVICES["facet"]["secrets"]}
    folders = [volume.split(":")[1] for name in COMPOSE for volume in compose(name)["services"]["facet"]["volumes"]]
    must_be_mounted(compose_environment(*COMPOSE), mounts, folders)


def test_files_that_the_server_of_a_pod_reads_are_mounted() -> None:
    (container,) = pod()["containers"]
    assert [each["name"] for each in container["volumeMounts"]] == [each["name"] for each in pod()["volumes"]]
    folders = [each["mountPath"] for each in container["volumeMounts"]]
    must_be_mounted(image_environment() | pod_environment(), {"/models"}, folders)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def must_be_mounted(environment: dict[str, str], files: set[str], folders: list[str]) -> None:
    for variable, path in environment.items():
        if path.startswith("/"):
            assert path in files or any(path.startswith(f"{folder}/") for folder in folders), variable


def test_credentials_that_the_unit_names_are_loaded() -> None:
    found = unit("network", "postgres")
    loaded = {line.split(":")[0] for line in found["LoadCredential"]}
    named = {
        path for line in found["Environment"] for path in re.findall(r"/run/credentials/facet\.service/(.*)", line)
    }
    assert loaded == named
    assert found["Type"] == ["notify"]


def selectors() -> list[Any]:
    found = resources()
    spec = found["Deployment"]["spec"]
    return [
        spec["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod()["topologySpreadConstraints"]),
        *(
            each["spec"]["selector"]["matchLabels"]
            for each in documents(DEPLOY / "kubernetes/prometheus/podmonitor.yaml")
        ),
    ]


def test_everything_of_kubernetes_means_the_same_pods() -> None:
    labels = resources()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert all(each.items() <= labels.items() for each in selectors())
    target = resources()["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", resources()["Deployment"]["metadata"]["name"])
    assert resources()["Service"]["spec"]["clusterIP"] == "None"
    assert (
        resources()["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
        > resources()["PodDisruptionBudget"]["spec"]["maxUnavailable"]
    )


def test_every_file_of_deploy_that_a_document_names_is_there() -> None:
    prose = "\n".join(path.read_text("utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
    named = {path.rstrip(".") for path in re.findall(r"\bdeploy/[\w./-]+", prose)}
    assert len(named) > 10
    missing = [path for path in sorted(named) if not (ROOT / path).exists() and not path.startswith("deploy/secrets")]
    assert not missing
