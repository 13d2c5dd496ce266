"""Accounts that exist: who may do what to whom."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from derpman.kit.errors import DomainError
from derpman.kit.work import Actor, Edge, Role, UnitOfWork
from derpman.users import service
from derpman.users.errors import (
    EmailTaken,
    LastSuperAdmin,
    NotYourself,
    StaffOnlyBySuperAdmin,
    Suspended,
    UsernameTaken,
    UserNotFound,
)
from derpman.users.models import User
from derpman.users.states import UserStatus
from tests.conftest import Person

People = Callable[..., Person]
EdgeOf = Callable[[Actor], Edge]


def new(work: UnitOfWork, username: str, email: str) -> User:
    return service.create(
        work, username=username, email=email, password_hash="!", role=Role.USER, locale="en"
    )


def test_usernames_and_addresses_are_unique_without_case(edge: Edge, carl: Person) -> None:
    with pytest.raises(UsernameTaken):
        edge(new, "CARL", "other@example.com")
    with pytest.raises(EmailTaken):
        edge(new, "other", "Carl@EXAMPLE.com")
    assert edge.read(service.by_username, username="cArL").id == carl.id
    with pytest.raises(UserNotFound):
        edge.read(service.by_username, username="nobody")
    with pytest.raises(UserNotFound):
        edge.read(service.by_username, username="0")  # no name at all


def test_of_many_who_want_a_name_at_once_one_gets_it(edge: Edge) -> None:
    def take(number: int) -> bool:
        try:
            edge(new, "wanted", f"number{number}@example.com")
        except UsernameTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(8))) == 1


def test_a_suspended_account_may_not_act_until_it_is_reinstated(
    edge_of: EdgeOf, root: Person, carl: Person
) -> None:
    run = edge_of(root.actor)
    run(service.suspend, user_id=carl.id, reason="unpaid")
    with pytest.raises(Suspended) as refused:
        run.read(service.require_active, carl.id)
    assert refused.value.params["reason"] == "unpaid"
    with pytest.raises(DomainError):
        run(service.suspend, user_id=carl.id, reason="again")
    run(service.reinstate, user_id=carl.id)
    user = run.read(service.require_active, carl.id)
    assert user.status is UserStatus.ACTIVE
    assert user.status_reason is None


def test_an_admin_rules_customers_and_a_super_admin_admins(
    edge_of: EdgeOf, root: Person, carl: Person, person: People
) -> None:
    ada, bob = person("ada", Role.ADMIN), person("bob", Role.ADMIN)
    run = edge_of(ada.actor)
    run(service.suspend, user_id=carl.id, reason="unpaid")
    for other in (bob.id, root.id):
        with pytest.raises(StaffOnlyBySuperAdmin):
            run(service.suspend, user_id=other, reason="envy")
    with pytest.raises(NotYourself):
        run(service.suspend, user_id=ada.id, reason="remorse")
    edge_of(root.actor)(service.suspend, user_id=bob.id, reason="left")
    with pytest.raises(UserNotFound):
        run(service.suspend, user_id=10**6, reason="nobody")


def test_one_super_admin_remains(edge: Edge, edge_of: EdgeOf, root: Person, person: People) -> None:
    with pytest.raises(LastSuperAdmin):
        edge(service.set_role, user_id=root.id, role=Role.USER)
    other = person("other", Role.SUPER_ADMIN)
    edge(service.suspend, user_id=other.id, reason="away")
    with pytest.raises(LastSuperAdmin):
        edge(service.suspend, user_id=root.id, reason="away too")


def test_super_admins_who_depose_each_other_do_not_both_succeed(
    edge: Edge, edge_of: EdgeOf, person: People
) -> None:
    one, two = person("one", Role.SUPER_ADMIN), person("two", Role.SUPER_ADMIN)

    def depose(pair: tuple[Person, Person]) -> bool:
        by, whom = pair
        try:
            edge_of(by.actor)(service.set_role, user_id=whom.id, role=Role.USER)
        except LastSuperAdmin:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(depose, [(one, two), (two, one)])) == 1
