"""Write a migration from what the models say and no migration does yet.

make migration NAME="count devices"
"""

import sys
import tempfile

from alembic import command
from alembic.script import ScriptDirectory

from derpman.kit.db import engine_for
from derpman.migrations import config_for, upgrade


def main(words: str) -> None:
    """Migrate an empty database and let Alembic compare; the numbers of migrations are in order."""
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_for(f"sqlite:///{folder}/empty.sqlite")
        upgrade(engine)
        config = config_for(engine)
        newest = ScriptDirectory.from_config(config).get_current_head() or "0"
        command.revision(config, words, autogenerate=True, rev_id=f"{int(newest) + 1:04d}")
        engine.dispose()


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    main(" ".join(sys.argv[1:]))
