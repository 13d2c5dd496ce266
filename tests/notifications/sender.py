"""A process that sends what is due and may be killed: python -m tests.notifications.sender."""

import os
from datetime import datetime

from derpman.kit.db import Sessions, engine_for
from derpman.kit.secrets import Vault
from derpman.kit.work import SYSTEM, Edge
from derpman.notifications.post import PostOffice
from derpman.notifications.smtp import SmtpServer


def main() -> None:
    now = datetime.fromisoformat(os.environ["NOW"])
    edge = Edge(
        sessions=Sessions(engine_for(os.environ["DATABASE"])),
        vault=Vault([os.environ["KEY"]]),
        actor=SYSTEM,
        handlers={},
        clock=lambda: now,
        wake=lambda topics: None,
    )
    server = SmtpServer("127.0.0.1", int(os.environ["PORT"]), "none", "derp.example")
    PostOffice(edge, server, "noreply@derp.example", "https://derp.example").send_due()


if __name__ == "__main__":
    main()
