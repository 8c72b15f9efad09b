"""The resources' addresses: each leads to what it was made from, whatever a tag or an id looks like."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from connector import resources

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
TEMPLATES = ((resources.MEMORY, "id"), (resources.TAG, "tag"), (resources.CONVERSATION, "conversation_id"))


@given(NAMES)
def test_an_address_leads_back_to_its_tag_or_id(name: str) -> None:
    for template, variable in TEMPLATES:
        assert template.match(template.expand({variable: name})) == {variable: name}


@given(NAMES)
def test_a_client_that_encodes_every_character_means_the_same(name: str) -> None:
    assert resources.TAG.match(f"memory://tags/{quote(name, safe='')}") == {"tag": name}


@given(NAMES, st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True))
def test_the_address_of_a_next_page_leads_to_its_cursor(tag: str, cursor: str) -> None:
    address = resources.TAG.expand({"tag": tag, "cursor": cursor})
    assert resources.TAG.match(address) == {"tag": tag, "cursor": cursor}
    assert resources.RECENT.match(f"memory://recent?cursor={cursor}") == {"cursor": cursor}


def test_the_listed_resources_and_templates_are_those_that_can_be_read() -> None:
    listed = {resource.uri for resource in resources.resources()}
    assert listed == {"memory://overview", "memory://recent"}
    assert all(
        any(template.match(uri) is not None for template in (resources.OVERVIEW, resources.RECENT)) for uri in listed
    )
    shown = {template.uri_template for template in resources.templates()}
    assert shown == {str(template) for template, _ in TEMPLATES}
