"""The least a web application of this stack can be: what requests are compared with."""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session

from derpman.kit.db import engine_for
from derpman.users.models import User

app = FastAPI()
engine = engine_for(os.environ["BARE_DATABASE"])


@app.get("/nothing")
def nothing() -> dict[str, bool]:
    """Answer without asking anything."""
    return {"success": True}


@app.get("/row")
def row() -> dict[str, str]:
    """Answer with one row by its primary key."""
    with Session(engine) as session:
        user = session.scalars(select(User).where(User.id == 1)).one()
        return {"username": user.username}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BARE_PORT"]), access_log=False, log_level="warning")
