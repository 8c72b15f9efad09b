"""Which collections take text, whoever made them, and that nothing a collection says is ever built."""

from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api.types import Documents, EmbeddingFunction, Embeddings
from chromadb.utils.embedding_functions import register_embedding_function

from remora.chroma.client import ChromaClient, Database
from remora.collections.models import QueryMode
from remora.collections.service import Collections
from remora.errors import UnsupportedError
from tests.integration.collections.conftest import WordHashEmbedder, soon
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio

built: list[str] = []


@register_embedding_function
class Hostile(EmbeddingFunction[Documents]):
    """What an attacker registers: building it from a configuration is the attack."""

    def __init__(self, command: str = "none") -> None:
        built.append(command)

    def __call__(self, input: Documents) -> Embeddings:  # noqa: A002, the name that Chroma checks for
        return [np.ones(384, dtype=np.float32) for _ in input]

    @staticmethod
    def name() -> str:
        return "hostile"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "Hostile":
        return Hostile(config["command"])

    def get_config(self) -> dict[str, Any]:
        return {"command": "rm -rf", "trust_remote_code": True}


@pytest.fixture
async def official(chroma_server: ChromaServer, database: Database, client: ChromaClient) -> Any:
    """The official client in the same space, as other programs use it."""
    await client.create_database(database.name, deadline=soon())
    return chromadb.HttpClient(host=chroma_server.host, port=chroma_server.port, database=database.name)


async def test_a_collection_of_the_official_client_with_its_default_takes_text(
    official: Any, space: Collections
) -> None:
    official.create_collection("notes")
    info = await space.info("notes", deadline=soon())
    assert (info.embedding_function, info.embeds_text) == ("default", True)
    await space.add("notes", ids=["a"], documents=["hello world"], deadline=soon())
    (match,) = (await space.query("notes", texts=["hello"], deadline=soon())).results
    assert match.hits[0].id == "a"


async def test_a_collection_of_ours_is_an_ordinary_one_to_the_official_client(
    official: Any, space: Collections
) -> None:
    await space.create("notes", deadline=soon())
    await space.add("notes", ids=["a"], documents=["hello world"], metadatas=[{"k": [1, 2]}], deadline=soon())
    collection = official.get_collection("notes")
    assert collection.configuration_json["embedding_function"] == {"type": "known", "name": "default", "config": {}}
    assert collection.get()["documents"] == ["hello world"]


async def test_a_hostile_embedding_function_is_named_and_never_built(official: Any, space: Collections) -> None:
    collection = official.create_collection("trap", embedding_function=Hostile())
    collection.add(ids=["a", "b"], documents=["red apple", "blue plum"], metadatas=[{"n": 1}, {"n": 2}])
    built.clear()
    info = await space.info("trap", deadline=soon())
    assert (info.embedding_function, info.embeds_text) == ("hostile", False)
    assert info.embeds_text_reason is not None
    assert "'hostile'" in info.embeds_text_reason
    for call in (
        space.query("trap", texts=["apple"], deadline=soon()),
        space.query("trap", texts=["apple"], mode=QueryMode.HYBRID, deadline=soon()),
        space.add("trap", documents=["x"], deadline=soon()),
        space.upsert("trap", documents=["x"], deadline=soon()),
        space.update("trap", ids=["a"], documents=["x"], deadline=soon()),
    ):
        with pytest.raises(UnsupportedError, match="'hostile'"):
            await call
    assert await space.count("trap", deadline=soon()) == 2
    # What needs no vectors of that function works.
    page = await space.get("trap", where={"n": 1}, deadline=soon())
    assert [record.document for record in page.records] == ["red apple"]
    near = await space.query("trap", embeddings=[[1.0] * 384], n_results=2, deadline=soon())
    assert len(near.results[0].hits) == 2
    words = await space.query("trap", texts=["apples"], mode=QueryMode.LEXICAL, deadline=soon())
    assert [hit.id for hit in words.results[0].hits] == ["a"]
    result = await space.add("trap", documents=["green pear"], embeddings=[[0.5] * 384], deadline=soon())
    assert result.stored == 1
    await space.update("trap", ids=["a"], metadatas=[{"n": 7}], deadline=soon())
    # Nor is it passed on.
    fork = await space.fork("trap", "copy", deadline=soon())
    assert fork.note is not None
    assert "'hostile'" in fork.note
    copied = await space.info("copy", deadline=soon())
    assert copied.embedding_function is None
    assert built == []


