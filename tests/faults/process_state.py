"""What a process finds itself with at its start, as JSON: by `python -m`, or forked as if it were."""

import json
import logging
import os
import random
import signal
import sys
import threading
from pathlib import Path


def main() -> None:
    state = {
        "arguments": [sys.argv[1:], sys.orig_argv[1:]],
        "streams": [sys.stdin.read(), sys.stdout.isatty(), sys.stderr.isatty()],
        "files": sorted(os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.exists()),
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "threads": threading.active_count(),
        "signals": {str(each): str(signal.getsignal(each)) for each in signal.valid_signals() if each < 32},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "log": [logging.root.level, len(logging.root.handlers)],
        "name": __name__,
    }
    print(json.dumps({"state": state, "random": random.random()}))
    print("an error", file=sys.stderr)
    sys.exit(3)


if __name__ == "__main__":
    main()
