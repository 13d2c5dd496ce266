"""The command line: `derpman --help`."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy.exc import DatabaseError

from derpman.cli_backup import backup, restore
from derpman.cli_server import app as server
from derpman.cli_trust import logs
from derpman.cli_trust import secrets as secrets_app
from derpman.cli_user import app as user
from derpman.kit import journal, memory, site
from derpman.kit.errors import DomainError
from derpman.settings import Settings

if TYPE_CHECKING:
    from derpman.kit.processes import Child
    from derpman.wiring import System

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they may be secrets
    help="DERP Management: rent out private DERP relays.",
)
db = typer.Typer(no_args_is_help=True, help="The database.")
admin = typer.Typer(no_args_is_help=True, help="Administrators.")
node = typer.Typer(no_args_is_help=True, help="The program that runs on servers.")
serial = typer.Typer(no_args_is_help=True, help="Serial numbers.")
rental = typer.Typer(no_args_is_help=True, help="Rentals.")
for name, group in (
    ("db", db),
    ("admin", admin),
    ("user", user),
    ("server", server),
    ("node", node),
    ("serial", serial),
    ("rental", rental),
    ("logs", logs),
    ("secrets", secrets_app),
):
    app.add_typer(group, name=name)
app.command()(backup)
app.command()(restore)

out = Console()
err = Console(stderr=True)
PARTS = ("tasks", "beat", "dispatcher", "servers")


class Part(StrEnum):
    TASKS = "tasks"
    BEAT = "beat"
    DISPATCHER = "dispatcher"
    SERVERS = "servers"


def _system(process: str = "cli", level: str | None = None) -> System:
    from derpman.wiring import assemble

    memory.configure()
    settings = Settings()
    journal.configure(level=level or settings.log_level, as_json=settings.log_json, process=process)
    return assemble(settings)


def main() -> None:
    """Run a command; a rule that says no is a sentence and status 1, not a stack trace."""
    memory.begin()
    try:
        app()
    except DomainError as error:
        err.print(f"[red]{error.message}[/red] [dim]({error.code})[/dim]")
        sys.exit(1)
    except DatabaseError as error:
        err.print(f"[red]The database says no:[/red] {error.orig}")
        err.print("Is it up, and up to date? See `derpman db upgrade` and `derpman doctor`.")
        sys.exit(1)


def _me(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "derpman", *arguments]


@app.command()
def run(
    *,
    demo: Annotated[bool, typer.Option(help="Add three local nodes and demo accounts.")] = False,
) -> None:
    """Start everything on this machine: API, workers, scheduler, and with --demo three nodes."""
    from derpman.kit.processes import Child, Supervisor

    system = _system("run")
    upgrade()
    children = [Child("api", _me("serve")), *_worker_children()]
    if demo:
        from derpman import demo as demonstration

        children = demonstration.nodes(system) + children
        for line in demonstration.prepare(system):
            out.print(line, highlight=False)
    out.print(f"Listening on [bold]{system.settings.public_url}[/bold]  API: /docs")
    if site.find(system.settings.web_dir) is None:
        out.print("No web pages: the API works alone. `tools/setup.sh web` makes them.")
    Supervisor(children).run()


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port, for several processes.")
    ] = None,
) -> None:
    """Start one API process."""
    import uvicorn

    from derpman.api import create_app
    from derpman.kit import serving

    system = _system("api")
    settings = system.settings
    web = create_app(system)
    memory.begun()
    config = uvicorn.Config(
        web,
        host=settings.listen_host,
        port=port or settings.listen_port,
        proxy_headers=False,  # kit.http believes listed proxies only
        server_header=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=serving.LONGEST_ANSWER_SECONDS,
    )
    serving.GentleServer(config, web.state.live.cut).run(serving.handed_over() or None)


def _worker_children() -> list[Child]:
    from derpman.kit.processes import Child

    return [Child(part, _me("worker", "--only", part)) for part in PARTS]


@app.command()
def worker(
    only: Annotated[Part | None, typer.Option(help="Start one part; without, all four.")] = None,
) -> None:
    """Start the background processes: Celery tasks, scheduler, dispatcher, servers' worker."""
    from derpman import worker as workers

    if only is None:
        from derpman.kit.processes import Supervisor

        Supervisor(_worker_children()).run()
        return
    system = _system(only.value)
    match only:
        case Part.TASKS:
            workers.run_tasks(system)
        case Part.BEAT:
            workers.run_beat(system)
        case Part.DISPATCHER:
            workers.run_dispatcher(system)
        case Part.SERVERS:
            workers.run_servers(system)


