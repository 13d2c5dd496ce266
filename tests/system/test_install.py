"""`deploy/install.sh` on a fresh machine ends with a system that does the main job."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.drills._panel import activate
from tests.system import derp
from tests.system.fleet import Fleet
from tests.system.installed import APIS, WORKERS, Installed
from tests.system.processes import Impossible, wait_until


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """A fleet of this file's own."""
    try:
        fleet = Fleet(servers=3, clients=1)
    except Impossible as error:
        pytest.skip(str(error))
    with fleet:
        yield fleet


@pytest.fixture(scope="module")
def panel(fleet: Fleet) -> Iterator[Installed]:
    try:
        installed = Installed(fleet, monitoring=True)
    except Impossible as error:
        pytest.skip(str(error))
    with installed as panel:
        yield panel


def test_it_stands_as_it_was_promised(panel: Installed) -> None:
    running = panel.machine.systemctl(
        "is-active", "mariadb", "redis-server", "nginx", "prometheus", "prometheus-alertmanager",
        *APIS, *WORKERS,
    )  # fmt: skip
    assert set(running.stdout.split()) == {"active"}
    assert panel.get("/readyz").json() == {"success": True}
    page = panel.get("/", headers={"Accept": "text/html"})
    assert "content-security-policy" in page.headers
    assert "max-age" in page.headers["strict-transport-security"]
    for hidden in ("/metrics", "/api/alerts/alertmanager"):
        assert panel.get(hidden).status_code == 404, "it is for programs of the machine alone"
    listening = panel.machine.run(["ss", "-Hltn"]).stdout.split("\n")
    open_ports = {
        line.split()[3].rpartition(":")[2]
        for line in listening
        if line and not line.split()[3].startswith(("127.", "[::1]"))
    }
    assert open_ports <= {"22", "80", "443"}, "the rest listens to this machine alone"
    mode = panel.machine.run(["stat", "-c", "%a %U %G", "/etc/derpman/derpman.env"]).stdout
    assert mode.split() == ["640", "root", "derpman"]


def test_exactly_one_scheduler_acts(panel: Installed) -> None:
    logs = [panel.machine.unit_log(unit) for unit in WORKERS]
    assert sorted("has its turn" in log for log in logs) == [False, True]
    assert sum("waits for its turn" in log for log in logs) >= 1


def test_prometheus_watches_it(panel: Installed) -> None:
    code = (
        "import json, urllib.request\n"
        "from urllib.parse import quote\n"
        "url = 'http://127.0.0.1:9090/api/v1/query?query=' + quote('sum(up{job=\"derpman\"})')\n"
        "print(json.load(urllib.request.urlopen(url))['data']['result'][0]['value'][1])"
    )

    def both_up() -> bool:
        said = panel.machine.run(["/usr/bin/python3", "-c", code], check=False).stdout
        return said.strip() == "2"

    wait_until(both_up, 90, "Prometheus has both API processes")


def test_the_main_job_passes_against_it(panel: Installed, fleet: Fleet) -> None:
    key = fleet.admin_key.read_text()
    servers = [one for one in fleet.servers if one is not panel.machine]
    panel.wait_for_servers([panel.add_server(server, key) for server in servers])
    carl = panel.customer("carl")
    assert activate(carl, panel.serials()[0]) < 30
    slots = carl.extra["rental"]["slots"]
    acl = carl.text("/api/acl/download", form="headscale_json")
    assert json.loads(acl)
    assert all(slot["address"] in acl for slot in slots)
    mine, foreign = derp.new_key(), derp.new_key()
    carl.post("/api/security/devices", node_key=derp.node_key(mine), name="mine")
    for slot in slots:

        def admitted(slot: dict[str, object] = slot) -> bool:
            return fleet["c1"].call(derp.is_admitted, slot["address"], slot["port"], mine)  # type: ignore[arg-type]

        wait_until(admitted, 15, "the registered device is let in")
        assert not fleet["c1"].call(derp.is_admitted, slot["address"], slot["port"], foreign)
    assert "no contact" not in panel.cli("server", "list")


def test_installing_again_keeps_what_is_there(panel: Installed) -> None:
    kept = panel.machine.read("/etc/derpman/derpman.env")
    said = panel.install()
    assert "was made before" in said
    assert panel.machine.read("/etc/derpman/derpman.env") == kept
    panel.wait_until_ready()
    assert panel.admin.get("/api/user/me")["user"]["email"] == "admin@example.com"


def test_it_comes_back_after_a_power_cut(panel: Installed) -> None:
    panel.machine.cut_power()
    panel.machine.boot()
    panel.machine.wait_until_up()
    panel.machine.run(["systemd-tmpfiles", "--create", "mariadb.conf"], check=False)
    panel.machine.systemctl("start", "mariadb")
    panel.wait_until_ready()
    assert panel.admin.get("/api/user/me")["success"]
