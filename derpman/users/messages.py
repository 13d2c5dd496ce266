"""Mails that need to know who somebody is: from an admin to a user, and alerts to admins."""

from __future__ import annotations

import json

from sqlalchemy import select

from derpman.alerts import service as alerts
from derpman.alerts.texts import sentence
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs
from derpman.notifications import service as notifications
from derpman.users import service
from derpman.users.models import User
from derpman.users.states import UserStatus


def send_message(work: UnitOfWork, *, user_id: int, subject: str, message: str) -> None:
    """Mail a user what an admin wrote."""
    user = service.get(work, user_id)
    mail = notifications.queue_mail(
        work,
        template="plain",
        address=user.email,
        locale=user.locale,
        user_id=user.id,
        params={"username": user.username, "subject": subject, "message": message},
    )
    logs.record(
        work,
        action="notifications.send",
        object_type="user",
        object_id=user.id,
        after={"subject": subject, "mail_id": mail and mail.id},
    )


def mail_admins_of_alert(work: UnitOfWork, alert_id: int) -> None:
    """Mail every admin that something is wrong, each in his language; nothing when it is over."""
    alert = alerts.get(work, alert_id)
    if alert.resolved:
        return
    admins = select(User).where(
        User.role.in_((Role.ADMIN, Role.SUPER_ADMIN)), User.status == UserStatus.ACTIVE
    )
    for admin in work.session.scalars(admins.order_by(User.id)):
        notifications.queue_mail(
            work,
            template="alert_raised",
            address=admin.email,
            locale=admin.locale,
            user_id=admin.id,
            params={
                "severity": alert.severity.value,
                "alert_type": alert.alert_type,
                "message": sentence(alert.alert_type, json.loads(alert.params), admin.locale),
                "at": alert.last_at,
                "count": alert.count,
            },
            once_key=f"alert:{alert.id}:{alert.severity.value}:{admin.id}",
        )