@db.command("upgrade")
def upgrade() -> None:
    """Bring the database to the newest form and add what every installation has."""
    from derpman import migrations
    from derpman.finance import service as finance

    system = _system("cli", level="WARNING")
    migrations.upgrade(system.engine)
    system.edge()(finance.seed_plans)
    out.print(f"The database is up to date ({system.engine.url.render_as_string()}).")


@db.command("check")
def check() -> None:
    """Tell whether the models say something that no migration does."""
    from derpman import migrations

    migrations.check(_system("cli", level="WARNING").engine)
    out.print("Models and migrations agree.")


@admin.command("create")
def create_admin(
    username: str,
    email: str,
    *,
    super_admin: Annotated[bool, typer.Option("--super/--plain")] = True,
    password_stdin: Annotated[bool, typer.Option(help="Read the password from stdin.")] = False,
    locale: str = "zh-CN",
) -> None:
    """Create an administrator; without --password-stdin a password is made and printed once."""
    from derpman.kit import passwords
    from derpman.kit.work import Role
    from derpman.users import service as users

    system = _system("cli", level="WARNING")
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(15)
    user = system.edge()(
        users.create,
        username=username,
        email=email,
        password_hash=passwords.hash(users.acceptable_password(password, username, email)),
        role=Role.SUPER_ADMIN if super_admin else Role.ADMIN,
        locale=locale,
    )
    out.print(f"Created {user.role} {user.username} (id {user.id}).")
    if not password_stdin:
        out.print(f"Password: {password}", highlight=False)


@node.command("build")
def build_node(
    source: Annotated[Path, typer.Option(help="The Go module.")] = Path("node"),
    to: Annotated[Path | None, typer.Option(help="Folder; default: the build folder.")] = None,
    go: Annotated[str | None, typer.Option(help="The go command to use.")] = None,
) -> None:
    """Build derpman-node, stock derper, and the relay image, without Docker or a registry."""
    from derpman.servers import building

    go = go or os.environ.get("DERPMAN_GO") or shutil.which("go")
    if go is None:
        err.print("No Go found. Name one with --go; node/go.mod says which version is needed.")
        raise typer.Exit(1)
    target = to or Settings().build_dir
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err
    ) as progress:
        bar = progress.add_task("", total=None)
        try:
            for step in building.build(source, target, go):
                progress.update(bar, description=f"building {step.words}")
        except building.BuildFailed as failure:
            err.print(f"[red]{failure}[/red]")
            raise typer.Exit(1) from None
        progress.update(bar, description="built")
    for path in sorted(target.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            out.print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", highlight=False)


@serial.command("generate")
def generate_serials(
    days: Annotated[int, typer.Argument(help="Length of the plan in days.")],
    count: Annotated[int, typer.Option(min=1, max=10_000)] = 1,
    note: str | None = None,
) -> None:
    """Generate serials of the plan of a length, one a line."""
    from derpman.serials import service as serials

    system = _system("cli", level="WARNING")
    made = system.edge()(serials.generate, duration_days=days, count=count, note=note)
    for one in made:
        print(one.code)  # noqa: T201 # for pipes


@rental.command("activate")
def activate_rental(
    username: str, code: Annotated[str, typer.Argument(help="The serial number.")]
) -> None:
    """Activate a serial for a user, as he would himself."""
    from derpman.containers.errors import NotEnoughServers
    from derpman.rentals import service as rentals
    from derpman.users import service as users

    system = _system("cli", level="WARNING")
    edge = system.edge()
    user = edge.read(users.by_username, username=username)
    try:
        active = edge(rentals.activate, code=code, user_id=user.id)
    except NotEnoughServers as error:
        edge(rentals.report_shortage, wanted=error.wanted, fit=error.fit)
        raise
    out.print(
        f"Rental {active.id} of {user.username} is active until {active.expires_at:%F %T} UTC."
    )
    _show_slots(system, active.id)


@app.command()
def doctor() -> None:
    """Look at every part of this installation and say what to do; status 1 when something is."""
    from derpman import doctor as physician

    table = Table("", "part", "found", "what to do")
    bad = 0
    for finding in physician.examine(_system("cli", level="ERROR")):
        mark = "[green]ok[/green]" if finding.is_good else "[red]no[/red]"
        advice = "" if finding.is_good else finding.advice
        table.add_row(mark, finding.what, finding.found, advice)
        bad += not finding.is_good
    out.print(table)
    if bad:
        raise typer.Exit(1)


def _show_slots(system: System, rental_id: int) -> None:
    from derpman.containers import service as containers

    table = Table("slot", "region", "address", "port", "state")
    for placement in system.edge().read(containers.placements_of, rental_id=rental_id):
        table.add_row(
            str(placement.slot),
            str(placement.region_id),
            placement.address,
            str(placement.port),
            placement.observed,
        )
    out.print(table)


if __name__ == "__main__":
    main()
