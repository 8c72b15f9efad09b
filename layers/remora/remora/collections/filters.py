"""Checks `where` and `where_document` filters and says which part is wrong, where Chroma says "Invalid where clause".

What is accepted here Chroma 1.5.9 accepts too. Where Chroma takes something and does not do what it says, the
filter is refused or put differently:

- an empty `$and` matches every record, so empty lists are refused, above all for deletions;
- a fraction is cut to a whole number before it is compared with records that hold whole numbers
  (`{"$eq": 2.5}` and `{"$in": [2.5]}` also find 2, `{"$lt": 2.5}` misses it), so conditions with fractions are sent
  together with one that takes that whole number out or in;
- lists of whole numbers and fractions are refused, so they are sent as fractions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn

from remora.collections.limits import (
    MAX_FILTER_CLAUSES,
    MAX_FILTER_DEPTH,
    MAX_FILTER_TEXT_BYTES,
    MAX_FILTER_VALUES,
    MAX_METADATA_KEY_BYTES,
)
from remora.errors import InvalidArgumentError

_JOINS = ("$and", "$or")
_EQUALITY = ("$eq", "$ne")
_ORDER = ("$gt", "$gte", "$lt", "$lte")
_MEMBERSHIP = ("$in", "$nin")
_ELEMENT = ("$contains", "$not_contains")
_FIELD_OPERATORS = (*_EQUALITY, *_ORDER, *_MEMBERSHIP, *_ELEMENT)
_DOCUMENT_OPERATORS = ("$contains", "$not_contains", "$regex", "$not_regex")
_DOCUMENT_FIELD = "#document"
_INT64 = 2**63


def int_fits(value: int) -> bool:
    """Return whether Chroma can hold a whole number; it turns larger ones into fractions without a word."""
    return -_INT64 <= value < _INT64


@dataclass(slots=True)
class _Size:
    clauses: int = 0
    values: int = 0

    def count(self, path: str, values: int = 1) -> None:
        self.clauses += 1
        self.values += values
        if self.clauses > MAX_FILTER_CLAUSES:
            _refuse(path, f"the filter has more than {MAX_FILTER_CLAUSES} conditions")
        if self.values > MAX_FILTER_VALUES:
            _refuse(path, f"the filter's lists have more than {MAX_FILTER_VALUES} values together")


def check_where(where: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Check a metadata filter and return it as it is to be sent; an empty one is none.

    Args:
        where: One condition on one field, such as `{"year": {"$gte": 2020}}`, or conditions joined by `$and` or
            `$or`. The field `#document` takes the operators of `where_document`.

    Raises:
        InvalidArgumentError: It is not a filter; the message says where and what would be accepted.
    """
    if where is None or where == {}:
        return None
    return _clause(where, "where", 1, _Size(), _condition)


