#!/usr/bin/env python3
"""Breaks rendered manifests in one way after another; check.py must find each.

    check_mutations.py FILE IMAGES   IMAGES is the check of images: base-images or images

Prints what went unnoticed, a line each, and ends with status 1 if there was any.
"""

import copy
import sys

import yaml

from check import CHECKS
from manifests import configuration, configuration_map, find, load, pod


def spec(objects, service):
    return pod(objects, service)["spec"]


def container(objects, service):
    return spec(objects, service)["containers"][0]


def volume(objects, service, name):
    return next(v for v in spec(objects, service)["volumes"] if v["name"] == name)


def mount(objects, service, name):
    return next(m for m in container(objects, service)["volumeMounts"] if m["name"] == name)


def change(objects, service, edit):
    """Changes a service's configuration."""
    config = configuration(objects, service)
    edit(config)
    configuration_map(objects, service)["data"][f"{service}.yaml"] = yaml.safe_dump(config)


def policy(objects, name):
    return find(objects, "NetworkPolicy", name)["spec"]


def block(objects, name, index, version):
    return policy(objects, name)["egress"][index]["to"][version]["ipBlock"]


def add_egress(objects, *rules):
    policy(objects, "certwright-issuer")["egress"] += rules


def plaintext(config):
    del config["server"]["tls"]
    config["server"]["insecurePlaintext"] = True


# (check, what is wrong, how it is broken)
MUTATIONS = [
    ("services", "a probe of the port with TLS",
     lambda o: container(o, "order")["livenessProbe"]["grpc"].update(port=7002)),
    ("security", "a pod that may run as root",
     lambda o: spec(o, "order")["securityContext"].pop("runAsNonRoot")),
    ("security", "a container that may run as root",
     lambda o: container(o, "order")["securityContext"].update(runAsUser=0)),
    ("security", "no seccomp profile",
     lambda o: spec(o, "solver")["securityContext"].pop("seccompProfile")),
    ("security", "a container without seccomp",
     lambda o: container(o, "order")["securityContext"].update(
         seccompProfile={"type": "Unconfined"})),
    ("security", "an image that can be written",
     lambda o: container(o, "issuer")["securityContext"].pop("readOnlyRootFilesystem")),
    ("security", "capabilities",
     lambda o: container(o, "issuer")["securityContext"]["capabilities"].update(add=["NET_RAW"])),
    ("security", "a token for a pod",
     lambda o: spec(o, "issuer").pop("automountServiceAccountToken")),
    ("security", "a token of an account",
     lambda o: find(o, "ServiceAccount", "certwright-order").pop("automountServiceAccountToken")),
    ("security", "a folder of the node",
     lambda o: spec(o, "order")["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
    ("keys", "plaintext", lambda o: change(o, "order", plaintext)),
    ("keys", "plaintext to a peer",
     lambda o: change(o, "order", lambda c: c["issuer"].pop("tls"))),
    ("keys", "another service's key",
     lambda o: volume(o, "order", "tls")["secret"].update(secretName="certwright-issuer-tls")),
    ("keys", "another service's key besides",
     lambda o: spec(o, "order")["volumes"].append(
         {"name": "x", "secret": {"secretName": "certwright-issuer-sealing"}})),
    ("keys", "a key that everybody reads",
     lambda o: volume(o, "solver", "tls")["secret"].pop("defaultMode")),
    ("keys", "a key that can be written", lambda o: mount(o, "solver", "tls").pop("readOnly")),
    ("keys", "a key that may be missing",
     lambda o: volume(o, "solver", "tls")["secret"].update(optional=True)),
    ("keys", "a key from a ConfigMap",
     lambda o: (volume(o, "order", "tls").pop("secret"),
                volume(o, "order", "tls").update(configMap={"name": "x"}))),
    ("keys", "no sealing key", lambda o: change(o, "issuer", lambda c: c.pop("sealing"))),
    ("keys", "the sealing key beside the store",
     lambda o: change(o, "issuer", lambda c: c["sealing"].update(
         keyFiles=["/var/lib/certwright/seal-1.key"]))),
    ("keys", "the sealing key beside the certificate",
     lambda o: change(o, "issuer", lambda c: c["sealing"].update(
         keyFiles=["/etc/certwright-tls/seal-1.key"]))),
    ("keys", "a key in a manifest",
     lambda o: o.append({"kind": "Secret", "metadata": {"name": "x"}})),
    ("policies", "no default",
     lambda o: [o.remove(entry) for entry in list(o) if entry["kind"] == "NetworkPolicy"]),
    ("policies", "egress to everyone",
     lambda o: add_egress(o, {"ports": [{"protocol": "TCP", "port": 443}]})),
    ("policies", "egress to every port", lambda o: add_egress(o, {})),
    ("policies", "egress to a whole namespace",
     lambda o: add_egress(o, {"to": [{"namespaceSelector": {}}], "ports": [{"port": 443}]})),
    ("policies", "egress to a range of ports",
     lambda o: policy(o, "certwright-issuer")["egress"][0]["ports"][0].update(endPort=9000)),
    ("policies", "egress to the whole cluster",
     lambda o: block(o, "certificate-authorities", 0, 0)["except"].remove("10.0.0.0/8")),
    ("policies", "egress to where clouds tell secrets",
     lambda o: block(o, "certwright-solver", 1, 0)["except"].remove("169.254.0.0/16")),
    ("policies", "egress to Azure's",
     lambda o: block(o, "certwright-solver", 1, 0)["except"].remove("168.63.129.16/32")),
    ("policies", "egress to all of IPv6",
     lambda o: block(o, "certwright-solver", 1, 1).update(cidr="::/0")),
    ("policies", "nameservers elsewhere in the cluster",
     lambda o: policy(o, "cluster-nameservers")["egress"][0]["to"][0].pop("podSelector")),
    ("policies", "a port that is closed",
     lambda o: policy(o, "certwright-order").update(ingress=[])),
    ("policies", "HTTP-01 from everywhere",
     lambda o: policy(o, "certwright-solver")["ingress"][1].pop("from")),
    ("policies", "health from everywhere",
     lambda o: policy(o, "metrics")["ingress"][0]["ports"].append({"port": 7080})),
    ("images", "a tag", lambda o: container(o, "order").update(image="example.com/order:0.1")),
    ("base-images", "a name that can be pulled",
     lambda o: container(o, "order").update(image="certwright-order")),
]


def main():
    path, images = sys.argv[1:]
    objects = load(path)
    unnoticed, done = [], 0
    for name, what, breaks in MUTATIONS:
        if name in ("images", "base-images") and name != images:
            continue
        broken = copy.deepcopy(objects)
        breaks(broken)
        done += 1
        if not list(CHECKS[name](broken)):
            unnoticed.append(f"{name} does not notice {what}")
    print("\n".join(unnoticed) if unnoticed else f"{done} found")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
