"""The local gateway against real functions: what API Gateway and Lambda do, over real HTTP."""

import base64
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.integration.local.fixture.functions.answers import PIXEL
from tests.support.local_stack import LocalStack


def echo(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    event: dict[str, Any] = answer.json()
    return event


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class TestEvent:
    def test_it_has_the_fields_of_format_1_0(self, http: httpx2.Client, stack: LocalStack) -> None:
        event = echo(http.get("/things/a%20b?x=1&x=2&y=", headers={"User-Agent": "tester/1"}))
        assert event["resource"] == "/things/{id}"
        assert event["path"] == "/things/a%20b"
        assert event["httpMethod"] == "GET"
        assert event["pathParameters"] == {"id": "a b"}
        assert event["queryStringParameters"] == {"x": "2", "y": ""}
        assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"], "y": [""]}
        assert event["stageVariables"] == {"tone": "blue"}
        assert event["body"] is None
        assert event["isBase64Encoded"] is False
        context = event["requestContext"]
        assert context["stage"] == "test"
        assert context["path"] == "/test/things/a%20b"
        assert context["resourcePath"] == "/things/{id}"
        assert context["identity"]["sourceIp"] == "127.0.0.1"
        assert context["identity"]["userAgent"] == "tester/1"
        assert context["domainName"] == "127.0.0.1"
        assert context["protocol"] == "HTTP/1.1"
        assert abs(context["requestTimeEpoch"] / 1000 - time.time()) < 60
        assert "authorizer" not in context

    def test_what_is_not_there_is_null(self, http: httpx2.Client) -> None:
        event = echo(http.get("/echo"))
        assert event["queryStringParameters"] is None
        assert event["multiValueQueryStringParameters"] is None
        assert event["pathParameters"] is None

    def test_the_last_of_repeated_headers_counts_and_all_are_kept(self, http: httpx2.Client) -> None:
        event = echo(http.get("/echo", headers=[("X-Tag", "one"), ("X-Tag", "two")]))
        assert event["headers"]["x-tag"] == "two"
        assert event["multiValueHeaders"]["x-tag"] == ["one", "two"]

    def test_the_callers_address_is_appended_to_the_forwarded_ones(self, http: httpx2.Client) -> None:
        event = echo(http.get("/echo", headers={"X-Forwarded-For": "192.0.2.1"}))
        assert event["headers"]["x-forwarded-for"] == "192.0.2.1, 127.0.0.1"
        assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"

    def test_a_text_body_arrives_as_text_whatever_its_script(self, http: httpx2.Client) -> None:
        event = echo(http.post("/echo", content="größer 日本 🐟".encode()))
        assert event["body"] == "größer 日本 🐟"
        assert event["isBase64Encoded"] is False

    def test_a_body_of_a_binary_media_type_arrives_as_base64(self, http: httpx2.Client) -> None:
        event = echo(http.post("/echo", content=b"\x00\xff\n", headers={"Content-Type": "image/png; q=1"}))
        assert event["isBase64Encoded"] is True
        assert base64.b64decode(event["body"]) == b"\x00\xff\n"

    def test_request_ids_are_the_ones_in_the_answers_headers(self, http: httpx2.Client) -> None:
        answer = http.get("/echo")
        context = echo(answer)["requestContext"]
        assert answer.headers["x-amzn-requestid"] == context["requestId"]
        assert answer.headers["x-amz-apigw-id"] == context["extendedRequestId"]


class TestRoutes:
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_any_takes_every_method(self, http: httpx2.Client, method: str) -> None:
        assert echo(http.request(method, "/echo"))["httpMethod"] == method

    def test_a_greedy_parameter_takes_the_rest_of_the_path(self, http: httpx2.Client) -> None:
        event = echo(http.get("/echo/a/b%2Fc/d"))
        assert event["resource"] == "/echo/{proxy+}"
        assert event["pathParameters"] == {"proxy": "a/b/c/d"}

    def test_a_slash_at_the_end_reaches_the_same_resource_and_stays_in_the_path(self, http: httpx2.Client) -> None:
        event = echo(http.get("/things/7/"))
        assert event["resource"] == "/things/{id}"
        assert event["path"] == "/things/7/"

    @pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("POST", "/things/1"), ("HEAD", "/things/1")])
    def test_what_does_not_exist_misses_an_authentication_token(
        self, http: httpx2.Client, method: str, path: str
    ) -> None:
        answer = http.request(method, path)
        assert answer.status_code == 403
        assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
        if method != "HEAD":
            assert answer.json() == {"message": "Missing Authentication Token"}

    def test_what_does_not_exist_takes_a_bearer_token_for_a_bad_signature(self, http: httpx2.Client) -> None:
        answer = http.get("/nowhere", headers={"Authorization": "Bearer x"})
        assert answer.status_code == 403
        assert answer.headers["x-amzn-errortype"] == "IncompleteSignatureException"

    @pytest.mark.parametrize("path", ["/", "/other/echo", "/echo"])
    def test_outside_the_stage_there_is_nothing(self, stack: LocalStack, path: str) -> None:
        answer = httpx2.get(stack.stage_url.removesuffix("/test") + path)
        assert answer.status_code == 403
        assert answer.json() == {"message": "Forbidden"}

    def test_another_host_name_is_not_answered(self, http: httpx2.Client) -> None:
        answer = http.get("/echo", headers={"Host": "attacker.example"})
        assert answer.status_code == 403
        assert answer.json() == {"message": "Forbidden"}

    def test_localhost_is_this_host(self, http: httpx2.Client) -> None:
        assert echo(http.get("/echo", headers={"Host": "localhost:1"}))["requestContext"]["domainName"] == "localhost"


