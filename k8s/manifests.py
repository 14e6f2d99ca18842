"""Rendered manifests as objects, and what the three services are."""

import yaml

SERVICES = ("issuer", "order", "solver")
# Who calls whom.
CALLS = {
    ("issuer", "order"),
    ("issuer", "solver"),
    ("order", "issuer"),
    ("order", "solver"),
    ("solver", "issuer"),
}


def load(path):
    with open(path, encoding="utf-8") as file:
        return [entry for entry in yaml.safe_load_all(file) if entry]


def find(objects, kind, name):
    for entry in objects:
        if entry["kind"] == kind and entry["metadata"]["name"] == name:
            return entry
    raise SystemExit(f"there is no {kind} {name}")


def deployment(objects, service):
    return find(objects, "Deployment", f"certwright-{service}")


def pod(objects, service):
    return deployment(objects, service)["spec"]["template"]


def configuration_map(objects, service):
    """The ConfigMap that the service's pod mounts."""
    spec = pod(objects, service)["spec"]
    name = next(v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v)
    return find(objects, "ConfigMap", name)


def configuration(objects, service):
    return yaml.safe_load(configuration_map(objects, service)["data"][f"{service}.yaml"])


def port_of(address):
    return int(address.rsplit(":", 1)[1])
