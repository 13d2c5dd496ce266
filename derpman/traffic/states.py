"""What a rental's traffic period can be."""

from enum import StrEnum


class PeriodStatus(StrEnum):
    PLANNED = "planned"
    OPEN = "open"
    CLOSED = "closed"


TRANSITIONS = {
    (PeriodStatus.PLANNED, "open"): PeriodStatus.OPEN,
    (PeriodStatus.OPEN, "close"): PeriodStatus.CLOSED,
    (PeriodStatus.PLANNED, "close"): PeriodStatus.CLOSED,  # the rental ended before it began
}


class Verdict(StrEnum):
    """What became of a count that no line could have carried."""

    OPEN = "open"
    BILLED = "billed"
    DISMISSED = "dismissed"


VERDICTS = {
    (Verdict.OPEN, "bill"): Verdict.BILLED,
    (Verdict.OPEN, "dismiss"): Verdict.DISMISSED,
}
