"""Verbs of accounts that exist."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from derpman.kit.errors import Invalid
from derpman.kit.states import next_state
from derpman.kit.types import MAX_ID
from derpman.kit.work import STAFF, Role, UnitOfWork
from derpman.logs import service as logs
from derpman.users import policy
from derpman.users.errors import (
    Deregistered,
    EmailTaken,
    LastSuperAdmin,
    NotRenewable,
    NotYourself,
    StaffOnlyBySuperAdmin,
    Suspended,
    UsernameRefused,
    UsernameTaken,
    UserNotFound,
)
from derpman.users.models import Registration, User
from derpman.users.states import TRANSITIONS, UserStatus

LOCALES = ("zh-CN", "en")
MAY_LOG_IN = (UserStatus.ACTIVE, UserStatus.CLOSING)
"""Whoever closes his account may watch how far that is, and do nothing else."""


def get(work: UnitOfWork, user_id: int) -> User:
    """Return an account; UserNotFound when there is none."""
    user = work.session.get(User, user_id) if 0 < user_id <= MAX_ID else None
    if user is None:
        raise UserNotFound
    return user


def lock(work: UnitOfWork, user_id: int) -> User:
    """Return an account, locked until the transaction ends: the first lock of any transaction."""
    user = work.session.get(User, user_id, with_for_update=True, populate_existing=True)
    if user is None:
        raise UserNotFound
    return user


def by_username(work: UnitOfWork, *, username: str) -> User:
    """Return the account of a username, in whatever case; UserNotFound when there is none."""
    try:
        key = policy.username(username).key
    except UsernameRefused:  # nobody can have it
        raise UserNotFound from None
    user = work.session.scalar(select(User).where(User.username_key == key))
    if user is None:
        raise UserNotFound
    return user


def by_email(work: UnitOfWork, *, email: str) -> User | None:
    """Return the account of an address, in whatever case, or None."""
    key = policy.email(email).key
    return work.session.scalar(select(User).where(User.email_key == key))


def names_of(work: UnitOfWork, *, user_ids: Iterable[int]) -> dict[int, str]:
    """Return usernames by ids."""
    rows = work.session.execute(select(User.id, User.username).where(User.id.in_(set(user_ids))))
    return {row.id: row.username for row in rows}


def in_service(work: UnitOfWork, *, user_ids: Iterable[int]) -> dict[int, str]:
    """Return usernames by ids of those who are active and whose rental runs at this moment."""
    rows = work.session.execute(
        select(User.id, User.username).where(
            User.id.in_(set(user_ids)),
            User.status == UserStatus.ACTIVE,
            User.rental_expiry > work.now,
        )
    )
    return {row.id: row.username for row in rows}


def require_active(work: UnitOfWork, user_id: int) -> User:
    """Return an account that may act; Suspended or Deregistered when it may not."""
    user = get(work, user_id)
    refuse_suspended(user)
    return user


def refuse_suspended(user: User, contact: str = "the administrators") -> None:
    """Raise Suspended, with the reason and whom to ask, when an admin stopped the account.

    Deregistered when its owner or time ended it.
    """
    if user.status is UserStatus.SUSPENDED:
        raise Suspended(reason=user.status_reason or "", contact=contact)
    if user.status is not UserStatus.ACTIVE:
        raise Deregistered


def refuse_login(user: User, contact: str) -> None:
    """Raise Suspended or Deregistered for whoever cannot log in."""
    if user.status not in MAY_LOG_IN:
        refuse_suspended(user, contact)


def is_renewable(user: User) -> bool:
    """Tell whether an account may be renewed: it is active, and no admin marked it."""
    return user.status is UserStatus.ACTIVE and user.no_renewal_at is None


def refuse_unrenewable(user: User) -> None:
    """Raise NotRenewable when an admin marked the account; Suspended, Deregistered as above."""
    refuse_suspended(user)
    if user.no_renewal_at is not None:
        raise NotRenewable(reason=user.no_renewal_reason or "")


def acceptable_password(password: str, username: str, email: str) -> str:
    """Return the password when it may be this account's, else raise PasswordRefused."""
    return policy.password(password, username=username, email=email)


def create(
    work: UnitOfWork, *, username: str, email: str, password_hash: str, role: Role, locale: str
) -> User:
    """Open an account whose address need not be verified: by staff or from the shell."""
    name, address = policy.username(username), policy.email(email)
    if locale not in LOCALES:
        raise Invalid(locale=locale)
    refuse_taken_username(work, name)
    if work.session.scalar(select(User.id).where(User.email_key == address.key)) is not None:
        raise EmailTaken
    registration = Registration(
        username=name.text,
        username_key=name.key,
        email=address.text,
        email_key=address.key,
        password=password_hash,
        locale=locale,
        created_at=work.now,
        expires_at=work.now,
    )
    work.session.add(registration)
    work.session.flush()
    user = open_account(work, registration, name, role)
    logs.record(
        work,
        action="user.create",
        object_type="user",
        object_id=user.id,
        after={"username": user.username, "role": role},
    )
    return user


