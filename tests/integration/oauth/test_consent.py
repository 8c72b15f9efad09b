"""What a person sees and does on the consent pages."""

import re

import pytest

from remora.auth.keys import generate_key, hash_key
from tests.integration.oauth.deployment import (
    CLAUDE_CALLBACK,
    ISSUER,
    Deployment,
    Pkce,
    claims_of,
    form_of,
    query_of,
)


def visible(page: str) -> str:
    """Return the words on a page."""
    body = page.split("<main>", 1)[1]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_first_page_says_who_asks_for_what_and_where_the_answer_goes(deployment: Deployment) -> None:
    client = deployment.register(client_name="Claude")
    words = visible(deployment.open_page(deployment.request(client, Pkce.generate())).text)
    assert "Claude wants to use your Remora" in words
    assert "It registered itself." in words
    assert "You will be sent back to claude.ai" in words
    assert "search it" in words
    assert "edit and delete" in words
    assert "alice" not in words


def test_a_client_with_a_url_is_shown_with_the_host_that_vouches_for_it(deployment: Deployment) -> None:
    url = deployment.web.publish("https://client.example/oauth/client.json")
    words = visible(
        deployment.open_page(
            {
                "response_type": "code",
                "client_id": url,
                "redirect_uri": "https://client.example/callback",
                "code_challenge": Pkce.generate().challenge,
                "code_challenge_method": "S256",
            }
        ).text
    )
    assert "Vouched for by client.example" in words
    assert "registered itself" not in words


def test_the_second_page_says_who_the_person_is_and_which_space_is_opened(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    words = visible(deployment.step(page, "sign-in", key=deployment.key).text)
    assert "You are alice" in words
    assert "Your space alice-space" in words
    assert "search it" in words


def test_a_person_may_allow(deployment: Deployment) -> None:
    answer = query_of(deployment.consent(deployment.request(deployment.register(), Pkce.generate())))
    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == "the-state"
    assert answer["iss"] == ISSUER


@pytest.mark.parametrize("after_sign_in", [False, True])
def test_a_person_may_say_no_on_either_page(deployment: Deployment, after_sign_in: bool) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    if after_sign_in:
        page = deployment.step(page, "sign-in", key=deployment.key)
    redirect = deployment.step(page, "deny")
    assert redirect.headers["location"].startswith(CLAUDE_CALLBACK + "?")
    answer = query_of(redirect)
    assert answer["error"] == "access_denied"
    assert answer["state"] == "the-state"
    assert answer["iss"] == ISSUER


def test_no_more_is_granted_than_the_persons_own_scopes(deployment: Deployment) -> None:
    deployment.write_principals(scopes=["read"])
    client, pkce = deployment.register(), Pkce.generate()
    page = deployment.open_page(deployment.request(client, pkce))
    decision = deployment.step(page, "sign-in", key=deployment.key)
    assert "which your key does not cover" in decision.text
    code = query_of(deployment.step(decision, "allow"))["code"]
    tokens = deployment.redeem(client, pkce, code).json()
    assert tokens["scope"] == "read"
    assert claims_of(tokens["access_token"])["scope"] == "read"


def test_no_more_is_granted_than_was_asked_for(deployment: Deployment) -> None:
    assert deployment.connect(scope="read")["scope"] == "read"


@pytest.mark.parametrize("scope", [None, "claudeai", " offline_access", "admin", "openid profile email"])
def test_a_client_that_asks_for_no_scope_of_ours_is_offered_the_usual_ones(
    deployment: Deployment, scope: str | None
) -> None:
    assert deployment.connect(scope=scope)["scope"] == "read write"


def test_admin_is_never_granted(deployment: Deployment) -> None:
    tokens = deployment.connect(scope="admin read write")
    assert tokens["scope"] == "read write"
    assert claims_of(tokens["access_token"])["scope"] == "read write"


def test_a_person_who_may_only_administrate_can_grant_nothing(deployment: Deployment) -> None:
    deployment.write_principals(scopes=["admin"])
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    assert deployment.step(page, "sign-in", key=deployment.key).status_code == 403


@pytest.mark.parametrize("kind", ["unknown", "malformed", "disabled", "expired", "empty"])
def test_a_key_that_is_no_good_is_refused_without_saying_why(deployment: Deployment, kind: str) -> None:
    key = {"unknown": generate_key("alice"), "malformed": "rmr_alice_x", "empty": ""}.get(kind, deployment.key)
    if kind == "disabled":
        deployment.write_principals(disabled=True)
    if kind == "expired":
        old = {"sha256": hash_key(deployment.key), "expires_at": "2020-01-01T00:00:00Z"}
        deployment.write_principals(keys=[old])
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    refused = deployment.step(page, "sign-in", key=key)
    assert refused.status_code == 403
    assert "This key is not valid here." in visible(refused.text)
    assert not key or key not in refused.text


def test_after_a_mistyped_key_the_same_page_goes_on(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    page = deployment.open_page(deployment.request(client, pkce))
    again = deployment.step(page, "sign-in", key=generate_key("alice"))
    decision = deployment.step(again, "sign-in", key=f" {deployment.key}\n")
    assert decision.status_code == 200


def test_the_pages_are_made_for_people_in_any_browser(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate())).text
    assert '<html lang="en">' in page
    assert "width=device-width" in page
    assert '<label for="key">' in page
    assert 'aria-describedby="hint"' in page
    assert re.search(r'<input id="key"[^>]*type="password"[^>]*autocomplete="off"', page)
    assert "<script" not in page
    assert "javascript:" not in page


def test_the_pages_allow_nothing_that_they_do_not_need(deployment: Deployment) -> None:
    answer = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    policy = answer.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    # Chromium follows a form's redirect only where form-action lets it.
    assert "form-action 'self' https://claude.ai;" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    # With `no-referrer` a browser would send `Origin: null` with the form.
    assert answer.headers["referrer-policy"] == "same-origin"
    # It would cut the tie to the window that opened this one, which some clients wait in.
    assert "cross-origin-opener-policy" not in answer.headers


def test_what_is_wrong_with_a_request_is_said_in_a_sentence(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate(), response_type="<token>"))
    assert page.status_code == 400
    assert "response_type must be code." in visible(page.text)
    assert "token&gt;" not in page.text.split('role="alert">')[1].split("</p>")[0]


def test_the_cookie_is_of_this_host_alone(deployment: Deployment) -> None:
    cookie = deployment.open_page(deployment.request(deployment.register(), Pkce.generate())).headers["set-cookie"]
    assert cookie.startswith("__Host-remora-consent=")
    for attribute in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"):
        assert attribute in cookie
    assert "Domain" not in cookie


def test_two_tabs_do_not_disturb_each_other(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    first = deployment.open_page(deployment.request(client, pkce, state="one"))
    second = deployment.open_page(deployment.request(client, pkce, state="two"))
    for page, state in ((first, "one"), (second, "two")):
        decision = deployment.step(page, "sign-in", key=deployment.key)
        assert query_of(deployment.step(decision, "allow"))["state"] == state


def test_what_a_client_calls_itself_is_only_text(deployment: Deployment) -> None:
    name = "<script>alert(1)</script>\u202egnp.\u0000" + "x" * 500
    client = deployment.register(client_name=name)
    page = deployment.open_page(deployment.request(client, Pkce.generate())).text
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "x" * 61 not in page


def test_a_code_is_not_made_before_the_person_has_decided(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    answer = deployment.browser.post("/authorize", data={"form": form_of(page), "action": "allow"})
    assert answer.status_code == 400
