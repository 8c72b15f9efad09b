"""The pages that a person sees: sign in, decide, and what went wrong. Plain HTML, without scripts."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse

from remora.auth.principal import Scope
from remora.oauth.clients import Client
from remora.oauth.redirects import destination, form_action_source
from remora.oauth.service import Page, RejectedRequestError
from remora.oauth.site import AUTHORIZE

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #0b57d0; --warn: #8a4b00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --accent: #a8c7fa; --warn: #f5c26b; --bad: #f2b8b5; } }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 30rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.35rem; line-height: 1.3; overflow-wrap: anywhere; }
dl { border: 1px solid var(--line); border-radius: .5rem; padding: .25rem 1rem; }
dt { font-weight: 600; margin-top: .75rem; }
dd { margin: 0 0 .75rem; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; margin: 0; }
label { display: block; font-weight: 600; margin-top: 1.25rem; }
input { width: 100%; font: inherit; padding: .6rem; margin-top: .25rem; border: 1px solid; border-radius: .4rem; }
button { width: 100%; font: inherit; font-weight: 600; padding: .7rem; margin-top: 1rem; border-radius: .4rem;
  border: 1px solid var(--accent); background: none; color: var(--accent); cursor: pointer; }
button.main { background: var(--accent); color: Canvas; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.warn { border-left: 4px solid var(--warn); padding-left: .75rem; }
.bad { border-left: 4px solid var(--bad); padding-left: .75rem; }
.hint { color: color-mix(in srgb, CanvasText 75%, Canvas); font-size: .9rem; margin: .25rem 0 0; }
""".strip()

# The style is allowed by what it is, so that nothing that a stranger might smuggle in is.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_SCOPE_WORDS = {
    Scope.READ: "read everything in your space: search it, list it, open it",
    Scope.WRITE: "change your space: add to it, edit and delete what is there",
}


def sign_in_page(page: Page, action: str, *, problem: str = "", status: int = 200) -> HTMLResponse:
    """Return the page on which a person signs in.

    Args:
        page: What is asked for, and the form to send back.
        action: URL that the form is sent to.
        problem: What was wrong with the last attempt.
        status: HTTP status.
    """
    described = ' aria-invalid="true" aria-describedby="problem hint"' if problem else ' aria-describedby="hint"'
    body = f"""
<h1>{_who(page.request.client)} wants to use your Remora</h1>
{_alert(problem)}
{_warning(page.request.client)}
<dl>
{_client_facts(page.request.client, page.request.redirect_uri)}
<dt>It asks to</dt><dd>{_scope_list(page.request.scopes)}</dd>
</dl>
<form method="post" action="{escape(action)}" autocomplete="off">
<input type="hidden" name="form" value="{escape(page.form)}">
<label for="key">Your Remora key</label>
<input id="key" name="key" type="password" autocomplete="off" autocapitalize="none" spellcheck="false"
 required maxlength="200"{described}>
<p class="hint" id="hint">It starts with <code>rmr_</code>. It is sent to this server alone, not to the application.
Next you will see what you would allow.</p>
<button class="main" name="action" value="sign-in">Continue</button>
<button name="action" value="deny" formnovalidate>Cancel</button>
</form>"""
    return _respond("Sign in", body, page.request.redirect_uri, status)


def decision_page(page: Page, action: str) -> HTMLResponse:
    """Return the page on which a person decides.

    Args:
        page: What is asked for, who has signed in, and the form to send back.
        action: URL that the form is sent to.
    """
    person = page.person
    if person is None:
        raise ValueError("Somebody must have signed in")
    left_out = sorted(page.request.scopes - page.granted)
    note = (
        f'<p class="hint">It also asked to {_words(left_out)}, which your key does not cover.</p>' if left_out else ""
    )
    body = f"""
<h1>Allow {_who(page.request.client)}?</h1>
{_warning(page.request.client)}
<dl>
{_client_facts(page.request.client, page.request.redirect_uri)}
<dt>You are</dt><dd>{escape(person.principal.id)}</dd>
<dt>Your space</dt><dd>{escape(person.principal.space)}</dd>
<dt>It will be able to</dt><dd>{_scope_list(page.granted)}{note}</dd>
</dl>
<p class="hint">It stays connected until it has not been used for 60 days, or the key that you signed in with is
revoked or expires.</p>
<form method="post" action="{escape(action)}" autocomplete="off">
<input type="hidden" name="form" value="{escape(page.form)}">
<button class="main" name="action" value="allow">Allow</button>
<button name="action" value="deny">Cancel</button>
</form>"""
    return _respond("Allow access", body, page.request.redirect_uri)


def rejected_page(rejected: RejectedRequestError, *, status: int = 400) -> HTMLResponse:
    """Return the page that says what is wrong with an authorization request."""
    way_back = ""
    if rejected.return_to is not None:
        # A link to follow, not a redirect: nobody is sent anywhere without wanting to be.
        where = escape(destination(rejected.return_to))
        way_back = f'<p><a href="{escape(rejected.return_to)}" rel="noreferrer">Tell {where}</a></p>'
    body = f"""
<h1>This application cannot be connected</h1>
<p class="bad" role="alert">{escape(rejected.reason)}</p>
<p>Nothing was allowed. Start again from the application; if that does not help, tell whoever made it.</p>
{way_back}"""
    return _respond("Cannot connect", body, None, status)


def problem_page(message: str, *, status: int) -> HTMLResponse:
    """Return the page that says why a step cannot be taken.

    Args:
        message: What is wrong, and what to do.
        status: HTTP status.
    """
    body = f'<h1>That did not work</h1><p class="bad" role="alert">{escape(message)}</p>'
    return _respond("Problem", body, None, status)


def form_target(issuer: str) -> str:
    """Return the URL that forms are sent to."""
    return issuer + AUTHORIZE


def _respond(title: str, body: str, redirect_uri: str | None, status: int = 200) -> HTMLResponse:
    document = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(title)} · Remora</title>
<style>{_STYLE}</style>
</head>
<body><main>{body}
</main></body>
</html>
"""
    # A form's answer may redirect only where the form-action directive says, in some browsers.
    targets = " ".join(["'self'", *([form_action_source(redirect_uri)] if redirect_uri else [])])
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return HTMLResponse(document, status_code=status, headers={"Content-Security-Policy": policy})


def _alert(problem: str) -> str:
    return f'<p class="bad" role="alert" id="problem">{escape(problem)}</p>' if problem else ""


def _who(client: Client) -> str:
    return escape(client.name or client.host or "An application without a name")


def _warning(client: Client) -> str:
    if client.host is not None:
        return ""
    return (
        '<p class="warn"><strong>It registered itself.</strong> Anybody can register an application under any name. '
        "Continue only if you have just started this yourself.</p>"
    )


def _client_facts(client: Client, redirect_uri: str) -> str:
    vouched = escape(client.host) if client.host is not None else "nobody: it registered itself"
    return f"""<dt>Application</dt><dd>{_who(client)}</dd>
<dt>Vouched for by</dt><dd>{vouched}</dd>
<dt>You will be sent back to</dt><dd>{escape(destination(redirect_uri))}</dd>"""


def _scope_list(scopes: frozenset[Scope]) -> str:
    return "<ul>" + "".join(f"<li>{escape(_SCOPE_WORDS[scope])}</li>" for scope in sorted(scopes)) + "</ul>"


def _words(scopes: Sequence[Scope]) -> str:
    return escape(" and to ".join(_SCOPE_WORDS[scope] for scope in scopes))
