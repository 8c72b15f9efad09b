"""Argument types of the memory tools, and what is forgiven in how a model fills them in.

The schemas show one plain form of each argument. Where a model slips in a way that leaves no doubt (one tag as a bare
string, `id` for `ids`, a list as JSON text, null for "not given"), that is taken for the plain form; anything else
is refused.
"""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import from_json

from connector.tools.tool import Arguments
from remora.memory.models import MetadataValue, Scalar

T = TypeVar("T")

_SHOWN_CHARACTERS = 60


class MemoryArguments(Arguments):
    """Base of the memory tools' arguments."""

    @model_validator(mode="before")
    @classmethod
    def _forgive(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        forgiven = {name: value for name, value in given.items() if value is not None}
        fields = cls.model_fields
        if "id" in forgiven and "ids" in fields and "id" not in fields and "ids" not in forgiven:
            forgiven["ids"] = forgiven.pop("id")
        if "ids" in forgiven and "id" in fields and "ids" not in fields and "id" not in forgiven:
            ids = _as_list(forgiven["ids"])
            if isinstance(ids, list) and len(ids) == 1:
                forgiven["id"] = ids[0]
                del forgiven["ids"]
        return forgiven


def _from_json(value: object, opening: str) -> object:
    """Return what a text says that is JSON of the kind that is wanted; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith(opening):
        try:
            return from_json(value)
        except ValueError:
            return value
    return value


def _as_list(value: object) -> object:
    value = _from_json(value, "[")
    return [value] if isinstance(value, str | Mapping) else value


def _with_content(value: object) -> object:
    """Return a list of memories or turns, in which a bare text stands for its content."""
    value = _as_list(_from_json(value, "{"))
    if not isinstance(value, list):
        return value
    return [{"content": item} if isinstance(item, str) else item for item in value]


def _metadata(value: object) -> object:
    value = _from_json(value, "{")
    if not isinstance(value, Mapping):
        return value
    return {key: _metadata_value(str(key), content) for key, content in value.items()}


def _metadata_value(key: str, value: object) -> object:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        kinds = {type(item) for item in value}
        if kinds == {int, float}:
            return tuple(float(item) for item in value)
        if len(kinds) <= 1 and kinds <= {str, int, float, bool}:
            return tuple(value)
    shown = key if len(key) <= _SHOWN_CHARACTERS else key[:_SHOWN_CHARACTERS] + "…"
    raise ValueError(
        f"the value of {shown!r} cannot be stored; values are strings, numbers, true or false, or arrays of one of "
        "these kinds"
    )


def _new_metadata(value: object) -> object:
    value = _metadata(value)
    empty = [key for key, content in value.items() if content is None] if isinstance(value, Mapping) else []
    if empty:
        raise ValueError(f"{empty[0][:_SHOWN_CHARACTERS]!r} is null; leave the key out")
    return value


def _a_scalar_each(value: object) -> object:
    value = _from_json(value, "{")
    if isinstance(value, Mapping) and not all(isinstance(item, str | int | float | bool) for item in value.values()):
        raise ValueError('gives each key the one value that it must have, such as {"project": "apollo"}')
    return value


# Written out, a dictionary's schema says no more than that it is one.
_OBJECT = WithJsonSchema({"type": "object"})

Listed = Annotated[list[T], BeforeValidator(_as_list)]
Contents = Annotated[list[T], BeforeValidator(_with_content)]
Tags = Listed[str] | None
Ids = Listed[str] | None
NewMetadata = Annotated[dict[str, MetadataValue], BeforeValidator(_new_metadata), _OBJECT] | None
ChangedMetadata = Annotated[
    Annotated[dict[str, MetadataValue | None], BeforeValidator(_metadata), _OBJECT] | None,
    Field(description="Merged into the old; null removes a key"),
]
MetadataFilter = Annotated[
    Annotated[dict[str, Scalar], BeforeValidator(_a_scalar_each), _OBJECT] | None,
    Field(description="Keys with the value each must have"),
]
