#!/usr/bin/env python3
"""Checks rendered manifests beyond what check.sh can do in shell.

    check.py schema FILE VERSION   every object against Kubernetes VERSION's schema, strictly
    check.py services FILE         ports, selectors and grace periods agree with configurations
    check.py security FILE         pods keep to the "restricted" Pod Security Standard, and more
    check.py keys FILE             mutual TLS everywhere and sealing, with keys from Secrets
    check.py policies FILE         network policies let through just what is needed
    check.py base-images FILE      images lead nowhere, so that the base alone runs nothing
    check.py images FILE           images are named by digest

Each prints what is wrong, a line each, and ends with status 1 if there was any.
"""

import posixpath
import re
import sys

from manifests import CALLS, SERVICES, configuration, configuration_map, deployment, find, load
from manifests import pod, port_of
from policies import check_policies

# Longest that a service takes to end after drainDelay and drainGrace: its own watchdog.
WATCHDOG_SECONDS = 1
# What the pods of "restricted" may mount, without what is of no use here.
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


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
        account = find(objects, "ServiceAccount", spec["serviceAccountName"])
        if account.get("automountServiceAccountToken", True):
            yield f"{service}: its account gives pods a token of Kubernetes' API"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{service}: shares a namespace of its node"
        for volume in spec["volumes"]:
            if not VOLUMES >= volume.keys() - {"name"}:
                yield f"{service}: volume {volume['name']} is of a kind that is not restricted"
        for container in spec["containers"] + spec.get("initContainers", []):
            yield from check_container(service, container)


def check_container(service, container):
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation", True) or context.get("privileged"):
        yield f"{service}: may gain privileges"
    if not context.get("runAsNonRoot", True) or context.get("runAsUser", 1) == 0:
        yield f"{service}: may run as root"
    if context.get("seccompProfile", {"type": "RuntimeDefault"})["type"] != "RuntimeDefault":
        yield f"{service}: has no seccomp profile"
    if not context.get("readOnlyRootFilesystem"):
        yield f"{service}: may write to its image"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{service}: keeps capabilities"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield f"{service}: has no limit of memory"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{service}: takes a port of its node"


def secret_of(objects, service, path):
    """The Secret that the file comes from, and what is wrong with how it is mounted."""
    spec = pod(objects, service)["spec"]
    folder = posixpath.dirname(path)
    mounts = [m for m in spec["containers"][0]["volumeMounts"] if m["mountPath"] == folder]
    if not mounts:
        return None, f"{path} is on no volume"
    volume = next(v for v in spec["volumes"] if v["name"] == mounts[0]["name"])
    if "secret" not in volume:
        return None, f"{path} is not from a Secret"
    secret = volume["secret"]
    modes = [secret.get("defaultMode", 0o644)]
    modes += [item["mode"] for item in secret.get("items", []) if "mode" in item]
    if not mounts[0].get("readOnly"):
        return secret["secretName"], f"{path} can be written"
    if any(mode not in (0o400, 0o440) for mode in modes):
        return secret["secretName"], f"{path} has another mode than 0400 or 0440"
    if secret.get("optional"):
        return secret["secretName"], f"{path} may be missing"
    return secret["secretName"], None


def check_keys(objects):
    for entry in objects:
        if entry["kind"] == "Secret":
            yield f"Secret {entry['metadata']['name']}: keys are not kept in manifests"
        if entry["kind"] == "ConfigMap" and "PRIVATE KEY" in str(entry.get("data")):
            yield f"ConfigMap {entry['metadata']['name']}: holds a private key"
    for service in SERVICES:
        config = configuration(objects, service)
        text = configuration_map(objects, service)["data"][f"{service}.yaml"]
        if re.search(r"insecure_?plaintext", text, re.IGNORECASE):
            yield f"{service}: speaks plaintext"
        for name in ("server", *(peer for peer in SERVICES if peer in config)):
            yield from check_tls(objects, service, name, config[name].get("tls"))
        if service == "issuer":
            yield from check_sealing(objects, config.get("sealing", {}).get("keyFiles"))
        yield from check_mounted_secrets(objects, service)


def check_tls(objects, service, name, tls):
    if not tls:
        yield f"{service}: {name} has no tls"
        return
    files = {
        "certificateFile": f"{service}.crt",
        "privateKeyFile": f"{service}.key",
        "caFile": "ca.crt",
    }
    for key, file in files.items():
        path = tls.get(key, "")
        if posixpath.basename(path) != file:
            yield f"{service}: {name}.tls.{key} is not {file}, as certwright-bootstrap names it"
        secret, problem = secret_of(objects, service, path)
        if problem:
            yield f"{service}: {problem}"
        elif secret != f"certwright-{service}-tls":
            yield f"{service}: {path} is from {secret}, not from a Secret of its own"


def check_sealing(objects, files):
    if not files:
        yield "issuer: without sealing.keyFiles the key lies beside the store"
    for path in files or []:
        secret, problem = secret_of(objects, "issuer", path)
        if problem:
            yield f"issuer: {problem}"
        elif secret != "certwright-issuer-sealing":
            yield f"issuer: {path} is from {secret}, not from a Secret of its own"


def check_mounted_secrets(objects, service):
    own = {f"certwright-{service}-tls"}
    if service == "issuer":
        own.add("certwright-issuer-sealing")
    for volume in pod(objects, service)["spec"]["volumes"]:
        name = volume.get("secret", {}).get("secretName")
        if name and name not in own:
            yield f"{service}: mounts {name}, which is not its own"


def images(objects):
    for service in SERVICES:
        spec = pod(objects, service)["spec"]
        for container in spec["containers"] + spec.get("initContainers", []):
            yield service, container["image"]


def check_base_images(objects):
    for service, image in images(objects):
        # RFC 6761: no such name ever leads anywhere.
        if not re.fullmatch(r"image\.invalid/[a-z-]+", image):
            yield f"{service}: image {image} might be pulled from somewhere"


def check_images(objects):
    for service, image in images(objects):
        if not re.fullmatch(r"[^@]+@sha256:[0-9a-f]{64}", image):
            yield f"{service}: image {image} is not named by its digest"
        if image.startswith("image.invalid/"):
            yield f"{service}: image {image} is of no registry"


CHECKS = {
    "schema": check_schema,
    "services": check_services,
    "security": check_security,
    "keys": check_keys,
    "policies": check_policies,
    "base-images": check_base_images,
    "images": check_images,
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
