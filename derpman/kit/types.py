"""Column types and the small value types that every table and request shares."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Integer, Text, types
from sqlalchemy.dialects import mysql

Id = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite
LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
MAX_ID = 2**63 - 1
SEALED = {"sealed": True}
"""`info` of a column whose texts the vault sealed: `derpman secrets rotate` finds it by this."""


class UtcDateTime(types.TypeDecorator[datetime]):
    """An instant in aware UTC, to the microsecond; a naive value is refused."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


E = TypeVar("E", bound=StrEnum)


def _values(members: type[StrEnum]) -> list[str]:
    return [member.value for member in members]


def enum_column(members: type[E]) -> Enum:
    """Return a column type that stores the member's value as a plain string."""
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=_values,
    )


TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What changes the direction of writing, and so makes a text look like another one."""
BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def _printable(text: str) -> str:
    """Refuse control characters, which no name or note needs and PostgreSQL cannot store all of."""
    refused = ("Cc", "Cs", "Zl", "Zp")
    if any(unicodedata.category(char) in refused and char not in "\n\t" for char in text):
        raise ValueError("control characters are not allowed")
    if not TURNING.isdisjoint(text):
        raise ValueError("characters that turn the direction of writing are not allowed")
    return text


def _visible(text: str) -> str:
    """Refuse a text of which nothing is seen; joiners, as in emoji, may stand between others."""
    unseen = ("Cf", "Cn", "Mn", "Zs")
    if all(unicodedata.category(char) in unseen or char in BLANK_LETTERS for char in text):
        raise ValueError("there is nothing to see")
    return text


IdValue = Annotated[int, Field(ge=1, le=MAX_ID)]
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\n\t]*$"),
    AfterValidator(_printable),
    AfterValidator(_visible),
]
Note = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2000), AfterValidator(_printable)
]


class Body(BaseModel):
    """A request body; an unknown field is refused, so that a typing error is not silently lost."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _as_json_has_it(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what is another type in JSON: pydantic would take 0 for false and "5" for 5."""
        _refuse_look_alikes(value, cls.model_fields[info.field_name or ""].annotation)
        return value


def _refuse_look_alikes(value: object, annotation: Any) -> None:
    """Raise ValueError where a value, or one in a list, is only taken for what is annotated."""
    kinds = set(_members(annotation))
    if bool in kinds and not isinstance(value, bool | None):
        raise ValueError("true or false is needed")
    if int in kinds and isinstance(value, bool | str) and not kinds & {bool, str}:
        raise ValueError("a whole number is needed")
    if isinstance(value, list):
        for kind in kinds:
            if get_origin(kind) is list:
                for item in cast("list[object]", value):
                    _refuse_look_alikes(item, get_args(kind)[0])


def _members(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation allows, without what is said about it."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _members(one)
    else:
        yield annotation


class Out(BaseModel):
    """An answer; every JSON answer of the API has `success`."""

    model_config = ConfigDict(from_attributes=True)
    success: bool = True


class Part(BaseModel):
    """A piece of an answer."""

    model_config = ConfigDict(from_attributes=True)
