"""What every page looks like: the frame around its words, its style, and the policy that lets nothing else in."""

import base64
import hashlib
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

from remora.auth.principal import Scope
from remora.oauth.redirects import form_action_source

_STYLE = """
:root { color-scheme: light dark; --page: #f4f6f8; --card: #fff; --text: #1a1f26; --soft: #56606b; --line: #d5dbe1;
  --field: #7b8590; --accent: #0b57d0; --on-accent: #fff; --bad: #b3261e; --bad-tint: #fdf1f0; --warn: #8a4b00;
  --warn-tint: #fff6e8; --good: #1b6e3c; --good-tint: #eef8f1; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1317; --card: #181d23; --text: #e8ebee; --soft: #a3adb8;
  --line: #333c46; --field: #7d8894; --accent: #a8c7fa; --on-accent: #0a1a33; --bad: #f2b8b5; --bad-tint: #2c1a1a;
  --warn: #f5c26b; --warn-tint: #2a2113; --good: #8fd6a8; --good-tint: #15251b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
header, main { max-width: 32rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: 0 .6rem; align-items: baseline; padding-top: 1.5rem; }
header strong { font-size: 1.1rem; letter-spacing: .01em; }
header span { color: var(--soft); font-size: .9rem; }
main { padding-top: .9rem; padding-bottom: 3rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: 1.4rem; }
.card > :first-child { margin-top: 0; }
.card > :last-child { margin-bottom: 0; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.1rem; margin: 2rem 0 .75rem; }
h3 { font-size: 1.1rem; line-height: 1.35; margin: 0 0 1rem; }
p { margin: .75rem 0; }
a { color: var(--accent); text-underline-offset: .15em; }
dl { margin: 1rem 0; border-top: 1px solid var(--line); }
dl div { padding: .6rem 0; border-bottom: 1px solid var(--line); }
dt { color: var(--soft); font-size: .875rem; }
dd { margin: 0; }
ul { padding-left: 1.15rem; margin: .15rem 0 0; }
ul { list-style: disc; }
ul.cards { list-style: none; padding: 0; margin: 0 0 1rem; }
ul.cards > li + li { margin-top: 1rem; }
label { display: block; font-weight: 600; margin-top: 1.25rem; }
input { width: 100%; font: inherit; color: inherit; background: var(--card); padding: .65rem .7rem;
  margin-top: .35rem; border: 1px solid var(--field); border-radius: .5rem; }
input[aria-invalid] { border-color: var(--bad); }
button { font: inherit; font-weight: 600; width: 100%; min-height: 2.9rem; padding: .6rem 1rem; margin-top: .75rem;
  border: 1px solid var(--field); border-radius: .5rem; background: var(--card); color: var(--text);
  cursor: pointer; }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); margin-top: 1.25rem; }
button.end { border-color: var(--bad); color: var(--bad); }
button.link { width: auto; min-height: 1.5rem; padding: 0; margin: 0; border: 0; background: none;
  color: var(--accent); font-weight: 400; text-decoration: underline; text-underline-offset: .15em; }
button:hover { filter: brightness(.94); }
@media (prefers-color-scheme: dark) { button:hover { filter: brightness(1.12); } }
summary { min-height: 1.5rem; cursor: pointer; font-weight: 600; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .3rem; }
.who { display: flex; flex-wrap: wrap; gap: .25rem .75rem; justify-content: space-between; align-items: baseline; }
.bad, .warn, .good { border-left: 4px solid; border-radius: .3rem; padding: .6rem .8rem; margin: 0 0 1rem; }
.bad { border-color: var(--bad); background: var(--bad-tint); }
.warn { border-color: var(--warn); background: var(--warn-tint); }
.good { border-color: var(--good); background: var(--good-tint); }
.soft { color: var(--soft); font-size: .9rem; margin: .35rem 0 0; }
""".strip()

# The style is allowed by what it is, so that nothing that a stranger might smuggle in is.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_SCOPE_WORDS = {
    Scope.READ: "read everything in your space: search it, list it, open it",
    Scope.WRITE: "change your space: add to it, edit and delete what is there",
}


class Layout:
    """Puts the words of a page into the frame that all pages have.

    Args:
        issuer: The public URL, of which the page shows the host.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._host = urlsplit(issuer).netloc

    def respond(self, title: str, body: str, *, status: int = 200, redirect_uri: str | None = None) -> HTMLResponse:
        """Return a page.

        Args:
            title: Its title; plain text.
            body: Its content; HTML.
            status: HTTP status.
            redirect_uri: Where a form on it may lead besides this host.
        """
        document = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(title)} · Remora</title>
<style>{_STYLE}</style>
</head>
<body>
<header><strong>Remora</strong> <span>{escape(self._host)}</span></header>
<main>{body}
</main>
</body>
</html>
"""
        # A form's answer may redirect only where the form-action directive says, in some browsers.
        targets = " ".join(["'self'", *([form_action_source(redirect_uri)] if redirect_uri else [])])
        policy = (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {targets}; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        return HTMLResponse(document, status_code=status, headers={"Content-Security-Policy": policy})

    def problem(self, message: str, *, status: int, way_on: str = "") -> HTMLResponse:
        """Return the page that says why a step cannot be taken.

        Args:
            message: What is wrong, and what to do; plain text.
            status: HTTP status.
            way_on: What follows it; HTML.
        """
        body = f"""
<div class="card">
<h1>That did not work</h1>
{alert(message)}{way_on}
</div>"""
        return self.respond("Problem", body, status=status)


def alert(problem: str) -> str:
    """Return the HTML of what went wrong, which a screen reader says at once; nothing if nothing did."""
    return f'<p class="bad" id="problem" role="alert">{escape(problem)}</p>' if problem else ""


def key_field(problem: str, hint: str) -> str:
    """Return the HTML of the field in which a person types their key.

    Args:
        problem: What was wrong with the last attempt; empty if nothing was. `alert` shows it.
        hint: What becomes of the key; plain text.
    """
    described = ' aria-invalid="true" aria-describedby="problem hint"' if problem else ' aria-describedby="hint"'
    return f"""<label for="key">Your Remora key</label>
<input id="key" name="key" type="password" autocomplete="off" autocapitalize="none" spellcheck="false"
 required maxlength="200"{described}>
<p class="soft" id="hint">It starts with <code>rmr_</code>. {escape(hint)}</p>"""


def scope_list(scopes: frozenset[Scope]) -> str:
    """Return the HTML of what scopes allow, in words."""
    return "<ul>" + "".join(f"<li>{escape(_SCOPE_WORDS[scope])}</li>" for scope in sorted(scopes)) + "</ul>"


def scope_words(scopes: frozenset[Scope]) -> str:
    """Return in one phrase what scopes allow."""
    return " and to ".join(_SCOPE_WORDS[scope] for scope in sorted(scopes))


def moment(seconds: int, *, clock: bool = True) -> str:
    """Return the HTML of a time as people read it.

    Args:
        seconds: Seconds since the epoch.
        clock: Whether to give the time of the day too.
    """
    when = datetime.fromtimestamp(seconds, UTC)
    words = f"{when.day} {when:%B %Y}" + (f" at {when:%H:%M} UTC" if clock else "")
    return f'<time datetime="{when:%Y-%m-%dT%H:%M:%SZ}">{words}</time>'
