"""Signing in, staying signed in, and the account page: what a person sees of their connections, and ends."""

import html
import importlib
import json
import re
import sys
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from remora.auth.keys import generate_key, hash_key
from remora.oauth.signing import new_signing_secret
from remora.oauth.store import LISTED
from tests.integration.oauth.deployment import ISSUER, Deployment, Pkce, Response, claims_of, query_of
from tests.support.lambda_event import Context

CONNECTION = re.compile(r'name="connection" value="([0-9a-f]{32})"')


def words(page: Response) -> str:
    """Return the words on a page."""
    assert page.status_code == 200, page.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text.split("<main>", 1)[1])).split())


def account(deployment: Deployment) -> str:
    """Return the words on the account page."""
    return words(deployment.browser.get("/account"))


def listed(deployment: Deployment) -> list[str]:
    """Return the ids of the connections on the account page."""
    page = deployment.browser.get("/account")
    assert page.status_code == 200
    return CONNECTION.findall(page.text)


def works(deployment: Deployment, client: object, tokens: dict[str, str]) -> bool:
    """Return whether a connection still gives out tokens."""
    answer = deployment.refresh(client, tokens["refresh_token"])  # type: ignore[arg-type]
    assert answer.status_code in {200, 400}
    return answer.status_code == 200


# ---- The session ----


def test_the_sessions_cookie_is_of_this_host_alone_and_comes_along_when_a_site_leads_here(
    deployment: Deployment,
) -> None:
    cookie = deployment.sign_in().headers["set-cookie"]
    assert cookie.startswith("__Host-remora-session=")
    # Lax: with Strict it would not come along when claude.ai leads the person to /authorize.
    for attribute in ("HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=43200"):
        assert attribute in cookie
    assert "Domain" not in cookie


def test_signing_in_leads_to_the_account(deployment: Deployment) -> None:
    answer = deployment.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ISSUER}/account")
    assert "You are alice" in account(deployment)
    assert deployment.browser.get("/sign-in").headers["location"] == f"{ISSUER}/account"


def test_without_a_session_the_account_leads_to_signing_in(deployment: Deployment) -> None:
    answer = deployment.browser.get("/account")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ISSUER}/sign-in")
    assert "Your Remora key" in words(deployment.browser.get("/sign-in"))


@pytest.mark.parametrize(
    "key",
    ["", "rmr_alice_x", "x" * 5000, generate_key("alice"), generate_key("nobody")],
    ids=["empty", "malformed", "long", "unknown", "of nobody"],
)
def test_a_key_that_is_no_good_begins_no_session(deployment: Deployment, key: str) -> None:
    refused = deployment.sign_in(key or " ")
    assert refused.status_code == 403
    assert "This key is not valid here." in refused.text
    assert "set-cookie" not in refused.headers
    assert not key or key not in refused.text


def test_guessing_keys_at_the_sign_in_page_is_throttled_with_the_consent_pages(deployment: Deployment) -> None:
    for _ in range(18):
        assert deployment.sign_in(generate_key("alice")).status_code == 403
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    for _ in range(2):
        assert deployment.step(page, "sign-in", key=generate_key("alice")).status_code == 403
    stopped = deployment.sign_in()
    assert stopped.status_code == 429
    assert int(stopped.headers["retry-after"]) > 0
    assert "set-cookie" not in stopped.headers


