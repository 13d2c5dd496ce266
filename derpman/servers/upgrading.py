"""The program that upgrades one server: its node first, then its relays' image, one by one.

It may begin again anywhere. The node watches over a new program of its own by itself, and goes
back to the one before when that does not prove itself; what the panel does about the relays it
undoes itself.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from derpman.servers import checking, rollouts
from derpman.servers.errors import NodeError, StepFailed
from derpman.servers.jobrun import JobRun
from derpman.servers.node import NodeClient
from derpman.servers.protocol import Hello, Relay
from derpman.servers.release import (
    BuiltImage,
    BuiltProgram,
    built_image,
    built_program,
    send_image,
    send_program,
    sign,
    sign_program,
)
from derpman.servers.rollouts import Target

TRIAL_SECONDS = 120.0
"""The node takes less to decide (`--trial-seconds`, 45); its server may be slow."""
READY_SECONDS = 60.0
"""How long a relay that was made anew may take until all of its checks have held."""
ALONE_SECONDS = 60.0
"""How long a relay is put off while its customer's others do not run."""
LOOK_SECONDS = 0.5
RUNS = ("starting", "ready", "degraded", "failed")


@dataclass(frozen=True)
class _Built:
    program: BuiltProgram
    image: BuiltImage


async def upgrade(job: JobRun) -> None:
    """The program of an upgrade."""
    target: Target = await job.held(rollouts.target_of)
    built = await _built(job, target)
    node = await checking.greet(job, patience_seconds=checking.OBSERVER_SECONDS)
    try:
        node = await _replace_program(job, node, target, built.program)
        before = await _replace_image(job, node, target, built.image)
        await _remake_relays(job, node, target, before)
        await _look(job, node, target)
    finally:
        await node.close()


async def _built(job: JobRun, target: Target) -> _Built:
    """Step: see that this panel still has what the upgrade began with."""
    async with job.step("built") as found:
        found |= {"version": target.node_version, "label": target.relay_label}
        program = await asyncio.to_thread(built_program, job.means.build_dir)
        image = await asyncio.to_thread(built_image, job.means.build_dir)
        if program is None or image is None:
            raise StepFailed("panel.not_built")
        if program.sha256 != target.node_sha256 or image.label != target.relay_label:
            raise StepFailed("panel.changed")
        return _Built(program, image)


async def _replace_program(
    job: JobRun, node: NodeClient, target: Target, program: BuiltProgram
) -> NodeClient:
    """Step: have the node run the program; return a connection to the one that runs then."""
    async with job.step("program") as found:
        hello = await node.hello()
        found["before"] = hello.version
        if hello.program == target.node_sha256:
            if _result(hello, target) == "on_trial":
                await node.close()
                return await _await_verdict(job, target)
            return node
        at = hello.upgrade and hello.upgrade.at
        before: str = await job.held(rollouts.note_verdict, at)
        if rollouts.mark_of(at) != before and _result(hello, target) == "rolled_back":
            _check_verdict(hello, target)  # a worker died between the verdict and its record
        if _result(hello, target) != "on_trial":
            signature = await job.write(
                sign_program, version=program.version, sha256=program.sha256
            )
            await send_program(node, program, signature)
            found["sent_bytes"] = program.size
        await node.close()
        return await _await_verdict(job, target)


async def _await_verdict(job: JobRun, target: Target) -> NodeClient:
    """Connect again and again until the node has decided about its new program."""
    until = time.monotonic() + TRIAL_SECONDS
    while time.monotonic() < until:
        try:
            node, hello = await checking.answer(await job.where(), patience_seconds=TRIAL_SECONDS)
        except NodeError as error:
            if not error.code.startswith("server."):
                raise
        else:
            if _result(hello, target) != "on_trial":
                try:
                    _check_verdict(hello, target)
                except StepFailed:
                    await node.close()
                    raise
                return node
            await node.close()
        await asyncio.sleep(LOOK_SECONDS)
    raise StepFailed("upgrade.no_answer", seconds=round(TRIAL_SECONDS))


def _result(hello: Hello, target: Target) -> str:
    last = hello.upgrade
    return last.result if last is not None and last.sha256 == target.node_sha256 else ""


