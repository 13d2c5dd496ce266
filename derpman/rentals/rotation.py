"""The next ACL version with new ports: when it is time, or when an admin wants it.

A rotation is a row, and each of its steps a transaction, so that it goes on wherever it was cut
off: queued, then the new relays are wanted beside the old ones, then the map names them once they
serve. What becomes of the old ones is `acl.overlap`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import insert, select, update

from derpman.acl import overlap
from derpman.acl import service as acl
from derpman.acl.mails import ROTATION
from derpman.acl.models import AclJob, AclRotation, AclVersion
from derpman.acl.states import ROTATION_TRANSITIONS, AclStatus, RotationStatus
from derpman.alerts import service as alerts
from derpman.alerts.models import Severity
from derpman.containers import queries as container_queries
from derpman.containers import service as containers
from derpman.containers import successors
from derpman.containers.choice import choose
from derpman.containers.errors import NoPortLeft, ServerNotFit, TwoGenerations
from derpman.containers.models import Placement
from derpman.kit.db import changed
from derpman.kit.errors import NotFound
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.logs import service as logs
from derpman.rentals import versions
from derpman.rentals.errors import JobNotFound, NoOpenRental, RentalSuspended, RotationUnderWay
from derpman.rentals.models import Rental
from derpman.rentals.service import open_rental
from derpman.rentals.states import RentalStatus
from derpman.servers import service as servers
from derpman.users import service as users

FAILED = "acl_rotation_failed"
TRY_AGAIN = timedelta(minutes=10)
"""After so long a version that could not be followed is looked at again."""
PATIENCE = timedelta(minutes=5)
"""So long a new relay may take to serve before another place is tried for it."""
MOST_TRIES = 3


def enqueue_due(work: UnitOfWork, *, version_id: int) -> AclRotation | None:
    """Queue the successor of a version that is due; None when it is not, or is under way."""
    row = work.session.execute(
        select(AclVersion.user_id, AclVersion.rental_id).where(AclVersion.id == version_id)
    ).one()
    postponed = changed(
        work.session,
        update(AclVersion)
        .where(
            AclVersion.id == version_id,
            AclVersion.status == AclStatus.CURRENT,
            AclVersion.due_at <= work.now,
        )
        .values(due_at=work.now + TRY_AGAIN),
    )
    rental = open_rental(work, row.user_id)
    if postponed == 0 or rental is None or rental.status is not RentalStatus.ACTIVE:
        return None  # a suspended customer's is made when he is back
    if _open_rotation(work, row.user_id) is not None:
        return None
    return _queued(work, rental, reason=ROTATION, is_new_ports=True)


def ask(
    work: UnitOfWork, *, user_id: int, reason: str = "generated", is_new_ports: bool = True
) -> AclRotation:
    """Queue the next version of one user, in the name of whoever asks."""
    users.refuse_suspended(users.lock(work, user_id))
    rental = open_rental(work, user_id)
    if rental is None or rental.expires_at <= work.now:
        raise NoOpenRental
    if rental.status is not RentalStatus.ACTIVE:
        raise RentalSuspended
    if _open_rotation(work, user_id) is not None:
        raise RotationUnderWay
    rotation = _queued(work, rental, reason=reason, is_new_ports=is_new_ports)
    logs.record(
        work,
        action="acl.rotate",
        object_type="user",
        object_id=user_id,
        after={"reason": reason, "new_ports": is_new_ports, "rotation_id": rotation.id},
    )
    return rotation


def ask_for_server(
    work: UnitOfWork, *, server_id: int, reason: str = "generated", is_new_ports: bool = False
) -> AclJob:
    """Queue the next version of everybody with a relay on a server, as one job.

    Whoever has one under way keeps that: it will be as new.
    """
    servers.get(work, server_id)
    job = AclJob(
        server_id=server_id,
        reason=reason,
        is_new_ports=is_new_ports,
        actor_name=work.actor.name,
        created_at=work.now,
    )
    work.session.add(job)
    work.session.flush()
    rows = [
        {
            "user_id": user_id,
            "open_user_id": user_id,
            "rental_id": rental_id,
            "job_id": job.id,
            "status": RotationStatus.QUEUED,
            "reason": reason,
            "is_new_ports": is_new_ports,
            "actor_name": work.actor.name,
            "ip_address": work.actor.ip,
            "tries": 0,
            "created_at": work.now,
        }
        for user_id, rental_id in _running_on(work, server_id)
    ]
    if rows:
        work.session.execute(insert(AclRotation), rows)
    logs.record(
        work,
        action="acl.generate",
        object_type="server",
        object_id=server_id,
        after={"job_id": job.id, "users": len(rows), "reason": reason, "new_ports": is_new_ports},
    )
    return job


def _running_on(work: UnitOfWork, server_id: int) -> list[tuple[int, int]]:
    """Return users with a relay on a server whose rental runs and who have no rotation open."""
    user_ids = container_queries.users_on(work, server_id=server_id)
    found: list[tuple[int, int]] = []
    for start in range(0, len(user_ids), 1000):
        part = user_ids[start : start + 1000]
        rows = work.session.execute(
            select(Rental.user_id, Rental.id)
            .outerjoin(AclRotation, AclRotation.open_user_id == Rental.user_id)
            .where(
                Rental.open_user_id.in_(part),
                Rental.status == RentalStatus.ACTIVE,
                AclRotation.id.is_(None),
            )
            .order_by(Rental.user_id)
        )
        found += [(row.user_id, row.id) for row in rows]
    return found


def cancel_job(work: UnitOfWork, *, job_id: int) -> AclJob:
    """Take back what of a job has not begun; what was begun is finished."""
    job = work.session.get(AclJob, job_id, with_for_update=True)
    if job is None:
        raise JobNotFound
    if job.cancelled_at is None:
        job.cancelled_at = work.now
        taken_back = changed(
            work.session,
            update(AclRotation)
            .where(AclRotation.job_id == job_id, AclRotation.status == RotationStatus.QUEUED)
            .values(
                status=next_state(ROTATION_TRANSITIONS, RotationStatus.QUEUED, "cancel"),
                open_user_id=None,
                ended_at=work.now,
                error="cancelled",
            ),
        )
        logs.record(
            work,
            action="acl.cancel_job",
            object_type="acl_job",
            object_id=job_id,
            after={"taken_back": taken_back},
        )
    return job


def begin(work: UnitOfWork, *, rotation_id: int) -> None:
    """Want new relays beside the old ones; make the version at once where no port changes."""
    rotation, rental = _locked(work, rotation_id)
    if rotation.status is not RotationStatus.QUEUED:
        return
    if rental is None:
        _cancel(work, rotation, NoOpenRental.code)
        return
    versions.fill_up(work, rental)
    if not rotation.is_new_ports:
        _issue(work, rotation, rental)
        return
    rotation.status = next_state(ROTATION_TRANSITIONS, rotation.status, "begin")
    rotation.begun_at = work.now
    work.session.flush()
    placements = successors.newest(containers.placements_of(work, rental_id=rental.id))
    _prepare(work, rotation, rental, placements, is_elsewhere=False)


def _prepare(
    work: UnitOfWork,
    rotation: AclRotation,
    rental: Rental,
    placements: Iterable[Placement],
    *,
    is_elsewhere: bool,
) -> int:
    """Want the next generation of these relays; return of how many.

    On the same servers, unless one takes no relay any more or `is_elsewhere`. A slot that finds no
    place keeps the relay it has, and the rotation says why.
    """
    terms = versions.terms_of(rental)
    unused = overlap.unused(work, user_id=rental.user_id)
    standing = successors.live(work, rental.id)
    carried = {one.server_id for ones in standing.values() for one in ones}
    homes = {one.id: one for one in servers.candidates(work)}
    steady = servers.takes_successors(work, server_ids=carried)
    wishes: list[tuple[int, Placement]] = []
    for one in placements:
        target = one.server_id
        if is_elsewhere or target not in steady:
            free = [home for home in homes.values() if home.id not in carried]
            kept = servers.regions_of(work, server_ids=carried - {target}).values()
            chosen = choose(free, 1, regions=kept)
            if chosen:
                target = chosen[0].id
                carried.add(target)
            elif is_elsewhere:
                continue
        wishes.append((target, one))
    made = 0
    for target, one in sorted(wishes, key=lambda wish: wish[0]):  # servers are locked by id
        try:
            successors.prepare(work, terms, placement=one, server_id=target, unused=unused)
        except (NoPortLeft, ServerNotFit, TwoGenerations) as refusal:
            rotation.error = refusal.code
            continue
        made += 1
    return made


def finish(work: UnitOfWork, *, rotation_id: int) -> bool:
    """Make the version that names the new relays once all of them serve; tell whether it was made.

    For one that does not serve in time another place is tried; in the end the version is made as
    things are, and what is not well is mended like anything else that is not.
    """
    rotation, rental = _locked(work, rotation_id)
    if rotation.status is not RotationStatus.PREPARING:
        return False
    if rental is None:
        _cancel(work, rotation, NoOpenRental.code)
        return False
    newest = successors.newest(containers.placements_of(work, rental_id=rental.id))
    if not successors.are_ready(newest):
        begun_at = rotation.begun_at or rotation.created_at
        if work.now < begun_at + PATIENCE * (rotation.tries + 1):
            return False
        if rotation.tries < MOST_TRIES:
            rotation.tries += 1
            waiting = [one for one in newest if not successors.are_ready([one])]
            if _prepare(work, rotation, rental, waiting, is_elsewhere=True):
                return False
    _issue(work, rotation, rental)
    return True


def _issue(work: UnitOfWork, rotation: AclRotation, rental: Rental) -> None:
    acl.leave_overlap(work, user_id=rental.user_id, running_since=rental.started_at)
    actor = replace(work.actor, name=rotation.actor_name, ip=rotation.ip_address)
    version = acl.issue(
        replace(work, actor=actor),
        user_id=rental.user_id,
        rental_id=rental.id,
        placements=containers.placements_of(work, rental_id=rental.id),
        reason=rotation.reason,
    )
    rotation.version_id = version.id
    _close(work, rotation, "finish")
    alerts.resolve_alert(work, alert_type=FAILED, object_key=str(rental.user_id))


def _queued(work: UnitOfWork, rental: Rental, *, reason: str, is_new_ports: bool) -> AclRotation:
    rotation = AclRotation(
        user_id=rental.user_id,
        open_user_id=rental.user_id,
        rental_id=rental.id,
        status=RotationStatus.QUEUED,
        reason=reason,
        is_new_ports=is_new_ports,
        actor_name=work.actor.name,
        ip_address=work.actor.ip,
        created_at=work.now,
    )
    work.session.add(rotation)
    work.session.flush()
    return rotation


def _open_rotation(work: UnitOfWork, user_id: int) -> AclRotation | None:
    return work.session.scalar(select(AclRotation).where(AclRotation.open_user_id == user_id))


def _locked(work: UnitOfWork, rotation_id: int) -> tuple[AclRotation, Rental | None]:
    """Return a rotation and its rental while that runs, their user locked."""
    rotation = work.session.get(AclRotation, rotation_id)
    if rotation is None:
        raise NotFound
    users.lock(work, rotation.user_id)
    work.session.refresh(rotation)
    rental = open_rental(work, rotation.user_id)
    if rental is not None:
        work.session.refresh(rental)
        is_running = rental.status is RentalStatus.ACTIVE and rental.expires_at > work.now
        if not is_running or rental.id != rotation.rental_id:
            rental = None
    return rotation, rental


def give_up(work: UnitOfWork, *, rotation_id: int, error: str) -> None:
    """Give a rotation up that something of ours stands in the way of, and tell the admins.

    What was due by time is tried again by itself.
    """
    rotation, _ = _locked(work, rotation_id)
    if rotation.open_user_id is None:
        return
    _cancel(work, rotation, error)
    alerts.raise_alert(
        work,
        alert_type=FAILED,
        severity=Severity.CRITICAL,
        object_key=str(rotation.user_id),
        params={
            "user_id": rotation.user_id,
            "username": users.names_of(work, user_ids=[rotation.user_id])[rotation.user_id],
            "error": error,
        },
    )


def _cancel(work: UnitOfWork, rotation: AclRotation, error: str) -> None:
    """Give a rotation up; relays that were prepared for it and that no map names go with it."""
    found = overlap.of(work, user_id=rotation.user_id)
    if found is not None:
        successors.retire(work, placement_ids=[one.id for one in found.prepared])
    rotation.error = error
    _close(work, rotation, "cancel")


def _close(work: UnitOfWork, rotation: AclRotation, action: str) -> None:
    rotation.status = next_state(ROTATION_TRANSITIONS, rotation.status, action)
    rotation.open_user_id, rotation.ended_at = None, work.now
    work.session.flush()