def test_signing_out_clears_the_cookie(deployment: Deployment) -> None:
    deployment.sign_in()
    answer = deployment.post("/account", action="sign-out")
    cleared = answer.headers["set-cookie"]
    assert cleared.startswith('__Host-remora-session="";')
    # Without these a browser would not take it for the same cookie, or not at all.
    for attribute in ("Max-Age=0", "Path=/", "Secure", "HttpOnly", "SameSite=lax"):
        assert attribute in cleared
    assert deployment.session is None
    assert answer.headers["location"] == f"{ISSUER}/sign-in?done=signed-out"
    assert "You are signed out." in words(deployment.browser.get("/sign-in?done=signed-out"))
    assert deployment.browser.get("/account").status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        {"disabled": True},
        {"keys": []},
        {"keys": [{"sha256": hash_key(generate_key("alice"))}]},
    ],
    ids=["disabled", "no key", "another key"],
)
def test_a_session_ends_with_its_key_and_its_principal(deployment: Deployment, change: dict[str, object]) -> None:
    deployment.connect()
    (connection,) = listed(deployment)
    deployment.write_principals(**change)
    assert deployment.browser.get("/account").headers["location"] == f"{ISSUER}/sign-in"
    ended = deployment.post("/account", action="disconnect", principal="alice", connection=connection)
    assert ended.headers["location"] == f"{ISSUER}/sign-in"
    deployment.write_principals()
    assert listed(deployment) == [connection]


def test_a_session_ends_when_its_key_expires(deployment: Deployment) -> None:
    deployment.sign_in()
    deployment.write_principals(keys=[{"sha256": hash_key(deployment.key), "expires_at": "2020-01-01T00:00:00Z"}])
    assert deployment.browser.get("/account").status_code == 303


def test_a_session_outlives_one_rotation_of_the_signing_key_and_not_two(deployment: Deployment) -> None:
    deployment.sign_in()
    for expected in (200, 303):
        deployment.secretsmanager.put_secret_value(
            SecretId=deployment.settings.signing_secret, SecretString=new_signing_secret()
        )
        deployment.restart()
        assert deployment.browser.get("/account").status_code == expected


def test_a_session_of_another_deployment_is_none(deployment: Deployment) -> None:
    # Even of one that signs with the same key.
    other = replace(deployment, issuer="https://other.example")
    other.sign_in(deployment.key)
    cookie = f"__Host-remora-session={other.session}"
    assert other.session
    assert deployment.browser.get("/account", headers={"Cookie": cookie}).status_code == 303


