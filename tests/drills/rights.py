"""Every route answers every caller as it is declared, and hides what is another's."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from derpman.access import adminroles
from derpman.access import service as access
from derpman.access.permissions import EVERYBODYS, Declared, declare
from derpman.api import every_route
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.settings import Settings
from derpman.users import service as users
from derpman.wiring import assemble
from tests.drills import _foreign
from tests.drills._cast import PASSWORD, Cast
from tests.drills._drill import Drill, program
from tests.drills._panel import Panel
from tests.system.fleet import netns

BUDGET_S = 120  # it takes a third of that where nothing else runs
NOBODYS_ID = "999999999"
REFUSALS = {"auth.forbidden", "auth.no_permission"}
LATER = {"access.proof_needed", "access.not_by_token"}  # let in, and asked for more


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, and what the declarations say of him."""

    name: str
    token: str
    role: Role = Role.NOBODY
    permissions: frozenset[str] | None = None
    is_void: bool = False  # his token does not count any more

    def may(self, one: Declared) -> bool:
        if self.role not in one.rule.roles:
            return False
        return (
            one.permission is None or self.permissions is None or one.permission in self.permissions
        )


def play(drill: Drill) -> None:
    netns.isolate()
    with drill.step("stand up a panel, fake servers and the cast"):
        panel = drill.use(Panel(embedded=True))
        data = panel.folder / "data"
        cast = Cast(data)
        edge = assemble(
            Settings(_env_file=None, data_dir=data)  # pyright: ignore[reportCallIssue] # it takes it
        ).edge()
        people = callers(panel, cast, edge)
        owner = edge.read(users.by_username, username="rights-distributor").id
        theirs = _foreign.make(edge, customer_id=cast.user_id("customer"), distributor_id=owner)
        document = panel.raw("GET", "/openapi.json").json()
    declared = declare(every_route())
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    cells = {(one.method, shown(one)) for one in declared}
    hidden = documented - cells
    drill.check("every_documented_route_is_declared", not hidden, str(hidden))
    chosen = drill.random.sample(people, drill.scaled(len(people), least=5))
    with httpx.Client(base_url=panel.url, timeout=30) as client:
        what = f"{len(declared)} routes by {', '.join(caller.name for caller in chosen)}"
        with drill.step(what):
            matrix(drill, client, declared, chosen, document)
        with drill.step("ask for what is another's"):
            known = cast.known() | theirs
            others = [one for one in people if one.name in ("newcomer", "other distributor")]
            asked = foreign(drill, client, declared, known, others)
            missing = theirs.keys() - asked
            drill.check("of_every_kind", not missing, str(missing))


def callers(panel: Panel, cast: Cast, edge: Edge) -> list[Caller]:
    """The cast, and those whose tokens count no more or for little."""

    def make(name: str, role: Role) -> int:
        def create(work: UnitOfWork) -> int:
            kept = users.by_username(work, username="fuzz-customer").password
            return users.create(
                work,
                username=name,
                email=f"{name}@example.com",
                password_hash=kept,
                role=role,
                locale="en",
            ).id

        return edge(create)

    def token(user_id: int) -> str:
        return edge(access.open_session, user_id=user_id)

    names = ("suspended", "ended", "changed", "repassed")
    ids = {name: make(f"rights-{name}", Role.USER) for name in names}
    tokens = {name: token(user_id) for name, user_id in ids.items()}
    edge(users.suspend, user_id=ids["suspended"], reason="drill")
    edge(access.end_sessions, user_id=ids["ended"], reason="drill")
    edge(users.set_role, user_id=ids["changed"], role=Role.DISTRIBUTOR)
    change = {"old": PASSWORD, "new": "eleven-new-words-for-a-drill"}
    fresh = token(ids["repassed"])
    panel.call("POST", "/api/user/password/change", token=fresh, json=change)
    reader = make("rights-reader", Role.ADMIN)
    role = edge(adminroles.save, name="reader", permissions=["users.read", "logs.read"])
    edge(adminroles.assign, user_id=reader, role_id=role.id)
    idle = make("rights-idle", Role.ADMIN)
    nothing = edge(adminroles.save, name="nothing", permissions=[])
    edge(adminroles.assign, user_id=idle, role_id=nothing.id)
    return [
        Caller("nobody", ""),
        Caller("customer", cast.token("customer"), Role.USER),
        Caller("newcomer", cast.token("newcomer"), Role.USER),
        Caller(
            "distributor", token(make("rights-distributor", Role.DISTRIBUTOR)), Role.DISTRIBUTOR
        ),
        Caller(
            "other distributor",
            token(make("rights-other-distributor", Role.DISTRIBUTOR)),
            Role.DISTRIBUTOR,
        ),
        Caller("admin", cast.token("admin"), Role.ADMIN),
        Caller(
            "reader", token(reader), Role.ADMIN, frozenset({"users.read", "logs.read"}) | EVERYBODYS
        ),
        Caller("idle admin", token(idle), Role.ADMIN, EVERYBODYS),
        Caller("super admin", cast.token("super_admin"), Role.SUPER_ADMIN),
        Caller("suspended", tokens["suspended"], is_void=True),
        Caller("ended session", tokens["ended"], is_void=True),
        Caller("session of another role", tokens["changed"], is_void=True),
        Caller("session before a password change", tokens["repassed"], is_void=True),
        Caller("forged token", PASSWORD, is_void=True),
    ]


