"""The Celery application and our other background processes: what runs where, and when."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from celery import Celery
from celery.schedules import crontab
from sqlalchemy.exc import SQLAlchemyError

from derpman.containers import queries as containers
from derpman.containers import reconcile
from derpman.devices import sightings
from derpman.devices.sightings import PresenceBook
from derpman.ha.mover import Mover
from derpman.ha.probing import Prober
from derpman.ha.service import Limits
from derpman.kit import broker, folder_queue, turn
from derpman.kit.dispatch import Dispatcher, resume
from derpman.kit.errors import Unavailable
from derpman.kit.work import UnitOfWork
from derpman.servers import fleet
from derpman.traffic.rounds import Rounds
from derpman.wiring import System

log = structlog.get_logger(__name__)

TASK_MODULES: list[str] = [
    "derpman.access.tasks",
    "derpman.acl.tasks",
    "derpman.alerts.tasks",
    "derpman.containers.tasks",
    "derpman.traffic.anomaly_tasks",
    "derpman.devices.anomaly_tasks",
    "derpman.devices.map_tasks",
    "derpman.users.tasks",
    "derpman.distribution.tasks",
    "derpman.devices.tasks",
    "derpman.finance.tasks",
    "derpman.rentals.paying_tasks",
    "derpman.ha.tasks",
    "derpman.kit.tasks",
    "derpman.logs.tasks",
    "derpman.monitoring.tasks",
    "derpman.notifications.tasks",
    "derpman.rentals.tasks",
    "derpman.rentals.rotation_tasks",
    "derpman.serials.tasks",
    "derpman.tailnets.tasks",
    "derpman.traffic.tasks",
    "derpman.servers.tasks",
]

TIMETABLE: dict[str, dict[str, Any]] = {
    "forget old sessions": {"task": "access.forget_old", "schedule": crontab(minute="37")},
    "forget registrations": {
        "task": "users.forget_registrations",
        "schedule": crontab(minute="47"),
    },
    "forget mail counts": {
        "task": "notifications.purge_allowances",
        "schedule": crontab(minute="7"),
    },
    "forget told messages": {
        "task": "notifications.purge_messages",
        "schedule": crontab(minute="27"),
    },
    "watch customers' traffic": {"task": "traffic.watch_anomalies", "schedule": 60},
    "watch customers' hours": {
        "task": "traffic.watch_changes",
        "schedule": crontab(minute="20"),  # the hour before was rolled up at its end
    },
    "watch who connects": {"task": "devices.watch_anomalies", "schedule": 60},
    "forget where devices came from": {
        "task": "devices.forget_networks",
        "schedule": crontab(minute="57"),
    },
    "tell channels": {"task": "notifications.tell_due", "schedule": 15},
    "watch channels": {"task": "alerts.watch_channels", "schedule": 60},
    "send due mails": {"task": "notifications.send_due", "schedule": 15},
    "watch waiting mails": {"task": "alerts.watch_mails", "schedule": 60},
    "look at linked tailnets": {"task": "devices.look_due", "schedule": 5},
    "push ACLs": {"task": "tailnets.push_due", "schedule": 15},
    "find ACLs to push": {"task": "tailnets.push_missing", "schedule": 60},
    "end expired rentals": {"task": "rentals.end_expired", "schedule": 30},
    "tell of expiry": {"task": "rentals.send_notices", "schedule": 30},
    "change plans": {"task": "rentals.change_terms", "schedule": 10},
    "deregister accounts": {"task": "rentals.deregister", "schedule": 5},
    "make next ACL versions": {"task": "rentals.rotate", "schedule": 5},
    "watch which ACL version devices use": {"task": "devices.watch_maps", "schedule": 10},
    "attend superseded ACL versions": {"task": "acl.attend_due", "schedule": 10},
    "resolve what was ordered by nobody": {
        "task": "containers.resolve_unordered",
        "schedule": 60,
    },
    "resume lost server jobs": {"task": "servers.resume_jobs", "schedule": 20},
    "go on with upgrades": {"task": "servers.advance_upgrades", "schedule": 5},
    "begin traffic periods": {"task": "traffic.turn_periods", "schedule": 10},
    "sum up servers' traffic": {"task": "traffic.sum_up_servers", "schedule": 60},
    "roll up traffic": {"task": "traffic.roll_up", "schedule": crontab(minute="0")},
    "sum up days of traffic": {
        "task": "traffic.sum_up_days",
        "schedule": crontab(hour="16", minute="10"),  # ten past midnight in Beijing
    },
    "settle distributors' months": {
        "task": "distribution.settle_months",
        "schedule": crontab(minute="13"),
    },
    "expire unused serials": {"task": "serials.expire_unused", "schedule": 60},
    "measure": {"task": "monitoring.measure", "schedule": 30},
    "forget old metrics": {"task": "monitoring.forget_old", "schedule": crontab(minute="52")},
    "ask payment gateways": {"task": "finance.ask_gateways", "schedule": 5},
    "close unpaid orders": {"task": "finance.expire_orders", "schedule": 15},
    "book what was earned": {"task": "finance.book_days", "schedule": crontab(minute="3")},
    "sum up money": {"task": "finance.roll_up", "schedule": 5},
    "check the ledger": {"task": "finance.check_ledger", "schedule": crontab(minute="33")},
    "check commissions": {
        "task": "distribution.check_commissions",
        "schedule": crontab(minute="43"),
    },
    "renew from wallets": {"task": "rentals.renew_from_wallets", "schedule": 60},
    "seal the operation log": {"task": "logs.seal", "schedule": 5},
    "forget old logs": {"task": "logs.forget_old", "schedule": crontab(minute="42")},
    "purge deliveries": {"task": "kit.purge_deliveries", "schedule": crontab(minute="17")},
}
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
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        timezone="UTC",
        beat_schedule=TIMETABLE,
        # Nothing is remembered between starts: a sweep that runs once more does no harm, and a
        # schedule file that `kill -9` cut short does.
        beat_scheduler="celery.beat:Scheduler",
        beat_max_loop_interval=10,
        derpman_edge=system.edge(),
        derpman_system=system,
        derpman_may_remake=containers.others_run,
    )
    if settings.is_embedded:
        folder_queue.register()
        app.conf.broker_transport_options = _folders(settings.data_dir)
    app.set_default()
    return app


def _folders(data_dir: Path) -> dict[str, Any]:
    """Return the folder broker of the embedded default; losing it loses no work, only time."""
    queue = broker.queue_folder(data_dir)
    control = queue.with_name("control")
    for folder in (queue, control):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(control),
        "polling_interval": 0.1,
    }


def run_tasks(system: System) -> None:
    """Run Celery tasks until a signal. Threads: tasks wait for networks and databases only."""
    try:
        system.edge()(resume)  # what the worker before us had in its hands when it was killed
    except (SQLAlchemyError, OSError, Unavailable):
        log.warning("deliveries not looked at", exc_info=True)  # they are found when overdue
    celery_app(system).worker_main(
        [
            "worker",
            "--pool=threads",
            "--concurrency=4",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={system.settings.log_level}",
        ]
    )


def run_beat(system: System) -> None:
    """Send the sweeps of the timetable until a signal, when it is this process's turn."""
    settings = system.settings
    if settings.redis_url is None:
        turn.wait_for_file(settings.data_dir / "beat.lock")
    else:
        turn.RedisTurn(settings.redis_url.get_secret_value(), "beat", _end_this_process).wait()
    celery_app(system).start(["beat", f"--loglevel={system.settings.log_level}", "--pidfile="])


