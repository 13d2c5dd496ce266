"""Write the files that are made from code, or tell which of them are stale.

python tools/generate.py [FILE…]             write them all, or those named
python tools/generate.py --check             exit 1 and name those that are stale
python tools/generate.py --check-migrations  exit 1 when models and migrations differ
"""

import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from alembic.util import CommandError
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from derpman.access.permissions import PERMISSIONS, declare
from derpman.api import create_app, every_route
from derpman.kit.db import engine_for
from derpman.migrations import check, upgrade
from derpman.settings import Settings
from derpman.wiring import assemble

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Made by `make docs` from the code; change it there."


def openapi() -> str:
    """The OpenAPI document of the API, with its keys in the order of the code."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_construct(data_dir=Path(folder))  # reads no environment
        app = create_app(assemble(settings))
        return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def state_tables() -> Iterator[tuple[str, str, Mapping[tuple[str, str], str], ModuleType]]:
    """Every transition table: module, name of the table, the table, and where it stands."""
    for path in sorted(ROOT.glob("derpman/*/states.py")):
        if path.parent.name == "kit":
            continue
        module = importlib.import_module(f"derpman.{path.parent.name}.states")
        for name, value in vars(module).items():
            if name.endswith("TRANSITIONS"):
                yield path.parent.name, name, value, module


def states() -> str:
    """One section per state machine: its moves, its first state (of the first row), its last."""
    parts = [f"# State machines\n\n{NOTE} A move that is not listed is refused.", ""]
    for module, name, table, source in state_tables():
        machine = name.removesuffix("TRANSITIONS").strip("_").lower() or module
        left = {state for state, _ in table}
        every = list(dict.fromkeys([*(state for state, _ in table), *table.values()]))
        end = [str(state) for state in every if state not in left]
        parts += [f"## {module}: {machine}\n" if machine != module else f"## {module}\n"]
        parts += [f"{(source.__doc__ or '').strip().splitlines()[0]}\n"] if source.__doc__ else []
        parts += ["| state | action | next state |\n|---|---|---|"]
        parts += [
            f"| `{state}` | {action} | `{after}` |" for (state, action), after in table.items()
        ]
        parts += [f"\nBegins as `{every[0]}`; ends as {listed(end)}.\n"]
    return "\n".join(parts)


def listed(states: list[str]) -> str:
    return ", ".join(f"`{state}`" for state in states) or "nothing: every state can be left"


def settings_fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting as its environment variable."""
    prefix = Settings.model_config.get("env_prefix", "")
    for name, field in Settings.model_fields.items():
        yield f"{prefix}{name}".upper(), field


def shown_default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default in ("", []):
        return ""
    if isinstance(default, SecretStr):
        raise TypeError("a secret must not have a default")
    return str(default).lower() if isinstance(default, bool) else str(default)


def settings() -> str:
    """The table of settings."""
    rows = [
        f"| `{name}` | {f'`{default}`' if (default := shown_default(field)) else ''} "
        f"| {field.description} |"
        for name, field in settings_fields()
    ]
    return "\n".join(
        [
            f"# Settings\n\n{NOTE} Each is read once at start from the environment, or from `.env`",
            "in the working folder; the environment wins.\n",
            "| variable | default | what it does |\n|---|---|---|",
            *rows,
            "",
        ]
    )


def example_env() -> str:
    """A `.env` to copy, in which every line is a comment."""
    lines = [f"# {NOTE} Copy it to .env; every line shows the default."]
    for name, field in settings_fields():
        lines += ["", f"# {field.description}", f"#{name}={shown_default(field)}"]
    return "\n".join([*lines, ""])


def permissions() -> str:
    """Who may call each route, and what an admin's role can permit."""
    who = {"nobody": "everybody", "user": "who is logged in", "admin": "admins"}
    parts = [
        f"# Permissions\n\n{NOTE} A route that is not declared keeps the application from",
        "starting. An admin without a role of his own may whatever admins may; with one, what it",
        "permits: about everything, or about the customers he looks after, for whom routes marked",
        "“own customers” are. A super admin may everything.\n",
        "## What a role can permit\n\n| permission | 中文 | English |\n|---|---|---|",
        *(f"| `{name}` | {zh} | {en} |" for name, (zh, en) in sorted(PERMISSIONS.items())),
        "\n## Routes\n\n| route | who | an admin's role needs | besides |\n|---|---|---|---|",
    ]
    for one in sorted(declare(every_route()), key=lambda one: (one.path, one.method)):
        roles = one.rule.roles
        callers = next((who[role] for role in who if role in roles), "super admins")
        besides = [
            *(["a fresh proof"] if one.rule.is_fresh else []),
            *(["a log-in, not an API token"] if one.rule.is_own or one.rule.is_fresh else []),
        ]
        if one.permission and one.is_within_own:
            besides.append("own customers")
        needs = f"`{one.permission}`" if one.permission else ""
        parts.append(f"| `{one.method} {one.path}` | {callers} | {needs} | {', '.join(besides)} |")
    return "\n".join([*parts, ""])


GENERATED: dict[str, Callable[[], str]] = {
    "openapi.json": openapi,
    "docs/states.md": states,
    "docs/settings.md": settings,
    "docs/permissions.md": permissions,
    ".env.example": example_env,
}


def stale() -> list[str]:
    """The generated files that differ from what the code gives now."""
    paths = {name: ROOT / name for name in GENERATED}
    return [
        name
        for name, make in GENERATED.items()
        if not paths[name].exists() or paths[name].read_text() != make()
    ]


def check_migrations() -> None:
    """Migrate an empty database and compare what came out with the models."""
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_for(f"sqlite:///{folder}/empty.sqlite")
        upgrade(engine)
        try:
            check(engine)
        except CommandError as error:
            sys.exit(f"models and migrations differ: {error}")
        finally:
            engine.dispose()


def main(arguments: list[str]) -> None:
    if arguments == ["--check"]:
        if names := stale():
            sys.exit(f"stale: {', '.join(names)}; run `make openapi docs` and commit them")
        return
    if arguments == ["--check-migrations"]:
        check_migrations()
        return
    for name in arguments or GENERATED:
        path = ROOT / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(GENERATED[name]())


if __name__ == "__main__":
    main(sys.argv[1:])
