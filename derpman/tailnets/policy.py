"""How a customer's policy is changed through Tailscale's API: read, merge, check, write, look.

No transaction is open meanwhile. Whatever is lost on the way, nothing is written that was not
merged into what stands there, and what was written once is found and not written again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from derpman.acl import forms
from derpman.acl.derpmap import Slot, Unfit
from derpman.acl.diff import unified
from derpman.acl.hujson import Edits, Kind, Value, read
from derpman.tailnets.control import ControlFailure, Trouble
from derpman.tailnets.states import PushKind
from derpman.tailnets.tailscale import PolicyChanged, Tailscale

TRIES = 5
BUDGET_SECONDS = 60.0
SHOWN_NAMES = 50


@dataclass(frozen=True)
class Wish:
    """What should become of a policy."""

    kind: PushKind
    slots: tuple[Slot, ...] = ()
    known: tuple[Slot, ...] = ()
    """Of all earlier versions: regions made of them are ours and give way."""
    former: str = ""
    """For an undo: the derpMap part to put back; empty when there was none."""
    left: str | None = None
    """For an undo: the digest of the part as the push left it."""
    admitted: frozenset[str] = frozenset()
    """Node keys of registered devices."""


@dataclass(frozen=True)
class Change:
    """What a wish changes: the derpMap part and nothing else."""

    diff: str
    former: str
    part_digest: str


@dataclass(frozen=True)
class Outcome:
    """How a wish ended; without a change the policy was so already."""

    change: Change | None
    part_digest: str
    """Of the part as it stands there now, or as a preview would leave it."""
    unregistered: tuple[str, ...] | None = None
    """Names of devices that would lose their relays; None when we may not see the devices."""


Prepare = Callable[[Change], None]
"""Writes down what is about to be written: a process that dies in between leaves that behind."""


def carry_out(
    api: Tailscale,
    wish: Wish,
    prepare: Prepare,
    monotonic: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Make a policy as wished, or show what that would change; raises ControlFailure.

    When somebody else writes meanwhile it is read and merged anew. After an answer that was lost
    it is read again before anything is written a second time.
    """
    ends = monotonic() + BUDGET_SECONDS
    failure = ControlFailure(Trouble.POLICY_KEEPS_CHANGING)
    for _ in range(TRIES):
        policy = api.policy()
        text = _wanted(policy.text, wish)
        digest = part_digest(text)
        if digest == part_digest(policy.text):
            return Outcome(None, digest, _unregistered(api, wish))
        api.validate(text)
        before, after = part(policy.text), part(text)
        change = Change(unified(before, after), before, digest)
        if wish.kind is PushKind.PREVIEW:
            return Outcome(change, digest, _unregistered(api, wish))
        prepare(change)
        try:
            api.write(text, policy.etag)
        except PolicyChanged:
            failure = ControlFailure(Trouble.POLICY_KEEPS_CHANGING)
        except ControlFailure as error:
            if not error.is_passing or error.trouble is Trouble.RATE_LIMITED:
                raise
            failure = error  # it may have been written
        else:
            return Outcome(change, digest)
        if monotonic() >= ends:
            break
    raise failure


def part(text: str) -> str:
    """Return the value of `derpMap` as it stands in a policy; nothing when there is none."""
    value = _derp_map(text)
    return "" if value is None else text[value.start : value.end]


def part_digest(text: str) -> str:
    """Return the digest of what a policy's derpMap says, however it is laid out."""
    value = _derp_map(text)
    meaning = None if value is None else value.plain()
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def _derp_map(text: str) -> Value | None:
    root = read(text).root
    return None if root is None or root.kind is not Kind.OBJECT else root.get("derpMap")


def _wanted(text: str, wish: Wish) -> str:
    try:
        if wish.kind is not PushKind.UNDO:
            return forms.merge(text, wish.slots, known=wish.known).text
        return _restored(text, wish)
    except Unfit as unfit:
        raise ControlFailure(
            Trouble.POLICY_UNFIT,
            findings=[one.code for one in unfit.findings],
            details=[asdict(one) for one in unfit.findings],
        ) from None


def _restored(text: str, wish: Wish) -> str:
    """Return a policy with the former part in the place of what a push put there.

    When it says something else than the push left, that is somebody's: it is not overwritten.
    """
    if part(text) == wish.former:
        return text
    if part_digest(text) != wish.left:
        raise ControlFailure(Trouble.CHANGED_SINCE)
    source = read(text)
    root, value = source.root, _derp_map(text)
    if root is None or value is None:
        raise ControlFailure(Trouble.CHANGED_SINCE)
    if wish.former:
        return text[: value.start] + wish.former + text[value.end :]
    edits = Edits(source)
    edits.take_out(root, [root.named("derpMap")[-1]])
    return edits.result()


def _unregistered(api: Tailscale, wish: Wish) -> tuple[str, ...] | None:
    if wish.kind is not PushKind.PREVIEW:
        return None
    try:
        devices = api.devices()
    except ControlFailure as failure:
        if failure.is_passing:
            raise
        return None
    names = [
        api_name(device.name, device.stable_id)
        for device in devices
        if device.is_authorized
        and not device.is_external
        and device.node_key.lower() not in wish.admitted
    ]
    return tuple(names[:SHOWN_NAMES])


def api_name(name: Any, fallback: str) -> str:
    """Return a device's name fit to be shown."""
    shown = "".join(char for char in str(name) if char.isprintable()).strip()[:64]
    return shown or fallback[:64]