@pytest.mark.parametrize(
    ("configuration", "takes_text"),
    [
        ({"type": "known", "name": "default", "config": {}}, True),
        (
            {"type": "known", "name": "default", "config": {"trust_remote_code": True, "model_name": "evil/model"}},
            True,
        ),
        ({"type": "known", "name": "onnx_mini_lm_l6_v2", "config": {}}, True),
        ({"type": "known", "name": "sentence_transformer", "config": {"model_name": "all-MiniLM-L6-v2"}}, True),
        ({"type": "known", "name": "sentence_transformer", "config": {"model_name": "evil/model"}}, False),
        ({"type": "known", "name": "sentence_transformer", "config": "text"}, False),
        ({"type": "known", "name": "openai", "config": {"model_name": "all-MiniLM-L6-v2"}}, False),
        ({"type": "unknown"}, False),
        ({"type": "legacy"}, True),
        (None, True),
    ],
)
async def test_a_stored_configuration_is_compared_with_a_list(
    official: Any, database: Database, space: Collections, configuration: Any, takes_text: bool
) -> None:
    # Straight to the server, as a client that means harm would.
    path = f"/tenants/{official.tenant}/databases/{database.name}/collections"
    body = {"name": "notes", "configuration": {"embedding_function": configuration}}
    await database.client._transport.call("POST", path, body, repeatable=False, deadline=soon())
    info = await space.info("notes", deadline=soon())
    assert info.embeds_text is takes_text


async def test_vectors_without_a_named_function_take_text_only_if_they_are_of_the_same_make(
    official: Any, space: Collections, embedder: WordHashEmbedder
) -> None:
    texts = [f"text number {number}" for number in range(8)]
    own = embedder.embed(texts).vectors
    other = np.roll(own, 7, axis=1)
    for name, vectors, takes_text in (("same", own, True), ("other", other, False)):
        collection = official.create_collection(name, embedding_function=None)
        collection.add(ids=[f"r{number}" for number in range(8)], embeddings=vectors, documents=texts)
        info = await space.info(name, deadline=soon())
        assert (info.embedding_function, info.embeds_text) == (None, takes_text), name
    with pytest.raises(UnsupportedError, match="names no embedding function"):
        await space.add("other", documents=["x"], deadline=soon())
    assert (await space.add("same", documents=["x"], deadline=soon())).stored == 1


async def test_vectors_without_a_named_function_and_without_documents_take_no_text(
    official: Any, space: Collections
) -> None:
    collection = official.create_collection("notes", embedding_function=None)
    collection.add(ids=["a"], embeddings=[[1.0] * 384])
    assert (await space.info("notes", deadline=soon())).embeds_text is False


async def test_an_empty_collection_without_a_named_function_takes_text_and_goes_on_taking_it(
    official: Any, space: Collections
) -> None:
    official.create_collection("notes", embedding_function=None)
    for number in range(3):
        assert (await space.add("notes", documents=[f"text {number}"], deadline=soon())).stored == 1
    (match,) = (await space.query("notes", texts=["text 1"], n_results=1, deadline=soon())).results
    assert match.hits[0].document == "text 1"


async def test_a_default_collection_with_vectors_of_another_length_takes_no_text(
    official: Any, space: Collections
) -> None:
    collection = official.create_collection("notes")
    collection.add(ids=["a"], embeddings=[[1.0, 2.0]])
    info = await space.info("notes", deadline=soon())
    assert info.embeds_text is False
    with pytest.raises(UnsupportedError, match="2 dimensions, those of all-MiniLM-L6-v2 have 384"):
        await space.query("notes", texts=["x"], deadline=soon())
