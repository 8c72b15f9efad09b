"""Reads the metrics that a function prints, in CloudWatch's embedded metric format."""

import json


def refusal_reason(printed: str) -> str:
    """Return the reason of the one refused credential that the authorizer counted, alone and among all."""
    counted = [blob for line in printed.splitlines() if "RefusedCredentials" in (blob := json.loads(line))]
    assert [blob["RefusedCredentials"] for blob in counted] == [[1.0], [1.0]]
    (reason,) = (blob["reason"] for blob in counted if "reason" in blob)
    assert isinstance(reason, str)
    return reason
