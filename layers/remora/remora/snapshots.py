"""Lambda SnapStart: what a function does before its snapshot is taken, and in each environment that is made of it.

A snapshot holds the memory of one initialised process, and any number of environments begin as its copy, hours or
weeks later. So what was loaded before need not be loaded again; and what must not be the same everywhere, or does not
last, is made anew: the state of `random`, connections, clients with their credentials, secrets in memory.

Rules: https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html and snapstart-runtime-hooks-python.html
"""

import os
import random
from collections.abc import Callable


def _seed() -> None:
    # From the operating system, whose own randomness is renewed with the machine. `secrets` and `uuid4` ask it each
    # time and need nothing.
    random.seed()


def around_snapshot(prepare: Callable[[], None], renew: Callable[[], None]) -> None:
    """Register what is to be done around a snapshot; without SnapStart nothing is, and it costs nothing.

    Args:
        prepare: Loads, before the snapshot, what the first call would otherwise wait for.
        renew: Runs after each restore, within the ten seconds that Lambda gives, before the first call.
    """
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") != "snap-start":
        return
    # Part of Lambda's runtimes for Python, and of nothing else.
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    register_before_snapshot(prepare)
    register_after_restore(_seed)
    register_after_restore(renew)
