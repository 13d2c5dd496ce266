"""Upgrades: one server first and watched, then one at a time; what does not hold is rolled back."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from derpman.alerts.models import SystemAlert
from derpman.kit.errors import Conflict
from derpman.kit.work import Edge, UnitOfWork
from derpman.servers import adding, jobrun, jobs, rollouts, upgrading, upkeep
from derpman.servers.errors import NothingToUpgrade, UpgradeOpen
from derpman.servers.models import Server, ServerJob, Upgrade, UpgradeStage
from derpman.servers.release import built_image, built_program
from derpman.servers.states import JobStatus, ServerStatus, StageStatus, UpgradeStatus
from derpman.servers.transports.fake import FakeNode, node_of
from tests.conftest import MovableClock, Person

OLD, NEW = "derper-1.0.0-000000000000", "derper-2.0.0-111111111111"
AddServer = Callable[..., int]


@pytest.fixture
def build_dir(tmp_path: Path) -> Path:
    (tmp_path / "relay-image.tar").write_bytes(b"i" * 600_000)
    (tmp_path / "relay-image.tar.label").write_text(f"{NEW}\n")
    program = tmp_path / "derpman-node"
    program.write_text("#!/bin/sh\n[ $1 = version ] && echo 0.2.0\n")
    program.chmod(0o755)
    return tmp_path


@pytest.fixture
def means(edge: Edge, build_dir: Path, monkeypatch: pytest.MonkeyPatch) -> jobrun.Means:
    monkeypatch.setattr(upgrading, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(upgrading, "READY_SECONDS", 0.1)
    monkeypatch.setattr(upgrading, "ALONE_SECONDS", 0.1)
    return jobrun.Means(edge, build_dir, 64 * 2**20)


@pytest.fixture
def fleet(add_server: AddServer) -> list[int]:
    """Three servers on old programs and images, with two relays each; the third has few users."""
    ids = [add_server(relay_count=count) for count in (5, 7, 2)]
    for server_id in ids:
        carries(server_id)
    return ids


def carries(server_id: int) -> FakeNode:
    node = node_of(server_id)
    node.version, node.program, node.image, node.images = "0.1.0", "0" * 64, OLD, [OLD]
    relays = [{"id": server_id * 10 + n, "generation": 1, "running": n < 3} for n in (1, 2, 3)]
    node._apply({"generation": 1, "relays": relays})
    return node


def begin(edge: Edge, means: jobrun.Means, **more: Any) -> Upgrade:
    program, image = built_program(means.build_dir), built_image(means.build_dir)
    assert program is not None
    assert image is not None
    return edge(
        rollouts.begin,
        node_version=program.version,
        node_sha256=program.sha256,
        relay_label=image.label,
        **more,
    )


def do_jobs(edge: Edge, means: jobrun.Means) -> list[int]:
    """Do what is queued, as a worker would; return the servers."""

    def queued(work: UnitOfWork) -> list[ServerJob]:
        found = select(ServerJob).where(ServerJob.status == JobStatus.QUEUED)
        return list(work.session.scalars(found.order_by(ServerJob.id)))

    done: list[int] = []
    for job in edge.read(queued):
        assert jobrun.run(means, job.id, adding.PROGRAMS)
        done.append(job.server_id)
    return done


def turns(edge: Edge, upgrade: Upgrade) -> dict[int, StageStatus]:
    return {one.server_id: one.status for one in edge.read(rollouts.stages, upgrade.id)}


def state(edge: Edge, upgrade: Upgrade) -> UpgradeStatus:
    return edge.read(rollouts.get, upgrade.id).status


def newest_job(edge: Edge, server_id: int) -> ServerJob:
    job = edge.read(jobs.newest, server_id)
    assert job is not None
    return job


def stage_of(edge: Edge, server_id: int) -> UpgradeStage:
    def find(work: UnitOfWork) -> UpgradeStage:
        found = select(UpgradeStage).where(UpgradeStage.server_id == server_id)
        return work.session.scalars(found.order_by(UpgradeStage.id.desc()).limit(1)).one()

    return edge.read(find)


def open_alerts(edge: Edge) -> list[str]:
    found = select(SystemAlert).where(SystemAlert.resolved.is_(False))
    return edge.read(lambda work: [one.alert_type for one in work.session.scalars(found)])


def test_one_server_is_first_and_watched_and_then_one_follows_another(
    edge: Edge, means: jobrun.Means, fleet: list[int], clock: MovableClock
) -> None:
    upgrade = begin(edge, means, watch_seconds=120)
    first, second, third = fleet[2], fleet[0], fleet[1]  # the fewest users first
    assert do_jobs(edge, means) == [first]
    node = node_of(first)
    assert (node.version, node.image) == ("0.2.0", NEW)
    assert node.remade == [(first * 10 + 1, NEW), (first * 10 + 2, NEW)], "not what is stopped"
    edge(rollouts.advance)
    clock.advance(seconds=100)
    edge(rollouts.advance)
    assert do_jobs(edge, means) == [], "the first one is watched"
    clock.advance(seconds=21)
    edge(rollouts.advance)
    assert do_jobs(edge, means) == [second]
    edge(rollouts.advance)
    assert do_jobs(edge, means) == []
    clock.advance(seconds=16)
    edge(rollouts.advance)
    assert do_jobs(edge, means) == [third]
    edge(rollouts.advance)
    clock.advance(seconds=16)
    edge(rollouts.advance)
    assert state(edge, upgrade) is UpgradeStatus.DONE
    assert set(turns(edge, upgrade).values()) == {StageStatus.DONE}
    assert open_alerts(edge) == []
    edge(rollouts.advance)
    begin(edge, means)  # another may follow


def test_a_program_that_does_not_prove_itself_pauses_the_rest(
    edge: Edge, means: jobrun.Means, fleet: list[int]
) -> None:
    first = fleet[2]
    node_of(first).faults.rolls_back = "it ended with status 3"
    upgrade = begin(edge, means)
    do_jobs(edge, means)
    edge(rollouts.advance)
    assert state(edge, upgrade) is UpgradeStatus.PAUSED
    assert turns(edge, upgrade)[first] is StageStatus.FAILED
    assert stage_of(edge, first).error == "upgrade.rolled_back"
    assert open_alerts(edge) == ["upgrade_failed"]
    assert node_of(first).image == OLD, "nothing follows a failure"
    job = newest_job(edge, first)
    failed = edge.read(jobs.steps, job.id)[-1]
    assert "it ended with status 3" in (failed.message or "")
    edge(rollouts.advance)
    assert do_jobs(edge, means) == []

    node_of(first).faults.rolls_back = None
    edge(rollouts.resume, upgrade_id=upgrade.id)
    assert open_alerts(edge) == []
    assert do_jobs(edge, means) == [first]
    edge(rollouts.advance)
    assert turns(edge, upgrade)[first] is StageStatus.WATCHED


def test_relays_that_are_unwell_on_a_new_image_get_the_old_one_back(
    edge: Edge, means: jobrun.Means, fleet: list[int]
) -> None:
    first = fleet[2]
    node = node_of(first)
    node.faults.unwell_on = NEW
    upgrade = begin(edge, means)
    do_jobs(edge, means)
    edge(rollouts.advance)
    assert state(edge, upgrade) is UpgradeStatus.PAUSED
    assert stage_of(edge, first).error == "upgrade.relay_unwell"
    assert node.image == OLD
    one = first * 10 + 1
    assert node.remade == [(one, NEW), (one, OLD)], "the second was not touched"
    assert all(relay["state"] in ("ready", "stopped") for relay in node._states.values())


def test_a_relay_waits_while_its_customers_others_do_not_run(
    edge: Edge, means: jobrun.Means, fleet: list[int]
) -> None:
    first = fleet[2]
    asked: list[int] = []

    def may_remake(_work: UnitOfWork, *, relay_id: int) -> bool:
        asked.append(relay_id)
        return relay_id != first * 10 + 1 or asked.count(relay_id) > 2

    begin(edge, means)
    do_jobs(edge, replace(means, may_remake=may_remake))
    assert [relay for relay, _ in node_of(first).remade] == [first * 10 + 2, first * 10 + 1]


def test_a_relay_that_has_to_wait_for_ever_is_left_on_the_old_image(
    edge: Edge, means: jobrun.Means, fleet: list[int]
) -> None:
    first = fleet[2]
    begin(edge, means)
    do_jobs(edge, replace(means, may_remake=lambda _work, *, relay_id: relay_id % 10 == 2))
    job = newest_job(edge, first)
    assert job.status is JobStatus.DONE
    steps = {step.name: step.params for step in edge.read(jobs.steps, job.id)}
    assert '"made_anew":1,"left_on_the_one_before":1' in (steps["relays"] or "")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it closes nothing
def test_a_worker_that_dies_anywhere_is_followed_by_one_that_ends_the_job(
    edge: Edge, means: jobrun.Means, fleet: list[int], clock: MovableClock
) -> None:
    """Every transaction of the job is once the last that its worker lives to see."""
    first = fleet[2]
    begin(edge, means, server_ids=[first])
    [job] = [newest_job(edge, first)]
    deaths = 0
    for step in range(1, 60):
        left = step

        class Dies(Exception):
            pass

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                raise Dies
            return edge(*args, **kwargs)

        class Dying:
            read = staticmethod(edge.read)
            __call__ = staticmethod(counted)

        try:
            jobrun.run(replace(means, edge=Dying()), job.id, adding.PROGRAMS)  # type: ignore[arg-type]
        except Dies:
            deaths += 1
        clock.advance(seconds=31)  # the lease runs out
        edge(jobs.resume)
        if edge.read(jobs.is_ended, job.id):
            break
    gc.collect()  # what the dead left open is complained of here, and not in another test
    assert deaths > 5
    assert edge.read(jobs.get, job.id).status is JobStatus.DONE
    node = node_of(first)
    assert (node.version, node.image) == ("0.2.0", NEW)
    assert node.remade == [(first * 10 + 1, NEW), (first * 10 + 2, NEW)], "each once"


def test_servers_that_are_not_healthy_are_passed_over(
    edge: Edge, means: jobrun.Means, fleet: list[int], clock: MovableClock
) -> None:
    upgrade = begin(edge, means, watch_seconds=0)

    def set_status(work: UnitOfWork, server_id: int, status: ServerStatus) -> None:
        work.session.execute(update(Server).where(Server.id == server_id).values(status=status))

    do_jobs(edge, means)
    edge(set_status, fleet[0], ServerStatus.DEAD)
    edge(rollouts.advance)
    assert turns(edge, upgrade)[fleet[0]] is StageStatus.SKIPPED
    assert do_jobs(edge, means) == [fleet[1]]
    edge(set_status, fleet[1], ServerStatus.UNHEALTHY)
    edge(rollouts.advance)
    assert turns(edge, upgrade)[fleet[1]] is StageStatus.FAILED, "it got worse by the upgrade"
    assert state(edge, upgrade) is UpgradeStatus.PAUSED


def test_a_server_that_is_missed_for_a_moment_is_waited_for(
    edge: Edge, means: jobrun.Means, fleet: list[int], clock: MovableClock
) -> None:
    def set_status(work: UnitOfWork, server_id: int, status: ServerStatus) -> None:
        work.session.execute(update(Server).where(Server.id == server_id).values(status=status))

    upgrade = begin(edge, means, watch_seconds=0)
    do_jobs(edge, means)
    edge(set_status, fleet[2], ServerStatus.SUSPECT)
    edge(rollouts.advance)
    assert turns(edge, upgrade)[fleet[2]] is StageStatus.WATCHED
    edge(set_status, fleet[2], ServerStatus.HEALTHY)
    edge(set_status, fleet[0], ServerStatus.SUSPECT)
    edge(rollouts.advance)
    assert turns(edge, upgrade)[fleet[2]] is StageStatus.DONE
    assert turns(edge, upgrade)[fleet[0]] is StageStatus.WAITING
    edge(set_status, fleet[0], ServerStatus.HEALTHY)
    edge(rollouts.advance)
    assert do_jobs(edge, means) == [fleet[0]]


def test_a_busy_server_is_waited_for(edge: Edge, means: jobrun.Means, fleet: list[int]) -> None:
    edge(upkeep.check, server_id=fleet[2], waits=True)
    upgrade = begin(edge, means)
    assert turns(edge, upgrade)[fleet[2]] is StageStatus.WAITING
    check = newest_job(edge, fleet[2])
    assert check.kind == "check"
    edge(lambda work: jobs.close(work, work.session.get_one(ServerJob, check.id), "job.cancelled"))
    edge(rollouts.advance)
    assert turns(edge, upgrade)[fleet[2]] is StageStatus.RUNNING


def test_pause_resume_and_abort(
    edge: Edge, means: jobrun.Means, fleet: list[int], clock: MovableClock
) -> None:
    upgrade = begin(edge, means, watch_seconds=0)
    with pytest.raises(UpgradeOpen):
        begin(edge, means)
    edge(rollouts.pause, upgrade_id=upgrade.id)
    assert do_jobs(edge, means) == [fleet[2]], "what was begun goes to its end"
    edge(rollouts.advance)
    assert do_jobs(edge, means) == []
    edge(rollouts.resume, upgrade_id=upgrade.id)
    assert do_jobs(edge, means) == [fleet[0]]
    edge(rollouts.abort, upgrade_id=upgrade.id)
    edge(rollouts.advance)
    assert turns(edge, upgrade)[fleet[1]] is StageStatus.SKIPPED
    with pytest.raises(Conflict):
        edge(rollouts.resume, upgrade_id=upgrade.id)
    begin(edge, means)


def test_a_panel_that_was_built_anew_upgrades_nothing_of_it(
    edge: Edge, means: jobrun.Means, fleet: list[int]
) -> None:
    begin(edge, means)
    (means.build_dir / "relay-image.tar.label").write_text("derper-3.0.0-222222222222\n")
    do_jobs(edge, means)
    edge(rollouts.advance)
    assert stage_of(edge, fleet[2]).error == "panel.changed"
    assert node_of(fleet[2]).version == "0.1.0"


def test_nothing_to_upgrade(edge: Edge, means: jobrun.Means) -> None:
    with pytest.raises(NothingToUpgrade):
        begin(edge, means)


def test_the_verdict_of_a_former_try_does_not_count(
    edge: Edge, means: jobrun.Means, fleet: list[int], clock: MovableClock
) -> None:
    """A node that rolled the same program back yesterday is asked again today."""
    node = node_of(fleet[2])
    program = built_program(means.build_dir)
    assert program is not None
    node.upgrade = {
        "version": "0.2.0",
        "sha256": program.sha256,
        "result": "rolled_back",
        "reason": "interrupted",
        "at": "2020-01-01T00:00:00Z",
    }
    begin(edge, means)
    do_jobs(edge, means)
    assert node.version == "0.2.0"


def test_routes(
    client: Any, root: Person, carl: Person, eve: Person, fleet: list[int], system: Any,
    build_dir: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        type(system.settings), "build_dir", property(lambda _self: build_dir), raising=False
    )
    for person in (carl, eve):
        for method, path in [
            ("POST", "/api/server/upgrade"),
            ("GET", "/api/server/upgrade"),
            ("GET", "/api/server/upgrade/1"),
            ("POST", "/api/server/upgrade/1/pause"),
            ("POST", "/api/server/upgrade/1/resume"),
            ("POST", "/api/server/upgrade/1/abort"),
        ]:
            answer = client.request(method, path, headers=person.headers, json={})
            assert answer.status_code == 403, path
    headers = root.headers
    assert client.get("/api/server/upgrade/1", headers=headers).status_code == 404
    begun = client.post(
        "/api/server/upgrade", headers=headers, json={"server_ids": fleet[:2], "reason": "fix"}
    ).json()
    assert begun["success"] is True
    path = f"/api/server/upgrade/{begun['upgrade_id']}"
    shown = client.get(path, headers=headers).json()["upgrade"]
    assert [one["server_id"] for one in shown["servers"]] == fleet[:2]
    assert [one["status"] for one in shown["servers"]] == ["running", "waiting"]
    assert shown["allowed_actions"] == ["pause", "abort"]
    assert client.post(f"{path}/pause", headers=headers).json()["upgrade"]["status"] == "paused"
    assert client.post(f"{path}/pause", headers=headers).status_code == 409
    assert client.post(f"{path}/resume", headers=headers).json()["upgrade"]["status"] == "running"
    assert client.post(f"{path}/abort", headers=headers).json()["upgrade"]["status"] == "aborted"
    listed = client.get("/api/server/upgrade", headers=headers).json()["upgrades"]
    assert [one["id"] for one in listed] == [begun["upgrade_id"]]
    again = client.post("/api/server/upgrade", headers=headers, json={"server_ids": [999]})
    assert again.status_code == 409


def test_what_the_node_refuses_is_told(edge: Edge, means: jobrun.Means, fleet: list[int]) -> None:
    node_of(fleet[2]).faults.refusals["upgrade"] = "upgrade.disk_full"
    begin(edge, means)
    do_jobs(edge, means)
    edge(rollouts.advance)
    assert stage_of(edge, fleet[2]).error == "upgrade.disk_full"
