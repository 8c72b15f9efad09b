"""The prompts: what they take, and that what they ask for exists."""

import re

import pytest

from connector import prompts
from connector.tools import memory_tools
from remora.auth.principal import Scope
from remora.errors import InvalidArgumentError, NotFoundError

TOOLS = {tool.name: tool for tool in memory_tools()}
FULL = {
    "recall": {"topic": "the move to Lisbon", "tags": "family, travel"},
    "remember": {"text": "I moved to Lisbon in May.", "tags": "family, travel"},
    "review": {"topic": "the move to Lisbon", "when": "past 2 weeks", "tags": "family, travel"},
}
LEAST = {"recall": {"topic": "x"}, "remember": {"text": "x"}, "review": {}}


def text_of(name: str, arguments: dict[str, str]) -> str:
    """Return the text of a prompt's one message."""
    (message,) = prompts.get(name, arguments).messages
    assert message.role == "user"
    assert message.content.type == "text"
    return message.content.text


@pytest.mark.parametrize("name", FULL)
def test_every_argument_reaches_the_text(name: str) -> None:
    declared = {argument.name for argument in prompts.find(name).definition.arguments or ()}
    assert declared == set(FULL[name])
    text = text_of(name, FULL[name])
    for value in FULL[name].values():
        assert all(part in text for part in value.split(", "))


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("arguments", [FULL, LEAST])
def test_a_prompt_asks_for_tools_and_arguments_that_exist_and_that_its_scopes_cover(
    name: str, arguments: dict[str, dict[str, str]]
) -> None:
    text = text_of(name, arguments[name])
    asked = set(re.findall(r"memory_\w+", text))
    assert asked
    assert asked <= TOOLS.keys()
    assert {TOOLS[tool].scope for tool in asked} <= prompts.find(name).scopes
    accepted = {argument for tool in asked for argument in TOOLS[tool].arguments.model_fields} | {"similar"}
    assert set(re.findall(r"`(\w+)`", text)) <= accepted


def test_only_prompts_that_write_need_to_write() -> None:
    assert prompts.find("recall").scopes == {Scope.READ}
    assert Scope.WRITE in prompts.find("remember").scopes


def test_a_blank_argument_counts_as_not_given() -> None:
    assert text_of("review", {"topic": " ", "tags": ""}) == text_of("review", {})
    with pytest.raises(InvalidArgumentError, match="'topic' is required"):
        prompts.get("recall", {"topic": "  "})


def test_what_is_missing_or_unknown_is_named_with_what_is_accepted() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'text' is required.*text, tags\?"):
        prompts.get("remember", None)
    with pytest.raises(InvalidArgumentError, match=r"'subject' is not an argument.*topic, tags\?"):
        prompts.get("recall", {"subject": "x"})
    with pytest.raises(NotFoundError, match="recall, remember, review"):
        prompts.get("forget", {})
