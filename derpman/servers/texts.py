"""What went wrong with a server, in words an operator can act on; keyed by code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS: dict[str, str] = {
    # the way to the server
    "server.unreachable": "Nothing answers at {ip} port {port} ({detail}). Is the address right, "
    "is the machine on, and does its cloud security group let TCP {port} in?",
    "server.refused": "{ip} answers, but port {port} is closed. Is sshd running, and on this port?",
    "server.hangs": "{ip} accepts the connection and then says nothing ({detail}). The machine may "
    "be overloaded or its disk may hang.",
    "server.connection_lost": "The connection to {ip} broke: {detail}.",
    "server.ssh_failed": "{ip} does not speak SSH as it should: {detail}.",
    "server.session_refused": "{ip} lets us log in but opens no session: {detail}.",
    "server.host_key_changed": "{ip} shows another SSH host key than the one that was pinned. "
    "Somebody may be listening in. If the machine was installed anew, give its new fingerprint.",
    "server.host_key_refused": "{ip} shows the host key of a server that was given up: {reason}. "
    "Set the machine up anew; it then has another key.",
    "server.fingerprint_differs": "{ip} shows the host key {seen}, not {expected}. Nothing was "
    "sent to it.",
    "server.auth_failed": "{ip} does not accept this log-in. Check user, password or key, and "
    "whether its sshd allows them (PermitRootLogin, AllowUsers).",
    "server.ssh_key_invalid": "The private key cannot be read. Is it complete, and is the "
    "passphrase right?",
    "server.sudo_missing": "{user} is not root and there is no sudo on the server.",
    "server.sudo_refused": "{user} may not use sudo, or the password for it is wrong.",
    "server.nonsense": "The server answers with something we do not understand: {detail}.",
    "server.not_there": "The server was removed.",
    "server.slow_reader": "The panel cannot write down what the node reports as fast as it comes.",
    "apply.not_written": "The node cannot keep what it should run: {detail}. Is the server's disk "
    "full?",
    "server.not_set_up": "The server was never set up: no host key is pinned yet.",
    # what the server is
    "server.os_unsupported": "{os_name} is not supported. Debian, Ubuntu and Alibaba Cloud Linux "
    "are.",
    "server.disk_full": "Only {free_mb} MB are free where /var/lib is; at least {needed_mb} MB are "
    "needed.",
    "server.memory_short": "The server has {memory_mb} MB of memory; at least {needed_mb} MB are "
    "needed.",
    "server.clock_wrong": "The server's clock is {seconds} seconds off. Relays expire by it: "
    "switch on time synchronisation (timedatectl set-ntp true) and try again.",
    # setting it up
    "bootstrap.not_root": "The script must run as root.",
    "bootstrap.os_unsupported": "{detail} has no package manager that we know.",
    "bootstrap.packages_failed": "Packages could not be installed: {detail}",
    "bootstrap.docker_not_running": "Docker is installed and does not answer: {detail}",
    "bootstrap.disk_full": "There is no room on the server's disk: {detail}",
    "bootstrap.damaged": "derpman-node arrived damaged: {detail}",
    "bootstrap.wrong_architecture": "derpman-node was built for another kind of machine: {detail}",
    "bootstrap.node_not_running": "derpman-node does not start: {detail}",
    "bootstrap.failed": "The set-up ended with status {status}: {detail}",
    "bootstrap.too_slow": "The set-up did not end within {seconds} seconds.",
    "panel.not_built": "derpman-node and the relay image have not been built on this panel: run "
    "`derpman node build`.",
    # the node
    "server.node_missing": "There is no derpman-node on the server ({detail}).",
    "server.node_down": "derpman-node does not run on the server ({detail}).",
    "node.other_protocol": "The node speaks another version of the protocol ({detail}).",
    "node.nonsense": "The node answers with something we do not understand: {detail}.",
    "node.no_docker": "The node cannot reach Docker on the server. Is dockerd running?",
    "image.bad_signature": "The node refused the relay image: it was set up by another panel.",
    "image.disk_full": "There is no room for the relay image on the server's disk.",
    "image.not_loaded": "Docker on the server did not take the relay image: {detail}",
    # upgrading
    "panel.changed": "What was built on this panel is not what this upgrade began with. Abort it "
    "and begin another.",
    "upgrade.rolled_back": "The new node did not prove itself and the server went back to the one "
    "before: {reason}",
    "upgrade.no_answer": "The node did not tell within {seconds} seconds how its upgrade went.",
    "upgrade.relay_unwell": "Relay {relay} did not do well on the new image ({state}); the relays "
    "of this server were put back on the one before.",
    "upgrade.node_unwell": "After the upgrade the node answers as version {version}.",
    "upgrade.not_healthy": "The server was not healthy when its turn came, and was passed over.",
    "upgrade.server_unwell": "After the upgrade the server did not stay healthy.",
    "upgrade.other_version": "The new node does not call itself what was signed: {detail}",
    "upgrade.does_not_run": "The new node does not run on this server: {detail}",
    "upgrade.settings_refused": "The new node does not accept the server's settings: {detail}",
    "upgrade.older": "The server's node is newer than the one of this panel: {detail}",
    "upgrade.bad_signature": "The node refused the program: it was set up by another panel.",
    "upgrade.disk_full": "There is no room for the new node on the server's disk.",
    # the ports
    "ports.closed": "From outside, TCP to {tcp} and UDP to {udp} do not arrive. In the cloud "
    "console open the server's security group (Aliyun: ECS > Security Groups > Inbound) for TCP "
    "and UDP {port_from}-{port_to} from 0.0.0.0/0, and look for a firewall on the server itself "
    "(ufw, firewalld).",
    "ports.none_free": "None of the ports tried between {port_from} and {port_to} is free on the "
    "server.",
    # the job itself
    "job.interrupted": "The worker that did this ended; the job began again.",
    "job.fault": "This is our fault, not yours. It has been recorded.",
    "job.replaced": "The job was started anew.",
    "job.cancelled": "The server was removed.",
}


def sentence(code: str, params: Mapping[str, Any]) -> str:
    """Return what an operator reads; a code without a text of its own shows its detail."""
    text = TEXTS.get(code, "The server refused: {detail} ({code})")
    shown = {name: value for name, value in params.items() if value not in (None, "")}
    return text.format_map(_Shown({"code": code, **shown}))


class _Shown(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "no more is known" if name == "detail" else "?"
