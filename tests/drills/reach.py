"""No address that somebody types in makes the panel connect into its own network."""

from __future__ import annotations

import ipaddress
import itertools
import socket
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.drills._drill import Drill, program
from tests.drills._panel import Account, Panel, Refused
from tests.drills._trap import Names, Place, Watch, own_every_address, site
from tests.system.bare_relay import make_certificate
from tests.system.fleet import netns
from tests.system.processes import wait_until

BUDGET_S = 240
PUBLIC = "93.184.215.14"
"""An address of the public Internet; here it is this machine's, as every other."""
INSIDE = [
    *("127.0.0.1", "127.45.6.7", "10.0.0.5", "172.16.0.9", "172.31.255.1", "192.168.1.1"),
    *(
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "198.18.0.1",
    ),
]
"""Loopback, private networks, and where clouds tell secrets: AWS and most others, Alibaba (in the
range of carrier-grade NAT), Azure, Oracle."""
INSIDE_6 = ["::1", "::", "fe80::1", "fd00:ec2::254", "fc00::7", "ff02::1", "fec0::1", "100::1"]
NEEDS = 200
TRIALS = 18
"""How many links one customer tries: fewer than he is allowed in ten minutes."""
SECRET = "whsec_c2V2ZW4tdGFsbC1zaGlwcy1zYWls"


def play(drill: Drill) -> None:
    netns.isolate()
    own_every_address()
    names, hosts = known_names(), list(itertools.chain.from_iterable(map(written, INSIDE)))
    hosts += [f"[{address}]" for address in INSIDE_6]
    hosts += [name for name in (*names.records, *names.turning) if name != "public.test"]
    urls = [f"https://{host}/" for host in hosts] + odd_urls()
    drill.figure("addresses", len(urls), at_least=NEEDS)
    wanted = urls if drill.scale >= 1 else drill.random.sample(urls, drill.scaled(len(urls)))
    moved = [f"https://{PUBLIC}/to/{number}" for number in range(len(INSIDE))]
    drill.use(names)
    folder = Path(drill.use(tempfile.TemporaryDirectory(prefix="derpman-reach-")))
    pem, key, _ = make_certificate(PUBLIC, *names.records, *names.turning)
    (folder / "trusted.pem").write_bytes(pem)
    (folder / "site.pem").write_bytes(pem + key)
    drill.use(site(PUBLIC, folder / "site.pem", sent_inside))
    watch = drill.use(Watch())
    with drill.step("stand up a panel in a world where every address answers to us"):
        panel = drill.use(
            Panel(
                embedded=True,
                environment={"SSL_CERT_FILE": str(folder / "trusted.pem")},
            )
        )
        own = {("127.0.0.1", panel.port), ("127.0.0.1", panel.mail.port)}
    check_the_trap(drill, watch)

    with drill.step(f"{len(wanted)} addresses and {len(moved)} redirects as channels of an admin"):
        told = tell_channels(drill, panel, [*wanted, *moved, *turning_urls(names)])
    drill.figure("channels_refused_at_once", told["refused"])
    drill.figure("channels_not_told_later", told["failed"])
    drill.figure("channels_told", told["told"], equals=0)
    with drill.step("the same as customers' control servers"):
        tried = link_tailnets(panel, [*wanted, *moved, *turning_urls(names)])
    drill.figure("links_refused_at_once", tried["refused"])
    drill.figure("links_not_working_later", tried["failed"])
    drill.figure("links_working", tried["working"], equals=0)
    with drill.step("as servers, the addresses that are no machine's"):
        drill.figure("servers_taken", servers_taken(panel), equals=0)

    inside = [place for place in watch.begun if place not in own and not is_public(place[0])]
    drill.figure("connections_inside", len(inside), equals=0)
    if inside:
        drill.say(f"  {inside[:20]}")
    outside = sum(place == (PUBLIC, 443) for place in watch.begun)
    drill.figure("connections_to_the_public_site", outside, at_least=2 * len(moved))
    turned = {name: names.asked[name] for name in names.turning}
    drill.figure("queries_of_names_that_turn", turned)
    drill.check("names_that_turn_were_asked_for", all(turned.values()))


def written(address: str) -> list[str]:
    """The ways in which resolvers and browsers take an IPv4 address."""
    parts = [int(part) for part in address.split(".")]
    whole = int(ipaddress.IPv4Address(address))
    tail = parts[1] << 16 | parts[2] << 8 | parts[3]
    high, low = f"{whole >> 16:x}", f"{whole & 0xFFFF:x}"
    return [
        address,
        f"{address}.",
        str(whole),
        hex(whole),
        f"0{whole:o}",
        ".".join(f"0{part:o}" for part in parts),
        ".".join(hex(part) for part in parts),
        f"{parts[0]}.{tail}",
        f"[::ffff:{address}]",
        f"[::ffff:{high}:{low}]",
        f"[::{high}:{low}]",
        f"[64:ff9b::{high}:{low}]",
        f"[2002:{high}:{low}::1]",
        f"{address}.nip.test",
    ]


def odd_urls() -> list[str]:
    """Addresses that two readers could read differently."""
    inside = "127.0.0.1"
    return [
        f"https://{PUBLIC}@{inside}/",
        f"https://{inside}@{PUBLIC}@{inside}/",
        f"https://{PUBLIC}#@{inside}/",
        f"https://{PUBLIC}\\@{inside}/",
        f"https://{inside}\\.{PUBLIC}/",
        f"https://{inside}%00.{PUBLIC}/",
        f"https://{inside}%2e{PUBLIC}/",
        f"https://{inside}\t/",
        f"https://{inside}\r\nHost: {PUBLIC}/",
        f"https:///{inside}/",
        f"https:{inside}/",
        f"https:\\\\{inside}/",
        "https://①②⑦.⓪.⓪.①/",
        "https://127。0。0。1/",
        "https://１２７.0.0.1/",
        "https://[::1%25lo]/",
        "https://[::ffff:127.0.0.1%25lo]/",
        "https://LOCALHOST/",
        "https://localhost.localdomain/",
        "https://%6c%6f%63%61%6c%68%6f%73%74/",
        f"ftp://{inside}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/_HELO",
        "unix:///run/docker.sock",
        f"http://{inside}/",
        f"http://{PUBLIC}/",
        f"https://{inside}:8443/",
        f"https://{inside}:22/",
        f"https://{inside}:6379/",
    ]


