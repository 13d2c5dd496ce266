"""Secrets stay where they belong: out of answers, logs, mails, payloads and other columns."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
from sqlalchemy import select

from derpman.access import service as access
from derpman.access.permissions import Declared, declare
from derpman.api import every_route
from derpman.finance import channels
from derpman.finance.models import Method
from derpman.kit import totp
from derpman.kit.db import Base
from derpman.kit.resealing import sealed_columns
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.servers import release
from derpman.servers.models import Server, ServerJob
from derpman.servers.states import JobStatus
from derpman.settings import Settings
from derpman.tailnets.models import AclPush
from derpman.tailnets.states import PushKind, PushStatus
from derpman.users import service as users
from derpman.wiring import assemble
from tests.drills._cast import PASSWORD, Cast
from tests.drills._drill import Drill, program
from tests.drills._panel import Panel
from tests.system.fleet import netns
from tests.system.processes import wait_until

BUDGET_S = 180
SEALED_PREFIX = "gAAAAA"
"""How what the vault sealed begins (Fernet): sealed it may stand in the database."""
SHORTEST = 16
"""A piece of a secret that is looked for has at least so many characters: fewer occur by chance."""
IDS = ("1", "2", "3", "999999999")
NO_SECRET = "no secret"
"""A mail address is looked for too: a search that does not find it would find nothing."""
HASHED = {
    "users.password",
    "registrations.password",
    "registrations.code_hash",
    "sessions.token_hash",
    "api_tokens.token_hash",
    "recovery_codes.code_hash",
    "password_resets.code_hash",
    "acl_addresses.token_hash",
}
"""What only its own column may hold, as a hash."""
OWNED = {
    ("acl_addresses.token", "customer", "/api/acl/address"),
    ("acl_pushes.diff", "customer", "/api/acl/pushes/{push_id}"),
    ("acl_pushes.diff", "customer", "/api/acl/pushes"),
    ("acl_pushes.former", "customer", "/api/acl/pushes/{push_id}"),
    ("acl_pushes.former", "customer", "/api/acl/pushes"),
}
"""Which secret (its column), whose caller, which route: its owner looks it up there."""


@dataclass
class Birds:
    """Pieces of secrets, each with where it belongs."""

    owner: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, where: str, text: str) -> None:
        for piece in re.findall(rf"[^\s\"'\\:,{{}}]{{{SHORTEST},}}", text):
            if not piece.startswith(("-----", "http")):
                self.owner.setdefault(piece, where)

    def within(self, text: str) -> set[str]:
        """Return where those belong that are found in a text."""
        return {where for piece, where in self.owner.items() if piece in text}


def play(drill: Drill) -> None:
    netns.isolate()
    with drill.step("stand up a panel with everything that is secret, and a piece of each"):
        panel = drill.use(Panel(embedded=True))
        data = panel.folder / "data"
        cast = Cast(data)
        system = assemble(
            Settings(_env_file=None, data_dir=data)  # pyright: ignore[reportCallIssue] # it takes it
        )
        birds = Birds()
        plant(panel, cast, system.edge(), birds)
        held = gather(system.edge(), birds)
        panel.mail.start()
    empty = [name for name, count in held.items() if not count]
    drill.figure("sealed_columns", len(held))
    drill.figure("hashed_columns", len(HASHED))
    drill.check("every_column_holds_one", not empty, str(empty))
    drill.figure("pieces", len(birds.owner), at_least=len(held))

    escaped: dict[str, set[str]] = defaultdict(set)
    document = panel.raw("GET", "/openapi.json").json()
    declared = declare(every_route())
    roles = ["nobody", "newcomer", "customer", "distributor", "admin", "super_admin"]
    asked = 0
    with httpx.Client(base_url=panel.url, timeout=30) as client:
        for role in roles:
            with drill.step(f"every route as {role}"):
                token = cast.token(role) if role in cast.tokens else distributor(system.edge())
                asked += crawl(client, declared, role, token, birds, escaped)
        with drill.step("bodies that cannot be taken, with a secret in every field"):
            echoed = echoes(client, document, cast, birds, escaped)
    drill.figure("answers", asked)
    drill.figure("refused_bodies", echoed, at_least=50)
    with drill.step("the tools of the operator's shell"):
        for words in (["doctor"], ["server", "list"], ["secrets", "status"], ["logs", "verify"]):
            with contextlib.suppress(Exception):
                note(birds, escaped, f"derpman {' '.join(words)}", panel.cli(*words))
    with drill.step("files: logs, payloads, the database; and mails"):
        look_at_files(panel.folder, birds, escaped)
        for mail in panel.mail.messages:
            note(birds, escaped, "a mail", mail.mail.as_string(), but={"mails.secrets"})
    seen = [where for where, names in escaped.items() if NO_SECRET in names]
    drill.figure("places_of_what_is_no_secret", len(seen), at_least=5)
    for names in escaped.values():
        names.discard(NO_SECRET)
    drill.figure("escaped", sum(map(len, escaped.values())), equals=0)
    for where, names in sorted((where, names) for where, names in escaped.items() if names):
        drill.say(f"  {where}: {', '.join(sorted(names))}")


def plant(panel: Panel, cast: Cast, edge: Edge, birds: Birds) -> None:
    """Have every secret that there is; what people type in is told to `birds` here."""

    def typed(where: str, text: str) -> str:
        birds.add(where, text)
        return text

    typed(NO_SECRET, "fuzz-customer@example.com")
    typed("users.password", PASSWORD)
    for role in ("newcomer", "customer", "admin", "super_admin"):
        typed("sessions.token_hash", cast.token(role))
    root = cast.token("super_admin")
    panel.call("POST", "/api/user/prove", token=root, json={"password": PASSWORD})
    panel.call(
        "POST",
        "/api/notifications/channels",
        token=root,
        json={
            "name": "canary",
            "kind": "webhook",
            "url": "https://203.0.113.250/"
            + typed("notification_channels.url", "canary-of-an-address"),
            "secret": typed("notification_channels.secret", "canary-that-signs-webhooks"),
        },
    )
    begun = panel.call("POST", "/api/user/second_factor/begin", token=root)
    typed("second_factors.secret", begun["secret"])
    made = panel.call(
        "POST", "/api/user/tokens", token=root, json={"name": "canary", "scope": "read", "days": 30}
    )
    typed("api_tokens.token_hash", made["token"])
    customer = cast.token("customer")
    panel.call("POST", "/api/acl/address", token=customer)
    panel.call(
        "POST",
        "/api/acl/link",
        token=customer,
        json={
            "kind": "headscale",
            "address": "https://203.0.113.251",
            "secret": typed("tailnet_links.secret", "canary-of-a-control-server"),
        },
    )
    edge(plant_rows, cast.user_id("customer"))
    code = totp.code_at(begun["secret"], totp.step_at(datetime.now(UTC)))
    panel.call("POST", "/api/user/second_factor/confirm", token=root, json={"code": code})
    panel.mail.stop()  # mails wait with what is secret in them
    wish = {"username": "canary", "email": "canary@example.com"}
    panel.call("POST", "/api/user/register", json={**wish, "password": PASSWORD})
    panel.call("POST", "/api/user/password/forgot", json={"email": "fuzz-newcomer@example.com"})


def distributor(edge: Edge) -> str:
    """Make a distributor; return his token."""

    def create(work: UnitOfWork) -> str:
        kept = users.by_username(work, username="fuzz-customer").password
        made = users.create(
            work,
            username="canary-distributor",
            email="canary-distributor@example.com",
            password_hash=kept,
            role=Role.DISTRIBUTOR,
            locale="en",
        )
        return access.open_session(work, user_id=made.id)

    return edge(create)


def plant_rows(work: UnitOfWork, customer_id: int) -> None:
    """What has no route of its own, or would need the other side to answer."""
    seal = work.vault.seal
    release.release_key(work)
    channels.set_credentials(
        work,
        method=Method.ALIPAY,
        version=0,
        is_enabled=False,
        credentials={"app_id": "2021", "private_key": "canary-of-a-payment-gateway"},
    )
    server = work.session.scalars(select(Server).order_by(Server.id)).first()
    assert server is not None
    server.ssh_key = seal("canary-of-a-servers-ssh-key")
    work.session.add(
        ServerJob(
            server_id=server.id,
            kind="check",
            status=JobStatus.FAILED,
            credential=seal(json.dumps({"password": "canary-of-an-administrator"})),
            actor_name="drill",
            created_at=work.now,
        )
    )
    work.session.add(
        AclPush(
            user_id=customer_id,
            kind=PushKind.PUSH,
            status=PushStatus.DONE,
            generation=1,
            is_automatic=False,
            actor_name="drill",
            diff=seal("canary-of-what-was-changed"),
            former=seal("canary-of-what-was-there"),
            attempts=1,
            due_at=work.now,
            created_at=work.now,
            done_at=work.now,
        )
    )


def gather(edge: Edge, birds: Birds) -> dict[str, int]:
    """Note what every sealed column holds, and every hash; return how many values by column."""

    def read(work: UnitOfWork) -> dict[str, int]:
        held: dict[str, int] = {}
        for column in sealed_columns():
            name = f"{column.table.name}.{column.name}"
            values = work.session.scalars(select(column).where(column.is_not(None))).all()
            held[name] = len(values)
            for value in values:
                birds.add(name, work.vault.open(value))
                birds.add(name, value)
        for name in HASHED:
            table, column_name = name.split(".")
            column = Base.metadata.tables[table].columns[column_name]
            for value in work.session.scalars(select(column).where(column.is_not(None))):
                birds.add(name, value if isinstance(value, str) else value.hex())
        return held

    with contextlib.suppress(AssertionError):  # which one is missing is told by the figures
        wait_until(lambda: all(edge.read(read).values()), 60, "every column holds one")
    return edge.read(read)


def crawl(
    client: httpx.Client,
    declared: list[Declared],
    role: str,
    token: str,
    birds: Birds,
    escaped: dict[str, set[str]],
) -> int:
    """Ask every route: those that read with ids that exist, the others with nothing and no id."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = 0
    for one in declared:
        for one_id in IDS if "{" in one.path and one.method == "GET" else IDS[-1:]:
            path = re.sub(r"{[^}]+}", one_id, one.path)
            if one.method == "GET":
                text = read(client, path, headers)
            elif "{" in one.path:
                text = client.request(one.method, path, headers=headers, json={}).text
            else:
                text = client.request(one.method, path, headers=headers, content=b"{").text
            asked += 1
            mine = {where for where, who, route in OWNED if (who, route) == (role, shown(one))}
            note(birds, escaped, f"{one.method} {one.path} by {role}", text, but=mine)
    return asked


