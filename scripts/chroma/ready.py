"""Tells CloudFormation that Chroma answers where the functions look for it, or why it does not.

The handler of a custom resource. It runs inside the network of the functions, so what it proves is their way to
Chroma. It is inline code in stacks/chroma.yaml, hence short and without packages.
"""

import json
import time
import urllib.error
import urllib.request
from typing import Any

_MARGIN_SECONDS = 30


def handler(event: dict[str, Any], context: Any) -> None:  # noqa: ANN401 - Lambda brings no type for it
    """Wait for Chroma, unless something is deleted, and answer CloudFormation.

    Args:
        event: The request, as CloudFormation sends it to custom resources.
        context: How much time is left.
    """
    reason = ""
    if event["RequestType"] != "Delete":
        seconds = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
        reason = problem(event["ResourceProperties"]["Url"], time.monotonic() + seconds)
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason or "Chroma answers",
        "PhysicalResourceId": event.get("PhysicalResourceId", "chroma"),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    print(body["Status"], body["Reason"])  # noqa: T201 - its log
    # A presigned URL of S3, which is signed for no content type.
    answer = urllib.request.Request(  # noqa: S310
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(answer, timeout=20)  # noqa: S310


def problem(url: str, deadline: float, pause: float = 5) -> str:
    """Return why Chroma does not answer, or nothing once it does.

    Args:
        url: Of its heartbeat.
        deadline: When to give up, by the monotonic clock.
        pause: Seconds between two questions.
    """
    last = "nothing answered"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return ""
        except urllib.error.HTTPError as error:
            if error.code == 503:  # the bootstrap, which has given up and says why
                return "The server could not be set up: " + error.read(500).decode(errors="replace")
            last = str(error)
        except OSError as error:
            last = str(error)
        time.sleep(pause)
    return "Chroma does not answer at " + url + ": " + last
