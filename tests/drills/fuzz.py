"""Whatever is sent to the API by whomever, the answer is one that its document names."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import httpx2 as httpx
from schemathesis import GenerationMode

from tests.drills._bad_input import cases
from tests.drills._cast import ROLES, Cast
from tests.drills._drill import Drill, program
from tests.drills._fuzzing import MODES, Fuzzing
from tests.drills._panel import PARTS, Panel
from tests.system.fleet import netns

BUDGET_S = 900
STREAM = "text/event-stream"  # answers that do not end


def play(drill: Drill) -> None:
    netns.isolate()  # what is invented here, addresses of servers above all, reaches nobody
    with drill.step("stand up a panel, fake servers and the cast"):
        panel = drill.use(
            Panel(embedded=True, environment={"DERPMAN_TRUSTED_PROXIES": "127.0.0.1"})
        )
        cast = Cast(panel.folder / "data")
        document, endless = split(panel.raw("GET", "/openapi.json").json())
    with drill.step("send what must be refused"):
        refuse(drill, panel, cast)
    fuzz(drill, Fuzzing(panel.url, document, drill.seed), cast)
    with drill.step("look at the streams"):
        streams(drill, panel, cast, endless)
    dead = [part for part in ("api", *PARTS) if not panel.alive(part)]
    drill.check("all_parts_live", not dead, f"{dead}: {[panel.log(one)[-2000:] for one in dead]}")
    unhandled = troubles(panel)
    drill.figure("unhandled", len(unhandled), equals=0)
    for line in unhandled[:10]:
        drill.say(line)


def refuse(drill: Drill, panel: Panel, cast: Cast) -> None:
    table = cases(cast.new_serial())
    wrong = 0
    with httpx.Client(base_url=panel.url, timeout=30) as client:
        for bad in table:
            headers = {"Content-Type": bad.media_type, **bearer(cast.token(bad.role))}
            answer = client.request(bad.method, bad.path, content=bad.content(), headers=headers)
            got = (answer.status_code, code_of(answer))
            if got != (bad.status, bad.code):
                wrong += 1
                drill.say(
                    f"{bad.what}: {got} and not {(bad.status, bad.code)}: {answer.text[:300]}"
                )
    drill.figure("bad_inputs", len(table))
    drill.figure("bad_inputs_answered_otherwise", wrong, equals=0)


def fuzz(drill: Drill, fuzzing: Fuzzing, cast: Cast) -> None:
    count = drill.scaled(38, least=2)
    people = ["nobody", *ROLES]
    callers = drill.scaled(len(people), least=2)
    thorough = [("super_admin", GenerationMode.POSITIVE)]
    if drill.scale > 0.5:
        thorough = list(itertools.product(("customer", "super_admin"), MODES))
    what = f"{len(fuzzing.operations)} operations by {callers} callers, {count} cases good and bad"
    with drill.step(what):
        for operation in fuzzing.operations:
            fuzzing.known = cast.known()
            for role, mode in thorough:
                fuzzing.cover(operation, mode, functools.partial(cast.token, role))
            for role, mode in itertools.product(drill.random.sample(people, callers), MODES):
                fuzzing.run(operation, mode, count, functools.partial(cast.token, role))
    drill.figure("cases", sum(fuzzing.statuses.values()))
    drill.figure("statuses", {str(key): value for key, value in sorted(fuzzing.statuses.items())})
    drill.figure("slowest_s", fuzzing.slowest[0])
    drill.say(f"the slowest was {fuzzing.slowest[1]}; the cast was mended {cast.mended} times")
    drill.figure("failures", len(fuzzing.failures), equals=0)
    for (label, kind), told in sorted(fuzzing.failures.items()):
        drill.say(f"{label}: {kind}: {told}\n")


def streams(drill: Drill, panel: Panel, cast: Cast, paths: list[str]) -> None:
    """Each is a stream for those it is meant for, and an error for nobody."""
    wrong: list[str] = []
    with httpx.Client(base_url=panel.url, timeout=30) as client:
        for path in paths:
            reader = "super_admin" if path.startswith("/api/admin/") else "customer"
            for role, status in ((reader, 200), ("nobody", 401)):
                headers = bearer(cast.token(role))
                with client.stream("GET", path, headers=headers) as answer:
                    lines = answer.iter_lines() if status == 200 else iter(())
                    has_data = any(line.startswith("data:") for line in lines)
                if answer.status_code != status or has_data != (status == 200):
                    wrong.append(f"{path} as {role}: {answer.status_code}, data: {has_data}")
    drill.figure("streams", len(paths))
    drill.check("streams_stream", not wrong, "\n".join(wrong))


def split(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The document without what streams, for an answer that does not end cannot be judged."""
    ended: dict[str, Any] = {}
    endless: list[str] = []
    for path, operations in document["paths"].items():
        if STREAM in str(operations.get("get", {}).get("responses", {}).get("200")):
            endless.append(path)
        else:
            ended[path] = operations
    return {**document, "paths": ended}, endless


def troubles(panel: Panel) -> list[str]:
    """What the panel's parts logged as errors: a request may be answered and still break them."""
    found: list[str] = []
    for part in ("api", *PARTS):
        for line in panel.log(part).splitlines():
            if '"level": "error"' in line or "Traceback" in line:
                found.append(f"{part}: {line[:1500]}")  # noqa: PERF401 # reads better
    return found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def code_of(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


if __name__ == "__main__":
    program(play)
