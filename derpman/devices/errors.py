"""What the rules of devices say no to."""

from __future__ import annotations

from derpman.kit.errors import Conflict, Invalid, NotFound


class DeviceNotFound(NotFound):
    code = "devices.not_found"
    text = "There is no such device."


class KnockNotFound(NotFound):
    code = "devices.knock_not_found"
    text = "There is no such waiting device."


class LinkedNotFound(NotFound):
    code = "devices.linked_not_found"
    text = "There is no such device in the linked tailnet."


class NothingHeld(Conflict):
    code = "devices.nothing_held"
    text = "No removals wait for your word."


class NotANodeKey(Invalid):
    """`kind` says what it looks like instead, when that can be told."""

    code = "devices.not_a_node_key"
    text = (
        "This is not a node key. It begins with “nodekey:” and has 64 hexadecimal digits; "
        "`tailscale status --json` shows it as PublicKey."
    )


class NotAStatus(Invalid):
    code = "devices.not_a_status"
    text = "This is not the output of `tailscale status --json`."


class NoRental(Conflict):
    code = "devices.no_rental"
    text = "Devices can be registered while a rental is active. Activate a serial first."


class LimitReached(Conflict):
    code = "devices.limit_reached"
    text = "The plan allows {limit} devices and all are taken. Remove one first."


class AlreadyRegistered(Conflict):
    code = "devices.already_registered"
    text = "This device is registered already, as “{name}”."
