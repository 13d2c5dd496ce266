"""The system as `deploy/install.sh` sets it up on a machine of the fleet, and how to talk to it."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.drills._panel import Panel
from tests.system.fleet import Fleet, Server
from tests.system.processes import ROOT, Impossible, run, wait_until
from tests.system.smtp import Catcher

APIS = ("derpman-api@8001", "derpman-api@8002")
WORKERS = ("derpman-worker@1", "derpman-worker@2")
NEEDED = ("nginx", "mariadbd", "redis-server", "prometheus", "prometheus-alertmanager")
ADMIN = "admin@example.com"


def release() -> Path:
    """The folder that tools/release.sh makes of this clone."""
    said = run([ROOT / "tools" / "release.sh", "--folder"], cwd=ROOT, seconds=900).stdout
    return ROOT / said.splitlines()[-1]


class Installed(Panel):
    """Production on one machine: Nginx, two API processes, two workers, MariaDB, Redis."""

    def __init__(self, fleet: Fleet, name: str = "site", *, monitoring: bool = False) -> None:
        for program in NEEDED:
            found = shutil.which(program, path="/usr/sbin:/usr/bin")
            if found is None:
                raise Impossible(f"{program} is missing: see tools/setup.sh debian")
        super().__init__()
        self.machine: Server = fleet.add_server(name, docker=False)
        self.url = f"https://{self.machine.address}"
        self.mail_host = fleet.panel_address
        self._monitoring = monitoring

    def _set_up(self) -> None:
        self.mail = self._services.enter_context(Catcher(host=self.mail_host))
        self._services.callback(self.machine.cut_power)
        # What a boot of Debian does before any service.
        self.machine.run(["systemd-tmpfiles", "--create", "mariadb.conf"], check=False)
        shutil.copytree(release(), self.machine.path("/root/release"))
        said = self.install()
        password = re.search(r"^Password: (\S+)", said, re.MULTILINE)
        assert password is not None, said
        self.password = password[1]
        certificate = Path(tempfile.mkstemp(dir=self.folder)[1])
        certificate.write_text(self.machine.read("/etc/derpman/tls.crt"))
        self._client.close()
        trust = ssl.create_default_context(cafile=str(certificate))
        self.trust = trust
        self._client = httpx.Client(base_url=self.url, timeout=60, verify=trust)
        self.admin = self.log_in(ADMIN, self.password)

    def install(self) -> str:
        """Run the installer with its answers in a file; return what it said."""
        answers = {
            "SITE": self.machine.address,
            "ADMIN_EMAIL": ADMIN,
            "SMTP": f"plain://{self.mail.host}:{self.mail.port}",
            "CERTIFICATE": "self",
            "MONITORING": "yes" if self._monitoring else "no",
        }
        text = "".join(f"{name}={value}\n" for name, value in answers.items())
        self.machine.write("/root/answers", text)
        done = self.machine.run(
            ["timeout", "300", "/root/release/deploy/install.sh", "--answers", "/root/answers"],
            check=False,
            seconds=330,
        )
        assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}\n{self.logs()}"
        return done.stdout

    def cli(self, *words: str, text: str | None = None) -> str:
        return self.machine.run(["derpman", *words], text=text, seconds=120).stdout

    def logs(self) -> str:
        """The ends of the logs of our units, for failures."""
        return "\n".join(
            f"== {unit}\n{self.machine.unit_log(unit)[-1500:]}"
            for unit in (*APIS, *WORKERS, "mariadb", "redis-server", "nginx")
        )

    def restart(self, unit: str) -> subprocess.CompletedProcess[str]:
        return self.machine.systemctl("restart", unit)

    def ready(self, port: int) -> bool:
        """Whether the API process of a port is ready."""
        code = (
            "import sys, urllib.request\n"
            f"urllib.request.urlopen('http://127.0.0.1:{port}/readyz', timeout=20)"
        )
        return self.machine.run(["/usr/bin/python3", "-c", code], check=False).returncode == 0

    def wait_until_ready(self) -> None:
        for port in (8001, 8002):
            wait_until(lambda port=port: self.ready(port), 60, f"the API of port {port} is ready")

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self._client.get(path, **more)
