"""What a link to a customer's tailnet and a push of his ACL can be, and what may happen to them."""

from __future__ import annotations

from enum import StrEnum


class LinkKind(StrEnum):
    TAILSCALE = "tailscale"
    HEADSCALE = "headscale"


class LinkStatus(StrEnum):
    TESTING = "testing"
    WORKING = "working"
    TROUBLED = "troubled"
    REFUSED = "refused"


LINK_TRANSITIONS = {
    (LinkStatus.TESTING, "succeed"): LinkStatus.WORKING,
    (LinkStatus.TESTING, "stumble"): LinkStatus.TROUBLED,
    (LinkStatus.TESTING, "refuse"): LinkStatus.REFUSED,
    (LinkStatus.WORKING, "succeed"): LinkStatus.WORKING,
    (LinkStatus.WORKING, "stumble"): LinkStatus.TROUBLED,
    (LinkStatus.WORKING, "refuse"): LinkStatus.REFUSED,
    (LinkStatus.TROUBLED, "succeed"): LinkStatus.WORKING,
    (LinkStatus.TROUBLED, "stumble"): LinkStatus.TROUBLED,
    (LinkStatus.TROUBLED, "refuse"): LinkStatus.REFUSED,
    (LinkStatus.REFUSED, "succeed"): LinkStatus.WORKING,
    (LinkStatus.REFUSED, "stumble"): LinkStatus.REFUSED,  # it still waits for the customer
    (LinkStatus.REFUSED, "refuse"): LinkStatus.REFUSED,
    (LinkStatus.TESTING, "replace"): LinkStatus.TESTING,
    (LinkStatus.WORKING, "replace"): LinkStatus.TESTING,
    (LinkStatus.TROUBLED, "replace"): LinkStatus.TESTING,
    (LinkStatus.REFUSED, "replace"): LinkStatus.TESTING,
}


class PushKind(StrEnum):
    PREVIEW = "preview"
    PUSH = "push"
    UNDO = "undo"


class PushStatus(StrEnum):
    QUEUED = "queued"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    CANCELLED = "cancelled"


PUSH_TRANSITIONS = {
    (PushStatus.QUEUED, "finish"): PushStatus.DONE,
    (PushStatus.QUEUED, "find_equal"): PushStatus.UNCHANGED,
    (PushStatus.QUEUED, "fail"): PushStatus.FAILED,
    (PushStatus.QUEUED, "cancel"): PushStatus.CANCELLED,
}
