"""What becomes of the devices of an account that ends, or of a plan that takes fewer."""

from __future__ import annotations

from sqlalchemy import delete, select, update

from derpman.devices import queries, service
from derpman.devices.models import Device, Knock, LinkedDevice, PairingWindow
from derpman.devices.states import DEVICE_TRANSITIONS, DeviceStatus
from derpman.kit.states import next_state
from derpman.kit.work import UnitOfWork
from derpman.rentals import service as rentals
from derpman.users import service as users
from derpman.users.states import UserStatus

CLOSED = (UserStatus.CLOSING, UserStatus.DEREGISTERED)


def forget(work: UnitOfWork, *, user_id: int) -> None:
    """Remove every device of an account that ends; nothing lets them in any more already."""
    user = users.lock(work, user_id)
    if user.status not in CLOSED:
        return
    removed = next_state(DEVICE_TRANSITIONS, DeviceStatus.REGISTERED, "remove")
    work.session.execute(
        update(Device)
        .where(Device.user_id == user_id, Device.status == DeviceStatus.REGISTERED)
        .values(status=removed, seat=None, removed_at=work.now, version=Device.version + 1)
        .execution_options(synchronize_session=False)
    )
    for table in (LinkedDevice, Knock, PairingWindow):
        work.session.execute(delete(table).where(table.user_id == user_id))
    work.wake(service.LIVE_TOPIC)


def fit(work: UnitOfWork, *, rental_id: int, user_id: int) -> None:
    """Remove the devices that a smaller plan has no place for: those that were registered last."""
    users.lock(work, user_id)
    rental = rentals.open_rental(work, user_id)
    if rental is None or rental.id != rental_id:
        return
    registered = work.session.scalars(
        select(Device)
        .where(Device.user_id == user_id, Device.status == DeviceStatus.REGISTERED)
        .order_by(Device.created_at, Device.id)
    ).all()
    for device in registered[rental.device_limit :]:
        service.remove(work, user_id=user_id, device_id=device.id)
    work.session.flush()
    for device in registered[: rental.device_limit]:
        if device.seat is not None and device.seat > rental.device_limit:
            device.seat = queries.free_seat(work, user_id=user_id, limit=rental.device_limit)
            work.session.flush()
