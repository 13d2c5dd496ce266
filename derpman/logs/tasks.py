"""The sealer of the operation log, and what time does to logs."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from celery import shared_task

from derpman.kit.tasks import Task
from derpman.logs import sealing, service
from derpman.logs.sealing import Anchor

ANCHOR = "log-anchor"
"""The end of the chain, beside the database: a tail cut off there is missed here."""


@shared_task(bind=True, base=Task, name="logs.seal")
def seal(self: Task) -> None:
    """Link what was committed, and note the end of the chain."""
    sealed = 0
    while (count := self.edge(sealing.seal)) > 0:
        sealed += count
        if count < sealing.AT_ONCE:
            break
    if sealed:
        write_anchor(self.app.conf.derpman_system.settings.data_dir, self.edge.read(sealing.head))


@shared_task(bind=True, base=Task, name="logs.forget_old")
def forget_old(self: Task) -> None:
    """Remove what is older than the settings keep."""
    settings = self.app.conf.derpman_system.settings
    now = self.edge.clock()
    for forget, days in (
        (service.forget_user_logs, settings.user_log_days),
        (service.forget_server_logs, settings.server_log_days),
        (sealing.retire, settings.operation_log_days),
    ):
        while days and self.edge(forget, older_than=now - timedelta(days=days)):
            pass


def write_anchor(folder: Path, anchor: Anchor) -> None:
    """Keep the end of the chain in the data folder; the file is there whole or not at all."""
    draft = folder / f".{ANCHOR}.{os.getpid()}"
    draft.write_text(f"{anchor.position}:{anchor.digest}\n")
    draft.replace(folder / ANCHOR)


def read_anchor(folder: Path) -> Anchor | None:
    """Return the kept end of the chain, or None when there is none yet."""
    path = folder / ANCHOR
    if not path.is_file():
        return None
    position, _, digest = path.read_text().strip().partition(":")
    return Anchor(int(position), digest)
