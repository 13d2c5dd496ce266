"""What the ACL module refuses; faults of documents are `derpmap.Unfit`."""

from derpman.kit.errors import Conflict, Invalid, NotFound


class AclNotFound(NotFound):
    code = "acl.not_found"
    text = "There is no ACL: it comes with an active rental."


class AclExpired(Conflict):
    code = "acl.expired"
    text = "ACL version {version} ended at {ended_at}. Ask the administrators for the next version."


class AddressNotFound(NotFound):
    code = "acl.no_address"
    text = "There is no address: make one first."


class AddressExists(Conflict):
    code = "acl.address_exists"
    text = "There is an address already: revoke it before you make another."


class RegionsRefused(Invalid):
    code = "acl.regions_refused"
    text = "Region {region_base} and the next two cannot be a customer's: choose others in 902–998."
