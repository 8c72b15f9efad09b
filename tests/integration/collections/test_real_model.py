"""The service with the model it runs with, beside Chroma's own expectations."""

from pathlib import Path

import pytest

from remora.chroma.client import Database
from remora.collections.models import Engine, QueryMode, Space
from remora.collections.service import Collections
from remora.embedding import MiniLM
from tests.integration.collections.conftest import soon

pytestmark = pytest.mark.anyio

FACTS = {
    "paris": "The Eiffel Tower is a wrought-iron lattice tower in the capital of France.",
    "sleep": "Most adults need between seven and nine hours of rest each night.",
    "bread": "Sourdough rises thanks to wild yeast and lactic acid bacteria.",
    "invoice": "Invoice INV-20418 was paid by bank transfer on the third of May.",
}


@pytest.fixture
def space(database: Database, model_dir: Path) -> Collections:
    """The service with the real model."""
    return Collections(database, MiniLM(model_dir), engine=Engine.SINGLE_NODE)


@pytest.mark.parametrize("index_space", list(Space))
async def test_documents_are_found_by_meaning(space: Collections, index_space: Space) -> None:
    await space.create("facts", space=index_space, deadline=soon())
    await space.add("facts", ids=list(FACTS), documents=list(FACTS.values()), deadline=soon())
    questions = ["Where is the famous landmark of Paris?", "How long should I stay in bed?", "baking"]
    result = await space.query("facts", texts=questions, n_results=1, min_score=0.2, deadline=soon())
    assert [match.hits[0].id for match in result.results] == ["paris", "sleep", "bread"]
    assert all(0.2 <= (match.hits[0].score or 0.0) <= 1.0 for match in result.results)


async def test_an_identifier_that_meaning_misses_is_found_by_keywords(space: Collections) -> None:
    await space.create("facts", deadline=soon())
    invoices = [f"Invoice INV-{number} was paid by bank transfer." for number in range(20_400, 20_450)]
    await space.add("facts", ids=[f"i{number}" for number in range(50)], documents=invoices, deadline=soon())
    result = await space.query(
        "facts", texts=["has 20418 been settled?"], n_results=1, mode=QueryMode.HYBRID, deadline=soon()
    )
    assert result.results[0].hits[0].id == "i18"


async def test_a_long_document_is_stored_whole_and_its_truncated_vector_is_reported(space: Collections) -> None:
    await space.create("facts", deadline=soon())
    text = "Bread rises in the warm oven of the baker. " * 60
    result = await space.add("facts", ids=["long"], documents=[text], deadline=soon())
    (cut,) = result.truncated
    assert (cut.id, cut.embedded_tokens) == ("long", 256)
    assert cut.tokens > 500
    (record,) = (await space.get("facts", max_tokens=5_000, deadline=soon())).records
    assert record.document == text


async def test_vectors_of_the_same_make_are_recognised_without_a_name(space: Collections, model_dir: Path) -> None:
    vectors = MiniLM(model_dir).embed(list(FACTS.values())).vectors.tolist()
    for name, embeddings in (("same", vectors), ("other", [vector[::-1] for vector in vectors])):
        await space.create(name, embedding_function="none", deadline=soon())
        await space.add(name, documents=list(FACTS.values()), embeddings=embeddings, deadline=soon())
    assert (await space.info("same", deadline=soon())).embeds_text is True
    assert (await space.info("other", deadline=soon())).embeds_text is False
