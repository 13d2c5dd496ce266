"""Alembic migrations, run by `derpman db upgrade`."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

import derpman

FOLDER = Path(__file__).parent


def load_models() -> None:
    """Import the tables of every module, so that the metadata has them all."""
    for module in pkgutil.iter_modules(derpman.__path__):
        if module.ispkg and module.name not in ("kit", "migrations"):
            path = f"derpman.{module.name}.models"
            if find_spec(path) is not None:
                import_module(path)


def config_for(engine: Engine) -> Config:
    """Return Alembic's configuration for a database, without a file."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to the newest form, or to a revision; nothing happens when it is there."""
    command.upgrade(config_for(engine), revision)


def check(engine: Engine) -> None:
    """Raise when the models say something that no migration does."""
    command.check(config_for(engine))
