"""A serial tells its whole story: who made, sold and used it, and what runs for it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from derpman.distribution import purchasing, terms
from derpman.distribution.states import Level
from derpman.finance import service as finance
from derpman.finance.models import Method
from derpman.kit.work import Edge
from derpman.pages import serial_chain
from derpman.serials import queries
from tests.conftest import Person


def test_the_chain_goes_from_the_purchase_to_the_containers(
    client: TestClient,
    edge: Edge,
    edge_of: Callable[..., Edge],
    root: Person,
    rita: Person,
    carl: Person,
    add_server: Callable[..., int],
    statements: list[str],
):
    servers = {add_server() for _ in range(3)}
    edge(
        terms.set_terms,
        user_id=rita.id,
        level=Level.GOLD,
        may_generate=False,
        credit_limit_fen=10_000,
        version=0,
    )
    order = edge_of(rita.actor)(
        purchasing.place,
        user_id=rita.id,
        plan_id=edge.read(finance.plan_of_days, 30).id,
        quantity=2,
        request_key="two-serials",
        method=Method.CREDIT,
    )
    found, _ = edge.read(queries.serials, order_id=order.id, limit=10)
    unused, used = found
    body = {"code": used.code}
    assert client.post("/api/user/activate", json=body, headers=carl.headers).status_code == 200
    path = f"/api/serial/{used.id}/chain"
    assert client.get(path, headers=rita.headers).status_code == 403
    statements.clear()
    edge.read(serial_chain.chain, used.id)
    assert len(statements) <= 14, "\n".join(statements)
    chain = client.get(path, headers=root.headers).json()
    assert (chain["maker"], chain["distributor"], chain["order"]) == ("rita", "rita", order.number)
    assert (chain["username"], chain["term"]["used_percent"]) == ("carl", 0)
    assert {one["server_id"] for one in chain["containers"]} == servers
    other = client.get(f"/api/serial/{unused.id}/chain", headers=root.headers).json()
    assert (other["order"], other["term"], other["containers"]) == (order.number, None, [])