def test_a_session_that_has_expired_is_none(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remora.auth.sessions.LIFETIME", timedelta(seconds=-10))
    deployment.sign_in()
    assert deployment.session
    assert deployment.browser.get("/account").status_code == 303


def test_a_session_is_no_credential_at_the_authorizer(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = deployment.connect()["access_token"]
    monkeypatch.setenv("REMORA_PRINCIPALS_SECRET", deployment.settings.principals_secret)
    monkeypatch.setenv("REMORA_PRINCIPALS_CACHE_SECONDS", "0")
    monkeypatch.setenv("REMORA_SIGNING_SECRET", deployment.settings.signing_secret)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Remora")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "authorizer")
    sys.modules.pop("authorizer.handler", None)
    handler = importlib.import_module("authorizer.handler").handler

    def authorize(credential: str | None) -> str:
        event = {
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:api123/dev/POST/mcp",
            "headers": {"authorization": f"Bearer {credential}"},
            "stageVariables": {"publicUrl": ISSUER},
            "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "stage": "dev", "apiId": "api123"},
        }
        return str(handler(event, Context())["principalId"])

    assert authorize(token) == "alice"
    assert deployment.session
    with pytest.raises(Exception, match="Unauthorized"):
        authorize(deployment.session)


def test_an_access_token_in_the_cookie_opens_nothing(deployment: Deployment) -> None:
    token = deployment.connect()["access_token"]
    deployment.sign_out()
    answer = deployment.browser.get("/account", headers={"Cookie": f"__Host-remora-session={token}"})
    assert answer.status_code == 303


def test_a_session_revokes_nothing_at_the_token_endpoints(deployment: Deployment) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    assert deployment.session is not None
    answer = deployment.browser.post("/revoke", data=client.credentials | {"token": deployment.session})
    assert answer.status_code == 200  # RFC 7009, section 2.2: as for any unknown token.
    assert deployment.refresh(client, deployment.session).status_code == 400
    assert works(deployment, client, tokens)


@pytest.mark.parametrize("name", ["remora-session", "__Secure-remora-session"])
def test_a_cookie_without_the_prefix_is_not_read_over_https(deployment: Deployment, name: str) -> None:
    deployment.sign_in()
    session = deployment.session
    deployment.sign_out()
    assert deployment.browser.get("/account", headers={"Cookie": f"{name}={session}"}).status_code == 303


# ---- Consent with a session ----


def test_a_person_who_has_signed_in_only_has_to_decide(deployment: Deployment) -> None:
    deployment.sign_in()
    client, pkce = deployment.register(client_name="Claude"), Pkce.generate()
    page = deployment.open_page(deployment.request(client, pkce))
    shown = words(page)
    assert "Allow Claude?" in shown
    assert "You are alice" in shown
    assert "Your space alice-space" in shown
    assert 'name="key"' not in page.text
    code = query_of(deployment.step(page, "allow"))["code"]
    tokens = deployment.redeem(client, pkce, code).json()
    assert claims_of(tokens["access_token"])["sub"] == "alice"


def test_a_session_never_decides_by_itself(deployment: Deployment) -> None:
    # Though the same client was allowed the same things a moment ago.
    client = deployment.register()
    deployment.connect(client)
    page = deployment.open_page(deployment.request(client, Pkce.generate(), prompt="none"))
    assert page.status_code == 200
    assert 'value="allow"' in page.text


def test_signing_in_on_the_consent_page_begins_a_session(deployment: Deployment) -> None:
    deployment.connect()
    assert deployment.session
    assert "You are alice" in account(deployment)


def test_a_person_may_use_another_key(deployment: Deployment) -> None:
    deployment.let_bob_in_too()
    deployment.sign_in()
    client, pkce = deployment.register(), Pkce.generate()
    sign_in = deployment.step(deployment.open_page(deployment.request(client, pkce)), "switch")
    assert 'name="key"' in sign_in.text
    assert "alice" not in words(sign_in)
    decision = deployment.step(sign_in, "sign-in", key=deployment.bobs_key)
    assert "You are bob" in words(decision)
    tokens = deployment.redeem(client, pkce, query_of(deployment.step(decision, "allow"))["code"]).json()
    assert claims_of(tokens["access_token"])["sub"] == "bob"
    assert "You are bob" in account(deployment)


def test_a_session_whose_key_covers_nothing_that_is_asked_for_asks_for_another_key(deployment: Deployment) -> None:
    deployment.write_principals(scopes=["read"])
    deployment.sign_in()
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate(), scope="write"))
    assert "This key may not allow what the application asks for." in words(page)
    assert 'name="key"' in page.text
    assert deployment.step(page, "allow").status_code == 400


def test_whoever_only_administrates_may_sign_in_and_grants_nothing(deployment: Deployment) -> None:
    deployment.write_principals(scopes=["admin"])
    deployment.sign_in()
    assert "You are alice" in account(deployment)
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    assert 'name="key"' in page.text


def test_a_page_that_was_left_open_allows_nothing_after_signing_out(deployment: Deployment) -> None:
    deployment.sign_in()
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    deployment.post("/account", action="sign-out")
    refused = deployment.step(page, "allow")
    assert refused.status_code == 400
    assert "signed out" in refused.text


def test_a_page_that_was_left_open_allows_nothing_for_somebody_else(deployment: Deployment) -> None:
    deployment.let_bob_in_too()
    deployment.sign_in()
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    deployment.post("/account", action="sign-out")
    deployment.sign_in(deployment.bobs_key)
    assert deployment.step(page, "allow").status_code == 400


# ---- The connections ----


