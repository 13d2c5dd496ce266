"""`derpman user …`: customers from the shell."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from derpman.kit import journal
from derpman.kit.errors import DomainError
from derpman.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Customers.")
out = Console()


@app.callback()
def _group() -> None:
    """Keep `import` a command of its own while it is the only one."""


@app.command("import")
def import_users(
    path: Annotated[
        Path,
        typer.Argument(
            help="CSV in UTF-8 with the columns username, email and, if wanted, language, "
            "until (YYYY-MM-DD), plan_days."
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and do nothing.")] = False,
    invite: Annotated[
        bool, typer.Option(help="Mail everybody new a code to set his password with.")
    ] = False,
) -> None:
    """Bring customers in from a file; status 1 when a row was refused. It may be run again."""
    from derpman.rentals import importing
    from derpman.wiring import assemble

    settings = Settings()
    journal.configure(level="WARNING", as_json=settings.log_json, process="cli")
    edge = assemble(settings).edge()
    counts: Counter[str] = Counter()
    rows = list(importing.rows(path))
    for row in rows:
        try:
            if dry_run:
                edge(importing.look, row=row)
                continue
            done = edge(importing.take, row=row, invite=invite)
        except importing.Looked as looked:
            done = looked.done
        except DomainError as error:
            counts["refused"] += 1
            out.print(f"row {row.number} ({row.email}): {error.message} ({error.code})",
                      highlight=False, soft_wrap=True)  # fmt: skip
            continue
        counts["new" if done.is_new else "there already"] += 1
        counts["served"] += done.is_served
    words = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no rows"
    out.print(f"{'Would be: ' if dry_run else ''}{words}.", highlight=False)
    if counts["refused"]:
        raise typer.Exit(1)
