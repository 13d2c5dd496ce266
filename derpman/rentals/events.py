"""What happened to rentals."""

from dataclasses import dataclass

from derpman.kit.outbox import Event


@dataclass(frozen=True)
class RentalActivated(Event):
    name = "rental.activated"
    rental_id: int
    user_id: int


@dataclass(frozen=True)
class RentalRenewed(Event):
    """A rental that runs was extended: `term_id` is what was bought."""

    name = "rental.renewed"
    rental_id: int
    user_id: int
    term_id: int


@dataclass(frozen=True)
class RentalTermsChanged(Event):
    """What was bought earlier is over, and what holds now promises less."""

    name = "rental.terms_changed"
    rental_id: int
    user_id: int


@dataclass(frozen=True)
class RentalEnded(Event):
    name = "rental.ended"
    rental_id: int
    user_id: int


@dataclass(frozen=True)
class UserSuspended(Event):
    name = "user.suspended"
    user_id: int


@dataclass(frozen=True)
class UserReinstated(Event):
    name = "user.reinstated"
    user_id: int


@dataclass(frozen=True)
class UserDeregistering(Event):
    """Nothing of an account serves any more; some server may still have to prove it."""

    name = "user.deregistering"
    user_id: int


@dataclass(frozen=True)
class UserDeregistered(Event):
    """Nothing of an account is left on any server, and nobody can log in to it."""

    name = "user.deregistered"
    user_id: int
