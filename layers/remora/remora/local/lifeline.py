"""The child's end of a lifeline: a process started by the local run ends when the local run does, however it ended.

The parent holds the writing end of the child's standard input and never writes. When the parent ends, even
by SIGKILL, the kernel closes it and the child reads end-of-file. This works alike on Linux and macOS.
"""

import os
import threading
from collections.abc import Callable


def hold(on_parent_end: Callable[[], None]) -> None:
    """Watch the lifeline from a thread of its own.

    Standard input itself becomes empty, so that no other code can take the lifeline for input.

    Args:
        on_parent_end: Called once, from that thread, when the parent has ended.
    """
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def watch() -> None:
        while os.read(lifeline, 1):
            pass
        on_parent_end()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
