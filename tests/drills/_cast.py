"""The people of the fuzz drill, mended whenever the fuzzing has undone one of them."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from derpman.access import service as access
from derpman.access.models import LoginSession
from derpman.alerts.models import SystemAlert
from derpman.devices.models import Device, Knock
from derpman.kit import passwords
from derpman.kit.secrets import token_hash
from derpman.kit.work import Role, UnitOfWork
from derpman.notifications.models import Mail
from derpman.rentals import service as rentals
from derpman.serials import service as serials
from derpman.serials.models import Serial
from derpman.servers.models import Server, ServerLink, Transport
from derpman.servers.states import ServerStatus
from derpman.settings import Settings
from derpman.users import service as users
from derpman.users.models import User
from derpman.users.states import UserStatus
from derpman.wiring import assemble

ROLES = {
    "customer": Role.USER,  # with an active rental
    "newcomer": Role.USER,  # without one
    "admin": Role.ADMIN,
    "super_admin": Role.SUPER_ADMIN,
}
PASSWORD = "nine-grey-geese-graze"

SERVERS = 4


class Cast:
    """Who calls: nobody, two customers, an admin, a super admin; and four fake servers."""

    def __init__(self, data: Path) -> None:
        self._edge = assemble(
            Settings(_env_file=None, data_dir=data)  # pyright: ignore[reportCallIssue] # it takes it
        ).edge()
        self._hash = passwords.hash(PASSWORD)
        self.tokens: dict[str, str] = {"nobody": ""}
        self.mended = 0
        for role in ROLES:
            self.mend(role)

    def new_serial(self) -> str:
        """Return the code of an unused serial."""
        return self._edge(_new_serial)

    def user_id(self, role: str) -> int:
        return self._edge.read(users.by_username, username=_name(role)).id

    def token(self, role: str) -> str:
        """Return the token of somebody who is what his role says, mended if need be."""
        if role != "nobody" and not self._edge.read(_is_whole, role, self.tokens[role]):
            self.mend(role)
        return self.tokens[role]

    def known(self) -> dict[str, list[Any]]:
        """Return values that exist, by the names of fields and parameters."""
        return self._edge.read(_known)

    def mend(self, role: str) -> None:
        """Make somebody what he was: active, of his role, with his rental, logged in."""
        for number in range(1, SERVERS + 1):
            self._edge(_have_server, f"203.0.113.{number}", f"region-{number}")
        self._edge(_stand_in_order, role, self._hash)
        user_id = self.user_id(role)
        if role in ("customer", "newcomer"):
            self._edge(_have_rental if role == "customer" else _have_none, user_id)
        self.tokens[role] = self._edge(access.open_session, user_id=user_id)
        self.mended += 1


def _name(role: str) -> str:
    return f"fuzz-{role.replace('_', '-')}"


def _is_whole(work: UnitOfWork, role: str, token: str) -> bool:
    identity = access.find(work, hashed_token=token_hash(token))
    if identity is None or identity.role is not ROLES[role]:
        return False
    has_rental = rentals.open_rental(work, identity.user_id) is not None
    return has_rental if role == "customer" else role != "newcomer" or not has_rental


def _known(work: UnitOfWork) -> dict[str, list[Any]]:
    """Few ids, since they are few rows; the newest, since the oldest are used up."""
    read = work.session.scalars
    codes = read(select(Serial.code).order_by(Serial.id.desc()).limit(5)).all()
    keys = read(select(Device.node_key).order_by(Device.id.desc()).limit(5)).all()
    people = [f"{_name(role)}@example.com" for role in ROLES]
    newest = {
        "serial_id": Serial.id,
        "device_id": Device.id,
        "knock_id": Knock.id,
        "mail_id": Mail.id,
        "session_id": LoginSession.id,
        "alert_id": SystemAlert.id,
    }
    ids = {
        name: [*read(select(column).order_by(column.desc()).limit(3)), 1]
        for name, column in newest.items()
    }
    return {
        **ids,
        "user_id": list(read(select(User.id).limit(5))),
        "server_id": [1, 2, 3, 4],
        "plan_id": [1, 2],
        "replaces_device_id": ids["device_id"],
        "code": list(codes),
        "node_key": [*keys, *(f"nodekey:{secrets.token_hex(32)}" for _ in range(3))],
        "email": people,
        "password": [PASSWORD],
        "old": [PASSWORD],
        "duration_days": [30, 90],
        "role": ["user", "admin"],
        "count": [1, 3],
        "version": [1, 2],
    }


def _stand_in_order(work: UnitOfWork, role: str, password_hash: str) -> None:
    name = _name(role)
    user = work.session.scalar(select(User).where(User.username_key == name))
    if user is not None and user.status in (UserStatus.CLOSING, UserStatus.DEREGISTERED):
        user.username = user.username_key = f"{name}-{user.id}"  # somebody new takes his place
        user.email_key = f"former {user.id}"
        work.session.flush()
        user = None
    if user is None:
        email, wanted = f"{name}@example.com", ROLES[role]
        users.create(
            work,
            username=name,
            email=email,
            password_hash=password_hash,
            role=wanted,
            locale="en",
        )
        return
    if user.status != UserStatus.ACTIVE:
        rentals.reinstate_user(work, user_id=user.id)
    # straight into the row: the rules of who may change whom do not hold for the drill
    work.session.execute(
        update(User)
        .where(User.id == user.id)
        .values(role=ROLES[role], no_renewal_at=None, no_renewal_reason=None)
    )


def _have_rental(work: UnitOfWork, user_id: int) -> None:
    if rentals.open_rental(work, user_id) is None:
        rentals.activate(work, code=_new_serial(work), user_id=user_id)


def _have_none(work: UnitOfWork, user_id: int) -> None:
    if rentals.open_rental(work, user_id) is not None:
        rentals.end_of_user(work, user_id=user_id, reason="drill")


def _new_serial(work: UnitOfWork) -> str:
    return serials.generate(work, duration_days=30, count=1)[0].code


def _have_server(work: UnitOfWork, ip: str, region: str) -> None:
    """Straight into the table: a server of the fake transport cannot be added by the API.

    One that was drained or found dead, as nobody can reach it, is as good as new.
    """
    known = work.session.scalar(select(Server).where(Server.present_ip == ip))
    if known is not None:
        known.status = ServerStatus.HEALTHY
        known.draining_at = known.leaving_at = None
        known.is_moving_off = known.leaves_at_once = False
        return
    server = Server(
        ip=ip,
        present_ip=ip,
        public_ip=ip,
        region=region,
        status=ServerStatus.HEALTHY,
        transport=Transport.FAKE,
        port_from=20000,
        port_to=29999,
        capacity=1000,
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(server)
    work.session.flush()
    work.session.add(ServerLink(server_id=server.id))
    work.wake("servers")
