"""What the logs refuse."""


class AppendOnly(RuntimeError):
    """Code of ours tried to change or remove a log row: a bug, never an answer to a request."""
