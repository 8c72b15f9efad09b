"""Queries by vectors, by words, and both: order, scores, filters, budget."""

import math
from typing import Any

import pytest

from remora.budget import estimate_tokens
from remora.chroma.client import Database
from remora.chroma.wire import Filter
from remora.collections.models import Include, QueryMode, QueryResult, Space
from remora.collections.service import Collections
from remora.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from tests.integration.collections.conftest import soon

pytestmark = pytest.mark.anyio

DOCUMENTS = {
    "fox": "The quick brown fox jumps over the lazy dog",
    "cats": "Cats and dogs are friendly animals",
    "tower": "The Eiffel Tower stands in Paris",
    "error": "Error ERR_CONN_42 was raised by the gateway",
    "happy": "Happiness is a warm blanket",
    "tokyo": "私は東京タワーが好きです",
    "empty": "nothing to see here",
}


async def library(collections: Collections, **arguments: Any) -> None:
    await collections.create("library", deadline=soon(), **arguments)
    await collections.add(
        "library",
        ids=list(DOCUMENTS),
        documents=list(DOCUMENTS.values()),
        metadatas=[{"length": len(text), "words": text.lower().split()} for text in DOCUMENTS.values()],
        uris=[f"s3://library/{name}" for name in DOCUMENTS],
        deadline=soon(),
    )


def ids_of(result: QueryResult) -> list[list[str]]:
    return [[hit.id for hit in match.hits] for match in result.results]


async def test_texts_and_the_vectors_they_stand_for_find_the_same_in_chromas_order(
    space: Collections, database: Database, embedder: Any
) -> None:
    await library(space)
    text = "a quick dog in Paris"
    vector = embedder.embed([text]).vectors[0].tolist()
    by_text = await space.query("library", texts=[text], n_results=7, deadline=soon())
    by_vector = await space.query("library", embeddings=[vector], n_results=7, deadline=soon())
    collection = await database.get_collection("library", deadline=soon())
    (rows,) = await database.query(collection.id, [vector], n_results=7, matching=Filter(), deadline=soon())
    assert ids_of(by_text) == ids_of(by_vector) == [[row.id for row in rows]]
    assert [hit.distance for hit in by_text.results[0].hits] == [row.distance for row in rows]
    assert by_text.results[0].query == text
    assert by_vector.results[0].query is None
    assert by_text.results[0].hits[0].document == DOCUMENTS[by_text.results[0].hits[0].id]


async def test_several_queries_are_answered_in_their_order(space: Collections) -> None:
    await library(space)
    result = await space.query("library", texts=["Eiffel", "friendly cats"], n_results=1, deadline=soon())
    assert [match.query for match in result.results] == ["Eiffel", "friendly cats"]
    assert ids_of(result) == [["tower"], ["cats"]]


VECTORS = {
    "same": [3.0, 4.0],
    "near": [4.0, 3.0],
    "right": [-8.0, 6.0],
    "opposite": [-0.3, -0.4],
    "long": [30.0, 41.0],
}


@pytest.mark.parametrize("index_space", list(Space))
async def test_scores_are_cosines_whatever_the_space_and_the_vectors_lengths(
    space: Collections, index_space: Space
) -> None:
    await space.create("points", embedding_function="none", space=index_space, deadline=soon())
    await space.add("points", ids=list(VECTORS), embeddings=list(VECTORS.values()), deadline=soon())
    query = [6.0, 8.0]
    result = await space.query("points", embeddings=[query], n_results=10, deadline=soon())
    scores = {hit.id: hit.score for hit in result.results[0].hits}
    for name, vector in VECTORS.items():
        cosine = sum(a * b for a, b in zip(query, vector, strict=True)) / math.hypot(*query) / math.hypot(*vector)
        assert scores[name] == pytest.approx(max(0.0, cosine), abs=2e-4), name
    assert all(hit.embedding is None for hit in result.results[0].hits), "vectors come only when asked for"


