"""A client of Tailscale's API: the policy file and the list of devices, by an OAuth client.

As published at https://tailscale.com/api (its text as of 2026 in
https://github.com/tailscale/tailscale/blob/main/publicapi/tailnet.md),
https://tailscale.com/docs/features/oauth-clients and
https://tailscale.com/docs/reference/trust-credentials; quoting of entity tags as in
https://github.com/tailscale/tailscale-client-go-v2/blob/main/policyfile.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlencode

from derpman.kit.outgoing import Answer, Outgoing
from derpman.tailnets.control import (
    Asking,
    ControlFailure,
    Peer,
    Trouble,
    json_object,
    objects,
    word,
    words,
)

OWN_TAILNET = "-"
"""The tailnet that the credential belongs to."""
POLICY_SCOPE, DEVICES_SCOPE = "policy_file", "devices:core:read"
ENOUGH = {
    POLICY_SCOPE: frozenset({"policy_file", "all", "acl"}),
    DEVICES_SCOPE: frozenset(
        {"devices:core:read", "devices:core", "devices", "devices:read", "all", "all:read"}
    ),
}
"""Scopes that let us do what we need; `acl` and `devices` are the names of before 2025."""


class PolicyChanged(Exception):
    """The policy was written by somebody else since it was read."""


@dataclass(frozen=True)
class Policy:
    """A tailnet's policy file as it is now, in HuJSON, and the tag that names this state of it."""

    text: str
    etag: str


@dataclass
class Tailscale:
    """Speaks for one OAuth client. A token lives an hour: one that ends on the way is renewed."""

    outgoing: Outgoing
    base: str
    client_id: str
    secret: str = field(repr=False)
    tailnet: str = OWN_TAILNET
    _token: str | None = field(default=None, repr=False)

    def log_in(self) -> frozenset[str] | None:
        """Get a token; return the scopes it has, or None when the answer does not say."""
        body = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.secret,
            }
        )
        answer = self._asking().send(
            "POST",
            "/api/v2/oauth/token",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=body.encode(),
        )
        if answer.status in (400, 401, 403):
            raise ControlFailure(Trouble.CREDENTIAL_REFUSED)
        if answer.status != 200:
            raise _odd(answer)
        told = json_object(answer)
        token = word(told, "access_token")
        if not token or not token.isascii() or not token.isprintable():
            raise ControlFailure(Trouble.UNREADABLE, status=answer.status)
        self._token = token
        scopes = word(told, "scope").replace(",", " ").split()
        return frozenset(scopes) if scopes else None

    def require(self, scope: str, granted: frozenset[str] | None) -> None:
        """Raise ControlFailure when the token's scopes are known and this one is not in them."""
        if granted is not None and granted.isdisjoint(ENOUGH[scope]):
            raise ControlFailure(Trouble.SCOPE_MISSING, scope=scope)

    def policy(self) -> Policy:
        """Return the policy file with its comments."""
        answer = self._ask("GET", "/acl", POLICY_SCOPE, headers={"Accept": "application/hujson"})
        etag = answer.headers.get("etag", "").strip().removeprefix("W/").strip('"')
        if not etag or not etag.isascii() or not etag.isprintable() or '"' in etag:
            raise ControlFailure(Trouble.NO_ETAG)
        try:
            return Policy(answer.body.decode(), etag)
        except UnicodeDecodeError:
            raise ControlFailure(Trouble.UNREADABLE, status=answer.status) from None

    def validate(self, text: str) -> None:
        """Raise ControlFailure with Tailscale's words when it would not take this policy.

        An answer of 200 with a message is a refusal, unless all it has to tell are warnings.
        """
        answer = self._ask("POST", "/acl/validate", POLICY_SCOPE, text=text)
        if not answer.body.strip():
            return
        told = json_object(answer)
        if word(told, "message") and not _only_warns(told):
            raise self._refusal(told)

    def write(self, text: str, etag: str) -> None:
        """Put a policy in the place of the one that has this tag; PolicyChanged when it has not.

        A failure that is passing leaves open whether it was written: read before writing again.
        """
        headers = {"If-Match": f'"{etag}"', "Accept": "application/hujson"}
        answer = self._ask("POST", "/acl", POLICY_SCOPE, text=text, headers=headers)
        if answer.status == 412:
            raise PolicyChanged

    def devices(self) -> list[Peer]:
        """Return the devices that the tailnet's devices page shows."""
        answer = self._ask("GET", "/devices", DEVICES_SCOPE, headers={"Accept": "application/json"})
        return [_peer(fields) for fields in objects(answer, "devices")]

    def _ask(
        self,
        method: str,
        path: str,
        scope: str,
        *,
        text: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Return an answer of 200, or 412; log in first, and again when the token was refused."""
        is_new = self._token is None
        if is_new:
            self.require(scope, self.log_in())
        answer = self._send(method, path, text, headers or {})
        if answer.status == 401 and not is_new:
            self.log_in()
            answer = self._send(method, path, text, headers or {})
        match answer.status:
            case 200 | 412:
                return answer
            case 401:
                raise ControlFailure(Trouble.CREDENTIAL_REFUSED)
            case 403:
                raise ControlFailure(Trouble.SCOPE_MISSING, scope=scope)
            case 404:
                raise ControlFailure(Trouble.WRONG_TAILNET, tailnet=self.tailnet)
            case 400 | 422 if method == "POST":
                raise self._refusal(json_object(answer))
            case _:
                raise _odd(answer)

    def _send(self, method: str, path: str, text: str | None, headers: dict[str, str]) -> Answer:
        named = {"Authorization": f"Bearer {self._token}", **headers}
        if text is not None:
            named["Content-Type"] = "application/hujson"
        full = f"/api/v2/tailnet/{quote(self.tailnet, safe='@.-')}{path}"
        body = None if text is None else text.encode()
        return self._asking().send(method, full, headers=named, body=body)

    def _asking(self) -> Asking:
        secrets = tuple(one for one in (self.secret, self._token) if one)
        return Asking(self.outgoing, self.base, secrets)

    def _refusal(self, told: dict[str, Any]) -> ControlFailure:
        details = [
            f"{word(one, 'user')}: {text}".removeprefix(": ")
            for one in _details(told)
            for text in words(one, "errors")
        ]
        shown = self._asking().shown
        return ControlFailure(
            Trouble.POLICY_REFUSED,
            message=shown(word(told, "message")),
            details=[shown(one) for one in details[:5]],
        )


def _odd(answer: Answer) -> ControlFailure:
    trouble = Trouble.SERVER_ERROR if answer.status >= 500 else Trouble.UNEXPECTED
    return ControlFailure(trouble, status=answer.status)


def _details(told: dict[str, Any]) -> list[dict[str, Any]]:
    data = told.get("data")
    listed = cast("list[object]", data) if isinstance(data, list) else []
    return [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]


def _only_warns(told: dict[str, Any]) -> bool:
    details = _details(told)
    return bool(details) and all(one.get("warnings") and not one.get("errors") for one in details)


def _peer(fields: dict[str, Any]) -> Peer:
    full_name = word(fields, "name")
    return Peer(
        stable_id=word(fields, "nodeId") or word(fields, "id"),
        node_key=word(fields, "nodeKey"),
        name=full_name.partition(".")[0] or word(fields, "hostname"),
        system=word(fields, "os"),
        addresses=words(fields, "addresses"),
        last_seen=word(fields, "lastSeen"),
        is_external=fields.get("isExternal") is True,
        is_authorized=fields.get("authorized") is not False,
        is_ephemeral=fields.get("isEphemeral") is True,
    )
