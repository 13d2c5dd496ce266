"""What containers refuse."""

from derpman.kit.errors import Conflict, NotFound


class NotEnoughServers(Conflict):
    code = "containers.not_enough_servers"
    text = "{wanted} servers with room are needed, and there are {fit}."

    def __init__(self, *, wanted: int, fit: int) -> None:
        super().__init__(wanted=wanted, fit=fit)
        self.wanted = wanted
        self.fit = fit


class ServerNotFit(Conflict):
    code = "containers.server_not_fit"
    text = "Server {server_id} takes no new relay now: it is unhealthy, full or short of traffic."


class AlreadyOnServer(Conflict):
    code = "containers.already_on_server"
    text = "Server {server_id} carries one of this customer's relays already."


class HasRelays(Conflict):
    code = "containers.has_relays"
    text = "This customer has relays already."


class NoPortLeft(Conflict):
    code = "containers.no_port_left"
    text = "Server {server_id} has no free port: widen its range, or wait until ports have rested."


class TwoGenerations(Conflict):
    code = "containers.two_generations"
    text = "Relay {slot} has two generations already: one of them must be retired first."


class PlacementNotFound(NotFound):
    code = "containers.not_found"
    text = "There is no such container."