@pytest.mark.parametrize("index_space", list(Space))
async def test_scores_of_texts_are_cosines_whatever_the_space(
    space: Collections, embedder: Any, index_space: Space
) -> None:
    await library(space, space=index_space)
    text = "the lazy dog"
    result = await space.query("library", texts=[text], n_results=7, deadline=soon())
    query, *vectors = embedder.embed([text, *DOCUMENTS.values()]).vectors
    cosines = {name: float(query @ vector) for name, vector in zip(DOCUMENTS, vectors, strict=True)}
    for hit in result.results[0].hits:
        assert hit.score == pytest.approx(max(0.0, cosines[hit.id]), abs=2e-4)


async def test_min_score_leaves_out_what_is_less_similar(space: Collections) -> None:
    await space.create("points", embedding_function="none", deadline=soon())
    await space.add("points", ids=list(VECTORS), embeddings=list(VECTORS.values()), deadline=soon())
    result = await space.query("points", embeddings=[[3.0, 4.0]], min_score=0.97, deadline=soon())
    assert {hit.id for hit in result.results[0].hits} == {"same", "long"}
    nothing = await space.query("points", embeddings=[[0.0, 0.0]], min_score=0.1, deadline=soon())
    assert ids_of(nothing) == [[]]


async def test_include_says_which_parts_come_back(space: Collections) -> None:
    await library(space)
    bare = await space.query("library", texts=["fox"], n_results=1, include=(), deadline=soon())
    assert set(bare.results[0].hits[0].model_dump()) == {"id", "distance", "score"}
    full = await space.query("library", texts=["fox"], n_results=1, include=tuple(Include), deadline=soon())
    hit = full.results[0].hits[0]
    assert (hit.uri, hit.document) == ("s3://library/fox", DOCUMENTS["fox"])
    assert hit.embedding is not None
    assert len(hit.embedding) == 384


async def test_filters_and_ids_restrict_every_mode(space: Collections) -> None:
    await library(space)
    for mode in QueryMode:
        result = await space.query(
            "library",
            texts=["dog dogs fox cats"],
            mode=mode,
            ids=["fox", "cats", "tower", "unknown"],
            where={"words": {"$contains": "dogs"}},
            where_document={"$contains": "friendly"},
            deadline=soon(),
        )
        assert ids_of(result) == [["cats"]], mode
        some = await space.query("library", texts=["fox"], mode=mode, ids=["unknown", "fox"], deadline=soon())
        assert ids_of(some) == [["fox"]], mode
        nothing = await space.query("library", texts=["dog"], mode=mode, ids=["unknown"], deadline=soon())
        assert ids_of(nothing) == [[]]
        nothing = await space.query("library", texts=["dog"], mode=mode, where={"length": -1}, deadline=soon())
        assert ids_of(nothing) == [[]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("err_conn_42", {"error"}),
        ("What is the EIFFEL tower?", {"tower"}),
        ("a dog", {"fox", "cats"}),
        ("jumping foxes", {"fox"}),
        ("happy", {"happy"}),
        ("東京タワー", {"tokyo"}),
        ("animal; DROP TABLE", {"cats"}),
        (".* [a-z]+ (", set()),
        ("the", {"fox", "tower", "error"}),
        ("zebra", set()),
    ],
)
async def test_lexical_mode_finds_words_by_their_stems_case_aside(
    space: Collections, text: str, found: set[str]
) -> None:
    await library(space)
    result = await space.query("library", texts=[text], mode=QueryMode.LEXICAL, deadline=soon())
    hits = result.results[0].hits
    assert {hit.id for hit in hits} == found
    assert [hit.keyword_score for hit in hits] == sorted((hit.keyword_score for hit in hits), reverse=True)  # type: ignore[type-var]
    assert all(hit.score is not None for hit in hits)


