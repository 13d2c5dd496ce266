"""Places on servers, and what may be done with servers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import asyncssh
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import undefer

from derpman.alerts.models import SystemAlert
from derpman.kit.states import IllegalTransition
from derpman.kit.work import Edge
from derpman.logs.models import ServerLog, SystemLog
from derpman.servers import health, jobs, leases, service, upkeep
from derpman.servers.adding import propose_capacity, public_key
from derpman.servers.errors import (
    AlreadyAdded,
    ChangedMeanwhile,
    HasRelays,
    HostKeyInvalid,
    JobRunning,
    PortRangeInvalid,
    ServerNotFound,
    SshKeyInvalid,
)
from derpman.servers.models import Server, ServerJob, ServerLink, Transport
from derpman.servers.rootshell import Credential
from derpman.servers.states import JobStatus, ServerStatus

AddServer = Callable[..., int]
ROOT = Credential(user="root", password="only once")


def server_of(edge: Edge, server_id: int) -> Server:
    return edge.read(
        lambda work: work.session.get_one(Server, server_id, options=[undefer(Server.ssh_key)])
    )


def job_of(edge: Edge, job_id: int) -> ServerJob:
    return edge.read(
        lambda work: work.session.get_one(
            ServerJob, job_id, options=[undefer(ServerJob.credential)]
        )
    )


def put(edge: Edge, server_id: int, **values: Any) -> None:
    statement = update(Server).where(Server.id == server_id).values(**values)
    edge(lambda work: work.session.execute(statement))


def test_the_least_loaded_fit_server_comes_first(edge: Edge, add_server: AddServer) -> None:
    half = add_server(capacity=10, relay_count=5)
    empty = add_server(capacity=10)
    add_server(capacity=5, relay_count=5)
    add_server(status=ServerStatus.UNHEALTHY)
    add_server(monthly_allowance_bytes=1000, month_traffic_bytes=900)
    assert [one.id for one in edge.read(service.candidates)] == [empty, half]


def test_a_place_is_taken_only_while_there_is_one(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server(capacity=2)
    taken = [edge(service.claim, server_id=server_id) for _ in range(3)]
    assert taken == [True, True, False]
    assert server_of(edge, server_id).desired_generation == 2
    edge(service.give_back, server_id=server_id)
    assert edge(service.claim, server_id=server_id)
    assert server_of(edge, server_id).relay_count == 2


def test_a_server_is_never_filled_beyond_its_capacity(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server(capacity=7)
    taken: list[bool] = []

    def take() -> None:
        taken.extend([edge(service.claim, server_id=server_id) for _ in range(5)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(True) == 7
    assert server_of(edge, server_id).relay_count == 7


def test_an_added_server_waits_for_its_job(edge: Edge, heard: Any) -> None:
    server, job = edge(upkeep.add, ip="203.0.113.1", region="Frankfurt", credential=ROOT)
    assert (server.status, job.status) == (ServerStatus.ADDING, JobStatus.QUEUED)
    assert edge.read(service.candidates) == []
    assert "deliveries" in heard.topics
    assert edge.read(public_key, server.id).startswith("ssh-ed25519 ")
    stored = job_of(edge, job.id).credential
    assert stored is not None
    assert "only once" not in stored
    key = server_of(edge, server.id).ssh_key
    assert key is not None
    assert "PRIVATE" not in key


def test_secrets_are_in_no_log(edge: Edge) -> None:
    edge(upkeep.add, ip="203.0.113.1", region="Frankfurt", credential=ROOT)
    rows = edge.read(
        lambda work: [
            *work.session.scalars(select(SystemLog)),
            *work.session.scalars(select(ServerLog)),
        ]
    )
    assert rows
    for row in rows:
        assert "only once" not in str(vars(row))


def test_an_address_is_added_once(edge: Edge) -> None:
    server, job = edge(upkeep.add, ip="203.0.113.1", region="a", credential=ROOT, waits=True)
    with pytest.raises(AlreadyAdded):
        edge(upkeep.add, ip="203.0.113.1", region="b", credential=ROOT)
    edge(upkeep.remove, server_id=server.id)
    again, _ = edge(upkeep.add, ip="203.0.113.1", region="b", credential=ROOT)
    assert again.id != server.id
    assert job_of(edge, job.id).status is JobStatus.FAILED
    assert job_of(edge, job.id).credential is None


@pytest.mark.parametrize("text", ["no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", ""])
def test_a_private_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SshKeyInvalid):
        Credential(private_key=text).key()


def test_a_key_with_a_wrong_passphrase_is_refused() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    text = key.export_private_key(passphrase="right", rounds=1, ignore_few_rounds=True).decode()
    with pytest.raises(SshKeyInvalid):
        Credential(private_key=text, passphrase="wrong").key()
    with pytest.raises(SshKeyInvalid):
        Credential(private_key=text).key()
    assert Credential(private_key=text, passphrase="right").key() is not None


def test_an_empty_port_range_is_refused(edge: Edge, add_server: AddServer) -> None:
    with pytest.raises(PortRangeInvalid):
        edge(upkeep.add, ip="203.0.113.1", region="a", port_from=3000, port_to=2000)
    server_id = add_server()
    with pytest.raises(PortRangeInvalid):
        edge(upkeep.change, server_id=server_id, values={"port_from": 60000})


def test_a_server_with_relays_is_not_removed(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server(relay_count=1)
    with pytest.raises(HasRelays):
        edge(upkeep.remove, server_id=server_id)
    put(edge, server_id, relay_count=0)
    edge(upkeep.remove, server_id=server_id)
    removed = server_of(edge, server_id)
    assert (removed.status, removed.present_ip) == (ServerStatus.REMOVED, None)
    assert not edge(service.claim, server_id=server_id)
    with pytest.raises(ServerNotFound):
        edge(upkeep.remove, server_id=server_id)


def test_one_job_at_a_time(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server()
    job = edge(upkeep.check, server_id=server_id)
    with pytest.raises(JobRunning):
        edge(upkeep.check, server_id=server_id)
    assert edge(jobs.claim, job_id=job.id, worker="one")
    with pytest.raises(JobRunning):
        edge(upkeep.remove, server_id=server_id)


def test_what_was_added_well_is_not_tried_again(edge: Edge, add_server: AddServer) -> None:
    with pytest.raises(IllegalTransition):
        edge(upkeep.retry, server_id=add_server(), credential=ROOT)


def test_the_operators_script_starts_the_job_that_waits_for_it(edge: Edge, heard: Any) -> None:
    server, job = edge(upkeep.add, ip="203.0.113.1", region="a")
    assert "deliveries" not in heard.topics
    with pytest.raises(HostKeyInvalid):
        edge(upkeep.report_script, server_id=server.id, host_key="ssh-ed25519 AAAA")
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    host_key = " ".join(key.split()[:2])
    edge(upkeep.report_script, server_id=server.id, host_key=host_key)
    assert "deliveries" in heard.topics
    assert server_of(edge, server.id).host_key == host_key
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    edge(upkeep.report_script, server_id=server.id, host_key=" ".join(other.split()[:2]))
    assert server_of(edge, server.id).host_key == host_key, "the first word counts"
    assert edge(jobs.claim, job_id=job.id, worker="one")


def test_a_change_of_what_somebody_else_changed_is_refused(
    edge: Edge, add_server: AddServer
) -> None:
    server_id = add_server()
    seen = server_of(edge, server_id).version
    edge(upkeep.change, server_id=server_id, values={"region": "Tokyo"}, version=seen)
    with pytest.raises(ChangedMeanwhile):
        edge(upkeep.change, server_id=server_id, values={"region": "Seoul"}, version=seen)
    assert server_of(edge, server_id).region == "Tokyo"


def test_taking_a_place_does_not_collide_with_a_change(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server()
    seen = server_of(edge, server_id).version
    edge(service.claim, server_id=server_id)
    edge(upkeep.change, server_id=server_id, values={"capacity": 3}, version=seen)
    changed = server_of(edge, server_id)
    assert (changed.capacity, changed.relay_count) == (3, 1)


@pytest.mark.parametrize(
    ("memory_mb", "allowance_gib", "ports", "capacity"),
    [(1024, None, 1000, 11), (8192, 200, 1000, 10), (65536, None, 1000, 1000), (400, None, 9, 1)],
)
def test_capacity_is_proposed_from_the_narrowest_limit(
    memory_mb: int, allowance_gib: int | None, ports: int, capacity: int
) -> None:
    allowance = None if allowance_gib is None else allowance_gib * 2**30
    server = Server(port_from=20000, port_to=19999 + ports, monthly_allowance_bytes=allowance)
    assert propose_capacity(server, memory_mb * 2**20, 64 * 2**20) == capacity


def test_a_local_node_is_added_once(edge: Edge) -> None:
    values: dict[str, Any] = {"region": "demo", "port_from": 21000, "port_to": 21999, "capacity": 5}
    first = edge(upkeep.ensure_local, ip="127.0.0.11", socket_path="/run/a", **values)
    second = edge(upkeep.ensure_local, ip="127.0.0.11", socket_path="/run/b", **values)
    assert first.id == second.id
    assert second.transport is Transport.LOCAL
    assert server_of(edge, first.id).socket_path == "/run/b"
    assert edge.read(lambda work: work.session.get(ServerLink, first.id)) is not None


def test_a_server_installed_anew_is_set_up_again(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server(status=ServerStatus.UNHEALTHY, relay_count=3)
    job = edge(upkeep.retry, server_id=server_id, credential=ROOT)
    edge(jobs.claim, job_id=job.id, worker="one")
    edge(jobs.finish, job.id, "one", "server.auth_failed")
    assert server_of(edge, server_id).status is ServerStatus.UNHEALTHY
    assert edge(upkeep.retry, server_id=server_id, credential=ROOT).kind == "add"


def test_of_two_that_ask_for_a_job_at_once_one_gets_it(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server()
    barrier = threading.Barrier(4)
    outcomes: list[str] = []

    def ask() -> None:
        barrier.wait()
        try:
            edge(upkeep.check, server_id=server_id)
            outcomes.append("asked")
        except JobRunning:
            outcomes.append("running")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["asked", "running", "running", "running"]


def test_the_alert_of_a_removed_server_is_over(edge: Edge, add_server: AddServer) -> None:
    server_id = add_server()
    edge(leases.renew, "one", 16)
    edge(health.change, "one", server_id, "lose", health.NO_CONTACT, {})
    edge(upkeep.remove, server_id=server_id)
    found = select(SystemAlert).where(SystemAlert.open_key.is_not(None))
    assert edge.read(lambda work: list(work.session.scalars(found))) == []
