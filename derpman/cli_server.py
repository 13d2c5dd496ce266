"""`derpman server …`: add, list, check and remove servers from the shell, each step shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from derpman.wiring import System

app = typer.Typer(no_args_is_help=True, help="Servers that carry relays.")
out = Console()
err = Console(stderr=True)


def _system() -> System:
    from derpman.kit import journal
    from derpman.settings import Settings
    from derpman.wiring import assemble

    settings = Settings()
    journal.configure(level="ERROR", as_json=settings.log_json, process="cli")
    return assemble(settings)


@app.command("add")
def add(
    ip: Annotated[str, typer.Argument(help="Address that customers connect to.")],
    region: Annotated[str, typer.Argument(help="Where it stands, as customers read it.")],
    user: Annotated[
        str, typer.Option(help="Administrator: root, or one who may use sudo.")
    ] = "root",
    key: Annotated[Path | None, typer.Option(help="File with his private key.")] = None,
    password_stdin: Annotated[
        bool, typer.Option(help="Read his password (for SSH and sudo) from stdin.")
    ] = False,
    local: Annotated[
        Path | None, typer.Option(help="Socket of a node on this machine, instead of SSH.")
    ] = None,
    ssh_port: int = 22,
    fingerprint: Annotated[
        str | None, typer.Option(help="SHA256:… of the host key, when you know it.")
    ] = None,
    account_phone: Annotated[str | None, typer.Option(help="Phone of the cloud account.")] = None,
    registered_place: Annotated[
        str | None, typer.Option(help="Where in China the address is registered.")
    ] = None,
    monthly_allowance_gb: Annotated[int | None, typer.Option(min=1)] = None,
    ports: Annotated[str, typer.Option(help="Range for relays, TCP and UDP.")] = "20000-29999",
    capacity: Annotated[int, typer.Option(min=0, help="0: proposed from memory.")] = 0,
) -> None:
    """Set a server up over SSH; the administrator's access is used once and not kept."""
    from derpman.servers import upkeep
    from derpman.servers.models import Transport
    from derpman.servers.rootshell import Credential

    credential = None
    if local is None:
        password = sys.stdin.readline().rstrip("\n") if password_stdin else None
        if key is None and password is None:
            err.print("Give the administrator's access: --key FILE or --password-stdin.")
            raise typer.Exit(2)
        credential = Credential(
            user=user,
            password=password,
            private_key=key.read_text() if key else None,
            sudo_password=password,
        )
        credential.key()  # a key that cannot be read is told before anything is recorded
    first, _, last = ports.partition("-")
    if not (first.isdigit() and last.isdigit()):
        err.print("Ports are a range such as 20000-29999.")
        raise typer.Exit(2)
    system = _system()
    server, job = system.edge()(
        upkeep.add,
        ip=ip,
        region=region,
        transport=Transport.SSH if local is None else Transport.LOCAL,
        credential=credential,
        fingerprint=fingerprint,
        waits=True,
        socket_path=str(local.resolve()) if local else None,
        ssh_port=ssh_port,
        account_phone=account_phone,
        registered_place=registered_place,
        monthly_allowance_bytes=monthly_allowance_gb and monthly_allowance_gb * 10**9,
        port_from=int(first),
        port_to=int(last),
        capacity=capacity,
    )
    out.print(f"Server {server.id} ({server.ip}):")
    _do(system, job.id)


@app.command("list")
def list_servers() -> None:
    """Show every server: place, users, load, state."""
    from derpman.servers import queries

    edge = _system().edge()
    table = Table("id", "ip", "region", "state", "users", "capacity", "load", "node", "trouble")
    before: int | None = None
    while True:
        servers, before = edge.read(queries.servers, before=before, limit=200)
        links = edge.read(queries.links, [server.id for server in servers])
        for server in servers:
            link = links.get(server.id)
            table.add_row(
                str(server.id),
                server.ip,
                server.region,
                server.status,
                str(server.relay_count),
                str(server.capacity),
                f"{server.load:.2f}",
                link.node_version if link else "",
                link.error if link else "",
            )
        if before is None:
            break
    if table.row_count:
        out.print(table)
    else:
        out.print("There are no servers yet. Add one with `derpman server add`.")


