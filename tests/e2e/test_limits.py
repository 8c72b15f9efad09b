"""What is refused before any of our code runs: too many calls, and too much at once."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.support.local_stack import LocalStack, start_local_stack

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, model_dir: object) -> Iterator[LocalStack]:
    """A Remora that allows three calls at once, one more each second, and eight a day."""
    parameters = {"StandardLimits": "1,3,8"}
    with start_local_stack(tmp_path_factory.mktemp("limited"), parameters=parameters) as stack:
        yield stack


def test_a_principal_over_its_limit_is_told_when_to_come_back(limited: LocalStack, http: httpx2.Client) -> None:
    headers = {"Authorization": f"Bearer {limited.key}"}
    answers = [http.post(limited.url, json=PING, headers=headers) for _ in range(30)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert answers[0].status_code == 200
    for answer in refused:
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Access-Control-Allow-Origin"]
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("megabytes", [6.5, 10.5])
def test_a_request_that_is_too_large_is_refused_and_the_next_one_is_served(
    stack: LocalStack, http: httpx2.Client, megabytes: float
) -> None:
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "' + b"x" * int(megabytes * 1_000_000) + b'"}'
    answer = http.post(stack.url, content=body)
    assert answer.status_code == 413
    assert answer.json()
    assert http.post(stack.url, json=PING).status_code == 200
