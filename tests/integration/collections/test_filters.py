"""Filters against a plain Python reading of them: what the checks accept Chroma accepts, and means the same."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora.collections.service import Collections
from remora.errors import InvalidArgumentError
from tests.integration.collections.conftest import soon

Metadata = Mapping[str, Any]
Check = Callable[[Metadata, str | None], bool]

KEYS = ("n", "x", "s", "flag", "tags", "nums", "mixed", "nowhere", "ключ")
WORDS = ("red", "Red", "apple", "żółw", "a_b", "50%", "東京", 'say "hi"', "it's", "\\d", "", " ")
WHOLES = (-2, -1, 0, 1, 2, 3, 2**53 + 1, -(2**63), 2**63 - 1)
PARTS = (-1.5, 0.0, 0.5, 1.0, 2.0, 2.5, 1e300)


def _records() -> list[tuple[str, str | None, dict[str, Any]]]:
    records: list[tuple[str, str | None, dict[str, Any]]] = []
    for number in range(120):
        metadata: dict[str, Any] = {}
        if number % 3:
            metadata["n"] = WHOLES[number % len(WHOLES)]
        if number % 4:
            metadata["x"] = PARTS[number % len(PARTS)]
        if number % 5:
            metadata["s"] = WORDS[number % len(WORDS)]
        if number % 2:
            metadata["flag"] = number % 4 == 1
        if number % 7:
            metadata["tags"] = sorted({WORDS[number % 5], WORDS[number * 3 % len(WORDS)]})
        if number % 6:
            metadata["nums"] = [WHOLES[number % 6], WHOLES[number * 5 % 6]]
        values: tuple[Any, ...] = (WHOLES[number % 6], PARTS[number % 6], WORDS[number % 6], number % 4 == 0)
        metadata["mixed"] = values[number % 4]
        if number % 8 == 0:
            metadata["ключ"] = "значение"
        document = None if number % 9 == 0 else " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 2, 5))
        records.append((f"r{number}", document, metadata))
    return records


RECORDS = _records()


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(value: object, other: object) -> bool:
    if _number(value) and _number(other):
        return value == other
    return type(value) is type(other) and value == other


def equals(key: str, operand: object) -> Check:
    return lambda metadata, _: key in metadata and _same(metadata[key], operand)


def has_element(key: str, operand: object) -> Check:
    return lambda metadata, _: (
        isinstance(metadata.get(key), list)
        and any(type(item) is type(operand) and item == operand for item in metadata[key])
    )


def compares(key: str, compare: Callable[[Any, Any], bool], operand: float) -> Check:
    return lambda metadata, _: _number(metadata.get(key)) and compare(metadata[key], operand)


def contains(text: str) -> Check:
    return lambda _, document: document is not None and text in document


def matches(pattern: str) -> Check:
    return lambda _, document: document is not None and re.search(pattern, document) is not None


def not_(check: Check) -> Check:
    return lambda metadata, document: not check(metadata, document)


def all_of(checks: list[Check]) -> Check:
    return lambda metadata, document: all(check(metadata, document) for check in checks)


def any_of(checks: list[Check]) -> Check:
    return lambda metadata, document: any(check(metadata, document) for check in checks)


Pair = tuple[dict[str, Any], Check]

keys = st.sampled_from(KEYS)
# Whole numbers beyond 2^53 against fractions differ in rounding only; they are compared with whole ones.
small_wholes = st.sampled_from([whole for whole in WHOLES if abs(whole) < 2**53]) | st.integers(-5, 5)
wholes = st.sampled_from(WHOLES) | st.integers(-5, 5)
parts = st.sampled_from(PARTS) | st.floats(-3, 3, width=16)
words = st.sampled_from(WORDS) | st.text(max_size=3)
scalars = st.one_of(wholes, parts, words, st.booleans())
orders: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
}
texts = st.sampled_from([word for word in WORDS if word.strip()]) | st.text("reda \n%_\"'ż京", min_size=1, max_size=3)
patterns = st.sampled_from(
    ["red", "(?i)RED", r"\bred\b", "^red", "e+", "[rR]ed", "żó.w", "a_b|50%", r"\d+%", "(?i)Żółw", "r.d .*e", "京$"]
)


@st.composite
def conditions(draw: st.DrawFn) -> Pair:
    key = draw(keys)
    kind = draw(
        st.sampled_from(["bare", "$eq", "$ne", "order", "$in", "$nin", "$contains", "$not_contains", "document"])
    )
    if kind == "document":
        inner, check = draw(document_conditions())
        return {"#document": inner}, check
    if kind == "order":
        name = draw(st.sampled_from(sorted(orders)))
        bound = draw(small_wholes | parts)
        return {key: {name: bound}}, compares(key, orders[name], bound)
    if kind in {"$in", "$nin"}:
        values = draw(
            st.one_of(
                *(
                    st.lists(pool, min_size=1, max_size=4)
                    for pool in (small_wholes, parts, small_wholes | parts, words, st.booleans())
                )
            )
        )
        check = any_of([equals(key, value) for value in values])
        return {key: {kind: values}}, check if kind == "$in" else not_(check)
    value = draw(scalars)
    if kind in {"$contains", "$not_contains"}:
        check = has_element(key, value)
        return {key: {kind: value}}, check if kind == "$contains" else not_(check)
    check = equals(key, value)
    return {key: value if kind == "bare" else {kind: value}}, not_(check) if kind == "$ne" else check


@st.composite
def document_conditions(draw: st.DrawFn) -> Pair:
    operator = draw(st.sampled_from(["$contains", "$not_contains", "$regex", "$not_regex"]))
    operand = draw(patterns if "regex" in operator else texts)
    check = matches(operand) if "regex" in operator else contains(operand)
    return {operator: operand}, not_(check) if "not" in operator else check


def trees(leaves: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    def joined(children: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
        several = st.lists(children, min_size=1, max_size=3)
        return st.one_of(
            several.map(lambda pairs: ({"$and": [one for one, _ in pairs]}, all_of([check for _, check in pairs]))),
            several.map(lambda pairs: ({"$or": [one for one, _ in pairs]}, any_of([check for _, check in pairs]))),
        )

    return st.recursive(leaves, joined, max_leaves=6)


@pytest.fixture(scope="module")
def filtered(lasting_space: Collections, runner: asyncio.Runner) -> Collections:
    """A collection `records` that holds RECORDS."""

    async def fill() -> None:
        await lasting_space.create("records", embedding_function="none", deadline=soon())
        await lasting_space.add(
            "records",
            ids=[record_id for record_id, _, _ in RECORDS],
            documents=[document for _, document, _ in RECORDS],
            metadatas=[metadata for _, _, metadata in RECORDS],
            embeddings=[[1.0, float(number)] for number in range(len(RECORDS))],
            deadline=soon(),
        )

    runner.run(fill())
    return lasting_space


def expected(check: Check) -> list[str]:
    return [record_id for record_id, document, metadata in RECORDS if check(metadata, document)]


PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PATIENT
@given(where=trees(conditions()))
def test_a_metadata_filter_means_what_it_says(filtered: Collections, runner: asyncio.Runner, where: Pair) -> None:
    expression, check = where
    page = runner.run(
        filtered.get("records", where=expression, include=(), limit=200, max_tokens=50_000, deadline=soon())
    )
    assert [record.id for record in page.records] == expected(check), expression


@PATIENT
@given(where_document=trees(document_conditions()), where=trees(conditions()))
def test_a_document_filter_means_what_it_says_beside_a_metadata_filter(
    filtered: Collections, runner: asyncio.Runner, where_document: Pair, where: Pair
) -> None:
    expression, check = where_document
    page = runner.run(
        filtered.get(
            "records",
            where=where[0],
            where_document=expression,
            include=(),
            limit=200,
            max_tokens=50_000,
            deadline=soon(),
        )
    )
    assert [record.id for record in page.records] == expected(all_of([check, where[1]])), expression


@settings(PATIENT, max_examples=20)
@given(where=trees(conditions()))
def test_a_filtered_query_finds_exactly_the_records_that_match(
    filtered: Collections, runner: asyncio.Runner, where: Pair
) -> None:
    expression, check = where
    result = runner.run(
        filtered.query(
            "records",
            embeddings=[[1.0, 2.0]],
            n_results=200,
            where=expression,
            include=(),
            max_tokens=50_000,
            deadline=soon(),
        )
    )
    assert {hit.id for hit in result.results[0].hits} == set(expected(check)), expression


def test_the_largest_filters_that_are_accepted_work(filtered: Collections, runner: asyncio.Runner) -> None:
    deep: dict[str, Any] = {"n": 1}
    for level in range(15):
        deep = {"$and" if level % 2 else "$or": [deep]}
    wide: dict[str, Any] = {"$or": [{"n": {"$gt": number}} for number in range(200)]}
    long: dict[str, Any] = {"s": {"$in": [f"value {number}" for number in range(4_998)] + ["red"]}}
    floats: dict[str, Any] = {"x": {"$in": [number / 2 for number in range(200)]}}
    for expression, check in (
        (deep, equals("n", 1)),
        (wide, compares("n", orders["$gt"], 0)),
        (long, equals("s", "red")),
        (floats, any_of([equals("x", number / 2) for number in range(200)])),
    ):
        page = runner.run(
            filtered.get("records", where=expression, include=(), limit=200, max_tokens=50_000, deadline=soon())
        )
        assert [record.id for record in page.records] == expected(check)


def test_a_broken_regular_expression_is_explained_by_chroma(filtered: Collections, runner: asyncio.Runner) -> None:
    for pattern, reason in (("(", "unclosed group"), (r"(a)\1", "backreferences"), ("(?=a)", "look-around")):
        with pytest.raises(InvalidArgumentError, match=reason):
            runner.run(filtered.get("records", where_document={"$regex": pattern}, deadline=soon()))