@app.command("check")
def check(server_id: int) -> None:
    """Look at a server: its node, its ports from outside, its clock, its distance."""
    from derpman.servers import upkeep

    system = _system()
    _do(system, system.edge()(upkeep.check, server_id=server_id, waits=True).id)


@app.command("drain")
def drain(
    server_id: int,
    move: Annotated[bool, typer.Option(help="Move its relays to other servers too.")] = False,
) -> None:
    """Place nothing new on a server; with --move it becomes empty, and the way there is shown."""
    from derpman.ha import service

    system = _system()
    asked = system.edge()(service.drain, server_id=server_id, is_moving_off=move)
    out.print(f"Server {server_id} takes nobody new; {asked} relays are to move.")
    if move:
        _follow_emptying(system, server_id)


@app.command("undrain")
def undrain(server_id: int) -> None:
    """Take a drain, or a removal that waits for moves, back."""
    from derpman.ha import service

    _system().edge()(service.undrain, server_id=server_id)
    out.print(f"Server {server_id} takes relays again.")


@app.command("failover")
def failover(
    server_id: Annotated[int | None, typer.Argument(help="Empty: all that are lost.")] = None,
) -> None:
    """Replace the relays of a server that is unhealthy or dead."""
    from derpman.ha import service

    done = _system().edge()(service.fail_over_by_hand, server_id=server_id)
    named = ", ".join(map(str, done.server_ids)) or "none"
    out.print(f"Servers: {named}; {done.moves} relays are being replaced.")


@app.command("give-up")
def give_up(
    server_id: int,
    reason: Annotated[str, typer.Option(help="Why it is trusted no more.")],
) -> None:
    """Never trust a server again: its relays get new keys elsewhere at once."""
    from derpman.ha import service

    system = _system()
    asked = system.edge()(service.give_up, server_id=server_id, reason=reason)
    out.print(f"Server {server_id} is given up; {asked} relays get new keys elsewhere.")
    _follow_emptying(system, server_id)


@app.command("remove")
def remove(
    server_id: int,
    reason: str | None = None,
    move: Annotated[
        bool, typer.Option(help="Move its relays first, whether it lives or is dead.")
    ] = False,
    at_once: Annotated[
        bool, typer.Option(help="Do not wait until customers have taken their new maps.")
    ] = False,
) -> None:
    """Remove a server, and clean up on it; one that carries relays needs --move."""
    from derpman.ha import service
    from derpman.servers import upkeep

    system = _system()
    if move:
        asked = system.edge()(service.leave, server_id=server_id, reason=reason, at_once=at_once)
        out.print(f"{asked} relays are to move; then server {server_id} is removed.")
        _follow_emptying(system, server_id)
        return
    job = system.edge()(upkeep.remove, server_id=server_id, reason=reason, waits=True)
    _do(system, job.id)


def _follow_emptying(system: System, server_id: int) -> None:
    """Show how a server becomes empty; the servers' worker does it, with or without this."""
    import time

    from derpman.ha import queries

    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err
    ) as progress:
        task = progress.add_task("looking", total=1)
        try:
            while True:
                left = system.edge().read(queries.emptying, server_id=server_id)
                text = (
                    f"relays left {left.relays}: {left.waiting} wait, {left.preparing} start "
                    f"elsewhere, {left.switched} until customers have their new map"
                )
                progress.update(task, description=text)
                if left.is_done:
                    break
                time.sleep(1)
        except KeyboardInterrupt:
            out.print("It goes on without this command.")
            return
        progress.update(task, description=f"server {server_id} is empty", completed=1)


@app.command("clean-up")
def clean_up(server_id: int) -> None:
    """Try once more to clean up on a removed server that could not be reached then."""
    from derpman.servers import upkeep

    system = _system()
    _do(system, system.edge()(upkeep.clean_up, server_id=server_id, waits=True).id)


