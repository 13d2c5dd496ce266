"""What servers refuse, and what may go wrong with a server and on the way to it."""

from __future__ import annotations

from derpman.kit.errors import Conflict, Forbidden, Invalid, NotFound, TransientFailure


class ServerNotFound(NotFound):
    code = "servers.not_found"
    text = "There is no such server."


class JobNotFound(NotFound):
    code = "servers.no_such_job"
    text = "There is no such job."


class AlreadyAdded(Conflict):
    code = "servers.already_added"
    text = "A server with the address {ip} is there already."


class HasRelays(Conflict):
    code = "servers.has_relays"
    text = "{relays} relays are still wanted on this server. Move or end them first."


class NotDraining(Conflict):
    code = "servers.not_draining"
    text = "Server {server_id} is not being drained."


class JobRunning(Conflict):
    code = "servers.job_running"
    text = "A job on this server is still running."


class ChangedMeanwhile(Conflict):
    code = "servers.changed_meanwhile"
    text = "Somebody changed this server meanwhile. Look at it again."


class PortRangeInvalid(Invalid):
    code = "servers.port_range_invalid"
    text = "The port range must not be empty: {port_from}-{port_to}."


class SshKeyInvalid(Invalid):
    code = "servers.ssh_key_invalid"
    text = "This private key cannot be read. Is it complete, and is the passphrase right?"


class HostKeyInvalid(Invalid):
    code = "servers.host_key_invalid"
    text = "This is no SSH host key."


class HostKeyRefused(Conflict):
    code = "servers.host_key_refused"
    text = "This is the host key of a server that was given up. Set the machine up anew."


class NotBuilt(Conflict):
    code = "servers.not_built"
    text = "The node has not been built on this panel. Run `derpman node build`."


class NothingToCleanUp(Conflict):
    code = "servers.nothing_to_clean_up"
    text = "Nothing of ours is left on this server, or we have no key to it any more."


class UpgradeNotFound(NotFound):
    code = "servers.no_such_upgrade"
    text = "There is no such upgrade."


class UpgradeOpen(Conflict):
    code = "servers.upgrade_open"
    text = "Upgrade {upgrade_id} is still under way. Abort it, or wait."


class NothingToUpgrade(Conflict):
    code = "servers.nothing_to_upgrade"
    text = "None of these servers is healthy and has another node or relay image than this panel."


class BootstrapTokenInvalid(Forbidden):
    code = "servers.bootstrap_token_invalid"
    text = "This address for the script has run out. Make a new one."


class LeaseLost(Exception):
    """Another worker holds the server or the job now: stop, and write nothing more."""


def _printable(text: str) -> str:
    """Keep what another machine says fit for a log line and for every database."""
    return "".join(char if char.isprintable() else " " for char in text)


class NodeError(TransientFailure):
    """The node, or the way to it, said no.

    `code` is stable; `detail` is for operators and holds no secret.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = _printable(code)[:64]
        self.detail = _printable(detail)[:500]
        super().__init__(f"{self.code}: {self.detail}" if detail else self.code)


class StepFailed(Exception):
    """A step of a job cannot be done. `code` is stable; `params` fill its sentence and are shown.

    Never pass a secret.
    """

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params