class TestAnswers:
    def test_status_headers_and_body_are_the_functions(self, http: httpx2.Client) -> None:
        answer = http.get("/answers/text")
        assert answer.status_code == 418
        assert answer.headers["content-type"] == "text/plain"
        assert answer.text == "tea ☕"

    def test_without_a_content_type_it_is_json(self, http: httpx2.Client) -> None:
        assert http.get("/answers/empty").headers["content-type"] == "application/json"

    def test_headers_of_both_maps_are_merged(self, http: httpx2.Client) -> None:
        headers = http.get("/answers/headers").headers
        assert headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert headers.get_list("x-one") == ["0", "1"]

    def test_headers_that_belong_to_the_gateway_are_renamed_or_dropped(self, http: httpx2.Client) -> None:
        headers = http.get("/answers/headers").headers
        assert "www-authenticate" not in headers
        assert headers["x-amzn-remapped-www-authenticate"] == "Bearer"
        assert headers["x-amzn-remapped-server"] == "mine"
        assert "transfer-encoding" not in headers

    @pytest.mark.parametrize("accept", ["image/png", "image/png, text/html"])
    def test_base64_is_decoded_for_a_caller_that_accepts_the_binary_type_first(
        self, http: httpx2.Client, accept: str
    ) -> None:
        assert http.get("/answers/pixel", headers={"Accept": accept}).content == base64.b64decode(PIXEL)

    @pytest.mark.parametrize("accept", ["*/*", "text/html, image/png"])
    def test_base64_stays_base64_for_any_other_caller(self, http: httpx2.Client, accept: str) -> None:
        assert http.get("/answers/pixel", headers={"Accept": accept}).text == PIXEL

    @pytest.mark.parametrize(
        "how", ["string", "nothing", "body-object", "unknown-key", "bad-status", "large", "raise"]
    )
    def test_an_answer_that_is_none_fails_without_telling_why(self, http: httpx2.Client, how: str) -> None:
        answer = http.get(f"/answers/{how}")
        assert answer.status_code == 500  # 502, which the template's DEFAULT_5XX replaces
        assert answer.headers["x-failed"] == "yes"
        assert answer.json() == {"message": "Internal server error"}


