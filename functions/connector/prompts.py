"""The memory's prompts: to recall, to remember and to review, each written so that a model uses the tools well."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mcp_types as types

from remora.auth.principal import Scope
from remora.errors import InvalidArgumentError, NotFoundError

TAGS_ARGUMENT = "tags"
_TAGS = types.PromptArgument(name=TAGS_ARGUMENT, title="Tags", description="Tags, separated by commas")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt.

    Attributes:
        definition: What `prompts/list` shows.
        scopes: The scopes that a principal needs for the tools it asks for.
        write: Makes its text of the arguments.
    """

    definition: types.Prompt
    scopes: frozenset[Scope]
    write: Callable[[Mapping[str, str]], str]


def get(name: str, arguments: Mapping[str, str] | None) -> types.GetPromptResult:
    """Return a prompt's message.

    Args:
        name: Which prompt.
        arguments: Its arguments; one that is blank counts as not given.

    Raises:
        NotFoundError: There is no prompt of that name.
        InvalidArgumentError: An argument is missing, or not one of its own.
    """
    prompt = find(name)
    given = {key: value.strip() for key, value in (arguments or {}).items() if value.strip()}
    declared = {argument.name: bool(argument.required) for argument in prompt.definition.arguments or ()}
    accepted = ", ".join(f"{key}{'' if required else '?'}" for key, required in declared.items())
    for key in given:
        if key not in declared:
            raise InvalidArgumentError(
                f"{name}: {key[:60]!r} is not an argument of this prompt. Accepted (? = optional): {accepted}."
            )
    for key, required in declared.items():
        if required and key not in given:
            raise InvalidArgumentError(f"{name}: {key!r} is required. Accepted (? = optional): {accepted}.")
    message = types.PromptMessage(role="user", content=types.TextContent(text=prompt.write(given)))
    return types.GetPromptResult(description=prompt.definition.description, messages=[message])


def find(name: str) -> Prompt:
    """Return the prompt of that name.

    Raises:
        NotFoundError: There is none.
    """
    for prompt in PROMPTS:
        if prompt.definition.name == name:
            return prompt
    names = ", ".join(prompt.definition.name for prompt in PROMPTS)
    raise NotFoundError(f"Unknown prompt: {name[:100]!r}. There are: {names}.")


def _tags(given: Mapping[str, str], word: str) -> str:
    """Return the sentence that says which tags to use; empty if none are given."""
    tags = [tag.strip() for tag in given.get(TAGS_ARGUMENT, "").split(",") if tag.strip()]
    return f" {word} {', '.join(repr(tag) for tag in tags)}." if tags else ""


def _recall(given: Mapping[str, str]) -> str:
    return f"""\
What does my memory hold about this?

{given["topic"]}

1. Call memory_search with it as `query`.{_tags(given, "Only among memories with `tags`")} If it names a time \
("last week", "in May"), give that as `when` and leave it out of `query`.
2. If the hits do not settle it, search again in other words: a name, a synonym, the words that the answer would \
have. memory_get shows the rest of a memory that is shown in part, and the turns around a turn.
3. Answer first, then say which memories it rests on, with their dates. Where they disagree, say so; the newer one \
usually holds. If nothing there is relevant, say that, and do not guess."""


def _remember(given: Mapping[str, str]) -> str:
    return f"""\
Remember this for me:

{given["text"]}

1. Split it into the facts worth keeping, each a sentence or two that will be understood alone in a year: names \
rather than pronouns, dates rather than "tomorrow". Keep my own words for quotations, numbers and names. Leave out \
passwords and other secrets.
2. Call memory_store once with all of them in `memories`, each with a fitting `type`.\
{_tags(given, "Give them the `tags`") or " Choose few `tags`, from those that memory_overview shows where they fit."}
3. Look at `similar` in the answer. Where an older memory says the same or is no longer true, put it right with \
memory_update, or ask me which of the two holds.
4. Tell me in a line or two what you kept."""


def _review(given: Mapping[str, str]) -> str:
    about = f" about {given['topic']!r}" if "topic" in given else ""
    when = f" from the time {given['when']!r}" if "when" in given else ""
    tool = "memory_search with the topic as `query` and `limit` 50" if "topic" in given else "memory_list"
    first = "" if about or when or TAGS_ARGUMENT in given else "Call memory_overview to see what there is. "
    narrowed = " Give that time as `when`, as it stands." if when else ""
    return f"""\
Review what my memory holds{about}{when} with me.

1. {first}Call {tool}.{narrowed}{_tags(given, "Only memories with `tags`")} Go on with `cursor` for a few pages.
2. Sum up what is there by theme, in a few lines.
3. Then list what should change, numbered, each with the ids, the reason and the new text: memories that say the \
same, contradict each other, are out of date, cannot be understood alone, or have the wrong tags.
4. Change nothing before I agree. Then use memory_update, so that id and history stay, and memory_delete with `ids` \
for what should go; it can be restored."""


PROMPTS: tuple[Prompt, ...] = (
    Prompt(
        types.Prompt(
            name="recall",
            title="Recall",
            description="Find out what the memory holds about a topic or question",
            arguments=[
                types.PromptArgument(name="topic", title="Topic", description="A topic or question", required=True),
                _TAGS,
            ],
        ),
        frozenset({Scope.READ}),
        _recall,
    ),
    Prompt(
        types.Prompt(
            name="remember",
            title="Remember",
            description="Keep something for later conversations",
            arguments=[
                types.PromptArgument(name="text", title="Text", description="What to remember", required=True),
                _TAGS,
            ],
        ),
        frozenset({Scope.READ, Scope.WRITE}),
        _remember,
    ),
    Prompt(
        types.Prompt(
            name="review",
            title="Review",
            description="Go through memories, and propose what to merge, correct or delete",
            arguments=[
                types.PromptArgument(name="topic", title="Topic", description="What they are about"),
                types.PromptArgument(name="when", title="When", description='Their time, such as "past 2 weeks"'),
                _TAGS,
            ],
        ),
        frozenset({Scope.READ, Scope.WRITE}),
        _review,
    ),
)
