"""A fleet of servers and clients on one machine, made of namespaces. See ../README.md."""

from tests.system.fleet.fleet import Fleet, NotPossible
from tests.system.fleet.machines import Machine
from tests.system.fleet.servers import Server

__all__ = ["Fleet", "Machine", "NotPossible", "Server"]
