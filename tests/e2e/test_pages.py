"""The pages of the whole local system in a real browser, opened by the official client."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio.to_thread
import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from playwright.async_api import expect
from pydantic import AnyUrl

from tests.support.browser import Window, launched
from tests.support.client_memory import Memory
from tests.support.client_site import ClientSite, client_site
from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(stack: LocalStack) -> str:
    """The public URL."""
    return stack.url.removesuffix("/mcp")


@pytest.fixture
def site() -> Iterator[ClientSite]:
    """The client's site."""
    with client_site() as site:
        yield site


@pytest.fixture
async def window(anyio_backend: str, root: str, site: ClientSite) -> AsyncIterator[Window]:
    """A window; in the end nothing may have gone wrong in it."""
    async with launched() as browser:
        window = await Window.open(browser, root + "/", site.url + "/")
        yield window
        await window.close()


@dataclass
class Assistant:
    """The official client, whose person uses the window.

    Attributes:
        asked: How often it has asked the person.
    """

    stack: LocalStack
    site: ClientSite
    window: Window
    memory: Memory = field(default_factory=Memory)
    asked: int = 0

    def __post_init__(self) -> None:
        self.oauth = OAuthClientProvider(
            server_url=self.stack.url,
            client_metadata=OAuthClientMetadata(
                redirect_uris=[AnyUrl(self.site.callback)], client_name="Official client"
            ),
            storage=self.memory,
            redirect_handler=self._open,
            callback_handler=self._answer,
        )

    async def _open(self, url: str) -> None:
        self.asked += 1
        page = self.window.page
        # By a link of its own site, as assistants on the web do.
        await page.goto(self.site.link(url))
        await page.get_by_role("link", name="Connect").click()
        if await page.get_by_label("Your Remora key").count():
            await self.window.sign_in(self.stack.key)
        await self.window.heading("Allow Official client?")
        await page.get_by_role("button", name="Allow").click()
        await self.window.heading("Back at the client")

    async def _answer(self) -> AuthorizationCodeResult:
        answer = await anyio.to_thread.run_sync(self.site.answer)
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    async def tools(self) -> int:
        """Return how many tools it is shown."""
        async with (
            httpx2.AsyncClient(auth=self.oauth, timeout=60) as http,
            Client(streamable_http_client(self.stack.url, http_client=http)) as client,
        ):
            return len((await client.list_tools()).tools)


async def test_a_person_connects_the_official_client_and_disconnects_it_in_their_account(
    stack: LocalStack, root: str, site: ClientSite, window: Window
) -> None:
    page, assistant = window.page, Assistant(stack, site, window)
    assert await assistant.tools() > 0
    await page.goto(f"{root}/account")
    await window.heading("Your account")
    card = page.get_by_role("listitem").filter(has_text="Official client").first
    await card.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_role("status")).to_contain_text("The application is disconnected.")

    # The refresh fails, and the client asks again: a person who is still signed in needs no key.
    assistant.oauth.context.token_expiry_time = time.time() - 1
    assert await assistant.tools() > 0
    assert assistant.asked == 2

    await page.goto(f"{root}/account")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    await page.goto(f"{root}/account")
    await window.heading("Sign in")
