"""A person who allows what a client asks for: goes through the consent pages over HTTP, as their browser would."""

import html
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx2

_FORM = re.compile(r'name="form" value="([^"]+)"')


@dataclass
class Person:
    """Somebody with a key and a browser.

    Attributes:
        key: What they sign in with.
        browser: Their browser, which keeps cookies and follows nothing by itself.
        consented: How often they have allowed something.
    """

    key: str
    browser: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=30, follow_redirects=False))
    consented: int = 0

    def allow(self, url: str) -> str:
        """Allow what an authorization URL asks for, and return the URL that the browser is sent to."""
        page = self.browser.get(url)
        if 'name="key"' in page.text:
            page = self._submit(url, page, action="sign-in", key=self.key)
        answer = self._submit(url, page, action="allow")
        assert answer.status_code == 303, answer.text
        self.consented += 1
        return str(answer.headers["location"])

    def _submit(self, url: str, page: httpx2.Response, **fields: str) -> httpx2.Response:
        assert page.status_code == 200, page.text
        form = _FORM.search(page.text)
        assert form is not None, page.text
        return self.browser.post(url.partition("?")[0], data={"form": html.unescape(form[1]), **fields})


def parameters_of(redirect: str) -> dict[str, str]:
    """Return the parameters that a redirect carries."""
    return {name: values[0] for name, values in parse_qs(urlsplit(redirect).query).items()}
