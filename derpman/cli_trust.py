"""The command line of what is trusted: `derpman logs …` and `derpman secrets …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from derpman.kit import journal
from derpman.settings import Settings

if TYPE_CHECKING:
    from derpman.kit.resealing import Count
    from derpman.logs.sealing import Anchor

logs = typer.Typer(no_args_is_help=True, help="The operation log and its chain.")
secrets = typer.Typer(no_args_is_help=True, help="Secrets at rest and their keys.")
out = Console()
PASSES = 10
"""Processes that run may seal with the key before for a moment: another pass finds it."""


@logs.command("verify")
def verify_logs(
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="An end of the chain noted elsewhere, `position:digest`."),
    ] = None,
) -> None:
    """Follow the chain over the operation log; status 1 and the places where it was changed."""
    from derpman.logs import sealing
    from derpman.logs.tasks import read_anchor
    from derpman.wiring import assemble

    settings = Settings()
    journal.configure(level="WARNING", as_json=False, process="cli")
    anchors = [_anchor(text) for text in anchor or ()]
    kept = read_anchor(settings.data_dir)
    anchors += [kept] if kept else []
    report = sealing.verify(assemble(settings).edge(), anchors=tuple(anchors))
    for found in report.findings:
        row = "" if found.log_id is None else f" (row {found.log_id} of system_logs)"
        out.print(f"[red]position {found.position}[/red]{row}: {found.what}", highlight=False)
    if kept is None:
        out.print("No anchor in the data folder: a tail that was cut off cannot be told.")
    out.print(
        f"{report.checked} rows fit their links, {report.retired} were retired; "
        f"{len(report.findings)} findings. End: {report.head.position}:{report.head.digest}",
        highlight=False,
        soft_wrap=True,
    )
    if report.findings:
        raise typer.Exit(1)


@logs.command("head")
def show_head() -> None:
    """Print the end of the chain, to be noted where the database's keeper cannot reach."""
    from derpman.logs import sealing
    from derpman.wiring import assemble

    end = assemble(Settings()).edge().read(sealing.head)
    out.print(f"{end.position}:{end.digest}", highlight=False, soft_wrap=True)


def _anchor(text: str) -> Anchor:
    from derpman.logs.sealing import Anchor

    position, _, digest = text.partition(":")
    if not position.isdigit() or not digest:
        raise typer.BadParameter("an anchor is `position:digest`")
    return Anchor(int(position), digest)


@secrets.command("rotate")
def rotate_secrets(
    *,
    drop_old: Annotated[
        bool, typer.Option(help="Remove the old keys afterwards, when nothing needs them.")
    ] = False,
) -> None:
    """Seal every secret in the database with a new key, while everything runs.

    What was interrupted goes on when it is called again, with the key it had begun with. With
    DERPMAN_SECRET_KEYS put the new key first there, restart every process, then call this.
    """
    from derpman.kit import resealing
    from derpman.kit.secrets import key_file, new_key, write_key_file
    from derpman.migrations import load_models
    from derpman.wiring import assemble

    load_models()
    settings = Settings()
    journal.configure(level="WARNING", as_json=False, process="cli")
    system = assemble(settings)
    if settings.key_file is not None:
        keys = key_file(settings.key_file)
        if len(keys) == 1:
            write_key_file(settings.key_file, [new_key(), *keys])
            out.print(f"Put a new key first in {settings.key_file}.", highlight=False)
        else:
            out.print("There is more than one key: the rotation that began goes on.")
    lost = 0
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=out) as progress:
        bar = progress.add_task("", total=None)
        for _ in range(PASSES):
            counts = resealing.walk(
                system.edge(),
                write=True,
                told=lambda count: progress.update(bar, description=_line(count)),
            )
            lost = sum(count.lost for count in counts)
            if not any(count.old for count in counts):
                break
    for count in resealing.walk(system.edge(), write=False):
        out.print(_line(count), highlight=False)
    if lost:
        out.print(f"[red]{lost} values are opened by no key:[/red] no key is dropped.")
        raise typer.Exit(1)
    if drop_old and settings.key_file is not None:
        write_key_file(settings.key_file, key_file(settings.key_file)[:1])
        out.print("Dropped the old keys. Backups from before need them: keep a copy with those.")


@secrets.command("status")
def show_secrets() -> None:
    """Count what is sealed, with which keys, and what no key opens; status 1 when there is such."""
    from derpman.kit import resealing
    from derpman.migrations import load_models
    from derpman.wiring import assemble

    load_models()
    journal.configure(level="WARNING", as_json=False, process="cli")
    counts = resealing.walk(assemble(Settings()).edge(), write=False)
    for count in counts:
        out.print(_line(count), highlight=False)
    if any(count.lost for count in counts):
        raise typer.Exit(1)


def _line(count: Count) -> str:
    return (
        f"{count.column:40} {count.seen} sealed, {count.old} with an old key, {count.lost} unopened"
    )
