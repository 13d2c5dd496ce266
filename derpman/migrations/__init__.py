"""Alembic migrations, run by `derpman db upgrade`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

FOLDER = Path(__file__).parent


def config_for(engine: Engine) -> Config:
    """Return Alembic's configuration for a database, without a file."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest form; nothing happens when it is there."""
    command.upgrade(config_for(engine), "head")


def check(engine: Engine) -> None:
    """Raise when the models say something that no migration does."""
    command.check(config_for(engine))
