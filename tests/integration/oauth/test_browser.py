"""The pages in a real browser: consent from the client's redirect to its callback, the session, and the account."""

import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from mypy_boto3_secretsmanager import SecretsManagerClient
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect
from pydantic import AnyUrl

from remora.auth.keys import generate_key, hash_key
from remora.aws import Aws
from remora.oauth.settings import OAuthSettings
from tests.conformance.suite import NODE_MODULES
from tests.integration.oauth.client_memory import Memory
from tests.integration.oauth.client_site import SECONDS, ClientSite, client_site
from tests.integration.oauth.deployment import Deployment, Pkce, RegisteredClient, Web
from tests.integration.oauth.loopback import served

pytestmark = pytest.mark.anyio

AXE = NODE_MODULES / "axe-core" / "axe.min.js"
PHONE, DESK = 360, 1280
# What Chromium writes into the console when an answer's status says that something was wrong, as it should.
REFUSAL = "Failed to load resource: the server responded with a status of 40"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
async def chromium(anyio_backend: str) -> AsyncIterator[Browser]:
    """The system's Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for found in map(shutil.which, names) if found), None)
    if program is None:
        pytest.skip(f"There is no browser: none of {', '.join(names)} is installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        await browser.close()


@pytest.fixture
def running(
    new_settings: Callable[[], OAuthSettings], aws: Aws, secretsmanager: SecretsManagerClient
) -> Iterator[Deployment]:
    """An authorization server on a loopback port."""

    def deploy(url: str) -> Deployment:
        deployment = Deployment(new_settings(), url, Web(), aws, secretsmanager)
        deployment.let_bob_in_too()
        return deployment

    with served(deploy) as deployment:
        yield deployment


@pytest.fixture
def client() -> Iterator[ClientSite]:
    """A client's site."""
    with client_site() as site:
        yield site


