"""How a fork of a process that has imported everything becomes a command of ours.

Importing libraries and service and reading the content takes longer than most tests of a running service. The server
that comes with Python's `multiprocessing` does it once for each of pytest's workers (imported.py), and forks.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
import tempfile
import threading
import time
import traceback


def become(command: list[str], output: str, environment: dict[str, str], folder: str) -> None:
    """Make of this fork what `python -m` with a module and its arguments is, and end as that does."""
    os.setsid()
    os.chdir(folder)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for descriptor, place in ((os.open(os.devnull, os.O_RDONLY), 0), (written, 1), (written, 2)):
        os.dup2(descriptor, place)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None  # asked of the environment once a process
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[:] = command
    end(exit_code(command[0]))


def exit_code(module: str) -> int:
    """Run the module; its exit code, as Python itself would give it."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0
    except BaseException:  # noqa: BLE001 (Python would print it too)
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> None:
    """End as Python does: its threads, what was to be done at the end, what is still to be written."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