@app.command("upgrade")
def upgrade(
    server_ids: Annotated[
        list[int] | None, typer.Argument(help="Servers; with none of them, --all.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every healthy server.")] = False,
    watch_seconds: Annotated[
        int, typer.Option(min=0, help="How long the first server is watched before others follow.")
    ] = 300,
    reason: str | None = None,
    follow: Annotated[bool, typer.Option(help="Show how it goes, until it ends.")] = True,
) -> None:
    """Bring servers to the node and relay image built here: one first, then one at a time.

    The background processes do it; ending this command does not end the upgrade. Pause, resume
    and abort it with `derpman server upgrade-control`.
    """
    from derpman.servers import rollouts
    from derpman.servers.release import built_image, built_program

    if bool(server_ids) == every:
        err.print("Name servers, or say --all.")
        raise typer.Exit(2)
    system = _system()
    program = built_program(system.settings.build_dir)
    image = built_image(system.settings.build_dir)
    if program is None or image is None:
        err.print("Nothing has been built yet: run `derpman node build`.")
        raise typer.Exit(1)
    begun = system.edge()(
        rollouts.begin,
        node_version=program.version,
        node_sha256=program.sha256,
        relay_label=image.label,
        server_ids=server_ids or None,
        watch_seconds=watch_seconds,
        reason=reason,
    )
    out.print(f"Upgrade {begun.id}: node {program.version}, relay image {image.label}")
    if follow:
        _follow(system, begun.id)


@app.command("upgrade-control")
def upgrade_control(
    upgrade_id: int,
    action: Annotated[str, typer.Argument(help="pause, resume, abort, or show.")] = "show",
) -> None:
    """Show how an upgrade goes, or pause, resume or abort it."""
    from derpman.servers import rollouts

    verbs = {"pause": rollouts.pause, "resume": rollouts.resume, "abort": rollouts.abort}
    system = _system()
    if action in verbs:
        system.edge()(verbs[action], upgrade_id=upgrade_id)
    elif action != "show":
        err.print("An action is pause, resume, abort or show.")
        raise typer.Exit(2)
    _follow(system, upgrade_id, until_end=action == "resume")


def _follow(system: System, upgrade_id: int, *, until_end: bool = True) -> None:
    """Print what changes in an upgrade; status 1 when it ends otherwise than well."""
    import time

    from derpman.servers import rollouts
    from derpman.servers.states import UpgradeStatus
    from derpman.servers.texts import sentence

    edge, shown = system.edge(), dict[int, str]()
    while True:
        state = edge.read(rollouts.get, upgrade_id)
        for stage in edge.read(rollouts.stages, upgrade_id):
            if shown.get(stage.server_id) != stage.status:
                shown[stage.server_id] = stage.status
                why = f": {sentence(stage.error, {})}" if stage.error else ""
                out.print(f"server {stage.server_id}: {stage.status}{why}")
        if state.status is not UpgradeStatus.RUNNING or not until_end:
            break
        time.sleep(1)
    out.print(f"Upgrade {upgrade_id} is {state.status}.")
    if state.status in (UpgradeStatus.PAUSED, UpgradeStatus.ABORTED) and until_end:
        raise typer.Exit(1)


def _do(system: System, job_id: int) -> None:
    """Do a job in this process and show its steps as they go; status 1 when it fails."""
    from derpman.servers import adding, jobrun

    means = jobrun.Means(
        edge=system.edge(),
        build_dir=system.settings.build_dir,
        relay_memory_bytes=system.settings.server_capacity_memory_bytes,
    )
    failed = False
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err
    ) as progress:
        tell = _teller(progress)

        def told(name: str, state: str, message: str) -> None:
            nonlocal failed
            failed = failed or state == "failed"
            tell(name, state, message)

        jobrun.run(means, job_id, adding.PROGRAMS, told)
    if failed:
        raise typer.Exit(1)


def _teller(progress: Progress) -> Callable[[str, str, str], None]:
    bars: dict[str, int] = {}

    def tell(name: str, state: str, message: str) -> None:
        if name not in bars:
            bars[name] = progress.add_task(name, total=1)
        bar = progress.tasks[bars[name]].id
        if state == "done":
            progress.update(bar, description=f"[green]✓[/green] {name}", completed=1)
        elif state == "failed":
            progress.update(bar, description=f"[red]✗ {name}[/red]: {message}", completed=1)

    return tell
