"""Jobs on fake servers: steps are shown, workers die, nothing is done twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from derpman.kit.errors import Conflict
from derpman.kit.work import Edge
from derpman.servers import adding, jobrun, jobs, service, texts, upkeep
from derpman.servers.errors import (
    JobRunning,
    LeaseLost,
    NodeError,
    NothingToCleanUp,
    StepFailed,
)
from derpman.servers.jobrun import JobRun
from derpman.servers.models import Server, ServerJob, Transport
from derpman.servers.states import JobStatus, ServerStatus
from derpman.servers.transports.fake import node_of


@pytest.fixture
def means(edge: Edge, tmp_path: Path) -> jobrun.Means:
    (tmp_path / "relay-image.tar").write_bytes(b"i" * 600_000)
    (tmp_path / "relay-image.tar.label").write_text("derper-1.2.3-abcdef\n")
    return jobrun.Means(edge, tmp_path, 64 * 2**20)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "NODE_START_SECONDS", 0)


def added(edge: Edge, **changes: Any) -> tuple[Server, ServerJob]:
    return edge(upkeep.add, ip="203.0.113.1", region="a", transport=Transport.FAKE, **changes)


def row(edge: Edge, job_id: int) -> ServerJob:
    return edge.read(lambda work: work.session.get_one(ServerJob, job_id))


def status(edge: Edge, server_id: int) -> ServerStatus:
    return edge.read(lambda work: work.session.get_one(Server, server_id).status)


def test_what_is_left_on_a_removed_server_can_be_cleaned_up_later(
    edge: Edge, means: jobrun.Means
) -> None:
    server, job = added(edge)
    assert jobrun.run(means, job.id, adding.PROGRAMS)
    node_of(server.id).faults.connect = NodeError("server.unreachable", "no route to host")
    job = edge(upkeep.remove, server_id=server.id)
    with pytest.raises(JobRunning):
        edge(upkeep.clean_up, server_id=server.id)
    assert jobrun.run(means, job.id, adding.PROGRAMS)
    assert row(edge, job.id).status is JobStatus.FAILED

    node_of(server.id).faults.connect = None
    again = edge(upkeep.clean_up, server_id=server.id)
    assert jobrun.run(means, again.id, adding.PROGRAMS)
    assert row(edge, again.id).status is JobStatus.DONE
    with pytest.raises(NothingToCleanUp):
        edge(upkeep.clean_up, server_id=server.id)


def test_only_a_removed_server_is_cleaned_up(edge: Edge, means: jobrun.Means) -> None:
    server, job = added(edge)
    assert jobrun.run(means, job.id, adding.PROGRAMS)
    with pytest.raises(Conflict):
        edge(upkeep.clean_up, server_id=server.id)


def test_a_server_is_added_and_each_step_is_told(edge: Edge, means: jobrun.Means) -> None:
    server, job = added(edge)
    told: list[tuple[str, str]] = []
    assert jobrun.run(
        means, job.id, adding.PROGRAMS, lambda name, state, _text: told.append((name, state))
    )
    names = ("hello", "image", "measure", "accept")
    assert told == [(name, state) for name in names for state in ("running", "done")]
    assert [step.name for step in edge.read(jobs.steps, job.id)] == list(names)
    assert status(edge, server.id) is ServerStatus.HEALTHY
    assert row(edge, job.id).status is JobStatus.DONE
    assert node_of(server.id).image == "derper-1.2.3-abcdef"
    assert edge(service.claim, server_id=server.id)


def test_a_failed_step_says_why_and_the_server_can_be_tried_again(
    edge: Edge, means: jobrun.Means
) -> None:
    server, job = added(edge)
    node_of(server.id).faults.connect = NodeError("server.refused", "port 22 is closed")
    jobrun.run(means, job.id, adding.PROGRAMS)
    step = edge.read(jobs.steps, job.id)[-1]
    assert (step.name, step.error) == ("hello", "server.refused")
    assert step.message == texts.sentence("server.refused", {"ip": "203.0.113.1", "port": 22})
    assert row(edge, job.id).error == "server.refused"
    assert status(edge, server.id) is ServerStatus.FAILED

    node_of(server.id).faults.connect = None
    again = edge(upkeep.retry, server_id=server.id)
    jobrun.run(means, again.id, adding.PROGRAMS)
    assert status(edge, server.id) is ServerStatus.HEALTHY


def test_a_fault_of_ours_ends_the_job_and_shows_nothing_of_itself(
    edge: Edge, means: jobrun.Means
) -> None:
    _, job = added(edge)

    async def broken(run: JobRun) -> None:
        async with run.step("hello"):
            raise RuntimeError("secret")

    jobrun.run(means, job.id, {"add": broken})
    step = edge.read(jobs.steps, job.id)[-1]
    assert step.error == row(edge, job.id).error == "job.fault"
    assert "secret" not in str(vars(step))


def test_a_wrong_clock_is_refused(
    edge: Edge, means: jobrun.Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    from derpman.servers.transports import fake

    _, job = added(edge)
    monkeypatch.setattr(fake, "utc_now", lambda: datetime(2030, 1, 1, tzinfo=UTC))
    jobrun.run(means, job.id, adding.PROGRAMS)
    assert row(edge, job.id).error == "server.clock_wrong"


def test_a_job_is_one_workers_at_a_time(edge: Edge, clock: Any) -> None:
    _, job = added(edge)
    assert edge(jobs.claim, job_id=job.id, worker="one")
    assert not edge(jobs.claim, job_id=job.id, worker="two")
    clock.advance(seconds=31)
    assert edge(jobs.claim, job_id=job.id, worker="two")
    with pytest.raises(LeaseLost):
        edge(jobs.begin_step, job.id, "one", "hello")
    edge(jobs.begin_step, job.id, "two", "hello")


def test_the_job_of_a_dead_worker_is_handed_out_again(
    edge: Edge, heard: Any, clock: Any, means: jobrun.Means
) -> None:
    server, job = added(edge)
    edge(jobs.claim, job_id=job.id, worker="dead")
    edge(jobs.begin_step, job.id, "dead", "hello")
    heard.topics.clear()
    edge(jobs.resume)
    assert heard.topics == [], "its lease still holds"
    clock.advance(seconds=31)
    edge(jobs.resume)
    assert "deliveries" in heard.topics
    jobrun.run(means, job.id, adding.PROGRAMS)
    steps = edge.read(jobs.steps, job.id)
    assert (steps[0].status, steps[0].error) == (JobStatus.FAILED, "job.interrupted")
    assert row(edge, job.id).status is JobStatus.DONE
    assert status(edge, server.id) is ServerStatus.HEALTHY


def test_a_worker_that_died_after_accepting_is_made_good(
    edge: Edge, clock: Any, means: jobrun.Means
) -> None:
    server, job = added(edge)
    edge(jobs.claim, job_id=job.id, worker="dead")
    edge(adding._record_accepted, job.id, "dead", 2**31, 2**26)
    clock.advance(seconds=31)
    jobrun.run(means, job.id, adding.PROGRAMS)
    assert row(edge, job.id).status is JobStatus.DONE
    assert status(edge, server.id) is ServerStatus.HEALTHY


def test_a_job_that_is_taken_away_stops_and_writes_nothing_more(
    edge: Edge, means: jobrun.Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, job = added(edge)
    monkeypatch.setattr(jobs, "RENEW_SECONDS", 0.02)
    ended: list[str] = []

    async def endless(run: JobRun) -> None:
        try:
            async with run.step("hello"):
                await run.write(_steal, job.id)
                await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    assert jobrun.run(means, job.id, {"add": endless})
    assert ended == ["cancelled"]
    taken = row(edge, job.id)
    assert (taken.status, taken.leased_by) == (JobStatus.RUNNING, "thief")


def _steal(work: Any, job_id: int) -> None:
    work.session.get_one(ServerJob, job_id).leased_by = "thief"


def test_an_ended_job_is_not_done_again(edge: Edge, means: jobrun.Means) -> None:
    _, job = added(edge)
    jobrun.run(means, job.id, adding.PROGRAMS)
    assert not jobrun.run(means, job.id, adding.PROGRAMS)
    assert edge.read(jobs.is_ended, job.id)


def test_removing_leaves_nothing_on_the_server(edge: Edge, means: jobrun.Means) -> None:
    server, job = added(edge)
    jobrun.run(means, job.id, adding.PROGRAMS)
    node = node_of(server.id)
    node.generation, node.relays = 7, {1: {"id": 1}}
    removal = edge(upkeep.remove, server_id=server.id)
    jobrun.run(means, removal.id, adding.PROGRAMS)
    assert row(edge, removal.id).status is JobStatus.DONE
    assert (node.generation, node.relays) == (8, {})


def test_an_error_of_the_bootstrap_script_is_understood() -> None:
    from derpman.servers.rootshell import _failure

    failure = _failure(20, "noise\nderpman-error bootstrap.packages_failed apt-get: no network\n")
    assert (failure.code, failure.params) == (
        "bootstrap.packages_failed",
        {"detail": "apt-get: no network"},
    )
    assert _failure(1, "Killed\n").code == "bootstrap.failed"
    assert isinstance(_failure(20, "derpman-error server.fake x"), StepFailed)
    assert _failure(20, "derpman-error server.fake x").code == "bootstrap.failed"


@pytest.mark.parametrize("code", sorted(texts.TEXTS))
def test_every_error_has_a_sentence_that_can_be_filled_in(code: str) -> None:
    assert texts.sentence(code, {})
    assert "{" not in texts.sentence(code, {})
    assert texts.sentence("node.unheard_of", {"detail": "ah"}).count("ah") == 1


AddServer = Callable[..., int]


def test_a_check_of_a_silent_server_says_so(
    edge: Edge, add_server: AddServer, means: jobrun.Means
) -> None:
    server_id = add_server()
    node_of(server_id).faults.connect = NodeError("server.unreachable", "no answer")
    job = edge(upkeep.check, server_id=server_id)
    jobrun.run(means, job.id, adding.PROGRAMS)
    assert row(edge, job.id).error == "server.unreachable"
    assert status(edge, server_id) is ServerStatus.HEALTHY, "the link decides, not a check"
