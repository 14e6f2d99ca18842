#!/usr/bin/env python3
"""Checks rendered manifests beyond what check.sh can do in shell.

    check.py schema FILE VERSION   every object against Kubernetes VERSION's schema, strictly
    check.py services FILE         ports, selectors and grace periods agree with configurations
    check.py security FILE         pods keep to the "restricted" Pod Security Standard
    check.py policies FILE         network policies allow just the calls of the picture

Each prints what is wrong, a line each, and ends with status 1 if there was any.
"""

import re
import sys

import yaml

SERVICES = ("issuer", "order", "solver")
NAME = "app.kubernetes.io/name"
# Longest that a service takes to end after drainDelay and drainGrace: its own watchdog.
WATCHDOG_SECONDS = 10
# Who calls whom.
CALLS = {
    ("issuer", "order"),
    ("issuer", "solver"),
    ("order", "issuer"),
    ("order", "solver"),
    ("solver", "issuer"),
}
# Ports open to the outside: (service, direction) → ports.
OUTSIDE = {
    "issuer": {"Ingress": set(), "Egress": {53, 443}},
    "order": {"Ingress": set(), "Egress": {53, 443}},
    "solver": {"Ingress": {8080}, "Egress": {53, 443, 80}},
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


def configuration(objects, service):
    """The service's configuration, through the ConfigMap that its pod mounts."""
    spec = pod(objects, service)["spec"]
    name = next(v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v)
    return yaml.safe_load(find(objects, "ConfigMap", name)["data"][f"{service}.yaml"])


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


def check_schema(objects, version):
    import kubernetes_validate

    for entry in objects:
        try:
            kubernetes_validate.validate(entry, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            yield f"{entry['kind']} {entry['metadata']['name']}: {path}: {error.message}"


def check_services(objects):
    for service in SERVICES:
        config = configuration(objects, service)
        server = config["server"]
        template = pod(objects, service)
        container = template["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        expected = {
            "grpc": port_of(server["listen"]),
            "health": port_of(server["healthListen"]),
            "metrics": port_of(server["metricsListen"]),
        }
        if "http01Listen" in config:
            expected["http01"] = port_of(config["http01Listen"])
        if ports != expected:
            yield f"{service}: the container's ports {ports} are not the configuration's {expected}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if container[probe]["grpc"]["port"] != expected["health"]:
                yield f"{service}: {probe} does not ask the health port {expected['health']}"
        grace = template["spec"]["terminationGracePeriodSeconds"]
        needed = seconds(server["drainDelay"]) + seconds(server["drainGrace"]) + WATCHDOG_SECONDS
        if grace <= needed:
            yield f"{service}: {grace} s of grace, but ending can take {needed} s"
        database = config["store"]["sqlite"]["path"]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        if database.rsplit("/", 1)[0] not in mounts:
            yield f"{service}: {database} is not on a mounted volume"
        if f"--config=/etc/certwright/{service}.yaml" not in container["args"]:
            yield f"{service}: does not read the configuration that is mounted"
        spec = deployment(objects, service)["spec"]
        if spec["replicas"] != 1 or spec["strategy"]["type"] != "Recreate":
            yield f"{service}: SQLite takes one replica and the strategy Recreate"
        yield from check_peers(objects, service, config)
    for entry in objects:
        if entry["kind"] == "Service":
            yield from check_selector(objects, entry)


def check_peers(objects, service, config):
    for peer in SERVICES:
        if peer not in config:
            continue
        host, port = config[peer]["address"].rsplit(":", 1)
        ports = {entry["port"] for entry in find(objects, "Service", host)["spec"]["ports"]}
        if int(port) not in ports:
            yield f"{service}: the Service {host} has no port {port}"
        if (service, peer) not in CALLS:
            yield f"{service}: does not call {peer}"


def check_selector(objects, entry):
    name = entry["metadata"]["name"]
    selector = entry["spec"]["selector"].items()
    matching = [s for s in SERVICES if selector <= pod(objects, s)["metadata"]["labels"].items()]
    if len(matching) != 1:
        yield f"Service {name}: selects the pods of {matching}, not of one service"
        return
    container = pod(objects, matching[0])["spec"]["containers"][0]
    names = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port in entry["spec"]["ports"]:
        if port["targetPort"] not in names:
            yield f"Service {name}: target port {port['targetPort']} is not one of {names}"
        elif port["name"] == "grpc" and names["grpc"] != port["port"]:
            yield f"Service {name}: port {port['port']} is not where {matching[0]} listens"


def check_security(objects):
    for service in SERVICES:
        spec = pod(objects, service)["spec"]
        context = spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or context.get("runAsUser", 0) == 0:
            yield f"{service}: may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{service}: has no seccomp profile"
        if spec.get("automountServiceAccountToken", True):
            yield f"{service}: mounts a token of Kubernetes' API"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{service}: shares a namespace of its node"
        for container in spec["containers"] + spec.get("initContainers", []):
            inner = container.get("securityContext", {})
            if inner.get("allowPrivilegeEscalation", True):
                yield f"{service}: may gain privileges"
            if not inner.get("readOnlyRootFilesystem"):
                yield f"{service}: may write to its image"
            if inner.get("capabilities", {}).get("drop") != ["ALL"]:
                yield f"{service}: keeps capabilities"
            if "memory" not in container.get("resources", {}).get("limits", {}):
                yield f"{service}: has no limit of memory"
            if ":latest" in container["image"] or ":" not in container["image"].split("/")[-1]:
                yield f"{service}: image {container['image']} has no fixed tag"


def selects(selector, labels):
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise SystemExit(f"check.py does not know the operator {expression['operator']}")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


def rules_of(objects, service, direction):
    """The rules for the service's pods; None if no policy closes that direction."""
    labels = pod(objects, service)["metadata"]["labels"]
    rules, closed = [], False
    for entry in objects:
        spec = entry.get("spec", {})
        if entry["kind"] != "NetworkPolicy" or direction not in spec["policyTypes"]:
            continue
        if selects(spec["podSelector"], labels):
            closed = True
            rules += spec.get(direction.lower(), [])
    return rules if closed else None


def check_policies(objects):
    for direction, peers_key in (("Ingress", "from"), ("Egress", "to")):
        calls = set()
        for service in SERVICES:
            rules = rules_of(objects, service, direction)
            if rules is None:
                yield f"{service}: {direction} is not closed by default"
                continue
            outside = set()
            for rule in rules:
                ports = {port["port"] for port in rule["ports"]}
                if not rule.get(peers_key):
                    outside |= ports
                for other in SERVICES:
                    call = (other, service) if direction == "Ingress" else (service, other)
                    target = port_of(configuration(objects, call[1])["server"]["listen"])
                    labels = pod(objects, other)["metadata"]["labels"]
                    for peer in rule.get(peers_key, []):
                        within = "namespaceSelector" not in peer and "podSelector" in peer
                        if within and selects(peer["podSelector"], labels) and target in ports:
                            calls.add(call)
            if outside != OUTSIDE[service][direction]:
                yield (
                    f"{service}: {direction} is open to all at {sorted(outside)}, not at "
                    f"{sorted(OUTSIDE[service][direction])}"
                )
        for caller, callee in sorted(CALLS - calls):
            yield f"{direction}: {caller} cannot call {callee}"
        for caller, callee in sorted(calls - CALLS):
            yield f"{direction}: {caller} may call {callee}, and need not"


CHECKS = {
    "schema": check_schema,
    "services": check_services,
    "security": check_security,
    "policies": check_policies,
}


def main():
    name, path, *rest = sys.argv[1:]
    objects = load(path)
    if not objects:
        raise SystemExit(f"{path} holds no object")
    problems = list(CHECKS[name](objects, *rest))
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