async def test_lexical_mode_prefers_rare_words_and_short_documents(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    documents = [f"common text number {number}" for number in range(20)]
    documents += ["common zebra", "common zebra " + "filler " * 60, "zebra zebra common"]
    await space.add("notes", ids=[f"r{number}" for number in range(23)], documents=documents, deadline=soon())
    result = await space.query("notes", texts=["common zebra"], mode=QueryMode.LEXICAL, n_results=5, deadline=soon())
    assert ids_of(result)[0][:3] == ["r22", "r20", "r21"]


async def test_hybrid_mode_fuses_meaning_and_words_half_and_half(space: Collections) -> None:
    await library(space)
    result = await space.query(
        "library", texts=["quick ERR_CONN_42"], mode=QueryMode.HYBRID, n_results=7, deadline=soon()
    )
    hits = result.results[0].hits
    assert {hit.id for hit in hits[:2]} == {"fox", "error"}
    assert len(hits) == 7
    fused = [hit.hybrid_score for hit in hits]
    assert fused == sorted(fused, reverse=True)  # type: ignore[type-var]
    most, least = max(hit.score or 0 for hit in hits), min(hit.score or 0 for hit in hits)
    for hit in hits:
        assert hit.score is not None
        assert hit.keyword_score is not None
        expected = ((hit.score - least) / (most - least) + hit.keyword_score) / 2
        assert hit.hybrid_score == pytest.approx(expected, abs=1e-3)


async def test_a_word_far_down_the_dense_order_is_found_by_hybrid_mode(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    ids = [f"r{number}" for number in range(300)]
    documents = [f"weather report for day {number} " + "pad " * (number % 60) for number in range(299)]
    documents.append("minutes of an unrelated meeting " + "filler " * 200 + " REF-77812")
    await space.add("notes", ids=ids, documents=documents, deadline=soon())
    text = "weather report for day REF-77812"
    dense = await space.query("notes", texts=[text], n_results=100, include=(), deadline=soon())
    hybrid = await space.query(
        "notes", texts=[text], n_results=20, mode=QueryMode.HYBRID, include=(), deadline=soon()
    )
    assert "r299" not in ids_of(dense)[0]
    assert "r299" in ids_of(hybrid)[0]


async def test_lexical_mode_works_on_vectors_of_others_without_similarity(space: Collections) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    await space.add(
        "notes",
        ids=["a", "b"],
        documents=["red apple", "blue plum"],
        embeddings=[[1.0, 0.0], [0.0, 1.0]],
        deadline=soon(),
    )
    result = await space.query("notes", texts=["apples"], mode=QueryMode.LEXICAL, deadline=soon())
    (hit,) = result.results[0].hits
    assert (hit.id, hit.keyword_score, hit.score, hit.distance) == ("a", 1.0, None, None)
    with pytest.raises(InvalidArgumentError, match="min_score"):
        await space.query("notes", texts=["apples"], mode=QueryMode.LEXICAL, min_score=0.5, deadline=soon())
    both = await space.query(
        "notes", texts=["apples"], embeddings=[[0.0, 1.0]], mode=QueryMode.HYBRID, deadline=soon()
    )
    assert {hit.id: (hit.score, hit.keyword_score) for hit in both.results[0].hits} == {
        "a": (0.0, 1.0),
        "b": (1.0, 0.0),
    }


async def test_an_answer_keeps_to_its_budget_and_its_cursor_brings_the_rest_in_order(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    ids = [f"r{number}" for number in range(150)]
    await space.add(
        "notes", ids=ids, documents=[f"shared words {'x ' * number}" for number in range(150)], deadline=soon()
    )
    for mode in QueryMode:
        arguments: dict[str, Any] = {"texts": ["shared words"], "n_results": 120, "mode": mode}
        whole = await space.query("notes", **arguments, include=(), max_tokens=50_000, deadline=soon())
        assert whole.next_cursor is None
        pieces: list[str] = []
        cursor = None
        while True:
            part = await space.query("notes", **arguments, max_tokens=700, cursor=cursor, deadline=soon())
            assert estimate_tokens(part.model_dump_json()) <= 700
            assert part.results[0].hits
            pieces += ids_of(part)[0]
            assert part.results[0].cut == (True if part.next_cursor else None)
            if (cursor := part.next_cursor) is None:
                break
        assert pieces == ids_of(whole)[0], mode


async def test_a_budget_is_shared_between_queries_best_hits_first(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    documents = [f"alpha {number} " + "text " * 30 for number in range(30)]
    documents += [f"beta {number} " + "text " * 30 for number in range(30)]
    await space.add("notes", documents=documents, deadline=soon())
    result = await space.query("notes", texts=["alpha", "beta"], n_results=20, max_tokens=1_000, deadline=soon())
    counts = [len(match.hits) for match in result.results]
    assert abs(counts[0] - counts[1]) <= 1
    assert 1 <= min(counts) < 20
    assert [match.cut for match in result.results] == [True, True]
    assert result.next_cursor is None


async def test_a_cursor_belongs_to_its_query(space: Collections) -> None:
    await library(space)
    arguments: dict[str, Any] = {
        "n_results": 7,
        "max_tokens": 200,
        "include": (Include.EMBEDDINGS, Include.DOCUMENTS),
    }
    first = await space.query("library", texts=["dog"], **arguments, deadline=soon())
    assert first.next_cursor is not None
    for texts in (["cat"], ["dog "]):
        with pytest.raises(InvalidArgumentError, match="other arguments"):
            await space.query("library", texts=texts, **arguments, cursor=first.next_cursor, deadline=soon())
    with pytest.raises(InvalidArgumentError, match="one query"):
        await space.query("library", texts=["dog", "cat"], **arguments, cursor=first.next_cursor, deadline=soon())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Nothing is asked"),
        ({"texts": []}, "0 entries"),
        ({"texts": [""]}, "empty"),
        ({"texts": ["  \n"]}, "empty"),
        ({"texts": "abc"}, "list"),
        ({"texts": [5]}, "empty"),
        ({"texts": ["x"] * 33}, "1 to 32"),
        ({"texts": ["x" * 40_000]}, "40000 bytes"),
        ({"texts": ["\ud800"]}, "surrogate"),
        ({"embeddings": []}, "0 entries"),
        ({"embeddings": [[]]}, "at least one number"),
        ({"embeddings": [[math.nan] * 384]}, "NaN"),
        ({"embeddings": [[1.0] * 383]}, "383 dimensions, collection 'library' has 384"),
        ({"texts": ["x"], "embeddings": [[1.0] * 384]}, "not both"),
        ({"embeddings": [[1.0] * 384], "mode": QueryMode.HYBRID}, "needs query texts"),
        ({"texts": ["x", "y"], "embeddings": [[1.0] * 384], "mode": QueryMode.HYBRID}, "2 query texts and 1"),
        ({"texts": ["x"], "n_results": 0}, "n_results"),
        ({"texts": ["x"], "n_results": 1_001}, "n_results"),
        ({"texts": ["x"], "min_score": 1.5}, "0 to 1"),
        ({"texts": ["x"], "min_score": math.nan}, "0 to 1"),
        ({"texts": ["x"], "max_tokens": 100}, "max_tokens"),
        ({"texts": ["x"], "where": {"$not": {"a": 1}}}, r"\$and or \$or"),
    ],
)
async def test_a_query_that_cannot_be_answered_says_why(
    space: Collections, arguments: dict[str, Any], message: str
) -> None:
    await library(space)
    with pytest.raises(InvalidArgumentError, match=message):
        await space.query("library", deadline=soon(), **arguments)


async def test_an_empty_collection_answers_every_query_with_nothing(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    for mode in QueryMode:
        assert ids_of(await space.query("notes", texts=["x"], mode=mode, deadline=soon())) == [[]]


async def test_a_query_longer_than_the_window_says_how_much_of_it_counted(space: Collections) -> None:
    await library(space)
    result = await space.query("library", texts=["dog " * 300], deadline=soon())
    assert result.note is not None
    assert "302 tokens" in result.note


async def test_a_collection_that_is_not_there_is_named(space: Collections) -> None:
    with pytest.raises(NotFoundError, match="no collection named 'nowhere'"):
        await space.query("nowhere", texts=["x"], deadline=soon())


async def test_a_text_query_of_vectors_made_by_others_names_what_is_missing(space: Collections) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    await space.add("notes", documents=["x"], embeddings=[[1.0, 2.0]], deadline=soon())
    for mode in (QueryMode.DENSE, QueryMode.HYBRID):
        with pytest.raises(UnsupportedError, match="2 dimensions"):
            await space.query("notes", texts=["x"], mode=mode, deadline=soon())