@dataclass
class Window:
    """A browser window, and what the browser complained about in it.

    Attributes:
        page: What is open in it.
        problems: Errors of scripts, of the security policy, and requests to anybody but the two sites.
    """

    page: Page
    allowed: tuple[str, ...]
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Take down what goes wrong."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(REFUSAL):
            self.problems.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(self.allowed):
            self.problems.append(f"request: {request.url}")

    async def sign_in(self, key: str, button: str = "Continue") -> None:
        """Type a key, and go on."""
        await self.page.get_by_label("Your Remora key").fill(key)
        await self.page.get_by_role("button", name=button).click()

    async def heading(self, words: str) -> None:
        """Wait for a page with this heading, which must be its only one of the first level."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(words)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def tab_to(self, role: str, name: str) -> None:
        """Press Tab until something has the focus."""
        wanted = self.page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
        for _ in range(20):
            await self.press("Tab")
            if await wanted.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"The keyboard does not reach {name}")


OpenWindow = Callable[..., Awaitable[Window]]


@pytest.fixture
async def open_window(chromium: Browser, running: Deployment, client: ClientSite) -> AsyncIterator[OpenWindow]:
    """Open a window of a browser that knows nothing yet; in the end nothing may have gone wrong in it."""
    contexts: list[BrowserContext] = []
    windows: list[Window] = []

    async def open_one(*, width: int = DESK, scripts: bool = True, scheme: str = "light") -> Window:
        context = await chromium.new_context(
            viewport={"width": width, "height": 800},
            java_script_enabled=scripts,
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        context.set_default_timeout(SECONDS * 1000)
        contexts.append(context)
        window = Window(await context.new_page(), (running.issuer + "/", client.url + "/"))
        window.watch()
        windows.append(window)
        return window

    yield open_one
    problems = [problem for window in windows for problem in window.problems]
    for context in contexts:
        await context.close()
    assert problems == []


@pytest.fixture
async def window(open_window: OpenWindow) -> Window:
    """One window."""
    return await open_window()


def authorization_url(
    deployment: Deployment, site: ClientSite, pkce: Pkce | None = None, **members: str
) -> tuple[RegisteredClient, str]:
    """Register a client, and return it with the URL that it sends people to."""
    registered = deployment.register(redirect_uris=[site.callback], **members)
    parameters = deployment.request(registered, pkce or Pkce.generate())
    return registered, f"{deployment.issuer}/authorize?{urlencode(parameters)}"


# ---- The official client ----


@dataclass
class Assistant:
    """The official MCP client, whose person uses the window.

    Attributes:
        person: What the person does once the client has opened the page.
        asked: How often the client has asked them.
    """

    deployment: Deployment
    site: ClientSite
    window: Window
    person: Callable[[], Awaitable[None]]
    name: str = "Official client"
    memory: Memory = field(default_factory=Memory)
    asked: int = 0

    def __post_init__(self) -> None:
        self.oauth = OAuthClientProvider(
            server_url=f"{self.deployment.issuer}/mcp",
            client_metadata=OAuthClientMetadata(redirect_uris=[AnyUrl(self.site.callback)], client_name=self.name),
            storage=self.memory,
            redirect_handler=self._open,
            callback_handler=self._answer,
        )

    async def _open(self, url: str) -> None:
        self.asked += 1
        # By a link of its own site, as assistants on the web do.
        await self.window.page.goto(self.site.link(url))
        await self.window.page.get_by_role("link", name="Connect").click()
        await self.person()

    async def _answer(self) -> AuthorizationCodeResult:
        answer = await anyio.to_thread.run_sync(self.site.answer)
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    async def call(self) -> str:
        """Call the tool, and return what it said."""
        async with httpx2.AsyncClient(auth=self.oauth, timeout=30) as http:
            transport = streamable_http_client(f"{self.deployment.issuer}/mcp", http_client=http)
            async with Client(transport) as session:
                result = await session.call_tool("whoami", {})
                return str(result.content[0].text)  # type: ignore[union-attr]

    def forget_access_token(self) -> None:
        """Make the client need its refresh token."""
        self.oauth.context.token_expiry_time = time.time() - 1


async def test_a_person_connects_the_official_client_sees_it_in_their_account_and_disconnects_it(
    running: Deployment, client: ClientSite, window: Window
) -> None:
    page = window.page

    async def types_a_wrong_key_and_then_the_right_one() -> None:
        await window.heading("Official client wants to use your Remora")
        await window.sign_in(generate_key("alice"))
        await expect(page.get_by_role("alert")).to_have_text("This key is not valid here.")
        await expect(page.get_by_label("Your Remora key")).to_have_value("")
        await expect(page.get_by_label("Your Remora key")).to_have_attribute("aria-invalid", "true")
        await window.sign_in(running.key)
        await allows()

    async def allows() -> None:
        await window.heading("Allow Official client?")
        await expect(page.get_by_text("alice-space")).to_be_visible()
        assert await page.get_by_label("Your Remora key").count() == 0
        await page.get_by_role("button", name="Allow").click()
        await window.heading("Back at the client")

    first = Assistant(running, client, window, types_a_wrong_key_and_then_the_right_one)
    assert await first.call() == "alice"

    # The browser is signed in now: the next client needs the decision, and not the key.
    second = Assistant(running, client, window, allows)
    assert await second.call() == "alice"
    second.forget_access_token()
    assert await second.call() == "alice"
    assert (first.asked, second.asked) == (1, 1)

    await page.goto(f"{running.issuer}/account")
    await window.heading("Your account")
    cards = page.get_by_role("listitem").filter(has=page.get_by_role("heading", level=3))
    await expect(cards).to_have_count(2)
    # What was used last stands first; the second was used a moment ago, or in the same second.
    await cards.first.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_role("status")).to_contain_text("The application is disconnected.")
    await expect(cards).to_have_count(1)

    outcomes = []
    for assistant in (first, second):
        tokens, registered = assistant.memory.tokens, assistant.memory.client
        assert tokens is not None
        assert registered is not None
        answer = running.browser.post(
            "/token",
            data={"grant_type": "refresh_token", "refresh_token": str(tokens.refresh_token)},
            auth=(str(registered.client_id), str(registered.client_secret)),
        )
        outcomes.append(answer.status_code)
    assert sorted(outcomes) == [200, 400]


async def test_a_client_that_was_disconnected_has_to_ask_again(
    running: Deployment, client: ClientSite, window: Window
) -> None:
    page = window.page

    async def allows() -> None:
        if await page.get_by_label("Your Remora key").count():
            await window.sign_in(running.key)
        await page.get_by_role("button", name="Allow").click()
        await window.heading("Back at the client")

    assistant = Assistant(running, client, window, allows)
    await assistant.call()
    await page.goto(f"{running.issuer}/account")
    await page.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_text("None. When you add this server")).to_be_visible()
    assistant.forget_access_token()
    assert await assistant.call() == "alice"
    assert assistant.asked == 2


# ---- What a person does ----


@pytest.mark.parametrize("signed_in", [False, True], ids=["before signing in", "signed in"])
async def test_saying_no_leads_back_to_the_client_with_nothing(
    running: Deployment, client: ClientSite, window: Window, signed_in: bool
) -> None:
    _, url = authorization_url(running, client)
    await window.page.goto(client.link(url))
    await window.page.get_by_role("link", name="Connect").click()
    if signed_in:
        await window.sign_in(running.key)
        await window.heading("Allow Example?")
    await window.page.get_by_role("button", name="Cancel").click()
    await window.heading("Back at the client")
    answer = client.answer()
    assert answer["error"] == "access_denied"
    assert "code" not in answer


async def test_everything_works_without_scripts(
    running: Deployment, client: ClientSite, open_window: OpenWindow
) -> None:
    window, pkce = await open_window(scripts=False), Pkce.generate()
    page = window.page
    registered, url = authorization_url(running, client, pkce)
    await page.goto(url)
    await window.sign_in(running.key)
    await page.get_by_role("button", name="Allow").click()
    await window.heading("Back at the client")
    tokens = running.redeem(registered, pkce, client.answer()["code"]).json()
    running.connect(registered)
    await page.goto(f"{running.issuer}/account")
    await page.get_by_text("Disconnect all applications").click()
    await page.get_by_role("button", name="Disconnect all").click()
    await expect(page.get_by_role("status")).to_contain_text("All applications are disconnected.")
    assert running.refresh(registered, tokens["refresh_token"]).status_code == 400


async def test_a_person_signs_in_to_their_account_and_out_again(running: Deployment, window: Window) -> None:
    page = window.page
    await page.goto(f"{running.issuer}/account")
    await window.heading("Sign in")
    await window.sign_in(generate_key("alice"), "Sign in")
    await expect(page.get_by_role("alert")).to_have_text("This key is not valid here.")
    await window.sign_in(running.key, "Sign in")
    await window.heading("Your account")
    assert page.url == f"{running.issuer}/account"
    (cookie,) = await page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("remora-session", True, "Lax")
    assert 11.9 * 3600 < cookie["expires"] - time.time() < 12.1 * 3600
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_have_text("You are signed out.")
    assert await page.context.cookies() == []
    await page.go_back()
    await window.heading("Sign in")


async def test_a_person_uses_another_key(running: Deployment, client: ClientSite, window: Window) -> None:
    page = window.page
    _, url = authorization_url(running, client)
    await page.goto(url)
    await window.sign_in(running.key)
    await page.get_by_role("button", name="Use another key").click()
    await window.sign_in(running.bobs_key)
    await expect(page.get_by_text("bob-space")).to_be_visible()
    await page.goto(f"{running.issuer}/account")
    await expect(page.get_by_text("bob-space")).to_be_visible()


async def test_the_keyboard_is_enough(running: Deployment, client: ClientSite, window: Window) -> None:
    page, pkce = window.page, Pkce.generate()
    registered, url = authorization_url(running, client, pkce)
    await page.goto(url)
    await window.tab_to("textbox", "Your Remora key")
    await page.keyboard.type(running.key)
    await window.press("Enter")
    await window.heading("Allow Example?")
    for name in ("Use another key", "your account", "Allow"):  # In the order of reading.
        await window.tab_to("link" if name == "your account" else "button", name)
    await window.press("Enter")
    await window.heading("Back at the client")
    running.redeem(registered, pkce, client.answer()["code"])
    running.connect(registered)

    await page.goto(f"{running.issuer}/account")
    await window.tab_to("button", "Sign out")
    await window.tab_to("button", "Disconnect")
    await window.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("The application is disconnected.")
    running.connect(registered)
    await page.reload()
    for _ in range(4):  # Signing out, two connections, and the line that opens the rest.
        await window.press("Tab")
    assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"
    await window.press("Enter")
    await window.tab_to("button", "Disconnect all")
    await window.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("All applications are disconnected.")


# ---- What other sites do ----


async def test_another_site_can_send_a_person_here_but_not_act_for_them(
    running: Deployment, client: ClientSite, window: Window
) -> None:
    page = window.page
    await page.goto(f"{running.issuer}/sign-in")
    await window.sign_in(running.key, "Sign in")
    await window.heading("Your account")
    registered = running.register(redirect_uris=[client.callback])
    tokens = running.connect(registered)

    # A link brings the session along: SameSite is Lax, not Strict.
    _, url = authorization_url(running, client)
    await page.goto(client.link(url))
    await page.get_by_role("link", name="Connect").click()
    await window.heading("Allow Example?")

    for path, fields in (
        ("/account", {"action": "disconnect-all", "principal": "alice"}),
        ("/account", {"action": "sign-out"}),
        ("/sign-in", {"key": running.bobs_key}),
    ):
        inputs = "".join(f'<input type=hidden name="{name}" value="{value}">' for name, value in fields.items())
        form = f'<form method=post action="{running.issuer}{path}">{inputs}<button>Win</button></form>'
        await page.goto(client.publish("/win", form))
        await page.get_by_role("button", name="Win").click()
        await window.heading("That did not work")
        await expect(page.get_by_role("alert")).to_contain_text("sent by another site")
    await page.goto(f"{running.issuer}/account")
    await expect(page.get_by_text("alice-space")).to_be_visible()
    assert running.refresh(registered, tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("path", ["/account", "/sign-in", "/authorize"])
async def test_no_page_can_be_framed(running: Deployment, client: ClientSite, window: Window, path: str) -> None:
    framed = client.publish("/frame", f'<iframe src="{running.issuer}{path}"></iframe>')
    await window.page.goto(framed)
    frame = window.page.frames[-1]
    assert "Remora" not in await frame.content()
    refusals, window.problems = window.problems, []
    assert any("frame" in problem for problem in refusals)


# ---- What the pages are like ----


async def _walk(running: Deployment, client: ClientSite, window: Window) -> AsyncIterator[str]:
    """Open every page there is, and name it."""
    page = window.page
    name = "An assistant with a name as long as names may be " + "w" * 20
    registered, url = authorization_url(running, client, client_name=name)
    await page.goto(url)
    yield "consent-sign-in"
    await window.sign_in(generate_key("alice"))
    yield "consent-wrong-key"
    await window.sign_in(running.key)
    yield "consent-decision"
    await page.goto(url.replace("response_type=code", "response_type=token"))
    yield "consent-rejected"
    document = running.web.publish(
        "https://assistant.example/oauth/client.json", client_name="Assistant", redirect_uris=[client.callback]
    )
    await page.goto(url.replace(registered.id, document.replace(":", "%3A").replace("/", "%2F")))
    yield "consent-vouched-for"
    await page.goto(f"{running.issuer}/account")
    yield "account-empty"
    running.connect(registered)
    running.connect(running.register(redirect_uris=[client.callback], client_name="ChatGPT"), scope="read")
    await page.reload()
    yield "account"
    await page.get_by_text("Disconnect all applications").click()
    yield "account-disconnect-all"
    await page.get_by_role("button", name="Disconnect", exact=True).first.click()
    yield "account-disconnected"
    other = generate_key("alice")
    running.write_principals(keys=[{"sha256": hash_key(other)}])
    await page.goto(f"{running.issuer}/sign-in")
    yield "sign-in"
    await window.sign_in(running.key, "Sign in")
    yield "sign-in-wrong-key"
    await window.sign_in(other, "Sign in")
    yield "account-of-a-lost-key"
    await page.get_by_role("button", name="Sign out").click()
    yield "signed-out"


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible_and_fits_the_screen(
    running: Deployment,
    client: ClientSite,
    open_window: OpenWindow,
    tmp_path: Path,
    width: int,
    scheme: str,
) -> None:
    if not AXE.exists():
        pytest.fail("axe-core is not installed; `make test` installs it (it needs npm)")
    window = await open_window(width=width, scheme=scheme)
    seen = []
    async for name in _walk(running, client, window):
        page = window.page
        await page.wait_for_load_state()
        await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert await page.get_by_role("heading", level=1).count() == 1, name
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = await page.evaluate("axe.run({resultTypes: ['violations', 'incomplete']})")
        for kind in ("violations", "incomplete"):
            assert [(issue["id"], issue["nodes"][0]["html"]) for issue in found[kind]] == [], name
        small = await page.evaluate(
            "[...document.querySelectorAll('button, input:not([type=hidden]), summary')]"
            ".filter(element => element.checkVisibility() && element.getBoundingClientRect().height < 24)"
            ".map(element => element.outerHTML)"
        )
        assert small == [], name  # WCAG 2.2, success criterion 2.5.8.
        seen.append(name)
    assert len(seen) == 13