def test_the_account_shows_what_was_allowed_and_when(deployment: Deployment) -> None:
    url = deployment.web.publish("https://client.example/oauth/client.json", client_name="Example <Desktop>")
    pkce = Pkce.generate()
    parameters = {
        "response_type": "code",
        "client_id": url,
        "redirect_uri": "https://client.example/callback",
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
        "scope": "read",
        "resource": f"{ISSUER}/mcp/memory",
    }
    code = query_of(deployment.consent(parameters))["code"]
    answer = deployment.browser.post(
        "/token",
        data={
            "grant_type": "authorization_code",
            "code": code,
            "client_id": url,
            "redirect_uri": "https://client.example/callback",
            "code_verifier": pkce.verifier,
        },
    )
    assert answer.status_code == 200
    shown = account(deployment)
    today = time.gmtime()
    date = f"{today.tm_mday} {time.strftime('%B %Y', today)}"
    assert "Example <Desktop> Vouched for by client.example" in shown
    assert "It can read everything in your space" in shown
    assert "change your space" not in shown
    assert f"At {ISSUER}/mcp/memory Connected" in shown
    assert re.search(rf"Connected {date} at \d\d:\d\d UTC", shown)
    assert re.search(rf"Last used {date} at \d\d:\d\d UTC", shown)
    assert re.search(r"Ends \d{1,2} [A-Z][a-z]+ \d{4} , unless it is used before", shown)
    assert "<Desktop>" not in deployment.browser.get("/account").text


def test_a_client_that_registered_itself_is_shown_as_one(deployment: Deployment) -> None:
    deployment.connect(deployment.register(client_name="Claude"))
    assert "Claude Vouched for by nobody: it registered itself; it sent you back to claude.ai" in account(deployment)


def test_without_connections_the_account_says_so(deployment: Deployment) -> None:
    deployment.sign_in()
    assert "Connected applications None." in account(deployment)


def test_disconnecting_ends_that_connection_at_once_and_no_other(deployment: Deployment) -> None:
    client = deployment.register()
    first, second = deployment.connect(client), deployment.connect(client)
    connection = claims_of(first["access_token"])["sid"]
    assert connection in listed(deployment)
    answer = deployment.post("/account", action="disconnect", principal="alice", connection=connection)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{ISSUER}/account?done=disconnected")
    assert listed(deployment) == [claims_of(second["access_token"])["sid"]]
    assert not works(deployment, client, first)
    assert works(deployment, client, second)


def test_disconnecting_twice_does_nothing_twice(deployment: Deployment) -> None:
    connection = claims_of(deployment.connect()["access_token"])["sid"]
    for done in ("disconnected", "not-connected"):
        answer = deployment.post("/account", action="disconnect", principal="alice", connection=connection)
        assert answer.headers["location"] == f"{ISSUER}/account?done={done}"


def test_disconnecting_all_ends_more_connections_than_a_page_shows(
    deployment: Deployment, dynamodb: DynamoDBClient
) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    table = deployment.settings.oauth_table
    key = {"id": {"S": f"connection#{claims_of(tokens['access_token'])['sid']}"}}
    item = dynamodb.get_item(TableName=table, Key=key)["Item"]
    for number in range(LISTED + 5):
        dynamodb.put_item(TableName=table, Item=item | {"id": {"S": f"connection#{number:032x}"}})
    page = deployment.browser.get("/account")
    assert len(CONNECTION.findall(page.text)) == LISTED
    assert "Only those that were used last are shown." in page.text
    answer = deployment.post("/account", action="disconnect-all", principal="alice")
    assert answer.headers["location"] == f"{ISSUER}/account?done=all-disconnected"
    assert "Connected applications None." in account(deployment)
    assert not works(deployment, client, tokens)
    revoked = dynamodb.scan(TableName=table, FilterExpression="attribute_exists(revoked)")["Items"]
    assert len(revoked) == LISTED + 6
    assert all("expires_at" in item for item in revoked)


