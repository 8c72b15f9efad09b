"""What an authorizer's policy says of a call."""

from typing import Any

import pytest

from remora.local.authorizers import evaluate
from remora.local.gateway_responses import ACCESS_DENIED, EXPLICITLY_DENIED, GatewayError

METHOD = "arn:aws:execute-api:us-east-1:123456789012:abc/dev/POST/mcp"
STAGE = "arn:aws:execute-api:us-east-1:123456789012:abc/dev/*"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", **each} for each in statements]}


@pytest.mark.parametrize(
    ("document", "refusal"),
    [
        (policy({"Resource": STAGE}), None),
        (policy({"Resource": METHOD}), None),
        (policy({"Resource": ["arn:none", METHOD]}), None),
        (policy({"Resource": METHOD.replace("POST", "*")}), None),
        (policy({"Resource": METHOD.replace("POST", "P?ST")}), None),
        (policy({"Resource": "*", "Action": "*"}), None),
        (policy({"Resource": "*", "Action": ["EXECUTE-API:invoke"]}), None),
        ({"Statement": {"Action": "execute-api:*", "Effect": "Allow", "Resource": "*"}}, None),
        (policy({"Resource": METHOD.replace("POST", "GET")}), ACCESS_DENIED),
        (policy({"Resource": METHOD.lower()}), ACCESS_DENIED),
        (policy({"Resource": "*", "Action": "s3:GetObject"}), ACCESS_DENIED),
        (policy({"Resource": METHOD[:-1]}), ACCESS_DENIED),
        ({"Statement": []}, ACCESS_DENIED),
        (policy({"Resource": "*"}, {"Resource": METHOD, "Effect": "Deny"}), EXPLICITLY_DENIED),
        (policy({"Resource": METHOD, "Effect": "Deny"}, {"Resource": "*"}), EXPLICITLY_DENIED),
        (policy({"Resource": "*"}, {"Resource": f"{METHOD}/other", "Effect": "Deny"}), None),
    ],
)
def test_a_call_is_allowed_by_a_statement_that_matches_unless_one_denies(
    document: dict[str, Any], refusal: GatewayError | None
) -> None:
    assert evaluate(document, METHOD) == refusal
