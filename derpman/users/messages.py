"""Mails that need to know who somebody is: to a user, and of alerts to admins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from derpman.alerts import service as alerts
from derpman.alerts.texts import sentence
from derpman.kit.work import Role, UnitOfWork
from derpman.logs import service as logs
from derpman.notifications import service as notifications
from derpman.notifications.models import Mail
from derpman.users import service
from derpman.users.models import User
from derpman.users.states import UserStatus


def mail(
    work: UnitOfWork,
    user_id: int,
    template: str,
    params: Mapping[str, Any],
    *,
    secrets: Mapping[str, str] | None = None,
    once_key: str | None = None,
) -> Mail | None:
    """Queue a mail to a user, in his language and with his name; see `notifications.queue_mail`."""
    user = service.get(work, user_id)
    return notifications.queue_mail(
        work,
        template=template,
        address=user.email,
        locale=user.locale,
        user_id=user.id,
        params={"username": user.username, **params},
        secrets=secrets,
        once_key=once_key,
    )


def send_message(work: UnitOfWork, *, user_id: int, subject: str, message: str) -> None:
    """Mail a user what an admin wrote."""
    sent = mail(work, user_id, "plain", {"subject": subject, "message": message})
    logs.record(
        work,
        action="notifications.send",
        object_type="user",
        object_id=user_id,
        after={"subject": subject, "mail_id": sent and sent.id},
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
