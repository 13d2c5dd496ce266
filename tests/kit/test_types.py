"""What may be a line or a note: nothing that hides, turns round, or breaks a line."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from derpman.kit.types import Body, IdValue, Line, Note

LINE, NOTE = TypeAdapter[str](Line), TypeAdapter[str](Note)


@pytest.mark.parametrize("text", ["laptop", "王小明 的电脑", "café", "e\u0301", "👩‍💻", "-", "ไทย"])
def test_people_may_name_things_as_they_like(text: str) -> None:
    assert LINE.validate_python(f"  {text} ") == text
    assert NOTE.validate_python(f"{text}\n\t{text}") == f"{text}\n\t{text}"


@pytest.mark.parametrize(
    "text",
    ["a\x00b", "a\x1bb", "a\x85b", "a\u2028b", "a\u2029b", "a\u202eb", "a\u2066b", "a\u200fb"],
)
def test_no_text_may_control_how_it_is_shown(text: str) -> None:
    for kind in (LINE, NOTE):
        with pytest.raises(ValidationError):
            kind.validate_python(text)


@pytest.mark.parametrize(
    "text",
    ["", " \u3000", "\u200b", "\u200d\u2060", "\ufeff", "\u3164", "\u2800", "\u0301", "a\nb"],
)
def test_a_line_shows_something_and_is_one(text: str) -> None:
    with pytest.raises(ValidationError):
        LINE.validate_python(text)


class Wish(Body):
    is_on: bool = False
    count: int | None = None
    chosen: list[int] = []
    plan_id: IdValue | None = None
    ids: Annotated[list[IdValue], Field(max_length=5)] = []


@pytest.mark.parametrize(
    "wish",
    [
        *({"is_on": 0}, {"is_on": "true"}, {"count": True}, {"count": "5"}, {"plan_id": True}),
        *({"chosen": [True]}, {"chosen": ["1"]}, {"ids": [1, True]}, {"ids": ["2"]}),
    ],
)
def test_a_body_takes_no_other_type_of_json(wish: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Wish.model_validate(wish)


def test_a_body_takes_what_json_means() -> None:
    wish = Wish.model_validate({"is_on": True, "count": 5, "chosen": [1]})
    assert (wish.is_on, wish.count, wish.chosen) == (True, 5, [1])
    assert Wish.model_validate({"count": None}).count is None
