"""A mail server that says what it is told, for answers no real one gives on demand."""

import socket
import threading
from collections.abc import Mapping
from typing import Self

CUT = "<cut>"
"""Instead of an answer: the connection ends."""

GOOD = {
    "hello": "220 ready",
    "EHLO": "250 welcome",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    ".": "250 kept",
    "QUIT": "221 bye",
}


class ScriptedServer:
    """Answers each command by its first word; `.` is the end of a mail. One thread, one client."""

    def __init__(self, **answers: str) -> None:
        self.answers: Mapping[str, str] = {**GOOD, **answers}
        self.commands: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed: the test is over
            with client, client.makefile("rb") as lines:
                self._talk(client, lines)

    def _talk(self, client: socket.socket, lines) -> None:
        if not self._answer(client, "hello"):
            return
        in_mail = False
        for line in lines:
            text = line.decode().rstrip("\r\n")
            if in_mail and text != ".":
                continue
            word = text.split(" ")[0].upper()
            in_mail = word == "DATA" and self.answers["DATA"].startswith("354")
            self.commands.append(word)
            if not self._answer(client, word):
                return

    def _answer(self, client: socket.socket, word: str) -> bool:
        answer = self.answers.get(word, "250 ok")
        if answer == CUT:
            return False
        client.sendall(answer.encode() + b"\r\n")
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
