"""What the rules of links and pushes say no to."""

from __future__ import annotations

from derpman.kit.errors import Conflict, Invalid, NotFound


class LinkNotFound(NotFound):
    code = "acl.no_link"
    text = "There is no link to a tailnet: make one first."


class LinkExists(Conflict):
    code = "acl.link_exists"
    text = "There is a link already: replace it or remove it."


class LinkWrong(Invalid):
    code = "acl.link_wrong"
    text = "The field {field} is not right: {reason}."


class PushNeedsTailscale(Conflict):
    code = "acl.push_needs_tailscale"
    text = (
        "headscale reads its derpMap from its own configuration: give it your secret address "
        "instead; it follows by itself."
    )


class PushSwitchedOff(Conflict):
    code = "acl.push_off"
    text = "This link may not push: allow it first."


class PushUnderWay(Conflict):
    code = "acl.push_under_way"
    text = "Something is being done to the policy already. Wait for it or cancel it."


class PreviewFirst(Conflict):
    code = "acl.push_preview_first"
    text = "Look at what would change first: ask for a preview of version {version}."


class ConfirmUnregistered(Conflict):
    code = "acl.push_confirm_unregistered"
    text = (
        "Devices that are not registered lose their relays in this tailnet. Register them, or "
        "confirm: {names}"
    )


class PushNotFound(NotFound):
    code = "acl.no_push"
    text = "There is no such push."


class NothingToUndo(Conflict):
    code = "acl.nothing_to_undo"
    text = "Only the last change that we made to the policy can be undone."
