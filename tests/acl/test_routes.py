"""`/api/acl/…` as its customer, a stranger and an admin call it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml
from sqlalchemy import select
from starlette.testclient import TestClient

from derpman.access import service as access
from derpman.acl import destroying, documents, hujson, service
from derpman.acl.models import AclDownload
from derpman.kit import machines
from derpman.kit.work import Edge
from derpman.rentals import service as rentals
from derpman.wiring import System
from tests.acl.conftest import Activate, Issue
from tests.conftest import MovableClock, Person

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)
POLICY = """// ours
{
	"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}], // all
}
"""


def code_of(answer: Any) -> str:
    assert answer.json()["success"] is False
    return answer.json()["error"]["code"]


def taken(edge: Edge) -> list[AclDownload]:
    return edge.read(
        lambda work: list(work.session.scalars(select(AclDownload).order_by(AclDownload.id)))
    )


def again(edge: Edge, who: Person) -> Person:
    """Return somebody logged in anew: an ACL lives longer than a session that is not used."""
    return replace(who, token=edge(access.open_session, user_id=who.id))


def get(client: TestClient, who: Person, path: str, **params: Any) -> Any:
    return client.get(f"/api/acl/{path}", params=params, headers=who.headers)


def post(client: TestClient, who: Person, path: str, **body: Any) -> Any:
    return client.post(f"/api/acl/{path}", json=body, headers=who.headers)


def test_customer_sees_his_version(
    client: TestClient, carl: Person, activate: Activate, clock: MovableClock, edge: Edge
) -> None:
    assert get(client, carl, "current").json() == {"success": True, "acl": None}
    activate(carl)
    acl = get(client, carl, "current").json()["acl"]
    assert (acl["version"], acl["region_ids"]) == (1, [931, 932, 933])
    assert (acl["is_offered"], acl["reason"]) == (True, None)
    assert "headscale_address" in acl["forms"]
    assert acl["ends_at"] == (clock.now + timedelta(days=32)).isoformat().replace("+00:00", "Z")
    clock.advance(days=32)
    acl = get(client, again(edge, carl), "current").json()["acl"]
    assert (acl["is_offered"], acl["reason"], acl["forms"]) == (False, "acl.expired", [])


def test_customer_sees_what_changed_since_his_last_version(
    client: TestClient, carl: Person, eve: Person, edge: Edge, activate: Activate, issue: Issue
) -> None:
    assert get(client, carl, "changes").json()["changes"] is None
    activate(carl)
    assert get(client, carl, "changes").json()["changes"] is None
    first = edge.read(service.current, user_id=carl.id)
    assert first is not None
    ports = [slot.port for slot in documents.slots_of(first)]
    issue(carl, ports=10)
    seen = get(client, carl, "changes").json()["changes"]
    assert (seen["version"], seen["since"]) == (2, 1)
    changed = [line.split()[:3] for line in seen["diff"].splitlines()[2:] if line[0] in "+-"]
    assert changed == [
        line for port in ports for line in (["-", "derp", f"{port}"], ["+", "derp", f"{port + 10}"])
    ]
    assert "region 931" in seen["diff"]
    assert taken(edge) == [], "it is no download"
    assert get(client, eve, "changes").json()["changes"] is None
    edge(destroying.destroy, user_id=carl.id)
    assert get(client, carl, "changes").json()["changes"] is None


def test_download_in_every_form(client: TestClient, carl: Person, activate: Activate) -> None:
    activate(carl)
    names = {}
    for form in ("snippet", "headscale_yaml", "headscale_json"):
        answer = get(client, carl, "download", form=form)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
        assert get(client, carl, "download", form=form).content == answer.content
        names[form] = (answer.headers["content-disposition"], answer.headers["content-type"])
        text = answer.text
        if form == "snippet":
            assert hujson.read("{" + text + "}").root is not None
            assert '"OmitDefaultRegions": false' in text
            assert "931" in text
        elif form == "headscale_yaml":
            assert set(yaml.safe_load(text)["regions"]) == {931, 932, 933}
        else:
            assert set(json.loads(text)["Regions"]) == {"931", "932", "933"}
    assert names == {
        "snippet": ('attachment; filename="derpmap.hujson"', "application/hujson"),
        "headscale_yaml": ('attachment; filename="derp.yaml"', "application/yaml"),
        "headscale_json": ('attachment; filename="derp.json"', "application/json"),
    }
    only_ours = get(client, carl, "download", omit_default_regions=True).text
    assert '"OmitDefaultRegions": true' in only_ours
    assert get(client, carl, "download", form="policy").status_code == 422


def test_nobody_gets_what_is_not_his(
    client: TestClient, carl: Person, eve: Person, root: Person, activate: Activate, edge: Edge
) -> None:
    activate(carl)
    for stranger in (eve, root):
        answers = [
            get(client, stranger, "download"),
            post(client, stranger, "merge", policy=POLICY),
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert {code_of(answer) for answer in answers} == {"acl.not_found"}
        assert get(client, stranger, "current").json()["acl"] is None
        assert get(client, stranger, "versions").json()["versions"] == []
        assert get(client, stranger, "downloads").json()["downloads"] == []
        assert get(client, stranger, "address").json()["address"] is None
        assert code_of(post(client, stranger, "address/revoke")) == "acl.no_address"
    assert client.get("/api/acl/download").status_code == 401
    assert taken(edge) == []
    # Staff see that there are versions, not what is in them.
    listed = get(client, root, "all_versions").json()["versions"]
    assert [(one["user_id"], one["version"], one["status"]) for one in listed] == [
        (carl.id, 1, "current")
    ]
    assert "document" not in listed[0]
    for path in ("all_versions", "logs", "all_downloads"):
        assert get(client, carl, path).status_code == 403
        assert client.get(f"/api/acl/{path}").status_code == 401


def test_expired_version_is_refused_in_every_way(
    client: TestClient, carl: Person, activate: Activate, clock: MovableClock, edge: Edge
) -> None:
    activate(carl)
    url = post(client, carl, "address").json()["address"]["url"]
    path = url.removeprefix("https://derp.example")
    clock.advance(days=32)
    carl = again(edge, carl)
    for answer in (get(client, carl, "download"), post(client, carl, "merge", policy="")):
        assert answer.status_code == 409
        assert code_of(answer) == "acl.expired"
        assert "administrators" in answer.json()["error"]["message"]
    assert client.get(path).status_code == 404
    assert taken(edge) == []


def test_suspended_customer_gets_nothing(
    client: TestClient, carl: Person, activate: Activate, edge: Edge
) -> None:
    activate(carl)
    url = post(client, carl, "address").json()["address"]["url"]
    edge(rentals.suspend_user, user_id=carl.id, reason="abuse")
    assert get(client, carl, "download").status_code == 401
    assert client.get(url.removeprefix("https://derp.example")).status_code == 404
    edge(rentals.reinstate_user, user_id=carl.id)
    assert client.get(url.removeprefix("https://derp.example")).status_code == 200


def test_download_is_logged_with_place_machine_and_browser(
    client: TestClient, carl: Person, activate: Activate, system: System, clock: MovableClock
) -> None:
    activate(carl)
    client.cookies.set(machines.COOKIE, machines.new_browser(system.vault))
    headers = {"User-Agent": CHROME, "X-Browser-Fingerprint": "abcdef0123456789"}
    client.get("/api/acl/download", headers={**carl.headers, **headers})
    client.cookies.clear()
    digest = "0123456789abcdef" * 4
    headers = {"User-Agent": "derpman/1.0", "X-Machine-Code": digest}
    client.get("/api/acl/download?form=headscale_yaml", headers={**carl.headers, **headers})
    client.get("/api/acl/download", headers={**carl.headers, "User-Agent": ""})
    logged = get(client, carl, "downloads").json()["downloads"]
    assert [one["machine_code"] for one in logged[:2]] == [None, f"machine:{digest}"]
    assert logged[2]["machine_code"].startswith("browser:")
    assert logged[2]["machine_code"].endswith(":abcdef0123456789")
    assert [one["browser"] for one in logged] == ["", "derpman 1", "Chrome 130"]
    assert [one["system"] for one in logged] == ["", "", "Windows 10/11"]
    assert [one["form"] for one in logged] == ["snippet", "headscale_yaml", "snippet"]
    at = clock.now.isoformat().replace("+00:00", "Z")
    for one in logged:
        assert (one["username"], one["acl_version"], one["created_at"]) == ("carl", "1", at)
        assert one["ip_address"] == "testclient"
        assert one["location"] == "未知"


def test_merge_keeps_the_policy_and_its_removal_gives_it_back(
    client: TestClient, carl: Person, activate: Activate, issue: Issue, edge: Edge
) -> None:
    activate(carl)
    merged = post(client, carl, "merge", policy=POLICY).json()
    assert merged["policy"].startswith("// ours\n{\n")
    assert "// all" in merged["policy"]
    assert '"931"' in merged["policy"]
    assert merged["diff"].startswith("--- before\n+++ after\n")
    assert (merged["version"], merged["is_new"], merged["notes"]) == (1, False, [])
    assert [one.form for one in taken(edge)] == ["policy"]
    issue(carl, ports=1)
    second = post(client, carl, "merge", policy=merged["policy"]).json()
    assert second["version"] == 2
    assert second["policy"].count('"RegionID"') == merged["policy"].count('"RegionID"')
    assert post(client, carl, "lint", text=second["policy"]).json()["findings"] == []
    assert post(client, carl, "lint", text=merged["policy"]).json()["findings"] == []
    rental = edge.read(rentals.open_rental, carl.id)
    assert rental is not None
    edge(rentals.end, rental_id=rental.id, reason="test")
    removed = post(client, carl, "remove_from", policy=second["policy"]).json()
    assert '"derpMap"' not in removed["policy"]
    assert "// all" in removed["policy"]
    assert "-" in removed["diff"]
    assert [one.form for one in taken(edge)] == ["policy", "policy"]


def test_empty_paste_becomes_a_policy_of_its_own(
    client: TestClient, carl: Person, activate: Activate
) -> None:
    activate(carl)
    merged = post(client, carl, "merge", policy="", omit_default_regions=True).json()
    assert merged["is_new"] is True
    assert json.loads(merged["policy"])["derpMap"]["OmitDefaultRegions"] is True


def test_another_customers_regions_are_not_taken_for_ours(
    client: TestClient, carl: Person, eve: Person, activate: Activate
) -> None:
    activate(carl)
    activate(eve)
    hers = post(client, eve, "merge", policy=POLICY).json()["policy"]
    answer = post(client, carl, "merge", policy=hers)
    findings = answer.json()["error"]["params"]["findings"]
    assert [one["code"] for one in findings].count("region.clash") == 3
    assert post(client, carl, "remove_from", policy=hers).json()["policy"] == hers


def test_clash_is_told_with_free_ids_and_ended_by_choosing_them(
    client: TestClient, carl: Person, activate: Activate, edge: Edge
) -> None:
    activate(carl)
    his = '{"derpMap": {"Regions": {"932": {"RegionID": 932, "Nodes": [{"Name": "x"}]}}}}'
    answer = post(client, carl, "merge", policy=his)
    assert answer.status_code == 422
    assert code_of(answer) == "acl.unfit"
    [finding] = answer.json()["error"]["params"]["findings"]
    assert (finding["code"], finding["severity"]) == ("region.clash", "error")
    assert finding["params"]["region_id"] == 932
    base = finding["params"]["free_bases"][0]
    assert taken(edge) == []
    findings = post(client, carl, "lint", text=his).json()["findings"]
    assert "region.clash" in [one["code"] for one in findings]
    chosen = post(client, carl, "regions", region_base=base).json()
    assert sorted(chosen["acl"]["Regions"]) == [str(base), str(base + 1), str(base + 2)]
    merged = post(client, carl, "merge", policy=his).json()
    assert '"932"' in merged["policy"]
    assert f'"{base}"' in merged["policy"]
    assert '"931"' not in merged["policy"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("merge", {"policy": "{"}),
        ("merge", {"policy": "[" * 5000}),
        ("merge", {"policy": "x" * 600_000}),
        ("merge", {"policy": "x" * 900_001}),
        ("merge", {"policy": None}),
        ("merge", {"policy": "{}", "more": 1}),
        ("remove_from", {"policy": "]"}),
        ("lint", {"text": 1}),
    ],
)
def test_bad_pastes_are_refused(
    client: TestClient, carl: Person, activate: Activate, path: str, body: dict[str, Any]
) -> None:
    activate(carl)
    answer = client.post(f"/api/acl/{path}", json=body, headers=carl.headers)
    assert answer.status_code == 422
    assert code_of(answer) in ("acl.unfit", "request.invalid")


def test_pastes_are_limited_for_one_user(client: TestClient, carl: Person, eve: Person) -> None:
    answers = [post(client, carl, "lint", text="") for _ in range(61)]
    assert {answer.status_code for answer in answers[:60]} == {200}
    assert answers[60].status_code == 429
    assert "retry-after" in answers[60].headers
    assert post(client, eve, "lint", text="").status_code == 200


def test_versions_are_listed_by_pages(
    client: TestClient, carl: Person, eve: Person, activate: Activate, issue: Issue, root: Person
) -> None:
    activate(carl)
    activate(eve)
    issue(carl, ports=1, reason="because")
    page = get(client, carl, "versions", limit=1).json()
    assert [(one["version"], one["reason"]) for one in page["versions"]] == [(2, "because")]
    page = get(client, carl, "versions", limit=1, before=page["next_before"]).json()
    assert [(one["version"], one["status"]) for one in page["versions"]] == [(1, "superseded")]
    assert page["next_before"] is None
    every = get(client, root, "all_versions", user_id=carl.id, status="current").json()
    assert [one["version"] for one in every["versions"]] == [2]


def test_admin_searches_generations(
    client: TestClient,
    carl: Person,
    eve: Person,
    root: Person,
    activate: Activate,
    issue: Issue,
    clock: MovableClock,
) -> None:
    activate(carl)
    clock.advance(hours=1)
    activate(eve)
    clock.advance(hours=1)
    issue(eve, reason="why not")

    def found(**params: Any) -> list[tuple[str, str, str]]:
        logs = get(client, root, "logs", **params).json()["logs"]
        return [(one["username"], one["acl_version"], one["reason"]) for one in logs]

    first, second, third = (
        ("carl", "1", "activation"),
        ("eve", "1", "activation"),
        ("eve", "2", "why not"),
    )
    assert found() == [third, second, first]
    assert found(user_id=carl.id) == found(username="CARL") == [first]
    assert found(username="nobody") == []
    assert found(username="eve", user_id=carl.id) == []
    assert found(ip="198.51.100.7") == [third, second, first]
    assert found(ip="203.0.113.99") == []
    assert found(version="2") == found(reason="why not") == found(search="WHY") == [third]
    assert found(search="%") == []
    since = (clock.now - timedelta(hours=1)).isoformat()
    assert found(**{"from": since}) == [third, second]
    assert found(to=since) == [first]
    assert get(client, root, "logs", nonsense=1).status_code == 422
    answer = get(client, root, "logs", format="csv", username="eve")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [(line["username"], line["reason"]) for line in lines] == [
        ("eve", "why not"),
        ("eve", "activation"),
    ]


def test_admin_searches_downloads_of_all(
    client: TestClient, carl: Person, eve: Person, root: Person, activate: Activate
) -> None:
    activate(carl)
    activate(eve)
    digest = "ab" * 32
    get(client, carl, "download")
    client.get(
        "/api/acl/download?form=headscale_yaml",
        headers={**eve.headers, "X-Machine-Code": digest},
    )

    def found(**params: Any) -> list[str]:
        downloads = get(client, root, "all_downloads", **params).json()["downloads"]
        return [one["username"] for one in downloads]

    assert found() == ["eve", "carl"]
    assert found(form="headscale_yaml") == found(machine=f"machine:{digest}") == ["eve"]
    assert found(username="carl") == found(user_id=carl.id) == ["carl"]
    assert found(ip="testclient", version="1", limit=1) == ["eve"]
    assert found(search="ARL") == ["carl"]
    assert found(search="_") == []
    answer = get(client, root, "all_downloads", format="csv")
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [(line["username"], line["machine_code"]) for line in lines] == [
        ("eve", f"machine:{digest}"),
        ("carl", "none"),
    ]
