"""X-Ray subsegments, for invocations that X-Ray samples, and without a cost for those it does not.

The X-Ray SDK behind Powertools' tracer takes a quarter of a second to import, so it is imported when the first
sampled invocation wants it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def _sampled() -> bool:
    # Lambda sets this for each invocation: `Root=…;Parent=…;Sampled=1`.
    return "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "") and "AWS_SAM_LOCAL" not in os.environ


@contextmanager
def subsegment(name: str) -> Iterator[None]:
    """Show the work inside as a subsegment of the invocation's trace, if the invocation is sampled."""
    if not _sampled():
        yield
        return
    from aws_lambda_powertools import Tracer

    with Tracer(auto_patch=False).provider.in_subsegment(name=name):
        yield
