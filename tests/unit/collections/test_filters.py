"""The checks of filters: what is wrong is named with its place and with what would be accepted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.collections.filters import check_where, check_where_document
from remora.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"a": 1, "b": 2}, r'where: one object holds one condition, this one has 2; join them: {"\$and": \[{"a": …}'),
        ({"a": {"$gt": 1, "$lt": 3}}, r"where\.a: takes exactly one operator; join .*\"a\": {\"\$gt\": …}}"),
        ({"a": {}}, r"where\.a: takes exactly one operator"),
        ({"a": {"$exists": True}}, r"where\.a\.\$exists: is not an operator for metadata; there are \$eq, \$ne"),
        ({"a": {"gt": 1}}, r"where\.a\.gt: is not an operator"),
        ({"$not": {"a": 1}}, r"where\.\$not: filters are joined by \$and or \$or"),
        ({"$gt": 5}, r'where\.\$gt: .*: {"year": {"\$gt": …}}'),
        ({"$and": []}, r"where\.\$and: takes a list of at least one filter"),
        ({"$or": {"a": 1}}, r"where\.\$or: takes a list"),
        ({"$and": [{"a": 1}, {}]}, r"where\.\$and\[1\]: the object is empty"),
        ({"$and": [{"$or": [{"a": {"$in": []}}]}]}, r"where\.\$and\[0\]\.\$or\[0\]\.a\.\$in: takes a list"),
        ({"$and": [5]}, r"where\.\$and\[0\]: a filter is an object, not 5"),
        ({"a": None}, r"where\.a: null is not a value"),
        ({"a": {"$eq": None}}, r"where\.a\.\$eq: null"),
        ({"a": [1, 2]}, r'where\.a: a list needs an operator: {"\$in"'),
        ({"a": {"$eq": [1]}}, r"where\.a\.\$eq: takes a text, a number, true or false, not \[1\]"),
        ({"a": {"$gt": "x"}}, r"where\.a\.\$gt: compares numbers, not 'x'"),
        ({"a": {"$lte": True}}, r"where\.a\.\$lte: compares numbers, not True"),
        ({"a": {"$in": "abc"}}, r"where\.a\.\$in: takes a list"),
        ({"a": {"$in": [1, "x"]}}, r"where\.a\.\$in: the values have to be of one kind, these are numbers or texts"),
        ({"a": {"$in": [True, 1]}}, "numbers or true/false"),
        ({"a": {"$in": [2**53 + 1, 0.5]}}, "beyond 2"),
        ({"a": {"$nin": [1, [2]]}}, r"\$nin\[1\]"),
        ({"a": 2**63}, r"where\.a: whole numbers go from"),
        ({"a": float("inf")}, "finite"),
        ({"a": {"$contains": ["x"]}}, r"where\.a\.\$contains"),
        ({"a": {"$regex": "x"}}, r"where\.a\.\$regex: is not an operator for metadata"),
        ({"": 1}, "not a field"),
        ({"#id": "x"}, "not a field"),
        ({"chroma:document": "x"}, "not a field"),
        ({"#document": "x"}, r"where\.#document: takes one of \$contains"),
        ({"#document": {"$eq": "x"}}, r"where\.#document\.\$eq: documents are filtered with"),
        ({"#document": {"$contains": ""}}, "at least one character"),
        ({5: 1}, "a field or operator is a string"),
        ([{"a": 1}], "a filter is an object"),
        ("a = 1", "a filter is an object"),
        ({"a": "\ud800"}, "surrogate"),
        ({"a": "x" * 9_000}, "longer than 8192 bytes"),
        ({"x" * 600: 1}, "name is longer"),
        ({"$or": [{"a": number} for number in range(201)]}, "more than 200 conditions"),
        ({"a": {"$in": list(range(5_001))}}, "more than 5000 values"),
    ],
)
def test_a_filter_that_is_none_is_refused_with_the_place_and_the_remedy(where: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        check_where(where)


@pytest.mark.parametrize(
    ("where_document", "message"),
    [
        ({"$contains": 5}, r"where_document\.\$contains: takes a text"),
        ({"$contains": ""}, "at least one character"),
        ({"$eq": "x"}, r"where_document\.\$eq: documents are filtered with \$contains, \$not_contains, \$regex"),
        ({"author": "x"}, r"where_document\.author"),
        ({"$contains": "a", "$not_contains": "b"}, "one condition"),
        ({"$or": []}, "at least one filter"),
        ("x", "a filter is an object"),
    ],
)
def test_a_document_filter_that_is_none_is_refused(where_document: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        check_where_document(where_document)


def test_nesting_is_bounded() -> None:
    where: dict[str, Any] = {"a": 1}
    for _ in range(500):
        where = {"$and": [where]}
    with pytest.raises(InvalidArgumentError, match="nested more than 16 levels"):
        check_where(where)


def test_an_empty_filter_is_none() -> None:
    assert check_where(None) is None
    assert check_where({}) is None
    assert check_where_document({}) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$and", "$or", "$in", "$eq", "$gt", "a", "#document", "$contains", ""])
            | st.text(max_size=3),
            inner,
            max_size=2,
        )
    ),
    max_leaves=10,
)


@given(value=json_values)
def test_whatever_comes_in_is_accepted_or_refused_and_nothing_else(value: Any) -> None:
    for check in (check_where, check_where_document):
        try:
            checked = check(value)
        except InvalidArgumentError:
            continue
        assert checked is None or (isinstance(checked, dict) and len(checked) == 1)
