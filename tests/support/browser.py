"""A real browser: the system's Chromium, and windows of it that notice what goes wrong in them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from tests.support.client_site import SECONDS

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# What Chromium writes into the console when an answer's status says that something was wrong, as it should.
_REFUSAL = "Failed to load resource: the server responded with a status of 40"


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run the system's Chromium; the test is skipped where there is none."""
    program = next((found for found in map(shutil.which, _PROGRAMS) if found), None)
    if program is None:
        pytest.skip(f"There is no browser: none of {', '.join(_PROGRAMS)} is installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        await browser.close()


@dataclass
class Window:
    """A browser window, and what the browser complained about in it.

    Attributes:
        page: What is open in it.
        allowed: What the URLs begin with that pages may load.
        problems: Errors of scripts, of the security policy, and requests to anybody else.
    """

    page: Page
    allowed: tuple[str, ...]
    problems: list[str] = field(default_factory=list)

    @classmethod
    async def open(
        cls,
        browser: Browser,
        *allowed: str,
        width: int = 1280,
        scripts: bool = True,
        dark: bool = False,
    ) -> "Window":
        """Open a window of a browser that knows nothing yet.

        Args:
            browser: The browser.
            allowed: What the URLs begin with that pages may load.
            width: Width in CSS pixels.
            scripts: Whether scripts run.
            dark: Whether the person prefers dark pages.
        """
        context = await browser.new_context(
            viewport={"width": width, "height": 800},
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(SECONDS * 1000)
        window = cls(await context.new_page(), allowed)
        window.page.on("console", window._said)
        window.page.on("pageerror", lambda error: window.problems.append(f"script: {error}"))
        window.page.on("request", window._asked)
        return window

    async def close(self) -> None:
        """Close the window; nothing may have gone wrong in it."""
        await self.page.context.close()
        assert self.problems == []

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

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_REFUSAL):
            self.problems.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(self.allowed):
            self.problems.append(f"request: {request.url}")