def _check_verdict(hello: Hello, target: Target) -> None:
    if hello.upgrade is not None and _result(hello, target) == "rolled_back":
        raise StepFailed("upgrade.rolled_back", reason=hello.upgrade.reason)
    if hello.program != target.node_sha256:
        raise StepFailed("upgrade.node_unwell", version=hello.version)


async def _replace_image(
    job: JobRun, node: NodeClient, target: Target, image: BuiltImage
) -> str | None:
    """Step: put the image in place for what is made from now on; return the one before."""
    async with job.step("image") as found:
        hello = await node.hello()
        before: str | None = await job.held(rollouts.note_label, hello.relay_label)
        found["before"] = before
        if hello.relay_label != target.relay_label:
            signature = await job.write(sign, label=image.label, sha256=image.sha256)
            await send_image(node, image.signed(signature))
            found["sent_bytes"] = image.size
        return before


async def _remake_relays(job: JobRun, node: NodeClient, target: Target, before: str | None) -> None:
    """Step: make relays anew on the image, one at a time, and only while their customer has others.

    When one does not do well, those made anew go back to the image before.
    """
    async with job.step("relays") as found:
        made, put_off, deadline = 0, set[int](), time.monotonic() + ALONE_SECONDS
        while relay := _next(await _relays(node), target.relay_label, put_off):
            may_remake = job.means.may_remake
            if may_remake is not None and not await job.read(may_remake, relay_id=relay.id):
                put_off.add(relay.id)
            elif (last := await _remake(node, relay.id, target.relay_label)) is not None:
                await _put_back(node, target.relay_label, before)
                raise StepFailed("upgrade.relay_unwell", relay=relay.id, state=last)
            else:
                made += 1
                found["made_anew"] = made
            is_last = _next(await _relays(node), target.relay_label, put_off) is None
            if is_last and put_off and time.monotonic() < deadline:
                await asyncio.sleep(LOOK_SECONDS)
                put_off.clear()
        # They get the image whenever they are made anew; nobody is cut off for it.
        found["left_on_the_one_before"] = len(put_off)


async def _relays(node: NodeClient) -> list[Relay]:
    return (await node.snapshot()).relays


def _next(relays: list[Relay], label: str, put_off: set[int]) -> Relay | None:
    return next(
        (
            one
            for one in sorted(relays, key=lambda one: one.id)
            if one.label not in (None, label) and one.state in RUNS and one.id not in put_off
        ),
        None,
    )


async def _remake(node: NodeClient, relay_id: int, label: str) -> str | None:
    """Make a relay anew; return how it fared when it did not do well in time, else None."""
    try:
        await node.call("remake", {"relay": relay_id, "label": label})
    except NodeError as error:
        if error.code == "remake.no_relay":
            return None  # it was released meanwhile
        raise
    until, state = time.monotonic() + READY_SECONDS, "?"
    while time.monotonic() < until:
        relay = next((one for one in await _relays(node) if one.id == relay_id), None)
        if relay is None or relay.state == "stopped":
            return None  # nobody wants it to run any more
        state = relay.reason or relay.state
        if relay.label == label and relay.state == "ready":
            if relay.checks is not None and relay.checks.is_proven:
                return None
            state = "not_proven"
        await asyncio.sleep(LOOK_SECONDS)
    return state


async def _put_back(node: NodeClient, label: str, before: str | None) -> None:
    """Put the image before back in place, and the relays that were made anew on it."""
    if before is None:
        return
    await node.call("use_image", {"label": before}, seconds=60)
    for relay in await _relays(node):
        if relay.label == label or relay.state in ("starting", "degraded", "failed"):
            await _remake(node, relay.id, before)


async def _look(job: JobRun, node: NodeClient, target: Target) -> None:
    """Step: hear once more who runs there, and how its relays are."""
    async with job.step("look") as found:
        hello = await node.hello()
        relays = await _relays(node)
        ready = sum(one.state == "ready" for one in relays)
        found |= {"version": hello.version, "label": hello.relay_label, "ready": ready}
        if hello.program != target.node_sha256:
            raise StepFailed("upgrade.node_unwell", version=hello.version)
