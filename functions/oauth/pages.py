"""The pages on which a person lets an application in, or not: sign in, decide, and what was wrong."""

from html import escape

from starlette.responses import HTMLResponse

from oauth.layout import Layout, alert, key_field, scope_list, scope_words
from remora.oauth.clients import Client
from remora.oauth.redirects import destination
from remora.oauth.service import Page, RejectedRequestError
from remora.oauth.site import ACCOUNT, AUTHORIZE

_NAMELESS = "An application without a name"


def sign_in_page(layout: Layout, page: Page, *, problem: str = "", status: int = 200) -> HTMLResponse:
    """Return the page on which a person signs in to decide upon a request.

    Args:
        layout: The frame.
        page: What is asked for, and the form to send back.
        problem: What was wrong with the last attempt.
        status: HTTP status.
    """
    hint = (
        "It is sent to this server alone, not to the application. Next you will see what you would allow. You stay "
        "signed in here for 12 hours."
    )
    body = f"""
<div class="card">
<h1>{_who(page.request.client)} wants to use your Remora</h1>
{alert(problem)}{_warning(page.request.client)}
<dl>
{_client_facts(page.request.client, page.request.redirect_uri)}
<div><dt>It asks to</dt><dd>{scope_list(page.request.scopes)}</dd></div>
</dl>
<form method="post" action="{escape(layout.issuer + AUTHORIZE)}" autocomplete="off">
<input type="hidden" name="form" value="{escape(page.form)}">
{key_field(problem, hint)}
<button class="main" name="action" value="sign-in">Continue</button>
<button name="action" value="deny" formnovalidate>Cancel</button>
</form>
</div>"""
    title = "Error: Sign in" if problem else "Sign in"
    return layout.respond(title, body, status=status, redirect_uri=page.request.redirect_uri)


def decision_page(layout: Layout, page: Page) -> HTMLResponse:
    """Return the page on which a person decides.

    Args:
        layout: The frame.
        page: What is asked for, who has signed in, and the form to send back.
    """
    person = page.person
    if person is None:
        raise ValueError("Somebody must have signed in")
    left_out = page.request.scopes - page.granted
    note = (
        f'<p class="soft">It also asked to {escape(scope_words(left_out))}, which your key does not cover.</p>'
        if left_out
        else ""
    )
    body = f"""
<div class="card">
<h1>Allow {_who(page.request.client)}?</h1>
{_warning(page.request.client)}
<form id="decision" method="post" action="{escape(layout.issuer + AUTHORIZE)}" autocomplete="off">
<input type="hidden" name="form" value="{escape(page.form)}">
</form>
<dl>
{_client_facts(page.request.client, page.request.redirect_uri)}
<div><dt>You are</dt><dd class="who">{escape(person.principal.id)}
<button class="link" form="decision" name="action" value="switch">Use another key</button></dd></div>
<div><dt>Your space</dt><dd>{escape(person.principal.space)}</dd></div>
<div><dt>It will be able to</dt><dd>{scope_list(page.granted)}{note}</dd></div>
</dl>
<p class="soft">It stays connected until you disconnect it in <a href="{escape(layout.issuer + ACCOUNT)}">your
account</a>, it has not been used for 60 days, or the key that you signed in with is revoked or expires.</p>
<button class="main" form="decision" name="action" value="allow">Allow</button>
<button form="decision" name="action" value="deny">Cancel</button>
</div>"""
    return layout.respond("Allow access", body, redirect_uri=page.request.redirect_uri)


def rejected_page(layout: Layout, rejected: RejectedRequestError, *, status: int = 400) -> HTMLResponse:
    """Return the page that says what is wrong with an authorization request."""
    way_back = ""
    if rejected.return_to is not None:
        # A link to follow, not a redirect: nobody is sent anywhere without wanting to be.
        where = escape(destination(rejected.return_to))
        way_back = f'<p><a href="{escape(rejected.return_to)}" rel="noreferrer">Tell {where}</a></p>'
    body = f"""
<div class="card">
<h1>This application cannot be connected</h1>
{alert(rejected.reason)}
<p>Nothing was allowed. Start again from the application; if that does not help, tell whoever made it.</p>
{way_back}
</div>"""
    return layout.respond("Cannot connect", body, status=status)


def _who(client: Client) -> str:
    return escape(client.name or client.host or _NAMELESS)


def _warning(client: Client) -> str:
    if client.host is not None:
        return ""
    return (
        '<p class="warn"><strong>It registered itself.</strong> Anybody can register an application under any name. '
        "Continue only if you have just started this yourself.</p>"
    )


def _client_facts(client: Client, redirect_uri: str) -> str:
    # A client that registered itself has a warning in this place.
    vouched = f"<div><dt>Vouched for by</dt><dd>{escape(client.host)}</dd></div>\n" if client.host else ""
    return f"""{vouched}<div><dt>You will be sent back to</dt><dd>{escape(destination(redirect_uri))}</dd></div>"""
