"""Tells CloudFormation that Chroma answers where the functions look for it, or why it does not.

The handler of a custom resource. It runs inside the network of the functions, so what it proves is their way to
Chroma. It is inline code in stacks/chroma.yaml, hence short and without packages.
"""

import json
import time
import urllib.error
import urllib.request


def handler(event, context):
    """Wait for Chroma, unless something is deleted, and answer CloudFormation."""
    reason = ""
    if event["RequestType"] != "Delete":
        seconds = context.get_remaining_time_in_millis() / 1000 - 30
        reason = problem(event["ResourceProperties"]["Url"], time.monotonic() + seconds)
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason or "Chroma answers",
        "PhysicalResourceId": event.get("PhysicalResourceId", "chroma"),
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    print(body["Status"], body["Reason"])
    # A presigned URL of S3, which is signed for no content type.
    answer = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(answer, timeout=20)


def problem(url, deadline, pause=5):
    """Return why Chroma does not answer, or nothing once it does."""
    last = "nothing answered"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return ""
        except urllib.error.HTTPError as error:
            if error.code == 503:  # the bootstrap, which has given up and says why
                return "The server could not be set up: " + error.read(500).decode(errors="replace")
            last = str(error)
        except OSError as error:
            last = str(error)
        time.sleep(pause)
    return "Chroma does not answer at " + url + ": " + last