@pytest.mark.parametrize("how", ["revoked", "refresh token reused", "code replayed"])
def test_a_connection_that_has_ended_is_not_listed(deployment: Deployment, how: str) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    tokens = deployment.redeem(client, pkce, code).json()
    assert len(listed(deployment)) == 1
    if how == "revoked":
        deployment.browser.post("/revoke", data=client.credentials | {"token": tokens["refresh_token"]})
    elif how == "code replayed":
        assert deployment.redeem(client, pkce, code).status_code == 400
    else:
        assert works(deployment, client, tokens)
        assert not works(deployment, client, tokens)
    assert listed(deployment) == []


def test_a_connection_that_has_expired_is_not_listed_though_it_is_still_in_the_table(
    deployment: Deployment, dynamodb: DynamoDBClient
) -> None:
    connection = claims_of(deployment.connect()["access_token"])["sid"]
    dynamodb.update_item(
        TableName=deployment.settings.oauth_table,
        Key={"id": {"S": f"connection#{connection}"}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )
    assert listed(deployment) == []


def test_the_connection_that_was_used_last_comes_first(deployment: Deployment, dynamodb: DynamoDBClient) -> None:
    client = deployment.register()
    tokens = [deployment.connect(client) for _ in range(3)]
    connections = [claims_of(answer["access_token"])["sid"] for answer in tokens]
    for number, connection in enumerate(connections):
        dynamodb.update_item(
            TableName=deployment.settings.oauth_table,
            Key={"id": {"S": f"connection#{connection}"}},
            UpdateExpression="SET used_at = :past",
            ExpressionAttributeValues={":past": {"N": str(1_700_000_000 + number)}},
        )
    assert listed(deployment) == connections[::-1]
    assert "Last used 14 November 2023 at 22:13 UTC" in account(deployment)
    assert works(deployment, client, tokens[0])
    assert listed(deployment) == [connections[0], connections[2], connections[1]]


def test_a_connection_whose_key_is_gone_is_said_not_to_work(deployment: Deployment) -> None:
    deployment.connect()
    assert "It no longer works" not in account(deployment)
    other = generate_key("alice")
    deployment.write_principals(keys=[{"sha256": hash_key(other)}])
    deployment.sign_in(other)
    assert "It no longer works" in account(deployment)


def test_a_connection_from_before_there_was_an_account_page_goes_on_and_is_listed_once_it_is_used(
    deployment: Deployment, dynamodb: DynamoDBClient
) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    table = deployment.settings.oauth_table
    key = {"id": {"S": f"connection#{claims_of(tokens['access_token'])['sid']}"}}
    item = dynamodb.get_item(TableName=table, Key=key)["Item"]
    data = json.loads(item["data"]["S"])
    for name in ("created_at", "used_at"):
        del data[name]
    for name in ("client_name", "client_host", "sent_to"):
        del data["consent"][name]
    old = {name: value for name, value in item.items() if name not in {"principal_id", "used_at"}}
    dynamodb.put_item(TableName=table, Item=old | {"data": {"S": json.dumps(data)}})
    assert listed(deployment) == []
    assert works(deployment, client, tokens)
    shown = account(deployment)
    assert "An application without a name" in shown
    assert "Connected not recorded" in shown


# ---- Nobody else's ----


def test_another_principals_connections_can_neither_be_seen_nor_ended(deployment: Deployment) -> None:
    deployment.let_bob_in_too()
    client = deployment.register(client_name="Of alice")
    tokens = deployment.connect(client)
    connection = claims_of(tokens["access_token"])["sid"]
    deployment.post("/account", action="sign-out")
    deployment.sign_in(deployment.bobs_key)
    shown = account(deployment)
    assert "You are bob" in shown
    assert "Of alice" not in shown
    for principal in ("alice", "bob"):
        deployment.post("/account", action="disconnect", principal=principal, connection=connection)
        deployment.post("/account", action="disconnect-all", principal=principal)
    assert works(deployment, client, tokens)


def test_a_page_of_one_person_ends_nothing_of_the_next(deployment: Deployment) -> None:
    deployment.let_bob_in_too()
    client, pkce = deployment.register(), Pkce.generate()
    code = query_of(deployment.consent(deployment.request(client, pkce), key=deployment.bobs_key))["code"]
    tokens = deployment.redeem(client, pkce, code).json()
    refused = deployment.post("/account", action="disconnect-all", principal="alice")
    assert refused.status_code == 409
    assert works(deployment, client, tokens)


@pytest.mark.parametrize("connection", ["", "x", "0" * 32, "0" * 31 + "\n", "client#x", "0" * 5000, "../", "1" * 33])
def test_a_connection_that_does_not_exist_cannot_be_ended(
    deployment: Deployment, dynamodb: DynamoDBClient, connection: str
) -> None:
    deployment.sign_in()
    before = dynamodb.scan(TableName=deployment.settings.oauth_table)["Items"]
    answer = deployment.post("/account", action="disconnect", principal="alice", connection=connection)
    assert answer.headers["location"] == f"{ISSUER}/account?done=not-connected"
    assert dynamodb.scan(TableName=deployment.settings.oauth_table)["Items"] == before


# ---- Forms of other sites ----


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://remora.example", "https://remora.example.evil.example", None]
)
@pytest.mark.parametrize("action", ["disconnect-all", "sign-out"])
def test_a_form_that_another_site_sends_changes_nothing(
    deployment: Deployment, origin: str | None, action: str
) -> None:
    # SameSite keeps the cookie back from other sites; a page on a sibling host is of the same site.
    deployment.connect()
    before = listed(deployment)
    headers = {} if origin is None else {"Origin": origin}
    answer = deployment.browser.post("/account", data={"action": action, "principal": "alice"}, headers=headers)
    assert answer.status_code == 403
    assert listed(deployment) == before


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_nobody_can_be_signed_in_by_another_site(deployment: Deployment, origin: str | None) -> None:
    # It would connect the next application to the attacker's space.
    headers = {} if origin is None else {"Origin": origin}
    answer = deployment.browser.post("/sign-in", data={"key": deployment.key}, headers=headers)
    assert answer.status_code == 403
    assert deployment.session is None