def matrix(
    drill: Drill,
    client: httpx.Client,
    declared: list[Declared],
    people: list[Caller],
    document: dict[str, Any],
) -> None:
    tried = refused = wrong = 0
    for one in declared:
        operation = document["paths"].get(shown(one), {}).get(one.method.lower())
        for caller in people:
            may = caller.may(one) and not caller.is_void
            if operation is None or (may and acts(one, operation)):
                continue  # what it would do is other drills' business
            answer = ask(client, one, caller, NOBODYS_ID)
            tried += 1
            refused += not may
            if not fits(caller, answer, may=may):
                wrong += 1
                drill.say(
                    f"{one.method} {one.path} by {caller.name}: {answer.status_code} "
                    f"{answer.text[:200]}, and he {'may' if may else 'may not'}"
                )
    drill.figure("cells", tried)
    drill.figure("refused", refused)
    drill.figure("cells_not_as_declared", wrong, equals=0)


def shown(one: Declared) -> str:
    """The address as the document has it."""
    return one.path.replace(":id}", "}")


def acts(one: Declared, operation: dict[str, Any]) -> bool:
    """Whether an empty request might do something, or not end."""
    if "text/event-stream" in json.dumps(operation.get("responses", {}).get("200", {})):
        return True
    needs_body = operation.get("requestBody", {}).get("required", False)
    return one.method != "GET" and not needs_body


def fits(caller: Caller, answer: httpx.Response, *, may: bool) -> bool:
    code = code_of(answer)
    if caller.is_void:
        return answer.status_code == 401
    if may:
        return answer.status_code < 500 and code not in REFUSALS and code != "auth.required"
    if caller.role is Role.NOBODY:
        return answer.status_code == 401
    return answer.status_code == 403 and (code in REFUSALS or code in LATER)


def foreign(
    drill: Drill,
    client: httpx.Client,
    declared: list[Declared],
    known: dict[str, list[Any]],
    others: list[Caller],
) -> set[str]:
    """Ask, as others of the same role, for what is somebody's, and for what does not exist."""
    told = 0
    pairs: dict[str, int] = {}
    for one in declared:
        names = [name.partition(":")[0] for name in re.findall(r"{([^}]+)}", one.path)]
        if len(names) != 1 or names[0] in ("session_id", "plan_id"):
            continue  # some are his own, or everybody's
        for other in others:
            if not other.may(one) or Role.NOBODY in one.rule.roles:
                continue
            absent = ask(client, one, other, NOBODYS_ID)
            for one_id in known.get(names[0], [])[:3]:
                pairs[names[0]] = pairs.get(names[0], 0) + 1
                present = ask(client, one, other, str(one_id))
                if (present.status_code, plain(present)) != (absent.status_code, plain(absent)):
                    told += 1
                    what = f"{one.method} {one.path} with {one_id} by {other.name}"
                    drill.say(f"{what}: {present.text[:200]}")
    drill.figure("foreign_objects_asked_for", pairs)
    drill.figure("foreign_objects_told_of", told, equals=0)
    return set(pairs)


def ask(client: httpx.Client, one: Declared, caller: Caller, one_id: str) -> httpx.Response:
    path = re.sub(r"{[^}]+}", one_id, one.path)
    headers = {"Authorization": f"Bearer {caller.token}"} if caller.token else {}
    if one.method == "GET":
        return client.get(path, headers=headers)
    return client.request(one.method, path, headers=headers, json={})


def plain(answer: httpx.Response) -> str:
    return re.sub(r"\d+", "#", answer.text)


def code_of(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


if __name__ == "__main__":
    program(play)
