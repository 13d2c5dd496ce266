"""An administrator's access to a server, used once to set it up and not kept."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from derpman.kit.lazy import Lazy
from derpman.servers.errors import HostKeyInvalid, NodeError, SshKeyInvalid, StepFailed
from derpman.servers.transports import ssh

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = Lazy("asyncssh")

SCRIPT = files("derpman.servers").joinpath("bootstrap.sh").read_text()
MAX_OUTPUT_BYTES = 65536
HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "rsa-sha2-512",
)


@dataclass(frozen=True)
class Credential:
    """How an administrator logs in. Lives sealed in a job's row, until the job ends."""

    user: str = "root"
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    sudo_password: str | None = field(default=None, repr=False)

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Credential:
        return cls(**json.loads(text))

    def key(self) -> asyncssh.SSHKey | None:
        """Return the private key, readable; SshKeyInvalid when it is none."""
        if self.private_key is None:
            return None
        try:
            return asyncssh.import_private_key(self.private_key, self.passphrase)
        except (ValueError, asyncssh.Error):  # wrong passphrase, cut off, or no key at all
            raise SshKeyInvalid from None


async def read_host_key(ip: str, port: int, fingerprint: str | None = None) -> str:
    """Return the public host key that a server shows, as known_hosts has it after the host.

    With a fingerprint (`SHA256:…`) it is the key that has it, of whichever kind; StepFailed when
    the server has no such key.
    """
    if fingerprint is None:
        return public_text(await _shown_key(ip, port, HOST_KEY_ALGORITHMS))
    seen: str = ""
    for algorithm in HOST_KEY_ALGORITHMS:
        try:
            key = await _shown_key(ip, port, (algorithm,))
        except NodeError as error:
            if error.code not in ("server.ssh_failed", "server.connection_lost"):
                raise
            continue  # it has no key of this kind, and hangs up
        seen = seen or key.get_fingerprint()
        if key.get_fingerprint() == fingerprint:
            return public_text(key)
    if not seen:
        raise NodeError("server.ssh_failed", "it shows no host key of a kind that we know")
    raise StepFailed("server.fingerprint_differs", ip=ip, seen=seen, expected=fingerprint)


async def _shown_key(ip: str, port: int, algorithms: tuple[str, ...]) -> asyncssh.SSHKey:
    sock = await ssh.open_socket(ip, port)
    try:
        async with asyncio.timeout(ssh.LOGIN_SECONDS):
            key = await asyncssh.get_server_host_key(
                sock=sock, server_host_key_algs=list(algorithms), config=None
            )
    except TimeoutError:
        raise NodeError("server.hangs", "no answer to the SSH greeting") from None
    except asyncssh.Error as error:
        raise NodeError("server.ssh_failed", error.reason) from None
    except OSError as error:
        raise NodeError("server.connection_lost", str(error)) from None
    finally:
        sock.close()
    if key is None:
        raise NodeError("server.ssh_failed", "it shows no host key")
    return key


def public_text(key: asyncssh.SSHKey) -> str:
    """Return a public key's type and data, without a comment."""
    return " ".join(key.export_public_key().decode().split()[:2])


def fingerprint_of(host_key: str) -> str:
    """Return the fingerprint that people compare: `SHA256:…`; HostKeyInvalid when it is no key."""
    try:
        return asyncssh.import_public_key(host_key).get_fingerprint()
    except (ValueError, asyncssh.Error):
        raise HostKeyInvalid from None


class RootShell:
    """Runs verbs of the bootstrap script as root."""

    def __init__(self, connection: asyncssh.SSHClientConnection, credential: Credential) -> None:
        self._connection = connection
        self._credential = credential
        self._prefix: list[str] = []
        self._first_line = b""

    @classmethod
    async def open(cls, ip: str, port: int, host_key: str, credential: Credential) -> RootShell:
        """Log in and become root; NodeError or StepFailed when that is not possible."""
        try:
            client_key = await asyncio.to_thread(credential.key)
        except SshKeyInvalid:
            raise StepFailed("server.ssh_key_invalid") from None
        connection = await ssh.log_in(
            ip,
            port,
            username=credential.user,
            host_key=host_key,
            client_key=client_key,
            password=credential.password,
        )
        shell = cls(connection, credential)
        try:
            if credential.user != "root":
                await shell._become_root()
        except BaseException:
            connection.abort()
            raise
        return shell

    async def close(self) -> None:
        self._connection.abort()
        await self._connection.wait_closed()

    async def verb(self, *words: str, data: bytes = b"", seconds: float = 60) -> dict[str, str]:
        """Run a verb of the script; return the key=value lines that it printed."""
        command = [*self._prefix, "sh", "-c", SCRIPT, "bootstrap.sh", *words]
        status, out, err = await self._run(shlex.join(command), data, seconds)
        if status != 0:
            raise _failure(status, err)
        pairs = (line.partition("=") for line in out.splitlines())
        return {name: value for name, found, value in pairs if found}

    async def _become_root(self) -> None:
        # With -k a password that sudo remembers does not count: whether it asks for one must be
        # certain, or the password would become the first line of what runs.
        status, _, err = await self._run("sudo -k -n true", b"", 20)
        if status == 0:
            self._prefix = ["sudo", "-n"]
            return
        user = self._credential.user
        if status == 127 or "not found" in err:
            raise StepFailed("server.sudo_missing", user=user)
        password = self._credential.sudo_password or self._credential.password
        if password is None:
            raise StepFailed("server.sudo_refused", user=user)
        self._prefix = ["sudo", "-k", "-S", "-p", ""]
        self._first_line = password.encode() + b"\n"
        status, _, _ = await self._run("sudo -k -S -p '' true", b"", 20)
        if status != 0:
            raise StepFailed("server.sudo_refused", user=user)

    async def _run(self, command: str, data: bytes, seconds: float) -> tuple[int, str, str]:
        try:
            async with asyncio.timeout(seconds):
                process = await self._connection.create_process(command, encoding=None)
                try:
                    process.stdin.write(self._first_line + data)
                    process.stdin.write_eof()
                    out, err = await asyncio.gather(_read(process.stdout), _read(process.stderr))
                    await process.wait_closed()
                finally:
                    process.close()
        except TimeoutError:
            raise StepFailed("bootstrap.too_slow", seconds=round(seconds)) from None
        except (OSError, asyncssh.Error) as error:
            raise NodeError("server.connection_lost", str(error)) from None
        if process.exit_status is None:
            raise NodeError("server.connection_lost", "the command was cut off")
        return process.exit_status, out, err


async def _read(reader: asyncssh.SSHReader[bytes]) -> str:
    text = bytearray()
    while chunk := await reader.read(8192):
        text += chunk
        if len(text) > MAX_OUTPUT_BYTES:
            raise NodeError("server.nonsense", "endless output")
    return text.decode(errors="replace")


def _failure(status: int, err: str) -> StepFailed:
    """Return what a verb's error line says. Everything the server says is only shown, not used."""
    for line in reversed(err.splitlines()):
        if line.startswith("derpman-error bootstrap."):
            _, code, *rest = line.split(" ", 2)
            return StepFailed(code[:64], detail=" ".join(rest)[:400])
    said: dict[str, Any] = {"status": status, "detail": err.strip()[-400:]}
    return StepFailed("bootstrap.failed", **said)
