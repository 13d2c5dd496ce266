"""HTTP of links and pushes: the customer's own, and staff may see how they fare."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from tests.conftest import Person
from tests.system.emulators.headscale import Headscale
from tests.system.emulators.tailscale import Tailscale

pytestmark = pytest.mark.usefixtures("rental")
Follow = Callable[..., None]


def body_of(there: Tailscale, **more) -> dict:
    known = {"client_id": there.client_id, "secret": there.client_secret, "wants_push": True}
    return {"kind": "tailscale", **known, **more}


def link(client: TestClient, person: Person, there: Tailscale, **more) -> dict:
    answer = client.post("/api/acl/link", json=body_of(there, **more), headers=person.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["link"]


def test_a_link_is_made_tested_and_shown_without_its_secret(
    client: TestClient, carl: Person, there: Tailscale, follow: Follow
) -> None:
    made = link(client, carl, there)
    assert made["status"] == "testing"
    follow("tailnets.")
    answer = client.get("/api/acl/link", headers=carl.headers)
    shown = answer.json()["link"]
    assert (shown["status"], shown["trouble"], shown["has_secret"]) == ("working", None, True)
    assert shown["tailnet"] == ""
    assert there.client_secret not in answer.text


def test_what_is_wrong_is_told_in_words(
    client: TestClient, carl: Person, there: Tailscale, follow: Follow
) -> None:
    there.scopes = "devices:core:read"
    link(client, carl, there)
    follow("tailnets.")
    shown = client.get("/api/acl/link", headers=carl.headers).json()["link"]
    assert shown["status"] == "refused"
    assert shown["trouble"]["code"] == "link.scope_missing"
    assert "policy_file" in shown["trouble"]["message"]
    assert "缺少权限 policy_file" in shown["trouble"]["message_zh"]


def test_the_whole_way_to_a_pushed_acl(
    client: TestClient, carl: Person, there: Tailscale, follow: Follow
) -> None:
    there.add_device("phone")
    link(client, carl, there)
    me = carl.headers
    first = client.post("/api/acl/push", json={}, headers=me)
    assert (first.status_code, first.json()["error"]["code"]) == (409, "acl.push_preview_first")
    asked = client.post("/api/acl/push", json={"preview": True}, headers=me).json()["push"]
    follow("tailnets.")
    seen = client.get(f"/api/acl/pushes/{asked['id']}", headers=me).json()["push"]
    assert (seen["status"], seen["unregistered"]) == ("done", ["phone"])
    assert '"RegionID": 931' in seen["diff"]
    refused = client.post("/api/acl/push", json={}, headers=me).json()["error"]
    assert refused["code"] == "acl.push_confirm_unregistered"
    assert refused["params"] == {"names": ["phone"]}
    pushed = client.post("/api/acl/push", json={"accept_unregistered": True}, headers=me).json()
    follow("tailnets.")
    assert '"RegionID": 931' in there.policy
    [newest, _] = client.get("/api/acl/pushes", headers=me).json()["pushes"]
    assert (newest["id"], newest["status"]) == (pushed["push"]["id"], "done")
    assert newest["allowed_actions"] == ["undo"]
    undone = client.post(f"/api/acl/pushes/{newest['id']}/undo", headers=me)
    assert undone.status_code == 200
    follow("tailnets.")
    assert '"RegionID": 931' not in there.policy
    with client.stream("GET", "/api/acl/link/events", headers=me) as _:
        pass


def test_nobody_elses_link_or_push_exists(
    client: TestClient, carl: Person, eve: Person, there: Tailscale, follow: Follow
) -> None:
    link(client, carl, there)
    asked = client.post("/api/acl/push", json={"preview": True}, headers=carl.headers).json()
    push_id = asked["push"]["id"]
    assert client.get("/api/acl/link", headers=eve.headers).json()["link"] is None
    assert client.get("/api/acl/pushes", headers=eve.headers).json()["pushes"] == []
    for method, path in [
        ("GET", f"/api/acl/pushes/{push_id}"),
        ("POST", f"/api/acl/pushes/{push_id}/undo"),
        ("POST", f"/api/acl/pushes/{push_id}/cancel"),
        ("POST", "/api/acl/link/remove"),
        ("POST", "/api/acl/link/test"),
    ]:
        assert client.request(method, path, headers=eve.headers).status_code == 404, path
        assert client.request(method, path).status_code == 401, path


def test_staff_sees_how_links_fare_and_no_secret(
    client: TestClient, carl: Person, root: Person, there: Tailscale, follow: Follow
) -> None:
    link(client, carl, there, secret="tskey-client-wrong")
    follow("tailnets.")
    assert client.get("/api/acl/all_links", headers=carl.headers).status_code == 403
    answer = client.get("/api/acl/all_links?status=refused", headers=root.headers)
    [shown] = answer.json()["links"]
    assert (shown["username"], shown["trouble"]["code"]) == ("carl", "link.credential_refused")
    assert "tskey" not in answer.text
    assert (
        client.get("/api/acl/all_links?status=working", headers=root.headers).json()["links"] == []
    )


def test_headscale_is_linked_and_not_pushed_to(
    client: TestClient, carl: Person, scale: Headscale, follow: Follow
) -> None:
    body = {"kind": "headscale", "address": scale.url, "secret": scale.key}
    refused = client.post("/api/acl/link", json={**body, "wants_push": True}, headers=carl.headers)
    assert refused.json()["error"]["code"] == "acl.push_needs_tailscale"
    assert client.post("/api/acl/link", json=body, headers=carl.headers).status_code == 200
    follow("tailnets.")
    shown = client.get("/api/acl/link", headers=carl.headers).json()["link"]
    assert shown["status"] == "working"
    push = client.post("/api/acl/push", json={"preview": True}, headers=carl.headers)
    assert push.json()["error"]["code"] == "acl.push_off"


def test_control_servers_are_not_asked_without_end(
    client: TestClient, carl: Person, there: Tailscale
) -> None:
    link(client, carl, there)
    answers = [client.post("/api/acl/link/test", headers=carl.headers) for _ in range(20)]
    assert answers[-1].status_code == 429
    assert "retry-after" in answers[-1].headers


def test_no_error_of_a_form_repeats_a_secret(client: TestClient, carl: Person) -> None:
    body = {"kind": "tailscale", "client_id": "k", "secret": "tskey-client-s" * 60}
    answer = client.post("/api/acl/link", json=body, headers=carl.headers)
    assert answer.status_code == 422
    assert "tskey-client" not in answer.text