def open_account(
    work: UnitOfWork, registration: Registration, name: policy.Name, role: Role
) -> User:
    """Make the account of a registration, under its id; the unique keys catch a race."""
    registration.used_at = work.now
    user = User(
        id=registration.id,
        username=name.text,
        username_key=name.key,
        email=registration.email,
        email_key=registration.email_key,
        password=registration.password,
        role=role,
        status=UserStatus.ACTIVE,
        locale=registration.locale,
        created_at=work.now,
    )
    work.session.add(user)
    work.session.flush()
    return user


def refuse_taken_username(work: UnitOfWork, name: policy.Name) -> None:
    """Raise UsernameTaken when an account has this name."""
    if work.session.scalar(select(User.id).where(User.username_key == name.key)) is not None:
        raise UsernameTaken(username=name.text)


def set_password(work: UnitOfWork, user: User, password_hash: str) -> None:
    """Store another password's hash; who calls this decides about sessions."""
    user.password = password_hash
    work.session.flush()


def set_rental_expiry(
    work: UnitOfWork, user: User, expires_at: datetime, *, deregister_at: datetime | None = None
) -> None:
    """Keep on the account until when its service runs; who calls this has locked it.

    `deregister_at` is when it ends by itself, where its service is over.
    """
    user.rental_expiry = expires_at
    user.deregister_at = deregister_at
    work.session.flush()


def set_locale(work: UnitOfWork, *, locale: str) -> User:
    """Choose the language of one's own mails."""
    user = require_active(work, work.actor.user_id or 0)
    before, user.locale = user.locale, locale
    logs.record(
        work,
        action="user.locale",
        object_type="user",
        object_id=user.id,
        before={"locale": before},
        after={"locale": locale},
    )
    return user


def set_role(work: UnitOfWork, *, user_id: int, role: Role) -> User:
    """Make an account customer, distributor, admin or super admin; one super admin remains."""
    user = _under_authority(work, user_id, loses_super=role is not Role.SUPER_ADMIN)
    before, user.role = user.role, role
    work.wake("sessions")  # whoever remembers his role looks again
    logs.record(
        work,
        action="user.role",
        object_type="user",
        object_id=user.id,
        before={"role": before},
        after={"role": role},
    )
    return user


def join_distributor(work: UnitOfWork, *, user_id: int, distributor_id: int) -> None:
    """Make an account, which the caller has locked, a distributor's customer from now on."""
    user = get(work, user_id)
    if distributor_id not in (user.distributor_id, user_id):
        user.distributor_id = distributor_id
        work.session.flush()


def suspend(work: UnitOfWork, *, user_id: int, reason: str) -> User:
    """Stop an account. Who calls this ends its sessions and stops its service."""
    return _set_status(work, user_id, "suspend", reason)


def reinstate(work: UnitOfWork, *, user_id: int, reason: str | None = None) -> User:
    """Let a suspended account act again."""
    return _set_status(work, user_id, "reinstate", reason)


def _set_status(work: UnitOfWork, user_id: int, action: str, reason: str | None) -> User:
    user = _under_authority(work, user_id, loses_super=action == "suspend")
    before = user.status
    user.status = next_state(TRANSITIONS, before, action)
    user.status_reason = reason if user.status is UserStatus.SUSPENDED else None
    work.session.flush()
    work.wake("sessions")
    logs.record(
        work,
        action=f"user.{action}",
        object_type="user",
        object_id=user.id,
        before={"status": before},
        after={"status": user.status, "reason": reason},
    )
    return user


def _under_authority(work: UnitOfWork, user_id: int, *, loses_super: bool) -> User:
    """Return the account locked, when the actor may change what it may do."""
    if user_id == work.actor.user_id:
        raise NotYourself
    user = lock(work, user_id)
    by_super = work.actor.role in (Role.SUPER_ADMIN, Role.SYSTEM)
    if user.role in STAFF and not by_super:
        raise StaffOnlyBySuperAdmin
    if user.role is Role.SUPER_ADMIN and loses_super:
        # All of them are locked, so that two who stop each other at once do not both succeed.
        ids = work.session.scalars(
            select(User.id)
            .where(User.role == Role.SUPER_ADMIN, User.status == UserStatus.ACTIVE)
            .order_by(User.id)
            .with_for_update()
        ).all()
        if not set(ids) - {user.id}:
            raise LastSuperAdmin
    return user
