"""The pages of a person's account: sign in, and what is connected."""

from enum import StrEnum
from html import escape

from starlette.responses import HTMLResponse

from oauth.layout import Layout, alert, key_field, moment, scope_list
from remora.oauth.account import ListedConnection, Listing
from remora.oauth.connections import Consent
from remora.oauth.people import SignedIn
from remora.oauth.site import ACCOUNT, SIGN_IN


class Notice(StrEnum):
    """What has just been done, as the next page's address names it."""

    SIGNED_OUT = "signed-out"
    DISCONNECTED = "disconnected"
    NOT_CONNECTED = "not-connected"
    ALL_DISCONNECTED = "all-disconnected"


_LAST_TOKENS = "An access token that it still holds works for 15 minutes at most."
_NOTICES = {
    Notice.SIGNED_OUT: "You are signed out.",
    Notice.DISCONNECTED: f"The application is disconnected. {_LAST_TOKENS}",
    Notice.NOT_CONNECTED: "This application is not connected any more.",
    Notice.ALL_DISCONNECTED: "All applications are disconnected. Access tokens that they still hold work for 15 "
    "minutes at most.",
}


def sign_in_page(
    layout: Layout, *, problem: str = "", notice: Notice | None = None, status: int = 200
) -> HTMLResponse:
    """Return the page on which a person signs in to their account.

    Args:
        layout: The frame.
        problem: What was wrong with the last attempt.
        notice: What has just been done.
        status: HTTP status.
    """
    body = f"""
<div class="card">
<h1>Sign in</h1>
{alert(problem) or _done(notice)}
<p>See which applications are connected to your Remora, and disconnect them.</p>
<form method="post" action="{escape(layout.issuer + SIGN_IN)}" autocomplete="off">
{key_field(problem, "You stay signed in here for 12 hours.")}
<button class="main">Sign in</button>
</form>
</div>"""
    return layout.respond("Error: Sign in" if problem else "Sign in", body, status=status)


def account_page(layout: Layout, person: SignedIn, listing: Listing, *, notice: Notice | None = None) -> HTMLResponse:
    """Return the page that shows a person's connections.

    Args:
        layout: The frame.
        person: Who has signed in.
        listing: Their connections.
        notice: What has just been done.
    """
    action = escape(layout.issuer + ACCOUNT)
    hidden = f'<input type="hidden" name="principal" value="{escape(person.principal.id)}">'
    body = f"""
<div class="card">
<h1>Your account</h1>
{_done(notice)}
<dl>
<div><dt>You are</dt><dd class="who">{escape(person.principal.id)}
<form method="post" action="{action}"><button class="link" name="action" value="sign-out">Sign out</button></form>
</dd></div>
<div><dt>Your space</dt><dd>{escape(person.principal.space)}</dd></div>
</dl>
</div>
<section aria-labelledby="connected">
<h2 id="connected">Connected applications</h2>
{_connections(listing, action, hidden)}
</section>"""
    return layout.respond("Your account", body)


def _connections(listing: Listing, action: str, hidden: str) -> str:
    if not listing.connections:
        return """<div class="card">
<p>None. When you add this server to an assistant and allow it, it is listed here.</p>
</div>"""
    cards = "".join(_card(listed, action, hidden) for listed in listing.connections)
    note = "" if listing.complete else '<p class="soft">Only those that were used last are shown.</p>'
    everything = f"""<div class="card">
<details>
<summary>Disconnect all applications…</summary>
<p>Each of them will have to ask you again.</p>
<form method="post" action="{action}">
{hidden}
<button class="end" name="action" value="disconnect-all">Disconnect all</button>
</form>
</details>
</div>"""
    return f"""<ul class="cards">
{cards}</ul>
{note}{everything if len(listing.connections) > 1 else ""}"""


def _card(listed: ListedConnection, action: str, hidden: str) -> str:
    connection, consent = listed.connection, listed.connection.consent
    name = f"name-{listed.id}"
    opened = moment(connection.created_at) if connection.created_at is not None else "not recorded"
    used = moment(connection.used_at) if connection.used_at is not None else "not recorded"
    warning = (
        ""
        if listed.scopes
        else '<p class="warn">It no longer works: the key that it was connected with is no longer valid, or your '
        "space is another one now.</p>"
    )
    return f"""<li class="card">
<h3 id="{name}">{escape(_who(consent))}</h3>
{warning}<dl>
<div><dt>Vouched for by</dt><dd>{_vouched(consent)}</dd></div>
<div><dt>{"It can" if listed.scopes else "It could"}</dt><dd>{scope_list(listed.scopes or consent.scopes)}</dd></div>
<div><dt>At</dt><dd>{"<br>".join(escape(resource) for resource in consent.resources)}</dd></div>
<div><dt>Connected</dt><dd>{opened}</dd></div>
<div><dt>Last used</dt><dd>{used}, or up to 15 minutes later</dd></div>
<div><dt>Ends</dt><dd>{moment(connection.expires_at, clock=False)}, unless it is used before</dd></div>
</dl>
<form method="post" action="{action}">
{hidden}
<input type="hidden" name="connection" value="{escape(listed.id)}">
<button class="end" name="action" value="disconnect" aria-describedby="{name}">Disconnect</button>
</form>
</li>
"""


def _who(consent: Consent) -> str:
    return consent.client_name or consent.client_host or "An application without a name"


def _vouched(consent: Consent) -> str:
    if consent.client_host:
        return escape(consent.client_host)
    sent_to = f"; it sent you back to {escape(consent.sent_to)}" if consent.sent_to else ""
    return f"nobody: it registered itself{sent_to}"


def _done(notice: Notice | None) -> str:
    return "" if notice is None else f'<p class="good" role="status">{escape(_NOTICES[notice])}</p>'
