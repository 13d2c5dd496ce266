"""Verbs from the wish to have an account to the account.

What a visitor calls does the same work whether his address has an account or not; the difference
is made later, by the handler that mails.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update

from derpman.kit import codes
from derpman.kit.db import changed
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs
from derpman.notifications import service as notifications
from derpman.users import messages, policy, service
from derpman.users.errors import UsernameRefused
from derpman.users.events import VerificationAsked
from derpman.users.models import Registration, User

CODE_LIFE = timedelta(minutes=30)
KEPT = timedelta(days=30)
"""How long a registration that led to nothing is kept, and its username and address with it."""
PURPOSE = "registration"


def acceptable(*, username: str, email: str, password: str) -> tuple[policy.Name, policy.Name]:
    """Return the username and address when all three may be registered, else say what may not."""
    name, address = policy.username(username), policy.email(email)
    if policy.is_reserved(name):
        raise UsernameRefused(reason="It could be taken for one of our own.")
    policy.password(password, username=name.text, email=address.text)
    return name, address


def register(
    work: UnitOfWork, *, name: policy.Name, address: policy.Name, password_hash: str, locale: str
) -> int:
    """Record the wish and have the address written to; return the id the account will have."""
    service.refuse_taken_username(work, name)
    notifications.take_allowance(work, address_key=address.key)
    registration = Registration(
        username=name.text,
        username_key=name.key,
        email=address.text,
        email_key=address.key,
        password=password_hash,
        locale=locale,
        created_at=work.now,
        expires_at=work.now + CODE_LIFE,
    )
    work.session.add(registration)
    work.session.flush()
    work.emit(VerificationAsked(registration_id=registration.id))
    return registration.id


def ask_again(work: UnitOfWork, *, email: str) -> None:
    """Have the newest registration of an address written to once more, with a new code."""
    address = policy.email(email)
    notifications.take_allowance(work, address_key=address.key)
    newest = work.session.scalar(
        select(Registration.id)
        .where(Registration.email_key == address.key)
        .order_by(Registration.id.desc())
        .limit(1)
    )
    work.emit(VerificationAsked(registration_id=newest))


def send_code(work: UnitOfWork, *, registration_id: int | None) -> None:
    """Mail a new code; or tell the owner of an account that somebody tried his address."""
    if registration_id is None:
        return
    registration = work.session.get(Registration, registration_id, with_for_update=True)
    if registration is None:
        return
    owner = service.by_email(work, email=registration.email)
    if owner is not None:
        messages.mail(work, owner.id, "address_exists", {})
        return
    code = codes.new_digits()
    stored = codes.digest(work.vault, PURPOSE, registration.id, code)
    registration.code_hash = stored
    registration.wrong_codes = 0
    registration.expires_at = work.now + CODE_LIFE
    notifications.queue_mail(
        work,
        template="verify_address",
        address=registration.email,
        locale=registration.locale,
        params={"minutes": int(CODE_LIFE.total_seconds() // 60)},
        secrets={
            "code": code,
            "token": codes.link_token(work.vault, PURPOSE, registration.id, stored),
        },
    )


def verify_code(
    work: UnitOfWork,
    *,
    email: str,
    code: str,
    registration_id: int | None = None,
    username: str | None = None,
) -> User | None:
    """Open the account that this code was mailed for; None, and one try less, when it is not.

    None is an answer and no exception, because an exception would undo the count of tries. The try
    is counted before the code is looked at: of many guesses at once no more are heard.
    """
    live = [
        Registration.email_key == policy.email(email).key,
        Registration.code_hash.is_not(None),
        Registration.expires_at > work.now,
    ]
    if registration_id is not None:
        live.append(Registration.id == registration_id)
    count = update(Registration).where(*live).values(wrong_codes=Registration.wrong_codes + 1)
    work.session.execute(count, execution_options={"synchronize_session": False})
    for registration in work.session.scalars(
        select(Registration)
        .where(*live, Registration.wrong_codes <= codes.MAX_WRONG)
        .order_by(Registration.id.desc())
    ).all():
        if codes.fits(work.vault, PURPOSE, registration.id, code, registration.code_hash):
            registration.wrong_codes -= 1
            return _open(work, registration, username)
    _record_refusal(work)
    return None


def verify_link(work: UnitOfWork, *, token: str, username: str | None = None) -> User | None:
    """Open the account that this link was mailed for, or return None."""
    row_id = codes.row_of_link(token)
    registration = (
        work.session.get(Registration, row_id, with_for_update=True) if row_id is not None else None
    )
    if (
        registration is None
        or registration.expires_at <= work.now
        or not codes.is_link(work.vault, PURPOSE, registration.id, registration.code_hash, token)
    ):
        _record_refusal(work)
        return None
    return _open(work, registration, username)


def forget_old(work: UnitOfWork, *, limit: int = 1000) -> int:
    """Delete up to `limit` registrations that are of no more use; return how many."""
    old = work.session.scalars(
        select(Registration.id)
        .where(Registration.expires_at < work.now - KEPT)
        .order_by(Registration.expires_at)
        .limit(limit)
    ).all()
    if not old:
        return 0
    return changed(work.session, delete(Registration).where(Registration.id.in_(old)))


def _open(work: UnitOfWork, registration: Registration, username: str | None) -> User | None:
    user = work.session.get(User, registration.id)
    if user is not None:
        return user  # the same code or link once more
    if service.by_email(work, email=registration.email) is not None:
        _record_refusal(work)  # another registration of this address was verified meanwhile
        return None
    name = policy.Name(registration.username, registration.username_key)
    if username is not None:
        name = policy.username(username)
        if policy.is_reserved(name):
            raise UsernameRefused(reason="It could be taken for one of our own.")
    service.refuse_taken_username(work, name)
    user = service.open_account(work, registration, name, Role.USER)
    logs.record(
        work,
        action="user.verify",
        object_type="user",
        object_id=user.id,
        after={"username": user.username, "email": user.email},
    )
    logs.record_user(work, user_id=user.id, action="register")
    return user


def _record_refusal(work: UnitOfWork) -> None:
    logs.record(work, action="user.verify_refused", object_type="user")
