"""What an admin's role can permit, and which permission each route of the API needs.

A route's permission follows from its address: the first rule that fits, else reading or writing of
the area it begins with. So a new route has one before anybody thinks of it, and a route of an area
that is not named here keeps the application from starting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from derpman.kit.http import Rule
from derpman.kit.work import Role

READING = frozenset({"GET", "HEAD"})

PERMISSIONS: dict[str, tuple[str, str]] = {
    "users.read": ("查看用户", "See users"),
    "users.write": ("停用、续费、终止用户租赁", "Suspend, renew and end customers' rentals"),
    "serials.read": ("查看序列号", "See serial numbers"),
    "serials.write": ("生成和作废序列号", "Generate and revoke serial numbers"),
    "servers.read": ("查看服务器", "See servers"),
    "servers.write": ("添加、检查、升级服务器", "Add, check and upgrade servers"),
    "servers.remove": ("移除和放弃服务器", "Remove and give up servers"),
    "containers.read": ("查看容器", "See containers"),
    "containers.write": ("分配容器", "Allocate containers"),
    "acl.read": ("查看 ACL 及下载记录", "See ACLs and who downloaded them"),
    "acl.write": ("生成 ACL", "Generate ACLs"),
    "finance.read": ("查看财务与订单", "See finances and orders"),
    "finance.write": ("修改套餐与订单", "Change plans and orders"),
    "finance.confirm": ("确认收款", "Confirm receipts"),
    "finance.refund": ("退款与补偿", "Refund and compensate"),
    "ha.read": ("查看故障切换", "See failover"),
    "ha.write": ("执行故障切换与迁移", "Fail over and move"),
    "logs.read": ("查看日志", "See logs"),
    "notifications.read": ("查看邮件", "See mails"),
    "notifications.write": ("发送通知", "Send notifications"),
    "distribution.read": ("查看分销", "See distribution"),
    "distribution.write": ("审批分销申请", "Decide on distributors' applications"),
    "traffic.read": ("查看流量", "See traffic"),
    "traffic.write": ("增加流量、处理隔离数据", "Grant traffic, decide on quarantined counts"),
    "alerts.read": ("查看告警", "See alerts"),
    "alerts.write": ("处理告警与规则", "Resolve alerts and change rules"),
    "monitoring.read": ("查看监控", "See monitoring"),
    "security.read": ("查看设备与安全", "See devices and security"),
    "security.write": ("管理设备与安全", "Manage devices and security"),
}
"""Each with its words in Chinese and English."""

AREAS = {
    "user": "users",
    "serial": "serials",
    "server": "servers",
    "container": "containers",
    "acl": "acl",
    "finance": "finance",
    "ha": "ha",
    "logs": "logs",
    "notifications": "notifications",
    "admin": "distribution",
    "traffic": "traffic",
    "alerts": "alerts",
    "monitoring": "monitoring",
    "security": "security",
    "tailnet": "acl",
}
"""The first word of an address, and whose permissions it needs."""

SPECIAL: tuple[tuple[str, str], ...] = (
    (r"POST /api/user/compensate$", "finance.refund"),
    (r"POST /api/rentals?/compensate$", "finance.refund"),
    (r"POST /api/finance/(.*/)?(refund|reverse|compensate)$", "finance.refund"),
    (r"POST /api/finance/receipts/.*/(confirm|refuse)$", "finance.confirm"),
    (r"POST /api/server/[^/]+/(remove|give_up)$", "servers.remove"),
    (r"POST /api/server/[^/]+/(drain|undrain)$", "ha.write"),
    (r"(GET|HEAD) /api/admin/(overview|live)$", "monitoring.read"),
)
"""Finer than an area: method and address, and the permission; the first that fits counts."""

OF_ONE = ("users", "security", "traffic", "finance")
"""The areas whose routes about one user reach an admin who may see his own customers only."""
LIST_OF_OWN = "GET /api/user/list"
"""What he may list: the customers he looks after."""

EVERYBODYS = frozenset({"monitoring.read"})
"""What every admin's role has: the page he begins at."""


@dataclass(frozen=True)
class Declared:
    """One route and who may call it."""

    method: str
    path: str
    rule: Rule
    permission: str | None
    """What an admin's role must have; None: nothing in particular."""

    @property
    def is_within_own(self) -> bool:
        """Tell whether an admin who may see his own customers only may call it, about those."""
        if self.permission is None or f"{self.method} {self.path}" == LIST_OF_OWN:
            return True
        return "{user_id" in self.path and self.permission.partition(".")[0] in OF_ONE


class Undeclared(Exception):
    """A route says not who may call it: the application does not start."""


def permission_of(method: str, path: str, rule: Rule) -> str | None:
    """Return what an admin's role must have to call a route, or None; raise Undeclared."""
    if Role.NOBODY in rule.roles or rule.is_own or Role.ADMIN not in rule.roles:
        return None
    if Role.USER in rule.roles and path.startswith("/api/user/") and "{user_id" not in path:
        return None  # about himself
    line = f"{method} {path}"
    for pattern, permission in SPECIAL:
        if re.match(pattern, line):
            return permission
    area = AREAS.get(path.split("/")[2] if path.startswith("/api/") else "")
    if area is None:
        raise Undeclared(f"{line}: no permission follows from its address")
    reads = f"{area}.read"
    writes = f"{area}.write"
    return reads if method in READING or writes not in PERMISSIONS else writes


def declare(routes: Iterable[tuple[frozenset[str], str, Rule | None]]) -> list[Declared]:
    """Return every method of every route with its permission; raise Undeclared for one without."""
    declared: list[Declared] = []
    for methods, path, rule in routes:
        for method in sorted(methods):
            if rule is None:
                raise Undeclared(f"{method} {path}: nothing says who may call it")
            declared.append(Declared(method, path, rule, permission_of(method, path, rule)))
    return declared
