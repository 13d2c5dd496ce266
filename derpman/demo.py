"""The demonstration: three nodes on this machine that really relay, and accounts to try it with."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from sqlalchemy import select

from derpman.distribution import terms
from derpman.distribution.states import Level
from derpman.kit import passwords
from derpman.kit.errors import NotFound
from derpman.kit.processes import Child
from derpman.kit.wake import sockets_folder
from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.serials import service as serials
from derpman.serials.models import Serial
from derpman.serials.states import SerialStatus
from derpman.servers import upkeep
from derpman.users import service as users
from derpman.users.models import User
from derpman.wiring import System

NODES = (
    ("demo-a", "127.0.0.11", 21000, 21999),
    ("demo-b", "127.0.0.12", 22000, 22999),
    ("demo-c", "127.0.0.13", 23000, 23999),
)
NOTE = "demo"
ACCOUNTS = (
    ("demo-admin", Role.SUPER_ADMIN),
    ("demo-customer", Role.USER),
    ("demo-distributor", Role.DISTRIBUTOR),
)
DEMO_CREDIT_FEN = 100_000


def _socket(system: System, name: str) -> Path:
    return sockets_folder(system.settings.data_dir) / f"{name}.sock"


def nodes(system: System) -> list[Child]:
    """Return the processes of three local nodes, which run derper without Docker."""
    build = system.settings.build_dir.resolve()
    children: list[Child] = []
    for name, _ip, port_from, port_to in NODES:
        state = system.settings.data_dir.resolve() / "nodes" / name
        state.mkdir(parents=True, exist_ok=True)
        command = [
            str(build / "derpman-node"),
            "serve",
            "-state",
            str(state),
            "-socket",
            str(_socket(system, name)),
            "-runtime",
            "process",
            "-stop-relays",
            "-derper",
            str(build / "derper"),
            "-ports",
            f"{port_from}-{port_to}",
        ]
        children.append(Child(name, command))
    return children


def prepare(system: System) -> list[str]:
    """Add what is missing of the demo's servers, accounts and serial; return what to print."""
    edge = system.edge()
    logins = _logins(system.settings.data_dir / "demo-logins.json")
    lines = ["", "This is a DEMO: its accounts, servers and serials are for trying out."]
    for name, role in ACCOUNTS:
        user = _account(edge, name, role, logins[name])
        lines.append(f"  {role:<12} {user.email}  password {logins[name]}")
        if role is Role.DISTRIBUTOR:
            edge(_lend_once, user.id)
    for name, ip, port_from, port_to in NODES:
        edge(
            upkeep.ensure_local,
            ip=ip,
            region=name,
            socket_path=str(_socket(system, name)),
            port_from=port_from,
            port_to=port_to,
            capacity=50,
        )
    code = edge(_unused_serial)
    lines += [
        f"  servers      {', '.join(ip for _, ip, _, _ in NODES)} (derper processes, no Docker)",
        f"  serial       {code}",
        f"  activate it  derpman rental activate demo-customer {code}",
        "",
    ]
    return lines


def _logins(path: Path) -> dict[str, str]:
    """Return the demo's passwords, made at the first start and kept for the next."""
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    made = {name: kept.get(name) or secrets.token_urlsafe(9) for name, _ in ACCOUNTS}
    if made != kept:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(made, file)
    return made


def _lend_once(work: UnitOfWork, user_id: int) -> None:
    """Give the demo's distributor a class and credit, so that he can buy without money."""
    if terms.of(work, user_id=user_id).version == 0:
        terms.set_terms(
            work,
            user_id=user_id,
            level=Level.PLATINUM,
            may_generate=True,
            credit_limit_fen=DEMO_CREDIT_FEN,
            version=0,
        )


def _account(edge: Edge, name: str, role: Role, password: str) -> User:
    try:
        return edge.read(users.by_username, username=name)
    except NotFound:
        return edge(
            users.create,
            username=name,
            email=f"{name}@example.com",
            password_hash=passwords.hash(password),
            role=role,
            locale="zh-CN",
        )


def _unused_serial(work: UnitOfWork) -> str:
    unused = select(Serial.code).where(
        Serial.status == SerialStatus.UNUSED, Serial.note == NOTE, Serial.expires_at > work.now
    )
    code = work.session.scalar(unused.limit(1))
    return code or serials.generate(work, duration_days=30, note=NOTE)[0].code
