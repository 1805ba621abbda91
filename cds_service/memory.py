"""Python's garbage collector in a process that has loaded the content and from now on answers calls or decides."""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 50, 50)  # objects made, and collections of the younger generation, before the next collection


def settle_memory() -> None:
    """What was loaded stays: keep the garbage collector from walking over it, and let it come less often.

    Processes that are forked afterwards share it for good: nothing is written into it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
