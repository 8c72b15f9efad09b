"""The pages in a real browser: what a person does on them, what other sites can do to them, and how they are made."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, expect

from remora.auth.keys import generate_key, hash_key
from tests.conformance.suite import NODE_MODULES
from tests.integration.oauth.deployment import Deployment, Pkce, RegisteredClient
from tests.integration.oauth.serving import served_to_browsers
from tests.support.browser import Window, launched
from tests.support.client_site import ClientSite, client_site

pytestmark = pytest.mark.anyio

AXE = NODE_MODULES / "axe-core" / "axe.min.js"
PHONE, DESK = 360, 1280


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
async def chromium(anyio_backend: str) -> AsyncIterator[Browser]:
    """The system's Chromium."""
    async with launched() as browser:
        yield browser


@pytest.fixture
def running(deployment: Deployment) -> Iterator[Deployment]:
    """An authorization server on a loopback port."""
    deployment.let_bob_in_too()
    with served_to_browsers(lambda url: replace(deployment, issuer=url)) as running:
        yield running


@pytest.fixture
def client() -> Iterator[ClientSite]:
    """A client's site."""
    with client_site() as site:
        yield site


OpenWindow = Callable[..., Awaitable[Window]]


@pytest.fixture
async def open_window(chromium: Browser, running: Deployment, client: ClientSite) -> AsyncIterator[OpenWindow]:
    """Open a window; in the end nothing may have gone wrong in it."""
    windows: list[Window] = []

    async def open_one(**kind: Any) -> Window:
        windows.append(await Window.open(chromium, running.issuer + "/", client.url + "/", **kind))
        return windows[-1]

    yield open_one
    for window in windows:
        await window.close()


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


# ---- What a person does ----


async def test_a_person_connects_two_clients_with_one_sign_in_and_disconnects_one(
    running: Deployment, client: ClientSite, window: Window
) -> None:
    page = window.page
    connections = []
    for number, name in enumerate(("First", "Second")):
        pkce = Pkce.generate()
        registered, url = authorization_url(running, client, pkce, client_name=name)
        await page.goto(client.link(url))
        await page.get_by_role("link", name="Connect").click()
        if number == 0:
            await window.heading("First wants to use your Remora")
            await window.sign_in(generate_key("alice"))
            await expect(page.get_by_role("alert")).to_have_text("This key is not valid here.")
            await expect(page.get_by_label("Your Remora key")).to_have_value("")
            await expect(page.get_by_label("Your Remora key")).to_have_attribute("aria-invalid", "true")
            await window.sign_in(running.key)
        await window.heading(f"Allow {name}?")
        await expect(page.get_by_text("alice-space")).to_be_visible()
        assert await page.get_by_label("Your Remora key").count() == 0
        await page.get_by_role("button", name="Allow").click()
        await window.heading("Back at the client")
        tokens = running.redeem(registered, pkce, client.answer()["code"]).json()
        connections.append((registered, tokens["refresh_token"]))

    await page.goto(f"{running.issuer}/account")
    await window.heading("Your account")
    cards = page.get_by_role("listitem").filter(has=page.get_by_role("heading", level=3))
    await expect(cards).to_have_count(2)
    await cards.filter(has_text="First").get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_role("status")).to_contain_text("The application is disconnected.")
    await expect(cards).to_have_count(1)
    await expect(cards).to_contain_text("Second")
    assert [running.refresh(*connection).status_code for connection in connections] == [400, 200]


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


@pytest.mark.parametrize(("width", "dark"), [(PHONE, True), (DESK, False)], ids=["phone, dark", "desk, light"])
async def test_every_page_is_accessible_and_fits_the_screen(
    running: Deployment,
    client: ClientSite,
    open_window: OpenWindow,
    tmp_path: Path,
    width: int,
    dark: bool,
) -> None:
    if not AXE.exists():
        pytest.fail("axe-core is not installed; `make test` installs it (it needs npm)")
    window = await open_window(width=width, dark=dark)
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
