"""What the network policies of rendered manifests let through, against what is needed."""

import ipaddress

from manifests import CALLS, SERVICES, configuration, pod, port_of

# The ranges that are not public (lib/http/address_policy.cc), and where Azure tells its machines
# their secrets.
INTERNAL = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 "
        "172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 "
        "198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 "
        "::/3 2001::/23 2001:db8::/32 2002::/16 3fff::/20 4000::/2 8000::/1"
    ).split()
]
DNS = {"UDP 53", "TCP 53"}
NAMESERVERS = "kubernetes.io/metadata.name=kube-system/k8s-app=kube-dns"
OPERATORS = {"/certwright/operator=true", "certwright/operator=true/certwright/operator=true"}
PUBLIC = ("public IPv4", "public IPv6")


def needed(objects, direction):
    """(service, other side, port) for everything that must get through."""
    lets = set()
    for caller, callee in CALLS:
        port = f"TCP {listen_port(objects, callee)}"
        ends = (callee, caller) if direction == "Ingress" else (caller, callee)
        lets.add((*ends, port))
    for service in SERVICES:
        if direction == "Ingress":
            lets.add((service, "kubernetes.io/metadata.name=monitoring/", "TCP 9090"))
        else:
            lets |= {(service, NAMESERVERS, port) for port in DNS}
            lets |= {(service, public, "TCP 443") for public in PUBLIC}
    if direction == "Ingress":
        lets |= {("issuer", who, f"TCP {listen_port(objects, 'issuer')}") for who in OPERATORS}
        lets.add(("solver", "certwright/http01=true/", "TCP 8080"))
    else:
        lets |= {("solver", public, port) for public in PUBLIC for port in DNS | {"TCP 80"}}
    return lets


def listen_port(objects, service):
    return port_of(configuration(objects, service)["server"]["listen"])


def selects(selector, labels):
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise SystemExit(f"policies.py does not know the operator {expression['operator']}")
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


def block_name(block):
    network = ipaddress.ip_network(block["cidr"])
    holes = [ipaddress.ip_network(text) for text in block.get("except", [])]
    for internal in INTERNAL:
        if internal.version != network.version or not internal.overlaps(network):
            continue
        inside = internal if internal.subnet_of(network) else network
        if not any(inside.subnet_of(hole) for hole in holes):
            return f"{network}, which holds {inside},"
    return f"public IPv{network.version}"


def labels_text(selector):
    if selector.get("matchExpressions"):
        return str(selector)
    return ",".join(f"{key}={value}" for key, value in selector.get("matchLabels", {}).items())


def peer_names(objects, peer):
    """Who a peer of a rule is: services, or "<labels of namespaces>/<labels of pods>"."""
    if "ipBlock" in peer:
        return {block_name(peer["ipBlock"])}
    pods = peer.get("podSelector", {})
    if "namespaceSelector" in peer:
        namespaces = labels_text(peer["namespaceSelector"]) or "every namespace"
        return {f"{namespaces}/{labels_text(pods)}"}
    services = {
        s for s in SERVICES if selects(pods, pod(objects, s)["metadata"]["labels"])
    }
    return services or {f"/{labels_text(pods)}"}


def port_names(rule):
    if not rule.get("ports"):
        return {"every port"}
    return {
        f"{port.get('protocol', 'TCP')} {port.get('port', 'every port')}"
        + (f" to {port['endPort']}" if "endPort" in port else "")
        for port in rule["ports"]
    }


def let_through(objects, service, direction):
    peers_key = "from" if direction == "Ingress" else "to"
    for rule in rules_of(objects, service, direction) or []:
        names = set()
        for peer in rule.get(peers_key) or []:
            names |= peer_names(objects, peer)
        for name in names or {"everyone"}:
            for port in port_names(rule):
                yield (service, name, port)


def check_policies(objects):
    for direction, way in (("Ingress", "from"), ("Egress", "to")):
        lets = set()
        for service in SERVICES:
            if rules_of(objects, service, direction) is None:
                yield f"{service}: {direction} is not closed by default"
            lets |= set(let_through(objects, service, direction))
        for service, other, port in sorted(lets - needed(objects, direction)):
            yield f"{service}: {direction} {way} {other} at {port} is open, and need not be"
        for service, other, port in sorted(needed(objects, direction) - lets):
            yield f"{service}: {direction} {way} {other} at {port} is closed, and must be open"