def _end_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def run_dispatcher(system: System) -> None:
    """Hand due deliveries to Celery until a signal."""
    app = celery_app(system)

    def send(task: str, delivery_id: int) -> None:
        app.send_task(task, args=[delivery_id], retry=False)

    dispatcher = Dispatcher(system.edge(), system.wake, send)

    def stop(_sign: int, _frame: object) -> None:
        dispatcher.stop()

    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, stop)
    dispatcher.run_forever()


class Panel:
    """What is wanted of a server, and what follows from what its node reports."""

    def __init__(self, rounds: Rounds) -> None:
        self._presence = PresenceBook()
        self._rounds = rounds

    def desired(self, work: UnitOfWork, *, server_id: int, force: bool) -> Mapping[str, Any] | None:
        return reconcile.desired_state(work, server_id=server_id, force=force)

    def observed(self, work: UnitOfWork, *, server_id: int, snapshot: Mapping[str, Any]) -> None:
        reconcile.record_observed(work, server_id=server_id, snapshot=snapshot)
        if snapshot["knocks"]:
            sightings.record_knocks(work, server_id=server_id, knocks=snapshot["knocks"])
        sightings.record_presence(work, server_id=server_id, snapshot=snapshot, book=self._presence)
        self._rounds.observe(work, server_id=server_id, snapshot=snapshot)


def _beside(system: System) -> fleet.Beside:
    """Return what runs with the links: probes, and moves to other servers."""
    settings = system.settings
    prober = Prober(system.edge(), every_seconds=settings.probe_seconds)
    mover = Mover(
        system.edge(),
        limits=Limits(settings.moves_per_minute, settings.moves_share_percent),
        after_seconds=settings.failover_seconds if settings.failover_automatic else None,
    )

    async def run(links: fleet.Fleet) -> None:
        await asyncio.gather(prober.run(links), mover.run())

    return run


def run_servers(system: System) -> None:
    """Keep in touch with the servers' nodes until a signal."""
    rounds = Rounds(
        system.edge(),
        every_seconds=system.settings.metering_seconds,
        line_bytes_per_second=system.settings.line_bytes_per_second,
    )
    rounds.start()
    try:
        fleet.run_forever(
            fleet.Fleet(
                edge=system.edge(),
                wake=system.wake,
                panel=Panel(rounds),
                build_dir=system.settings.build_dir,
                beside=_beside(system),
            )
        )
    finally:
        rounds.stop()
