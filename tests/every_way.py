"""The table of promise 8: `python -m tests.every_way [WAY ...]` asks each way in about every vignette."""

from __future__ import annotations

import contextlib
import io
import sys
import time

from tests import loading


def main(words: list[str]) -> int:
    """Ask the ways that are named, or every one; 1 where one of them says something else."""
    loading.load_once()
    from tests.ways import EVERY, WAYS, compare, table  # here, after the content is shared

    results, log, shown = [], io.TextIOWrapper(io.BytesIO()), sys.stderr
    with contextlib.redirect_stderr(log):  # what the services log of each call
        for way in words or WAYS:
            begun = time.process_time()
            results.append(compare(way, WAYS[way], EVERY))
            print(results[-1].line(), f"{time.process_time() - begun:.0f} s of one core", file=shown, flush=True)
    print(table(results))
    different = [line for each in results for line in each.differing]
    print("\n".join(different[:20]))
    return bool(different)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