def test_a_link_to_a_page_changes_nothing(deployment: Deployment) -> None:
    deployment.connect()
    before = listed(deployment)
    for path in ("/account?action=sign-out", "/account?action=disconnect-all&principal=alice"):
        deployment.browser.get(path, headers={"Origin": ISSUER})
    assert listed(deployment) == before


def test_a_link_to_a_page_can_make_it_say_only_its_own_sentences(deployment: Deployment) -> None:
    deployment.sign_in()
    for path in ("/account", "/sign-in"):
        page = deployment.browser.get(f"{path}?done=<b>call+this+number</b>", follow_redirects=True)
        assert "call this number" not in page.text
        assert 'role="status"' not in page.text


@pytest.mark.parametrize("action", ["", "x", "disconnect "])
def test_an_action_that_does_not_exist_is_refused(deployment: Deployment, action: str) -> None:
    deployment.sign_in()
    assert deployment.post("/account", action=action, principal="alice").status_code == 400


# ---- The pages ----


@pytest.mark.parametrize("path", ["/sign-in", "/account"])
def test_the_pages_allow_nothing_that_they_do_not_need_and_are_not_kept(deployment: Deployment, path: str) -> None:
    if path == "/account":
        deployment.connect()
    answer = deployment.browser.get(path, headers={"Origin": "https://claude.ai"})
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    # A page for people; no other site may read it.
    assert "access-control-allow-origin" not in answer.headers


def test_signing_in_leaves_a_trail_without_the_session(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="remora")
    connection = claims_of(deployment.connect()["access_token"])["sid"]
    session = deployment.session
    assert session is not None
    deployment.post("/account", action="disconnect", principal="alice", connection=connection)
    trail = [vars(record) for record in caplog.records if record.name.startswith("remora")]
    assert {"Signed in", "Connection revoked"} <= {record["message"] for record in trail}
    assert all(text not in str(trail) for text in (session, deployment.key))
