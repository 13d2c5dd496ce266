"""One person's data can be taken along, and erased once he has gone."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update

from derpman.kit.db import Base
from derpman.kit.work import Edge, UnitOfWork
from derpman.logs import service as logs
from derpman.pages import personal
from derpman.users import messages
from derpman.users.errors import NotGone
from derpman.users.models import User
from derpman.users.states import UserStatus
from tests.conftest import Person

IP = "198.51.100.77"
TELLS = re.compile(r"ip_address|location|browser|machine|note|username|email|actor_name|^name$")
KEPT = {
    "admin_members": "no text of his",
    "traffic_grants": "who granted",
    "slot_moves": "who moved",
    "rental_terms": "who renewed",
    "journal_entries": "law on accounts: what was booked and why",
    "user_containers": "our own address",
}
"""Tables with columns that look as if they told of him, and why they may stay as they are."""


def traces(work: UnitOfWork, user_id: int, texts: list[str]) -> set[str]:
    """The columns in which one of these texts still stands."""
    found: set[str] = set()
    for table in Base.metadata.tables.values():
        for row in work.session.execute(select(table)).mappings():
            for name, value in row.items():
                if isinstance(value, str) and any(text in value for text in texts):
                    found.add(f"{table.name}.{name}")
    return found


def live(work: UnitOfWork, user_id: int) -> None:
    """Leave traces: a log-in, a download, a mail, a knock."""
    logs.record_user(work, user_id=user_id, action="login")
    lines = Base.metadata.tables["user_logs"]
    work.session.execute(update(lines).where(lines.c.user_id == user_id).values(ip_address=IP))
    messages.mail(
        work, user_id, "password_changed", {"at": work.now, "ip": IP, "place": "", "browser": ""}
    )
    work.session.execute(
        insert(Base.metadata.tables["acl_downloads"]).values(
            user_id=user_id,
            username="eve",
            ip_address=IP,
            location="",
            machine_code="machine",
            browser="Firefox",
            acl_version="1",
            system="Linux",
            form="policy",
            created_at=work.now,
        )
    )


def test_everything_that_looks_as_if_it_told_of_somebody_is_dealt_with():
    dealt = {*personal.FORGOTTEN, *personal.BLANKED, *KEPT}
    for table in Base.metadata.tables.values():
        if "user_id" in table.columns:
            telling = [column.name for column in table.columns if TELLS.search(column.name)]
            only_actor = telling == ["actor_name"]  # blanked wherever it is he himself
            assert not telling or only_actor or table.name in dealt, (table.name, telling)


def test_he_takes_along_what_is_his_and_no_secret(
    client: TestClient, edge: Edge, eve: Person, carl: Person
):
    edge(live, user_id=eve.id)
    answer = client.get("/api/user/personal_data", headers=eve.headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/zip"
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    files = {
        name.removesuffix(".jsonl"): [json.loads(line) for line in packed.open(name)]
        for name in packed.namelist()
    }
    assert files["users"][0]["username"] == "eve"
    assert files["user_logs"][0]["ip_address"] == IP
    assert {"users", "user_logs", "mails", "acl_downloads", "sessions"} <= files.keys()
    everything = json.dumps(files)
    assert "carl" not in everything
    for rows in files.values():
        for name in rows[0]:
            assert not name.endswith(personal.WITHHELD), name
    for _ in range(4):
        assert client.get("/api/user/personal_data", headers=eve.headers).status_code == 200
    assert client.get("/api/user/personal_data", headers=eve.headers).status_code == 429


def test_only_a_super_admin_takes_or_erases_what_is_anothers(
    client: TestClient, root: Person, eve: Person, carl: Person
):
    path = f"/api/user/{eve.id}"
    assert client.get(f"{path}/personal_data", headers=carl.headers).status_code == 403
    assert client.post(f"{path}/erase", headers=carl.headers).status_code == 403
    assert client.get(f"{path}/personal_data", headers=root.headers).status_code == 200
    refused = client.post(f"{path}/erase", headers=root.headers)
    assert refused.json()["error"]["code"] == "users.not_gone"


def test_nothing_tells_of_him_after_erasure_but_the_chained_log(
    client: TestClient, edge: Edge, root: Person, eve: Person, carl: Person
):
    edge(live, user_id=eve.id)
    texts = ["eve", eve.email, IP, "Firefox"]
    assert {"users.username", "mails.address", "user_logs.ip_address"} <= edge.read(
        traces, eve.id, texts
    )
    with pytest.raises(NotGone):
        edge(personal.erase, user_id=eve.id)

    def go(work: UnitOfWork) -> None:
        work.session.get_one(User, eve.id).status = UserStatus.DEREGISTERED

    edge(go)
    answer = client.post(f"/api/user/{eve.id}/erase", headers=root.headers)
    assert answer.status_code == 200, answer.text
    left = edge.read(traces, eve.id, texts)
    assert {one for one in left if not one.startswith("system_logs.")} == set()
    edge(personal.erase, user_id=eve.id)  # once more changes nothing

    def rest(work: UnitOfWork) -> Any:
        return work.session.get_one(User, eve.id).username, work.session.get_one(
            User, carl.id
        ).email

    assert edge.read(rest) == (f"#{eve.id}", carl.email)