class TestLimits:
    def test_a_function_that_ends_its_process_fails_and_the_next_call_works(self, http: httpx2.Client) -> None:
        assert http.get("/answers/exit").status_code == 500
        assert http.get("/answers/text").status_code == 418

    def test_a_function_is_ended_at_its_time_limit_and_the_next_call_works(self, http: httpx2.Client) -> None:
        answer = http.get("/answers/timeout")
        assert answer.status_code == 500
        assert answer.json() == {"message": "Internal server error"}
        assert http.get("/answers/text").status_code == 418

    def test_the_gateway_waits_no_longer_than_the_integrations_time_limit(
        self, http: httpx2.Client, stack: LocalStack
    ) -> None:
        before = (stack.data_dir / "functions.log").read_text().count("the slow answer is done")
        answer = http.get("/impatient/slow")
        assert answer.status_code == 500  # 504, which the template's DEFAULT_5XX replaces
        assert answer.json() == {"message": "Endpoint request timed out"}
        assert eventually(
            lambda: (stack.data_dir / "functions.log").read_text().count("the slow answer is done") > before
        ), "the function should have gone on"

    def test_a_client_that_hangs_up_does_not_end_the_invocation(self, http: httpx2.Client, stack: LocalStack) -> None:
        log = stack.data_dir / "functions.log"
        before = log.read_text().count("the slow answer is done")
        address = urlsplit(stack.url)
        with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
            connection.sendall(b"GET /test/answers/slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert eventually(lambda: log.read_text().count("the slow answer is done") > before)
        assert http.get("/answers/text").status_code == 418

    def test_a_client_that_hangs_up_while_it_sends_reaches_no_function(
        self, http: httpx2.Client, stack: LocalStack
    ) -> None:
        address = urlsplit(stack.url)
        with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
            connection.sendall(
                b"POST /test/answers/exit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nhalf"
            )
        assert http.get("/answers/text").status_code == 418

    def test_a_body_of_more_than_10_mb_is_too_large_for_the_gateway(self, http: httpx2.Client) -> None:
        answer = http.post("/echo", content=b"x" * (10 * 1024 * 1024 + 1))
        assert answer.status_code == 413
        assert answer.json() == {"message": "Request Too Long"}

    def test_an_event_of_more_than_6_mb_is_too_large_for_lambda(self, http: httpx2.Client) -> None:
        assert http.post("/echo", content=b"x" * (6 * 1024 * 1024 + 1)).status_code == 413

    def test_five_megabytes_pass_as_far_as_the_answers_limit_allows(self, http: httpx2.Client) -> None:
        assert len(echo(http.post("/echo", content=b"x" * (2 * 1024 * 1024)))["body"]) == 2 * 1024 * 1024

    def test_a_methods_throttle_refuses_what_is_beyond_its_burst(self, http: httpx2.Client) -> None:
        answers = [http.get("/throttled") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].headers["retry-after"] == "1"
        assert answers[2].json() == {"message": "Too Many Requests"}

    def test_calls_at_the_same_time_run_in_environments_of_their_own(self, http: httpx2.Client) -> None:
        pids = {http.get("/answers/context").json()["pid"] for _ in range(3)}
        assert len(pids) == 1, "one after another, an environment is used again"


class TestExecutionEnvironment:
    def test_the_templates_variables_are_resolved(self, http: httpx2.Client) -> None:
        variables = http.get("/answers/environment").json()
        assert variables["COLOUR"] == "really blue"
        assert variables["SHADE"] == "navy"
        assert variables["JOINED"].startswith("test-blue-")
        assert "UNSET" not in variables

    def test_it_has_lambdas_variables_and_no_real_credentials(self, http: httpx2.Client) -> None:
        variables = http.get("/answers/environment").json()
        assert variables["_HANDLER"] == "answers.handler"
        assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "AnswersFunction"
        assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
        assert variables["AWS_ACCESS_KEY_ID"].startswith("LOCAL")
        assert variables["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")

    def test_the_context_object_is_lambdas(self, http: httpx2.Client) -> None:
        context = http.get("/answers/context").json()
        assert 0 < context["remaining"] <= 2000
        assert context["name"] == "AnswersFunction"
        assert context["memory"] == "256"
        assert context["arn"].endswith(":function:AnswersFunction")
        assert http.get("/answers/context").json()["request_id"] != context["request_id"]


class TestAuthorizer:
    def test_without_an_identity_source_nothing_is_asked(self, http: httpx2.Client) -> None:
        answer = http.get("/guarded", headers={"Origin": "https://page.example"})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="fixture"'
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        assert answer.headers["x-stage"] == "test"
        assert answer.json() == {"why": "Unauthorized", "type": "UNAUTHORIZED", "path": "/test/guarded"}

    def test_a_header_mapped_from_what_was_not_sent_is_left_out(self, http: httpx2.Client) -> None:
        assert "access-control-allow-origin" not in http.get("/guarded").headers

    def test_a_refusal_is_401_and_not_cached(self, http: httpx2.Client) -> None:
        for _ in range(2):
            assert http.get("/guarded", headers={"Authorization": "refuse-me"}).status_code == 401

    def test_its_context_reaches_the_function_as_strings(self, http: httpx2.Client) -> None:
        event = echo(http.get("/guarded", headers={"Authorization": "allow-context"}))
        authorizer = event["requestContext"]["authorizer"]
        assert authorizer["principalId"] == "allow"
        assert authorizer["name"] == "ünïcode"
        assert authorizer["yes"] == "true"
        assert authorizer["invocations"].isdigit()

    def test_its_answer_is_cached_for_the_identity_and_every_route(self, http: httpx2.Client) -> None:
        def invocation(path: str, identity: str) -> str:
            event = echo(http.get(path, headers={"Authorization": identity}))
            number: str = event["requestContext"]["authorizer"]["invocations"]
            return number

        first = invocation("/guarded", "allow-cached")
        assert invocation("/guarded", "allow-cached") == first
        assert invocation("/guarded/7", "allow-cached") == first
        assert invocation("/guarded", "allow-other") != first

    def test_a_cached_policy_for_one_method_denies_the_others(self, http: httpx2.Client) -> None:
        headers = {"Authorization": "one-method"}
        assert http.get("/guarded/1", headers=headers).status_code == 200
        assert http.get("/guarded/2", headers=headers).status_code == 403

    def test_an_explicit_deny_is_403(self, http: httpx2.Client) -> None:
        answer = http.get("/guarded", headers={"Authorization": "deny-me"})
        assert answer.status_code == 403
        assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"

    @pytest.mark.parametrize("how", ["fail", "nonsense"])
    def test_an_authorizer_that_fails_is_500(self, http: httpx2.Client, how: str) -> None:
        answer = http.get("/guarded", headers={"Authorization": f"{how}-now"})
        assert answer.status_code == 500
        assert answer.json() == {"message": None}

    def test_a_usage_key_that_is_in_no_plan_is_403(self, http: httpx2.Client) -> None:
        answer = http.get("/guarded", headers={"Authorization": "stranger-here"})
        assert answer.status_code == 403
        assert answer.headers["x-amzn-errortype"] == "ForbiddenException"

    def test_a_method_that_needs_no_key_takes_any_usage_key(self, http: httpx2.Client) -> None:
        event = echo(http.get("/keyless", headers={"Authorization": "stranger-here"}))
        assert "apiKeyId" not in event["requestContext"]["identity"]


def test_the_output_of_functions_is_in_the_log_with_exceptions(http: httpx2.Client, stack: LocalStack) -> None:
    http.get("/answers/raise")
    log = stack.data_dir / "functions.log"
    assert eventually(lambda: "ValueError: nothing to see" in log.read_text())


def test_requests_are_logged_without_query_and_credentials(http: httpx2.Client, stack: LocalStack) -> None:
    http.get("/echo/logged?apiKey=secret-in-the-query", headers={"Authorization": "secret-in-a-header"})
    assert eventually(lambda: "GET /test/echo/logged 200" in stack.output())
    assert "secret-in" not in stack.output()
