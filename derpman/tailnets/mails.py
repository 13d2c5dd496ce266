"""Mails about links and pushes, queued by the handlers of their events."""

from __future__ import annotations

from derpman.kit.work import UnitOfWork
from derpman.tailnets import service
from derpman.tailnets.models import AclPush
from derpman.tailnets.states import LinkStatus
from derpman.tailnets.texts import text_of
from derpman.users import messages
from derpman.users import service as users


def tell_refused(work: UnitOfWork, *, user_id: int, code: str, params: str) -> None:
    """Tell a customer that his control server refuses us; nothing when it works again."""
    link = service.find(work, user_id=user_id)
    if link is None or link.status is not LinkStatus.REFUSED or link.error != code:
        return
    once_key = f"link:{link.id}:{link.generation}:{code}:{work.now:%Y%m%d}"
    _tell(work, user_id, "link_refused", code, params, once_key)


def tell_push_failed(work: UnitOfWork, *, push_id: int) -> None:
    """Tell a customer that a version did not get into his policy by itself.

    Of one that he asked for he sees it on the page.
    """
    push = work.session.get(AclPush, push_id)
    if push is None or not push.is_automatic or push.error is None:
        return
    once_key = f"push:{push.user_id}:{push.version_id}:{push.error}"
    _tell(work, push.user_id, "push_failed", push.error, push.error_params or "{}", once_key)


def _tell(
    work: UnitOfWork, user_id: int, template: str, code: str, params: str, once_key: str
) -> None:
    user = users.get(work, user_id)
    messages.mail(
        work,
        user.id,
        template,
        once_key=once_key,
        params={"what": text_of(code, params, user.locale)},
    )
