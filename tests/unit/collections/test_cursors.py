"""Cursors: what goes in comes out, and nothing else is taken for one."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from remora.collections.cursors import CursorKind, Position, decode_cursor, encode_cursor, id_digest
from remora.errors import InvalidArgumentError

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
arguments = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
kinds = st.sampled_from(CursorKind)
digests = st.lists(st.text(max_size=10).map(id_digest), max_size=12).map(tuple)
positions = st.builds(Position, st.integers(0, 2**32 - 1), digests, digests)


@given(kind=kinds, arguments=arguments, position=st.binary(max_size=200))
def test_a_cursor_brings_back_its_position(kind: CursorKind, arguments: dict[str, Any], position: bytes) -> None:
    cursor = encode_cursor(kind, arguments, position)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor, kind, arguments) == position


@given(arguments=arguments)
def test_the_order_of_arguments_does_not_matter(arguments: dict[str, Any]) -> None:
    cursor = encode_cursor(CursorKind.RECORDS, arguments, b"here")
    turned = dict(reversed(arguments.items()))
    assert decode_cursor(cursor, CursorKind.RECORDS, turned) == b"here"


@given(one=arguments, other=arguments)
def test_a_cursor_of_other_arguments_is_refused(one: dict[str, Any], other: dict[str, Any]) -> None:
    assume(repr(sorted(one.items(), key=repr)) != repr(sorted(other.items(), key=repr)) and one != other)
    cursor = encode_cursor(CursorKind.RECORDS, one, b"here")
    with pytest.raises(InvalidArgumentError, match="other arguments"):
        decode_cursor(cursor, CursorKind.RECORDS, other)


@given(kind=kinds, other=kinds)
def test_a_cursor_of_another_operation_is_refused(kind: CursorKind, other: CursorKind) -> None:
    assume(kind is not other)
    with pytest.raises(InvalidArgumentError, match="another operation"):
        decode_cursor(encode_cursor(kind, {}, b""), other, {})


@given(data=st.data(), position=st.binary(max_size=60))
def test_any_change_to_a_cursor_is_noticed(data: st.DataObject, position: bytes) -> None:
    cursor = encode_cursor(CursorKind.RECORDS, {"a": 1}, position)
    place = data.draw(st.integers(0, len(cursor) - 1))
    kind = data.draw(st.sampled_from(["replace", "remove", "insert"]))
    letter = data.draw(st.sampled_from("ABCxyz019-_=+/ é\n"))
    changed = {
        "replace": cursor[:place] + letter + cursor[place + 1 :],
        "remove": cursor[:place] + cursor[place + 1 :],
        "insert": cursor[:place] + letter + cursor[place:],
    }[kind]
    assume(changed != cursor)
    with pytest.raises(InvalidArgumentError):
        decode_cursor(changed, CursorKind.RECORDS, {"a": 1})


@given(text=st.text(max_size=80))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="damaged"):
        decode_cursor(text, CursorKind.RECORDS, {})


@given(position=positions)
def test_a_position_survives_its_bytes(position: Position) -> None:
    assert Position.from_bytes(position.to_bytes()) == position


@given(content=st.binary(max_size=60))
def test_other_bytes_are_a_position_only_if_they_are_its_bytes(content: bytes) -> None:
    try:
        position = Position.from_bytes(content)
    except InvalidArgumentError:
        return
    assert position.to_bytes() == content