def known_names() -> Names:
    """Names of strangers that mean addresses inside, one of several, or only the second time."""
    names = Names()
    names.records |= {f"{address}.nip.test": [address] for address in INSIDE}
    names.records |= {
        "public.test": [PUBLIC],
        "localhost": ["127.0.0.1"],
        "both.test": [PUBLIC, "127.0.0.1"],
        "six.test": ["::1"],
        "four-and-six.test": [PUBLIC, "fd00:ec2::254"],
        "mapped.test": ["::ffff:169.254.169.254"],
        "metadata.google.internal": ["169.254.169.254"],
    }
    for number, address in enumerate(INSIDE):
        names.turning[f"turns-{number}.test"] = [PUBLIC, address]
        names.turning[f"turns-later-{number}.test"] = [PUBLIC, PUBLIC, address]
    return names


def turning_urls(names: Names) -> list[str]:
    return [f"https://{name}/" for name in names.turning]


def sent_inside(path: str) -> tuple[int, dict[str, str]]:
    """The public site sends everybody inside, each path elsewhere and in another way."""
    number = int(path.split("/")[2]) if path.startswith("/to/") else 0
    status = (301, 302, 303, 307, 308)[number % 5]
    return status, {"Location": f"http://{INSIDE[number % len(INSIDE)]}/latest/meta-data/"}


def check_the_trap(drill: Drill, watch: Watch) -> None:
    """What the trap cannot see it cannot vouch for: a connection is begun to one of each kind."""
    tried: list[Place] = [(address, 80) for address in (*INSIDE[:4], INSIDE_6[0], INSIDE_6[3])]
    for place in tried:
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.settimeout(1)
            one.connect_ex(place)
    wait_until(lambda: set(tried) <= set(watch.begun), 5, "the trap sees what is begun")
    drill.figure("seen_of_our_own", sum(place in tried for place in watch.begun), equals=len(tried))
    watch.begun.clear()


def is_public(address: str) -> bool:
    return address == PUBLIC


def tell_channels(drill: Drill, panel: Panel, urls: list[str]) -> dict[str, int]:
    """Add a channel for each address and have it told something; count how that ended."""
    kinds: list[dict[str, Any]] = [
        {"kind": "webhook", "secret": SECRET},
        {"kind": "wecom"},
        {"kind": "dingtalk"},
    ]
    counted = {"refused": 0, "failed": 0, "told": 0}
    added: list[int] = []
    for number, url in enumerate(urls):
        body = {"name": f"channel {number}", "url": url, **kinds[number % 3]}
        try:
            made = panel.admin.post("/api/notifications/channels", **body)["channel"]["id"]
        except Refused as refused:
            must_be_clear(refused, url)
            counted["refused"] += 1
            continue
        added.append(made)
        panel.admin.post(f"/api/notifications/channels/{made}/test")

    def waiting() -> list[int]:
        channels = panel.admin.get("/api/notifications/channels")["channels"]
        return [one["id"] for one in channels if not one["error"] and not one["sent_at"]]

    wait_until(lambda: not waiting(), 60, "every channel was tried")
    for one in panel.admin.get("/api/notifications/channels")["channels"]:
        counted["told" if one["sent_at"] else "failed"] += 1
        panel.admin.post(f"/api/notifications/channels/{one['id']}/remove")
    drill.say(f"{len(added)} channels were tried, and removed")
    return counted


def link_tailnets(panel: Panel, urls: list[str]) -> dict[str, int]:
    """Link each address as a customer's control server; count how that ended."""
    counted = {"refused": 0, "failed": 0, "working": 0}
    customer: Account | None = None
    for number, url in enumerate(urls):
        if customer is None or number % TRIALS == 0:
            customer = panel.customer(f"linker-{number // TRIALS}")
        try:
            customer.post("/api/acl/link", kind="headscale", address=url, secret="made-up")
        except Refused as refused:
            must_be_clear(refused, url)
            counted["refused"] += 1
            continue
        status = wait_for_link(customer, url)
        counted["working" if status == "working" else "failed"] += 1
        customer.post("/api/acl/link/remove")
    return counted


def must_be_clear(refused: Refused, address: str) -> None:
    """A refusal that is our own fault ends the drill."""
    if refused.status >= 500:
        raise AssertionError(f"{address}: {refused}")


def wait_for_link(customer: Account, url: str) -> str:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        status = customer.get("/api/acl/link")["link"]["status"]
        if status != "testing":
            return status
        time.sleep(0.05)
    raise AssertionError(f"the link to {urlsplit(url).netloc} was not tried in 30 s")


def servers_taken(panel: Panel) -> int:
    """Add servers at addresses where no server can be; return how many were taken."""
    taken = 0
    for address in ("169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "ff02::1", "fe80::1%lo"):
        try:
            panel.admin.post(
                "/api/server/add", ip=address, region="nowhere", port_from=20000, port_to=20999
            )
        except Refused as refused:
            must_be_clear(refused, address)
        else:
            taken += 1
    return taken


if __name__ == "__main__":
    program(play)
