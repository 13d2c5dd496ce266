"""What every payment gateway does for us; `gateway_alipay` and `gateway_wechat` are the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from derpman.finance.errors import CredentialsRefused, MethodNotOffered
from derpman.finance.gateway_terms import Bill, Told, TradeState
from derpman.finance.models import Method
from derpman.kit.lazy import Lazy

if TYPE_CHECKING:
    from derpman.finance import gateway_alipay, gateway_wechat
else:  # their libraries take 10 MB
    gateway_alipay = Lazy("derpman.finance.gateway_alipay")
    gateway_wechat = Lazy("derpman.finance.gateway_wechat")

__all__ = ["Addresses", "Bill", "Gateway", "Told", "TradeState", "gateway_of"]
MAX_NOTICE_BYTES = 65_536


class Gateway(Protocol):
    """One merchant account. Network calls raise TransientFailure, a refusal PermanentFailure."""

    def begin(self, bill: Bill) -> str:
        """Tell the gateway of an order; return the text of the QR code that pays it."""
        ...

    def page(self, bill: Bill, return_url: str) -> str | None:
        """Return the address of a page that pays an order, or None; asks nobody."""
        ...

    def ask(self, number: str) -> Told | None:
        """Ask what became of an order; None when the gateway has never heard of it."""
        ...

    def close(self, number: str) -> None:
        """Have the gateway take no more money for an order; one it does not know is closed."""
        ...

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Told:
        """Return what a notice tells, else raise NoticeRefused. Asks nobody, whatever it says."""
        ...


@dataclass(frozen=True)
class Addresses:
    """Where the gateways are, and where they find us."""

    alipay_url: str
    wechat_url: str
    public_url: str

    def notify_url(self, method: Method) -> str:
        return f"{self.public_url.rstrip('/')}/api/finance/notify/{method}"


def gateway_of(method: Method, credentials: Mapping[str, Any], addresses: Addresses) -> Gateway:
    """Return a gateway; CredentialsRefused when they cannot be used."""
    try:
        if method is Method.ALIPAY:
            found = addresses.alipay_url, addresses.notify_url(method)
            return gateway_alipay.Alipay(credentials, *found)
        if method is Method.WECHAT:
            found = addresses.wechat_url, addresses.notify_url(method)
            return gateway_wechat.WeChat(credentials, *found)
    except KeyError as error:
        raise CredentialsRefused(why=f"{error.args[0]} is missing") from None
    raise MethodNotOffered
