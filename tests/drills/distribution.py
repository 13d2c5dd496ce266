"""A distributor's whole way over HTTP: apply, buy by transfer, customer, commission, statement."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
from PIL import Image

from derpman.access import service as access
from derpman.distribution import checking as commission_checks
from derpman.distribution import commissions, settlement
from derpman.finance import channels, checking, ledger
from derpman.finance import service as finance
from derpman.finance.models import Account, Method
from derpman.kit.work import Role, UnitOfWork
from derpman.users import service as users
from tests.drills._drill import Drill, program
from tests.drills._races import Installation
from tests.system.emulators.alipay import AlipayServer
from tests.system.folders import Folder
from tests.system.processes import spawn, wait_until
from tests.system.services import MariaDB

BUDGET_S = 120
PARTS = {
    "api": ["serve"],
    "dispatcher": ["worker", "--only", "dispatcher"],
    "tasks": ["worker", "--only", "tasks"],
}
QUANTITY = 7
CAST = {
    "boss": Role.SUPER_ADMIN,
    "dora": Role.ADMIN,
    "rita": Role.DISTRIBUTOR,
    "rolf": Role.DISTRIBUTOR,
    "carl": Role.USER,
}


class Scene:
    """The parts of a panel as processes, Alipay's emulator, and everybody logged in."""

    def __init__(self, drill: Drill, folder: Path) -> None:
        self.alipay = drill.use(AlipayServer())
        self.there = Installation(drill.use(MariaDB()).fresh(), folder)
        drill.finally_(self.there.system.engine.dispose)
        environment = {**self.there.environment, "DERPMAN_ALIPAY_URL": self.alipay.gateway}
        self.there.add_servers(3, capacity=1000)
        self.tokens = self.there.edge(cast, self.alipay.credentials)
        self.client = drill.use(
            httpx.Client(
                base_url=f"http://127.0.0.1:{environment['DERPMAN_LISTEN_PORT']}", timeout=30
            )
        )
        for part, words in PARTS.items():
            process = spawn(
                [sys.executable, "-m", "derpman", *words],
                log=folder / f"{part}.log",
                env=environment,
            )
            drill.finally_(process.kill)
        wait_until(self._answers, 60, "the API answers")

    def _answers(self) -> bool:
        try:
            return self.client.get("/api/finance/plans").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, who: str, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = self.send(who, method, path, **more)
        assert answer.status_code == 200, f"{who} {path}: {answer.text}"
        return answer.json()

    def send(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        return self.client.request(method, path, headers=headers, **more)


def cast(work: UnitOfWork, credentials: dict[str, str]) -> dict[str, str]:
    """Make everybody, and switch the ways of paying on; return tokens by name."""
    channels.set_credentials(
        work, method=Method.ALIPAY, version=0, is_enabled=True, credentials=credentials
    )
    channels.set_account(
        work,
        method=Method.ALIPAY_TRANSFER,
        version=0,
        is_enabled=True,
        account="shop@example.com",
        account_name="Shop",
        qr_text="https://qr.example/abc",
    )
    for name, role in CAST.items():
        users.create(
            work,
            username=name,
            email=f"{name}@example.com",
            password_hash="-",
            role=role,
            locale="en",
        )
    work.session.flush()
    return {name: log_in(work, name) for name in CAST}


def log_in(work: UnitOfWork, name: str) -> str:
    return access.open_session(work, user_id=users.by_username(work, username=name).id)


def play(drill: Drill) -> None:
    folder = Folder(Path("/var/tmp/derpman-money"))
    drill.finally_(folder.close)
    with drill.step("stand up API, dispatcher and tasks, Alipay's emulator, MariaDB"):
        scene = Scene(drill, folder.path / "distribution")
    plan = scene.there.edge.read(finance.plan_of_days, 30)
    rita = scene.there.edge.read(users.by_username, username="rita").id
    with drill.step("the super admin makes rita platinum"):
        wish = {"level": "platinum", "may_generate": False, "credit_limit_fen": 0, "version": 0}
        scene.ask("boss", "POST", f"/api/admin/distributor/{rita}/terms", json=wish)
    order = buy(drill, scene, plan.id, plan.price_fen)
    codes = order["codes"]
    with drill.step("carl activates one of them"):
        scene.ask("carl", "POST", "/api/user/activate", json={"code": codes[0]})
        customers = scene.ask("rita", "GET", "/api/admin/my/customers")["customers"]
    drill.figure("customers", [one["username"] for one in customers], equals=["carl"])
    renewal = renew(drill, scene, plan.id)
    with drill.step("the commission appears"):
        wait_until(lambda: lines(scene), 30, "the commission")
    line = lines(scene)[0]
    drill.figure("commission_fen", line["fen"], equals=plan.price_fen * 2000 // 10_000)
    drill.check("of_the_renewal", line["order"] == renewal)
    settle(drill, scene, rita, line["fen"])
    with drill.step("another distributor sees nothing of it"):
        seen = {
            name: scene.ask("rolf", "GET", f"/api/admin/my/{name}")[name]
            for name in ("customers", "serials", "commissions", "statements", "applications")
        }
        foreign = scene.send("rolf", "GET", f"/api/admin/my/purchase/{order['order_id']}")
    drill.figure("seen_by_another", sum(map(len, seen.values())), equals=0)
    drill.figure("a_foreign_purchase", foreign.status_code, equals=404)
    _, differing = scene.there.edge(checking.check_accounts, after=0, limit=1000)
    drill.figure("wrong_balances", differing, equals=0)
    for check in (commission_checks.check_orders, commission_checks.check_payables):
        _, differing = scene.there.edge(check, after=0, limit=1000)
        drill.figure(f"wrong_by_{check.__name__}", differing, equals=0)
    drill.figure("wrong_orders", scene.there.edge(checking.check_orders), equals=0)
    drill.figure("all_accounts_fen", scene.there.edge.read(everything), equals=0)


def buy(drill: Drill, scene: Scene, plan_id: int, price_fen: int) -> dict[str, Any]:
    """Apply, be approved, pay by transfer, be confirmed; return the purchase with its serials."""
    with drill.step(f"rita applies for {QUANTITY} serials"):
        wish = {"plan_id": plan_id, "quantity": QUANTITY, "note": "for the shop"}
        made = scene.ask("rita", "POST", "/api/admin/my/applications", json=wish)["application"]
    with drill.step("an admin approves"):
        path = f"/api/admin/applications/{made['id']}/approve"
        order_id = scene.ask("dora", "POST", path)["application"]["order_id"]
    order = scene.ask("rita", "GET", f"/api/admin/my/purchase/{order_id}")
    listed = price_fen * QUANTITY
    drill.figure("list_fen", listed)
    drill.figure("price_fen", order["amount_fen"], equals=listed - listed * 2000 // 10_000)
    with drill.step("rita transfers the money and uploads the proof"):
        proof = io.BytesIO()
        Image.new("RGB", (200, 300), "white").save(proof, "PNG")
        scene.ask(
            "rita",
            "POST",
            f"/api/finance/orders/{order_id}/receipt",
            files={"file": ("proof.png", proof.getvalue(), "image/png")},
            data={"method": "alipay_transfer"},
        )
        found = scene.ask("boss", "GET", "/api/finance/receipts?status=waiting")["receipts"]
    confirm = f"/api/finance/receipts/{found[0]['id']}/confirm"
    refused = scene.send("dora", "POST", confirm)
    drill.figure("confirmed_by_an_admin", refused.status_code, equals=403)
    with drill.step("the super admin confirms; the serials come"):
        scene.ask("boss", "POST", confirm)
        mine = f"/api/admin/my/purchase/{order_id}"
        wait_until(lambda: scene.ask("rita", "GET", mine)["codes"], 30, "the serials")
    order = scene.ask("rita", "GET", mine)
    drill.figure("serials", len(order["codes"]), equals=QUANTITY)
    return order


def renew(drill: Drill, scene: Scene, plan_id: int) -> str:
    """Renew carl's rental by Alipay; return the order's number."""
    with drill.step("carl renews by Alipay"):
        wish = {"plan_id": plan_id, "method": "alipay", "request_key": "carl-renews-once"}
        order = scene.ask("carl", "POST", "/api/finance/orders", json=wish)["order"]
        number = order["number"]
        wait_until(lambda: number in scene.alipay.trades, 30, "Alipay knows the order")
        scene.alipay.pay(number)
        for _ in range(2):  # gateways repeat themselves
            notice = scene.alipay.notice(number)
            scene.client.post("/api/finance/notify/alipay", content=notice)

        def renewed() -> bool:
            shown = scene.ask("carl", "GET", f"/api/finance/orders/{order['id']}")["order"]
            return shown["status"] == "renewed"

        wait_until(renewed, 30, "the rental is renewed")
    return number


def lines(scene: Scene) -> list[dict[str, Any]]:
    return scene.ask("rita", "GET", "/api/admin/my/commissions")["commissions"]


def settle(drill: Drill, scene: Scene, rita: int, earned: int) -> None:
    """Let the month end, twice; check the statement."""
    with drill.step("the month ends and is settled, twice"):
        later = scene.there.system.clock() + timedelta(days=32)
        edge = replace(scene.there.edge, clock=lambda: later)
        made = [*edge(settlement.settle, user_id=rita), *edge(settlement.settle, user_id=rita)]
    drill.figure("statements", len(made), equals=1)
    path = f"/api/admin/my/statements/{made[0].id}"
    shown = scene.ask("rita", "GET", path)
    one = shown["statement"]
    drill.say(f"statement {one['month']}: {one}")
    drill.say(f"purchases of the month: {shown['purchases']}")
    rows = scene.send("rita", "GET", f"{path}/export").text.splitlines()[1:]
    drill.figure("lines_add_up_fen", sum(int(row.split(",")[-1]) for row in rows), equals=earned)
    drill.figure("paid_to_wallet_fen", one["to_wallet_fen"], equals=earned)
    drill.figure(
        "statement_adds_up_fen",
        one["opening_fen"]
        + one["earned_fen"]
        - one["taken_back_fen"]
        - one["to_credit_fen"]
        - one["to_wallet_fen"]
        - one["closing_fen"],
        equals=0,
    )
    wallet = scene.ask("rita", "GET", "/api/finance/wallet")
    drill.figure("wallet_fen", wallet["cash_fen"], equals=earned)
    left = scene.there.edge.read(ledger.balance, commissions.payable(rita))
    drill.figure("left_open_fen", left, equals=0)


def everything(work: UnitOfWork) -> int:
    accounts = [one.id for one in work.session.query(Account)]
    return sum(ledger.derived(work, accounts).values())


if __name__ == "__main__":
    program(play)
