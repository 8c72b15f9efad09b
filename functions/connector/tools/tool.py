"""What a tool is: typed arguments and result, the schemas made of them, and what a caller needs to call it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import mcp_types as types
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from remora.auth.principal import Principal, Scope
from remora.chroma.deadline import Deadline
from remora.collections.administration import DatabaseAdministration
from remora.collections.service import Collections
from remora.errors import InvalidArgumentError
from remora.spaces import Spaces

if TYPE_CHECKING:
    # Imported by the space that makes them, so that a call of another tool does without them.
    from remora.ingest.service import IngestionService
    from remora.memory.service import MemoryService


class Arguments(BaseModel):
    """Base of every tool's arguments. Unknown ones are refused: a misspelt filter must not mean "no filter"."""

    # Built when first used: a cold start needs the validators of one tool, not of all.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class NoArguments(Arguments):
    """Arguments of a tool that takes none."""


A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Call:
    """What a tool's handler works with.

    Attributes:
        principal: Who is calling.
        spaces: Where the properties below come from.
        administration: The databases of the server; only tools of the scope `admin` use it.
        deadline: When the answer must have left.
    """

    principal: Principal
    spaces: Spaces
    administration: DatabaseAdministration
    deadline: Deadline

    @property
    def may_read(self) -> bool:
        """Whether the answer may show what was stored before; a tool that writes is also called without `read`."""
        return Scope.READ in self.principal.scopes

    @property
    def collections(self) -> Collections:
        """The collections of the principal's space."""
        return self.spaces.collections(self.principal.space)

    @property
    def memory(self) -> "MemoryService":
        """The memory of the principal's space; what it writes is signed with the principal's id."""
        return self.spaces.memory(self.principal.space, self.principal.id)

    @property
    def ingestion(self) -> "IngestionService":
        """The ingestion of documents into that memory."""
        return self.spaces.ingestion(self.principal.space, self.principal.id)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One MCP tool.

    Attributes:
        name: Its name on the wire.
        title: Its name for people.
        description: What it does, for a model that has no manual. Every word is paid for in every conversation.
        scope: The scope that a principal needs to see and call it.
        arguments: Model of its arguments; its JSON schema is the tool's input schema.
        result: Model of its result; its JSON schema is the tool's output schema.
        run: Does the work.
        render: Makes the readable text of a result.
        destructive: Whether it may overwrite or delete what is there.
        idempotent: Whether calling it again with the same arguments changes nothing more.
        read_only: Whether it changes nothing at all; so it is with every tool of the scope `read`.
    """

    name: str
    title: str
    description: str
    scope: Scope
    arguments: type[A]
    result: type[BaseModel]
    run: Callable[[Call, A], Awaitable[BaseModel]]
    render: Callable[[Any], str]
    destructive: bool = False
    idempotent: bool = True
    read_only: bool = False

    def definition(self) -> types.Tool:
        """Return the tool as `tools/list` shows it."""
        read_only = self.read_only or self.scope is Scope.READ
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=schema_of(self.arguments),
            output_schema=schema_of(self.result, mode="serialization"),
            annotations=types.ToolAnnotations(
                title=self.title,
                read_only_hint=read_only,
                destructive_hint=self.destructive,
                idempotent_hint=self.idempotent or read_only,
                # A tool reaches the owner's own database and nothing beyond it.
                open_world_hint=False,
            ),
        )

    def parse(self, arguments: dict[str, Any] | None) -> A:
        """Check a caller's arguments.

        Raises:
            InvalidArgumentError: They do not fit; the message says for each which and why, and what is accepted.
        """
        try:
            return self.arguments.model_validate(arguments or {})
        except ValidationError as error:
            raise InvalidArgumentError(_explain(self, error)) from None


def _explain(tool: Tool[Any], error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"]) or "arguments"
        if problem["type"] == "extra_forbidden":
            problems.append(f"`{place}` is not an argument of this tool")
        elif problem["type"] == "missing":
            problems.append(f"`{place}` is required")
        else:
            problems.append(f"`{place}`: {problem['msg'].removeprefix('Value error, ')}")
    accepted = ", ".join(
        f"{name}{'' if field.is_required() else '?'}" for name, field in tool.arguments.model_fields.items()
    )
    return f"{tool.name}: {'; '.join(problems)}. Accepted arguments (? = optional): {accepted or 'none'}."


class _LeanSchema(GenerateJsonSchema):
    """JSON Schema without what costs tokens or trips up clients.

    Titles repeat the field's name. `anyOf` with `null` and `"default": null` are refused by some gateways,
    and say nothing that "not required" does not.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ANN401
        # An answer leaves out what is None.
        if self.mode == "serialization" and field["schema"]["type"] == "nullable":
            return False
        return super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        json_schema = super().default_schema(schema)
        if json_schema.get("default", ...) is None:
            json_schema.pop("default")
        return json_schema


def schema_of(model: type[BaseModel], mode: Any = "validation") -> dict[str, Any]:  # noqa: ANN401
    """Return a model's JSON schema, lean and without references.

    Args:
        model: The model.
        mode: `validation` for what goes in, `serialization` for what comes out.
    """
    schema = model.model_json_schema(schema_generator=_LeanSchema, mode=mode)
    definitions = schema.pop("$defs", {})
    lean: dict[str, Any] = _inline(_without_docstring(schema), definitions)
    return lean


def _without_docstring(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a model's schema without its title and docstring, which are written for us and not for its readers."""
    return {key: content for key, content in schema.items() if key not in ("title", "description")}


def _inline(node: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401
    """Put definitions where they are referred to, as some clients do not resolve `$ref`."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = _without_docstring(definitions[node["$ref"].rpartition("/")[2]])
        beside = {key: content for key, content in node.items() if key != "$ref"}
        return _inline({**target, **beside}, definitions)
    return {key: _inline(content, definitions) for key, content in node.items()}
