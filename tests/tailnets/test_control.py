"""The clients of Tailscale's and headscale's APIs, against emulators over HTTP on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from derpman.kit.outgoing import Outgoing
from derpman.tailnets.control import ControlFailure, Trouble, retry_after_seconds
from derpman.tailnets.headscale import Headscale
from derpman.tailnets.tailscale import PolicyChanged, Tailscale
from tests.system.emulators.api_server import Fault, Reply
from tests.system.emulators.headscale import Headscale as HeadscaleEmulator
from tests.system.emulators.tailscale import Tailscale as TailscaleEmulator
from tests.system.emulators.tailscale import key_of

ANY = Outgoing(allow_private=True, timeout=30)
IMPATIENT = replace(ANY, timeout=0.5)
"""Where the other side is silent: the test is the sooner over."""
ACL = "/api/v2/tailnet/-/acl"


@pytest.fixture
def there() -> Iterator[TailscaleEmulator]:
    with TailscaleEmulator() as emulator:
        yield emulator


@pytest.fixture
def scale() -> Iterator[HeadscaleEmulator]:
    with HeadscaleEmulator() as emulator:
        yield emulator


def client(there: TailscaleEmulator, outgoing: Outgoing = ANY, **more: str) -> Tailscale:
    known = {"client_id": there.client_id, "secret": there.client_secret, **more}
    return Tailscale(outgoing, there.url, **known)


def trouble(call, *arguments: object) -> ControlFailure:
    with pytest.raises(ControlFailure) as failure:
        call(*arguments)
    return failure.value


def test_a_policy_is_read_checked_and_written(there: TailscaleEmulator) -> None:
    api = client(there)
    policy = api.policy()
    assert policy.text == there.policy
    assert policy.etag == there.etag
    api.validate(policy.text)
    api.write("// mine\n{}", policy.etag)
    assert there.written == ["// mine\n{}"]
    assert there.paths().count("POST /api/v2/oauth/token") == 1


def test_a_stale_policy_is_not_overwritten(there: TailscaleEmulator) -> None:
    api = client(there)
    policy = api.policy()
    there.policy = "// somebody else was here\n{}"
    with pytest.raises(PolicyChanged):
        api.write("{}", policy.etag)
    assert there.written == []


def test_a_refusal_that_comes_with_200_is_one(there: TailscaleEmulator) -> None:
    there.failing_tests = ['address "2.2.2.2:22": want: Drop, got: Accept']
    failure = trouble(client(there).validate, "{}")
    assert failure.trouble is Trouble.POLICY_REFUSED
    assert failure.params == {
        "message": "test(s) failed",
        "details": ['carl@example.com: address "2.2.2.2:22": want: Drop, got: Accept'],
    }
    assert not failure.is_passing


def test_warnings_are_no_refusal(there: TailscaleEmulator) -> None:
    there.warnings = ["group is not syncing from SCIM"]
    client(there).validate("{}")


def test_a_token_that_ends_on_the_way_is_renewed(there: TailscaleEmulator) -> None:
    api = client(there)
    policy = api.policy()
    there.end_tokens()
    api.write("{}", policy.etag)
    assert there.written == ["{}"]
    assert there.paths().count("POST /api/v2/oauth/token") == 2


def test_a_wrong_secret_and_one_that_was_revoked_meanwhile(there: TailscaleEmulator) -> None:
    assert trouble(client(there, secret="x").policy).trouble is Trouble.CREDENTIAL_REFUSED
    api = client(there)
    api.policy()
    there.end_tokens()
    there.client_secret = "another"
    assert trouble(api.policy).trouble is Trouble.CREDENTIAL_REFUSED


@pytest.mark.parametrize("tells", [True, False])
def test_a_missing_scope_is_named(there: TailscaleEmulator, tells: bool) -> None:
    there.tells_scopes = tells
    there.scopes = "policy_file"
    failure = trouble(client(there).devices)
    assert failure.trouble is Trouble.SCOPE_MISSING
    assert failure.params == {"scope": "devices:core:read"}
    there.scopes = "policy_file:read devices:core:read"
    failure = trouble(client(there).write, "{}", there.etag)
    assert failure.params == {"scope": "policy_file"}


def test_another_tailnet_is_not_found(there: TailscaleEmulator) -> None:
    assert client(there, tailnet="example.com").policy().text == there.policy
    failure = trouble(client(there, tailnet="other.example").policy)
    assert failure.trouble is Trouble.WRONG_TAILNET
    assert failure.params == {"tailnet": "other.example"}


def test_devices_are_listed_by_their_stable_ids(there: TailscaleEmulator) -> None:
    there.add_device("laptop", os="macOS")
    there.add_device("shared", isExternal=True)
    there.add_device("waiting", authorized=False)
    there.add_device("job", isEphemeral=True)
    laptop, shared, waiting, job = client(there).devices()
    assert (laptop.stable_id, laptop.name, laptop.system) == ("nlaptopCNTRL", "laptop", "macOS")
    assert laptop.node_key == key_of("laptop")
    assert laptop.addresses == ("100.101.102.1", "fd7a:115c:a1e0::1")
    assert shared.is_external
    assert not waiting.is_authorized
    assert job.is_ephemeral


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(reply=Reply(500, {"message": "internal error"})), Trouble.SERVER_ERROR),
        (Fault(reply=Reply(503, b"<html>")), Trouble.SERVER_ERROR),
        (Fault(reply=Reply(302, None, {"Location": "http://127.0.0.1/"})), Trouble.UNEXPECTED),
        (Fault(reply=Reply(200, b"not JSON")), Trouble.UNREADABLE),
        (Fault(reply=Reply(200, b"[1]")), Trouble.UNREADABLE),
        (Fault(reply=Reply(200, {})), Trouble.UNREADABLE),
        (Fault(reply=Reply(200, {"devices": None})), Trouble.UNREADABLE),
        (Fault(reply=Reply(200, {"devices": ["x"]})), Trouble.UNREADABLE),
        (Fault(garbage=b"\x00\x01garbage\r\n\r\n"), Trouble.NO_ANSWER),
        (Fault(is_cut=True), Trouble.NO_ANSWER),
        (Fault(hang=5), Trouble.NO_ANSWER),
    ],
)
def test_what_servers_do_on_bad_days(
    there: TailscaleEmulator, fault: Fault, expected: Trouble
) -> None:
    fault.of = "GET /api/v2/tailnet/-/devices"
    there.faults.append(fault)
    api = client(there)
    api.log_in()
    if fault.hang:
        api.outgoing = IMPATIENT
    failure = trouble(api.devices)
    api.outgoing = ANY
    assert failure.trouble is expected
    assert failure.is_passing == (expected is not Trouble.UNEXPECTED)
    assert api.devices() == []  # the next time it works


def test_too_many_requests_say_when_to_come_back(there: TailscaleEmulator) -> None:
    there.faults.append(Fault(reply=Reply(429, {"message": "slow down"}, {"Retry-After": "17"})))
    failure = trouble(client(there).policy)
    assert failure.trouble is Trouble.RATE_LIMITED
    assert failure.wait_seconds == 17
    assert failure.is_passing


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 17 ", 17),
        ("86400", 3600),
        ("9" * 400, None),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60),
    ],
)
def test_retry_after_is_read_with_care(header: str, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_a_policy_without_a_tag_is_not_changed_blindly(there: TailscaleEmulator) -> None:
    there.faults.append(Fault(f"GET {ACL}", Reply(200, b"{}")))
    assert trouble(client(there).policy).trouble is Trouble.NO_ETAG


def test_words_of_the_other_side_hold_no_secret_of_ours(there: TailscaleEmulator) -> None:
    message = f"bad policy of {there.client_secret}\n\x1b[31m" + "x" * 500
    there.faults.append(Fault(f"POST {ACL}/validate", Reply(200, {"message": message})))
    shown = str(trouble(client(there).validate, "{}").params)
    assert there.client_secret not in shown
    assert "\x1b" not in shown
    assert len(shown) < 400
    assert there.client_secret not in repr(client(there))


def test_addresses_inside_our_own_network_are_refused(there: TailscaleEmulator) -> None:
    failure = trouble(client(there, Outgoing()).policy)
    assert failure.trouble is Trouble.ADDRESS_REFUSED
    rebinding = Outgoing(resolve=lambda _host, _port: ["169.254.169.254"])
    api = Headscale(rebinding, "https://headscale.example", "key")
    assert trouble(api.devices).trouble is Trouble.ADDRESS_REFUSED
    assert there.asked == []


def test_nodes_of_headscale_are_listed(scale: HeadscaleEmulator) -> None:
    scale.add_node("laptop")
    scale.add_node("other", user="dora", preAuthKey={"ephemeral": True})
    nodes = Headscale(ANY, scale.url, scale.key).devices()
    assert [(node.stable_id, node.name) for node in nodes] == [("1", "laptop"), ("2", "other")]
    assert nodes[1].is_ephemeral
    [mine] = Headscale(ANY, scale.url, scale.key, user="carl").devices()
    assert mine.node_key == key_of("laptop")


@pytest.mark.parametrize("status", [401, 500])
def test_a_bad_key_of_headscale(scale: HeadscaleEmulator, status: int) -> None:
    scale.status_of_bad_keys = status
    failure = trouble(Headscale(ANY, scale.url, "hskey.wrong").devices)
    assert failure.trouble is Trouble.KEY_REFUSED


def test_what_is_no_headscale(scale: HeadscaleEmulator) -> None:
    failure = trouble(Headscale(ANY, scale.url + "/elsewhere", scale.key).devices)
    assert failure.trouble is Trouble.NO_API
    scale.faults.append(Fault(reply=Reply(500, b"boom")))
    assert trouble(Headscale(ANY, scale.url, scale.key).devices).trouble is Trouble.SERVER_ERROR
    scale.faults.append(Fault(reply=Reply(200, b"<html>a login page</html>")))
    assert trouble(Headscale(ANY, scale.url, scale.key).devices).trouble is Trouble.UNREADABLE
