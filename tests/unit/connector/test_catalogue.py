"""The catalogue of tools: small enough for every conversation, and in a form that every client takes."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema
import pytest

from connector.tools import catalogue
from connector.tools.tool import Tool
from remora.auth.principal import Scope
from remora.collections.models import Engine
from remora.errors import InvalidArgumentError

EVERY_TOOL = catalogue(engine=Engine.DISTRIBUTED, administration_enabled=True)
DEFAULT_TOOLS = catalogue(engine=Engine.SINGLE_NODE, administration_enabled=False)
# Measured with the o200k_base encoding, these definitions have 3.6 bytes a token with spaces and 4.2 without.
BYTES_PER_TOKEN = 3.6


def named(name: str) -> Tool[Any]:
    return next(tool for tool in EVERY_TOOL if tool.name == name)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for child in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from nodes(child)


def tokens(tools: Sequence[Tool[Any]]) -> float:
    """Return about how many tokens the definitions of tools take in a model's context."""
    definitions = [
        {"name": tool.name, "description": tool.description, "inputSchema": tool.definition().input_schema}
        for tool in tools
    ]
    return len(json.dumps(definitions, ensure_ascii=False).encode()) / BYTES_PER_TOKEN


def test_the_definitions_of_all_tools_are_small_enough_for_every_conversation() -> None:
    assert tokens(DEFAULT_TOOLS) < 6_000


def test_the_definitions_of_the_memory_tools_are_smaller_still() -> None:
    memory = [tool for tool in DEFAULT_TOOLS if tool.name.startswith("memory_")]
    assert len(memory) == 9
    assert tokens(memory) < 2_500


def test_names_are_unique_and_of_the_form_that_clients_accept() -> None:
    names = [tool.name for tool in EVERY_TOOL]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalnum() and len(name) <= 64 for name in names)


def test_tools_of_a_distributed_engine_and_of_administrators_are_offered_only_there() -> None:
    default = {tool.name for tool in DEFAULT_TOOLS}
    assert not default & {"chroma_search", "chroma_get_indexing_status", "chroma_get_fork_count", "chroma_reset"}
    assert {tool.scope for tool in DEFAULT_TOOLS} == {Scope.READ, Scope.WRITE}
    beyond_one_space = {tool.name for tool in EVERY_TOOL if tool.scope is Scope.ADMIN}
    assert beyond_one_space == {
        "chroma_create_database",
        "chroma_get_database",
        "chroma_list_databases",
        "chroma_delete_database",
        "chroma_reset",
    }


@pytest.mark.parametrize("tool", EVERY_TOOL, ids=lambda tool: tool.name)
def test_a_definition_is_complete_and_free_of_what_gateways_refuse(tool: Tool[Any]) -> None:
    definition = tool.definition()
    assert definition.title
    assert definition.description
    assert definition.output_schema is not None
    annotations = definition.annotations
    assert annotations is not None
    hints = (
        annotations.read_only_hint,
        annotations.destructive_hint,
        annotations.idempotent_hint,
        annotations.open_world_hint,
    )
    assert None not in hints
    assert not (annotations.read_only_hint and annotations.destructive_hint)
    for schema in (definition.input_schema, definition.output_schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        for node in nodes(schema):
            assert "$ref" not in node
            assert "$defs" not in node
            assert node.get("items") != {}
            assert node.get("default", "") is not None
            assert {"type": "null"} not in node.get("anyOf", [])


@pytest.mark.parametrize("tool", EVERY_TOOL, ids=lambda tool: tool.name)
def test_a_misspelt_argument_is_refused_with_the_ones_that_exist(tool: Tool[Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="`colection` is not an argument of this tool") as error:
        tool.parse({"colection": "x"})
    for argument in tool.arguments.model_fields:
        assert argument in str(error.value)


def test_a_wrong_type_is_explained_without_repeating_the_value() -> None:
    with pytest.raises(InvalidArgumentError, match=r"`n_results`.*integer") as error:
        named("chroma_query_documents").parse({"collection_name": "notes", "n_results": "not-to-be-seen"})
    assert "not-to-be-seen" not in str(error.value)


def test_index_settings_are_checked_by_name() -> None:
    with pytest.raises(InvalidArgumentError, match=r"hnsw\.ef_serch"):
        named("chroma_create_collection").parse({"collection_name": "notes", "hnsw": {"ef_serch": 10}})


def test_only_forgetting_is_marked_as_destructive_among_the_memory_tools() -> None:
    memory = [tool for tool in DEFAULT_TOOLS if tool.name.startswith("memory_")]
    assert [tool.name for tool in memory if tool.destructive] == ["memory_delete"]
    reading = {tool.name for tool in memory if tool.scope is Scope.READ}
    assert reading == {"memory_search", "memory_list", "memory_get", "memory_overview"}
    assert [tool.name for tool in memory if not tool.idempotent] == ["memory_ingest"]


def test_what_an_answer_leaves_out_is_not_required_by_its_schema() -> None:
    schema = named("memory_get").definition().output_schema
    assert schema is not None
    assert "memory" not in schema["properties"]["memories"]["items"].get("required", [])
