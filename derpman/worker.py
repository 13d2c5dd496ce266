"""The Celery application: which tasks there are, when they run by themselves, which broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

from derpman.kit import journal
from derpman.settings import Settings
from derpman.wiring import System, assemble

TASK_MODULES: list[str] = []

TIMETABLE: dict[str, dict[str, Any]] = {}
"""Sweeps: each finds what an event should have caused and did not, and what time alone causes."""


def celery_app(system: System) -> Celery:
    """Return the application of one installation."""
    settings = system.settings
    app = Celery("derpman", include=TASK_MODULES)
    app.conf.update(
        broker_url=settings.broker,
        broker_connection_retry_on_startup=True,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        # A delivery is a row and is sent again when overdue; a message that waits longer than
        # that is only a second copy.
        task_soft_time_limit=120,
        task_time_limit=150,
        worker_hijack_root_logger=False,
        worker_max_tasks_per_child=2000,
        timezone="UTC",
        beat_schedule=TIMETABLE,
        beat_max_loop_interval=10,
        beat_schedule_filename=str(settings.data_dir / "beat-schedule"),
        derpman_edge=system.edge(),
        derpman_system=system,
    )
    if settings.redis_url is None:
        app.conf.broker_transport_options = _folders(settings.data_dir / "broker")
    app.set_default()
    return app


def _folders(root: Path) -> dict[str, Any]:
    """Return the folder broker of the embedded default; losing it loses no work, only time."""
    queue, control = root / "queue", root / "control"
    for folder in (queue, control):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(control),
        "polling_interval": 0.1,
    }


def app_of_process() -> Celery:
    """Return the application for this process, from its environment."""
    settings = Settings()
    journal.configure(level=settings.log_level, as_json=settings.log_json, process="worker")
    return celery_app(assemble(settings))


@worker_process_init.connect
def forget_parent_connections(**_: object) -> None:
    """Give each child its own database connections: a shared socket mixes answers."""
    from celery import current_app  # noqa: PLC0415 # the child's, known only now

    current_app.conf.derpman_system.engine.dispose(close=False)
