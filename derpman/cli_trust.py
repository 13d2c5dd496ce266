"""The command line of what is trusted: `derpman logs …` and `derpman secrets …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from derpman.kit import journal
from derpman.settings import Settings

if TYPE_CHECKING:
    from derpman.logs.sealing import Anchor

logs = typer.Typer(no_args_is_help=True, help="The operation log and its chain.")
out = Console()


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
