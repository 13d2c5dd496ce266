"""Mails over HTTP: for admins only, and without what they open."""

import pytest

from derpman.kit.work import Edge, Role
from tests.notifications.queueing import CODE, lease, queue, refuse, stored

ADMIN_ROUTES = [
    ("GET", "/api/notifications/mails"),
    ("GET", "/api/notifications/mails/1"),
    ("POST", "/api/notifications/mails/1/requeue"),
    ("POST", "/api/notifications/send"),
]


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
def test_only_for_admins(client, eve, rita, method: str, path: str):
    assert client.request(method, path, json={}).status_code == 401
    for person in (eve, rita):
        refused = client.request(method, path, json={}, headers=person.headers)
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "auth.forbidden"


def test_list_is_searched_and_paged(client, root, edge: Edge):
    for name in ("carl", "dora", "Carla"):
        queue(edge, f"{name}@example.com")
    first = client.get("/api/notifications/mails?limit=2", headers=root.headers).json()
    assert first["success"] is True
    assert [mail["address"] for mail in first["mails"]] == ["Carla@example.com", "dora@example.com"]
    rest = client.get(
        f"/api/notifications/mails?before={first['next_before']}", headers=root.headers
    ).json()
    assert [mail["address"] for mail in rest["mails"]] == ["carl@example.com"]
    assert rest["next_before"] is None
    found = client.get("/api/notifications/mails?address=CARL", headers=root.headers).json()
    assert len(found["mails"]) == 2
    assert (
        client.get("/api/notifications/mails?status=sent", headers=root.headers).json()["mails"]
        == []
    )


def test_a_mail_is_read_without_its_secrets(client, root, edge: Edge):
    mail_id = queue(edge).id
    answer = client.get(f"/api/notifications/mails/{mail_id}", headers=root.headers)
    assert answer.status_code == 200
    assert CODE not in answer.text
    assert "t0ken" not in answer.text
    mail = answer.json()["mail"]
    assert "••••" in mail["text"]
    assert "••••" in mail["html"]
    assert mail["allowed_actions"] == []


def test_a_refused_mail_is_queued_again_and_another_is_not(client, root, edge: Edge):
    mail_id = queue(edge).id
    path = f"/api/notifications/mails/{mail_id}/requeue"
    early = client.post(path, headers=root.headers)
    assert early.status_code == 409
    assert early.json()["error"]["code"] == "state.illegal"
    refuse(edge, lease(edge))
    shown = client.get(f"/api/notifications/mails/{mail_id}", headers=root.headers).json()
    assert shown["mail"]["allowed_actions"] == ["requeue"]
    again = client.post(path, headers=root.headers)
    assert again.json()["mail"]["status"] == "queued"
    logs = client.get("/api/logs/system?action=mail.requeue", headers=root.headers).json()["logs"]
    assert [log["object_id"] for log in logs] == [mail_id]


def test_unknown_mail(client, root):
    missing = client.get("/api/notifications/mails/99", headers=root.headers)
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "notifications.mail_not_found"


# -- POST /api/notifications/send -----------------------------------------------------------


def test_an_admin_writes_to_a_user(client, person, carl, edge: Edge):
    admin = person("dora", Role.ADMIN)
    body = {"user_id": carl.id, "subject": "维护通知", "message": "今晚 <维护>。\n\n谢谢。"}
    answer = client.post("/api/notifications/send", json=body, headers=admin.headers)
    assert answer.json() == {"success": True, "message": "Sent"}
    listed = client.get(
        f"/api/notifications/mails?user_id={carl.id}", headers=admin.headers
    ).json()["mails"]
    assert [(mail["subject"], mail["address"]) for mail in listed] == [("维护通知", carl.email)]
    mail = stored(edge, listed[0]["id"])
    assert "今晚 <维护>。\n\n谢谢。" in mail.text
    assert "今晚 &lt;维护&gt;。" in mail.html
    logs = client.get("/api/logs/system?action=notifications.send", headers=admin.headers).json()
    assert logs["logs"][0]["object_id"] == carl.id
    assert logs["logs"][0]["actor_name"] == "dora"


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": 0},
        {"user_id": "x"},
        {"user_id": 2**63},
        {"subject": ""},
        {"subject": "a\r\nBcc: x@y.example"},
        {"subject": "x" * 201},
        {"message": ""},
        {"message": "nul\x00"},
        {"extra": 1},
    ],
)
def test_bad_input(client, root, carl, change: dict):
    body = {"user_id": carl.id, "subject": "s", "message": "m", **change}
    answer = client.post("/api/notifications/send", json=body, headers=root.headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "request.invalid"


def test_nobody_to_write_to(client, root):
    body = {"user_id": 4711, "subject": "s", "message": "m"}
    answer = client.post("/api/notifications/send", json=body, headers=root.headers)
    assert answer.status_code == 404
