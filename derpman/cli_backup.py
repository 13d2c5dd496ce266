"""The command line of `derpman backup` and `derpman restore`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from dotenv import dotenv_values
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from derpman.kit import journal
from derpman.settings import Settings

if TYPE_CHECKING:
    from derpman.wiring import System

out = Console()
err = Console(stderr=True)
OF_THE_PLACE = {"DERPMAN_DATABASE_URL", "DERPMAN_REDIS_URL", "DERPMAN_DATA_DIR"}
SETTINGS_FILE = "settings.restored.env"
PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File whose first line is the passphrase that keys and settings go under."),
]


def backup(
    path: Annotated[Path, typer.Argument(help="The file to write, such as derpman.backup.")],
    passphrase_file: PassphraseFile = None,
    *,
    without_keys: Annotated[
        bool, typer.Option(help="Leave keys and settings out: you keep them elsewhere.")
    ] = False,
) -> None:
    """Write one file with the whole installation, while it works."""
    from derpman import backup as copies

    if (passphrase_file is None) is not without_keys:
        err.print("Say --passphrase-file FILE, or --without-keys: without its keys a backup")
        err.print("cannot be used, as servers' and payments' secrets are sealed with them.")
        raise typer.Exit(2)
    system = _system()
    private = None
    if passphrase_file is not None:
        private = copies.Private(system.settings.vault_keys, _settings_of_now())
    began = time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("", total=None)

        def tell(name: str, rows: int) -> None:
            progress.update(bar, description=f"{name}: {rows} rows")

        counts = copies.write(
            system.engine,
            path,
            made_at=system.clock(),
            private=private,
            passphrase=_passphrase(passphrase_file),
            tell=tell,
        )
    size = path.stat().st_size / 1e6
    out.print(
        f"{sum(counts.values())} rows of {len(counts)} tables, {size:.1f} MB, in "
        f"{time.monotonic() - began:.1f} s: {path}",
        highlight=False,
        soft_wrap=True,
    )


def restore(
    path: Annotated[Path, typer.Argument(help="A file that `derpman backup` wrote.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Put a backup into an empty database, of whichever kind, and its keys into the data folder."""
    from derpman import backup as copies

    settings = Settings()
    private = None
    if passphrase_file is not None:
        copies.read_manifest(path)
        private = copies.read_private(path, _passphrase(passphrase_file))
    if private is not None:
        _place_keys(settings, private.keys)
    system = _system()
    began = time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("", total=None)

        def tell(name: str, rows: int) -> None:
            progress.update(bar, description=f"{name}: {rows} rows")

        counts = copies.restore(system.engine, path, tell=tell)
    out.print(
        f"{sum(counts.values())} rows of {len(counts)} tables in {time.monotonic() - began:.1f} s.",
        highlight=False,
    )
    if private is not None:
        kept = settings.data_dir / SETTINGS_FILE
        kept.touch(mode=0o600)
        kept.write_text("".join(f'{k}="{v}"\n' for k, v in sorted(private.settings.items())))
        out.print(f"The settings of then are in {kept}.", highlight=False, soft_wrap=True)
    out.print("Start the system: its nodes are made to follow the restored state within seconds.")
    out.print("Relays of customers who came after the backup are removed from the servers then.")


def _system() -> System:
    from derpman.wiring import assemble

    settings = Settings()
    journal.configure(level="WARNING", as_json=settings.log_json, process="cli")
    return assemble(settings)


def _place_keys(settings: Settings, wanted: Sequence[str]) -> None:
    """Put the keys where this installation reads its own; never over others."""
    from derpman.kit.secrets import key_file, write_key_file

    file = settings.key_file
    if file is not None and not file.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        write_key_file(file, wanted)
        return
    if (settings.vault_keys if file is None else key_file(file)) != list(wanted):
        where = "DERPMAN_SECRET_KEYS" if file is None else str(file)
        err.print(f"{where} has other keys than the backup. Move them away first.", soft_wrap=True)
        raise typer.Exit(1)


def _settings_of_now() -> dict[str, str]:
    """Return the settings that were given, from the environment and from .env."""
    given = {**dotenv_values(".env"), **os.environ}
    return {
        name: value
        for name, value in given.items()
        if name.startswith("DERPMAN_") and value is not None and name not in OF_THE_PLACE
    }


def _passphrase(path: Path | None) -> str:
    if path is None:
        return ""
    words = path.read_text().splitlines()[:1]
    if not words or not words[0]:
        err.print(f"{path} is empty.")
        raise typer.Exit(2)
    return words[0]


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err
    )
