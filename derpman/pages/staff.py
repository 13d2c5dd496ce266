"""What an admin's overview shows; read by nobody more often than every few seconds."""

from __future__ import annotations

from derpman.alerts import queries as alerts
from derpman.alerts.schemas import AlertOut
from derpman.containers import queries as containers
from derpman.distribution import applications
from derpman.finance import receipts
from derpman.kit.hot import Hot
from derpman.kit.work import UnitOfWork
from derpman.notifications import queries as notifications
from derpman.pages.schemas import OverviewOut, RelayCount
from derpman.servers import allowances
from derpman.servers import queries as servers
from derpman.servers import service as server_verbs
from derpman.servers.schemas import RegionOut
from derpman.traffic import queries as traffic
from derpman.users import queries as users
from derpman.users.states import UserStatus

NEWEST_ALERTS = 5
FRESH_SECONDS = 4.8
ACCOUNTS_DIFFER = ("traffic_drift", "ledger_differs")
Figures = Hot[OverviewOut]


def overview(work: UnitOfWork) -> OverviewOut:
    """Count what there is, in some fifteen statements however many users there are."""
    known = allowances.allowances(work)
    contacts = server_verbs.contacts(work, server_ids=known)
    by_role: dict[str, int] = {}
    suspended = 0
    for role, status, count in users.counts(work):
        if status is UserStatus.SUSPENDED:
            suspended += count
        elif status is UserStatus.ACTIVE:
            by_role[role] = by_role.get(role, 0) + count
    newest, _ = alerts.alerts(
        work,
        resolved=False,
        severity=None,
        alert_type=None,
        before=None,
        limit=NEWEST_ALERTS,
    )
    waiting, refused = notifications.mail_counts(work)
    return OverviewOut(
        regions=[RegionOut.of_row(row) for row in servers.regions(work)],
        servers=servers.counts(work),
        relays=[
            RelayCount(wanted=wanted, observed=observed, relays=count)
            for wanted, observed, count in containers.counts(work)
        ],
        users=by_role,
        suspended=suspended,
        alerts=alerts.open_counts(work),
        newest_alerts=[AlertOut.of(one) for one in newest],
        rate_bytes_per_second=sum(sum(one.rates.values()) for one in contacts.values()),
        month_traffic_bytes=sum(one.month_traffic_bytes for one in known.values()),
        traffic_bytes=sum(one.traffic_bytes for one in known.values()),
        customers_used_up=traffic.periods_over(work),
        mails_waiting=waiting,
        mails_refused=refused,
        receipts_waiting=receipts.waiting(work),
        applications_waiting=applications.waiting(work),
        accounts_differ=alerts.open_of(work, alert_types=ACCOUNTS_DIFFER),
    )
