"""A flood of wrong passwords costs few hashes, shuts no owner out, and tells nothing."""

from __future__ import annotations

import collections
import re
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2 as httpx

from derpman.kit.work import Edge, Role, UnitOfWork
from derpman.settings import Settings
from derpman.users import service as users
from derpman.wiring import assemble
from tests.drills._cast import PASSWORD, Cast
from tests.drills._drill import Drill, program
from tests.drills._panel import Panel
from tests.system.fleet import netns

BUDGET_S = 120  # it takes half of that where nothing else runs
ALONE = True
PER_MINUTE = 10
"""Hashes that one account gets from one place."""
OWNERS = 20
VICTIM = "fuzz-customer@example.com"


@dataclass
class Tally:
    """What a flood was answered, by key."""

    began: float = field(default_factory=time.monotonic)
    statuses: collections.Counter[int] = field(default_factory=collections.Counter[int])
    hashed: collections.Counter[str] = field(default_factory=collections.Counter[str])

    def most(self) -> int:
        return max(self.hashed.values(), default=0)

    def allowed(self) -> int:
        """Ten in any minute: the first ten at once, the next when a minute is over."""
        return PER_MINUTE * (1 + int((time.monotonic() - self.began) // 60))


def play(drill: Drill) -> None:
    netns.isolate()
    with drill.step("stand up a panel behind a trusted proxy, and those who own accounts"):
        panel = drill.use(
            Panel(embedded=True, environment={"DERPMAN_TRUSTED_PROXIES": "127.0.0.1"})
        )
        data = panel.folder / "data"
        Cast(data)
        edge = assemble(
            Settings(_env_file=None, data_dir=data)  # pyright: ignore[reportCallIssue] # it takes it
        ).edge()
        owners = [owner(edge, panel.url, number) for number in range(OWNERS)]
    count = drill.scaled(10_000, least=200)
    with drill.step(f"{count} wrong passwords for one account from one address"):
        judge(drill, "one_address", flood(panel.url, ["203.0.113.7"] * count))
    with drill.step(f"{count} from one address that forges forwarding headers"):
        forged = [f"198.18.{number // 250}.{number % 250}" for number in range(count)]
        tally = flood(panel.url, forged, source="127.0.0.2", key="127.0.0.2")
        judge(drill, "forged_headers", tally)
    with drill.step(f"{count} from 1000 addresses, while {OWNERS} owners log in"):
        many = [f"198.18.{number % 1000 // 250}.{number % 250}" for number in range(count)]
        stop = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            logins = pool.submit(log_in_all, panel.url, owners)
            pages = pool.submit(look, panel.url, stop)
            judge(drill, "many_addresses", flood(panel.url, many))
            took = logins.result()
            stop.set()
            page_times = pages.result()
    drill.figure("owners_logged_in", len(took), equals=OWNERS)
    in_full = drill.scale > 0.5  # in short forms the machine is shared, and seconds say little
    drill.figure("owner_login_p99_s", p99(took), **({"at_most": 1} if in_full else {}))
    drill.figure("page_p99_s", p99(page_times), **({"at_most": 0.2} if in_full else {}))
    with drill.step("compare accounts that exist with such that do not"):
        compare(drill, panel.url, drill.scaled(200, least=10), in_full=in_full)


def owner(edge: Edge, url: str, number: int) -> tuple[str, dict[str, str]]:
    """Make an account that logged in from a browser before; return address and cookies."""
    name = f"flood-owner-{number}"

    def create(work: UnitOfWork) -> None:
        kept = users.by_username(work, username="fuzz-customer").password
        users.create(
            work,
            username=name,
            email=f"{name}@example.com",
            password_hash=kept,
            role=Role.USER,
            locale="en",
        )

    edge(create)
    answer = attempt(httpx.Client(base_url=url, timeout=60), f"{name}@example.com", PASSWORD)
    assert answer.status_code == 200, answer.text
    return f"{name}@example.com", dict(answer.cookies)


def attempt(
    client: httpx.Client, email: str, password: str, address: str = "203.0.113.99"
) -> httpx.Response:
    return client.post(
        "/api/user/login",
        json={"email": email, "password": password},
        headers={"X-Forwarded-For": address},
    )


def flood(
    url: str, addresses: list[str], *, source: str = "127.0.0.1", key: str | None = None
) -> Tally:
    tally = Tally()
    lock = threading.Lock()
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(base_url=url, timeout=60, transport=transport) as client:

        def one(address: str) -> None:
            status = attempt(client, VICTIM, "wrong password", address).status_code
            with lock:
                tally.statuses[status] += 1
                tally.hashed[key or address] += status == 401

        with ThreadPoolExecutor(24) as pool:
            list(pool.map(one, addresses))
    return tally


def judge(drill: Drill, name: str, tally: Tally) -> None:
    drill.figure(name, {str(status): count for status, count in sorted(tally.statuses.items())})
    drill.figure(f"{name}_hashes_per_key", tally.most(), at_most=tally.allowed())
    odd = set(tally.statuses) - {401, 429, 503}
    drill.check(f"{name}_refused_in_order", not odd, str(odd))


def log_in_all(url: str, owners: list[tuple[str, dict[str, str]]]) -> list[float]:
    took: list[float] = []
    for number, (email, cookies) in enumerate(owners):
        with httpx.Client(base_url=url, timeout=60, cookies=cookies) as client:
            began = time.monotonic()
            answer = attempt(client, email, PASSWORD, f"192.0.2.{number + 1}")
            if answer.status_code == 200:
                took.append(time.monotonic() - began)
    return took


def look(url: str, stop: threading.Event) -> list[float]:
    took: list[float] = []
    with httpx.Client(base_url=url, timeout=60) as client:
        while not stop.wait(0.05) or not took:
            began = time.monotonic()
            client.get("/api/finance/plans")
            took.append(time.monotonic() - began)
    return took


def compare(drill: Drill, url: str, count: int, *, in_full: bool) -> None:
    times: dict[bool, list[float]] = {True: [], False: []}
    texts: dict[bool, set[str]] = {True: set(), False: set()}
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(count):
            for exists in (True, False):
                name = "fuzz-newcomer" if exists else f"nobody-{number}"
                address = f"192.0.2.{number % 250}" if number < 250 else f"192.0.3.{number % 250}"
                began = time.perf_counter()
                answer = attempt(client, f"{name}@example.com", "wrong password", address)
                times[exists].append(time.perf_counter() - began)
                texts[exists].add(f"{answer.status_code} {re.sub('[0-9]+', '#', answer.text)}")
    drill.check("texts_are_the_same", texts[True] == texts[False], str(texts))
    there, absent = (statistics.median(times[exists]) for exists in (True, False))
    apart = abs(there - absent) / max(there, absent)
    drill.figure("times_apart", round(apart, 4), **({"at_most": 0.05} if in_full else {}))


def p99(times: list[float]) -> float:
    return round(sorted(times)[max(0, int(len(times) * 0.99) - 1)], 3) if times else 999.0


if __name__ == "__main__":
    program(play)