def check_where_document(where_document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Check a document filter and return it as it is to be sent; an empty one is none.

    Args:
        where_document: `$contains`, `$not_contains`, `$regex` or `$not_regex` with a text, or such joined by `$and`
            or `$or`.

    Raises:
        InvalidArgumentError: It is not a filter; the message says where and what would be accepted.
    """
    if where_document is None or where_document == {}:
        return None
    return _clause(where_document, "where_document", 1, _Size(), _document_condition)


def _refuse(path: str, problem: str) -> NoReturn:
    raise InvalidArgumentError(f"{path}: {problem}.")


def _one_of(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


_Condition = Callable[[str, Any, str, _Size], dict[str, Any]]


def _clause(clause: object, path: str, depth: int, size: _Size, condition: _Condition) -> dict[str, Any]:
    if not isinstance(clause, Mapping):
        _refuse(path, f"a filter is an object, not {_shown(clause)}")
    if depth > MAX_FILTER_DEPTH:
        _refuse(path, f"the filter is nested more than {MAX_FILTER_DEPTH} levels deep")
    if len(clause) != 1:
        names = [str(name) for name in clause]
        hint = ", ".join(f'{{"{name}": …}}' for name in names[:3])
        _refuse(
            path,
            f'one object holds one condition, this one has {len(names)}; join them: {{"$and": [{hint}]}}'
            if names
            else "the object is empty; give a condition or leave it out",
        )
    ((name, operand),) = clause.items()
    if not isinstance(name, str):
        _refuse(path, f"a field or operator is a string, not {_shown(name)}")
    if name not in _JOINS:
        return condition(name, operand, path, size)
    if not isinstance(operand, list | tuple) or not operand:
        _refuse(f"{path}.{name}", "takes a list of at least one filter")
    return {
        name: [
            _clause(part, f"{path}.{name}[{index}]", depth + 1, size, condition) for index, part in enumerate(operand)
        ]
    }


def _document_condition(operator: str, operand: object, path: str, size: _Size) -> dict[str, Any]:
    if operator not in _DOCUMENT_OPERATORS:
        _refuse(
            f"{path}.{_shown(operator)[1:-1]}",
            f"documents are filtered with {_one_of(_DOCUMENT_OPERATORS)}, joined by $and or $or",
        )
    here = f"{path}.{operator}"
    size.count(here)
    if not isinstance(operand, str) or not operand:
        _refuse(here, f"takes a text of at least one character, not {_shown(operand)}")
    _check_text(operand, here)
    return {operator: operand}


def _condition_on_document(operand: object, path: str, size: _Size) -> dict[str, Any]:
    here = f"{path}.{_DOCUMENT_FIELD}"
    if not isinstance(operand, Mapping) or len(operand) != 1:
        _refuse(here, f'takes one of {_one_of(_DOCUMENT_OPERATORS)}, such as {{"$contains": "text"}}')
    ((operator, text),) = operand.items()
    return {_DOCUMENT_FIELD: _document_condition(str(operator), text, here, size)}


def _condition(field: str, operand: object, path: str, size: _Size) -> dict[str, Any]:
    if field == _DOCUMENT_FIELD:
        return _condition_on_document(operand, path, size)
    here = f"{path}.{_shown(field)[1:-1]}"
    if field.startswith("$"):
        _refuse(here, f"filters are joined by $and or $or; any other name is a field: {_example(field)}")
    if not field or field.startswith(("#", "chroma:")):
        _refuse(here, "is not a field that records can have; metadata keys do not begin with '#', '$' or 'chroma:'")
    if len(field.encode("utf-8", "surrogatepass")) > MAX_METADATA_KEY_BYTES:
        _refuse(here, f"the field's name is longer than {MAX_METADATA_KEY_BYTES} bytes")
    if not isinstance(operand, Mapping):
        if isinstance(operand, list | tuple):
            _refuse(here, 'a list needs an operator: {"$in": [...]} for one of several values')
        size.count(here)
        value = _scalar(operand, here)
        return _compared(field, "$eq", value) if isinstance(value, float) else {field: value}
    if len(operand) != 1:
        _refuse(here, f"takes exactly one operator; join several conditions with $and: {_split(field, operand)}")
    ((operator, value),) = operand.items()
    if operator not in _FIELD_OPERATORS:
        _refuse(
            f"{here}.{_shown(operator)[1:-1]}",
            f"is not an operator for metadata; there are {_one_of(_FIELD_OPERATORS)}",
        )
    here = f"{here}.{operator}"
    if operator in _MEMBERSHIP:
        return _membership(field, operator, value, here, size)
    size.count(here)
    if operator in _ORDER and (isinstance(value, bool) or not isinstance(value, int | float)):
        _refuse(here, f"compares numbers, not {_shown(value)}")
    return _compared(field, operator, _scalar(value, here))


def _compared(field: str, operator: str, value: str | bool | int | float) -> dict[str, Any]:
    """Return a condition that means what it says for whole numbers too."""
    condition = {field: {operator: value}}
    if not isinstance(value, float) or (value.is_integer() and int_fits(int(value))):
        return condition
    # What Chroma compares whole numbers with: the fraction cut toward zero, at most the largest it can hold.
    whole = max(-_INT64, min(_INT64 - 1, int(value)))
    # Which conditions the cut number meets though it should not, and which it should meet though it does not.
    meets_wrongly = operator == "$eq" or operator == ("$gte" if value > 0 else "$lte")
    misses_wrongly = operator == "$ne" or operator == ("$lt" if value > 0 else "$gt")
    if meets_wrongly:
        return {"$and": [condition, {field: {"$ne": whole}}]}
    return {"$or": [condition, {field: {"$eq": whole}}]} if misses_wrongly else condition


def _membership(field: str, operator: str, value: object, path: str, size: _Size) -> dict[str, Any]:
    if not isinstance(value, list | tuple) or not value:
        _refuse(path, "takes a list of at least one value")
    size.count(path, len(value))
    values = [_scalar(item, f"{path}[{index}]") for index, item in enumerate(value)]
    kinds = {_kind(item) for item in values}
    if len(kinds) > 1:
        _refuse(path, f"the values have to be of one kind, these are {_one_of(tuple(sorted(kinds)))}")
    if not any(isinstance(item, float) for item in values):
        return {field: {operator: values}}
    numbers = [float(item) for item in values]
    if any(isinstance(item, int) and int(number) != item for item, number in zip(values, numbers, strict=True)):
        _refuse(path, "whole numbers beyond 2^53 cannot stand in one list with fractions; ask for them separately")
    # The same as in `_compared`, for all values at once.
    wholes = {int(number) for number in numbers if number.is_integer() and int_fits(int(number))}
    cut = {max(-_INT64, min(_INT64 - 1, int(number))) for number in numbers} - wholes
    condition = {field: {operator: numbers}}
    if not cut:
        return condition
    if operator == "$in":
        return {"$and": [condition, {field: {"$nin": sorted(cut)}}]}
    return {"$or": [condition, {field: {"$in": sorted(cut)}}]}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true/false"
    return "texts" if isinstance(value, str) else "numbers"


def _scalar(value: object, path: str) -> str | bool | int | float:
    if isinstance(value, str):
        _check_text(value, path)
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not int_fits(value):
            _refuse(path, "whole numbers go from -2^63 to 2^63-1")
        return value
    if isinstance(value, float):
        if not isfinite(value):
            _refuse(path, "a number has to be finite")
        return value
    if value is None:
        _refuse(path, "null is not a value that records have; Chroma cannot ask whether a field is missing")
    _refuse(path, f"takes a text, a number, true or false, not {_shown(value)}")


def _check_text(text: str, path: str) -> None:
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        _refuse(path, "the text holds half of a surrogate pair, which is not Unicode text")
    if length > MAX_FILTER_TEXT_BYTES:
        _refuse(path, f"the text is longer than {MAX_FILTER_TEXT_BYTES} bytes")


def _example(field: str) -> str:
    return f'{{"year": {{"{field}": …}}}}' if field in _FIELD_OPERATORS else '{"year": {"$gte": 2020}}'


def _split(field: str, operand: Mapping[str, Any]) -> str:
    parts = ", ".join(f'{{"{_shown(field)[1:-1]}": {{"{operator}": …}}}}' for operator in list(operand)[:3])
    return f'{{"$and": [{parts}]}}' if parts else '{"$eq": value}'