def shown(one: Declared) -> str:
    return one.path.replace(":id}", "}")


def read(client: httpx.Client, path: str, headers: dict[str, str]) -> str:
    """Return an answer with its headers; of one that does not end, what came first."""
    taken = ""
    with contextlib.suppress(httpx.ReadTimeout), client.stream("GET", path, headers=headers) as got:
        taken = str(got.headers)
        stream = "text/event-stream" in got.headers.get("content-type", "")
        for chunk in got.iter_bytes():
            taken += chunk.decode("utf-8", "replace")
            if stream:
                break
    return taken


def echoes(
    client: httpx.Client,
    document: dict[str, Any],
    cast: Cast,
    birds: Birds,
    escaped: dict[str, set[str]],
) -> int:
    """Send secrets in bodies that are refused: with something that is not known beside them."""
    count = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            schema = (
                operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            ).get("schema", {})
            fields = list(strings(schema, document))
            if not fields:
                continue
            canary = f"canary-in-a-refused-body-{count}"
            birds.add("a refused body", canary)
            body = {**dict.fromkeys(fields, canary), "no_such_field": [canary]}
            for role in ("nobody", "customer", "super_admin"):
                token = cast.token(role)
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                url = re.sub(r"{[^}]+}", IDS[-1], path)
                answer = client.request(method.upper(), url, headers=headers, json=body)
                assert answer.status_code >= 400, f"{method} {path} took it: {answer.text}"
                note(birds, escaped, f"{method.upper()} {path} by {role}, refused", answer.text)
            count += 1
    return count


def strings(schema: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    """Yield the names of a body's fields."""
    ref = schema.get("$ref")
    found = document["components"]["schemas"][ref.rpartition("/")[2]] if ref else schema
    yield from found.get("properties", {})


def look_at_files(folder: Path, birds: Birds, escaped: dict[str, set[str]]) -> None:
    """Look through all that the panel wrote; the vault's keys lie beside it, in their own file."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "secret.key":
            is_database = "sqlite" in path.name
            text = path.read_bytes().decode("latin-1")
            for piece, where in birds.owner.items():
                if piece not in text:
                    continue
                if is_database and (where in HASHED or piece.startswith(SEALED_PREFIX)):
                    continue
                escaped[f"file {path.relative_to(folder)}"].add(where)


def note(
    birds: Birds,
    escaped: dict[str, set[str]],
    where: str,
    text: str,
    but: frozenset[str] | set[str] = frozenset(),
) -> None:
    if found := birds.within(text) - but:
        escaped[where] |= found


if __name__ == "__main__":
    program(play)
