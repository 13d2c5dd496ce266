"""An account ends while one of its servers cannot be reached: it waits, says so, and finishes."""

import time
from typing import Any

from sqlalchemy import create_engine, text

from tests.drills._drill import Drill, program
from tests.drills._panel import PASSWORD, Account, Panel, Refused, activate
from tests.system.fleet import Fleet, Server
from tests.system.processes import wait_until

BUDGET_S = 200
AWAY_S = 60
"""How long the server stays away after the others have proved their relays gone."""
FINISHED_WITHIN_S = 60


def play(drill: Drill) -> None:
    with drill.step("stand a panel up with three servers"):
        fleet = drill.use(Fleet(servers=3, clients=0))
        panel = drill.use(Panel(host=fleet.panel_address))
        key = fleet.admin_key.read_text()
        ids = [panel.add_server(server, key) for server in fleet.servers]
        panel.wait_for_servers(ids)
        by_id = dict(zip(ids, fleet.servers, strict=True))
    with drill.step("a customer with three relays and a device"):
        leaver, stayer = panel.customer("leaver"), panel.customer("stayer")
        for one in (leaver, stayer):
            activate(one, panel.serials()[0])
        leaver.post("/api/security/devices", node_key="nodekey:" + "ab" * 32, name="laptop")
        address = leaver.post("/api/acl/address")["address"]["url"]
    refused(drill, leaver)
    away_id = drill.random.choice(ids)
    away = by_id[away_id]
    with drill.step(f"{away.name} vanishes, and he closes his account"):
        away.vanish()
        asked = time.monotonic()
        leaver.post("/api/user/deregister", password=PASSWORD, give_up_rental=True)
    waits(drill, leaver, away_id)
    gone_elsewhere = [server for id_, server in by_id.items() if id_ != away_id]
    drill.figure(
        "left_on_reachable_servers",
        sum(len(relays_on(server)) - 1 for server in gone_elsewhere),
        equals=0,
    )
    with drill.step(f"it stays away for {drill.scaled(AWAY_S, least=10)} s more"):
        time.sleep(drill.scaled(AWAY_S, least=10))
    still = leaver.get("/api/user/deregistration")
    named = [one["server_id"] for one in still["waiting_for"]]
    drill.check("waits_for_it_still", named == [away_id], f"{named}")
    drill.check("acl_address_is_void", panel.raw("GET", address).status_code == 404)
    with drill.step(f"{away.name} returns"):
        away.return_()
        began = time.monotonic()
        wait_until(lambda: status_of(panel, leaver) == "deregistered", 120, "the account ends")
    drill.figure("finished_after_return_s", time.monotonic() - began, at_most=FINISHED_WITHIN_S)
    drill.figure("all_in_all_s", time.monotonic() - asked)
    drill.figure("left_on_the_server", len(relays_on(away)) - 1, equals=0)
    nothing_left(drill, panel, leaver)
    told = wait_until(
        lambda: [one for one in panel.mail.to(leaver.email) if is_goodbye(one)],
        60,
        "the mail that his account is closed",
    )
    drill.figure("goodbyes", len(told), equals=1)
    with drill.step("the other customer is as before, and the address is free"):
        drill.check("other_is_served", stayer.get("/api/user/rental")["rental"]["is_ready"])
        again = panel.customer("leaver2", leaver.email)
        drill.check("came_back_as_another", again.id != leaver.id)
        history = panel.admin.get("/api/logs/history", user_id=leaver.id)["logs"]
        kinds = {row["kind"] for row in history}
        wanted = {"rental.activated", "acl.issued", "rental.ended", "user.deregistered"}
        drill.check("history_stays", wanted <= kinds, f"{sorted(kinds)}")


def refused(drill: Drill, leaver: Account) -> None:
    """What is not settled is named, and nothing is done."""
    try:
        leaver.post("/api/user/deregister", password=PASSWORD)
    except Refused as no:
        matters = [one["code"] for one in no.body["error"]["params"]["matters"]]
        drill.check("names_what_is_open", matters == ["rental_runs"], f"{matters}")
    else:
        drill.check("names_what_is_open", False, "it was not refused")
    drill.check("is_served_after_refusal", leaver.get("/api/user/rental")["rental"]["is_ready"])


def waits(drill: Drill, leaver: Account, away_id: int) -> None:
    """The others prove their relays gone; the one that is away is named."""

    def only_it() -> bool:
        found = leaver.get("/api/user/deregistration")["waiting_for"]
        return [one["server_id"] for one in found] == [away_id]

    began = time.monotonic()
    wait_until(only_it, 60, "only the server that is away is waited for")
    drill.figure("others_proved_it_gone_s", time.monotonic() - began)


def relays_on(server: Server) -> list[str]:
    listed = server.docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
    return [name for name in listed if name.startswith("relay-")]


def status_of(panel: Panel, leaver: Account) -> str:
    return panel.admin.get(f"/api/user/{leaver.id}/deregistration")["status"]


def is_goodbye(caught: Any) -> bool:
    return "注销" in str(caught.mail["subject"])


def nothing_left(drill: Drill, panel: Panel, leaver: Account) -> None:
    """No session, key, document or right of his is left in the database."""
    engine = create_engine(panel.database_url)
    asked = {
        "sessions": "SELECT count(*) FROM sessions WHERE user_id=:id AND ended_at IS NULL",
        "keys": "SELECT count(*) FROM user_containers WHERE user_id=:id AND private_key <> ''",
        "relays": "SELECT count(*) FROM user_containers WHERE user_id=:id AND gone_at IS NULL",
        "documents": "SELECT count(*) FROM acl_versions WHERE user_id=:id "
        "AND document LIKE '%HostName%'",
        "addresses": "SELECT count(*) FROM acl_addresses WHERE user_id=:id AND token <> ''",
        "admissions": "SELECT count(*) FROM relay_admissions WHERE user_id=:id",
        "devices": "SELECT count(*) FROM devices WHERE user_id=:id AND status='registered'",
        "rights": "SELECT count(*) FROM user_server_association WHERE user_id=:id "
        "AND ended_at IS NULL",
    }
    with engine.connect() as connection:
        left = {
            what: connection.scalar(text(query), {"id": leaver.id}) for what, query in asked.items()
        }
    engine.dispose()
    drill.check("nothing_left", not any(left.values()), f"{left}")


if __name__ == "__main__":
    program(play)
