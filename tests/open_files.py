"""Leave a process few files that it may open."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def few_open_files(free: int) -> Iterator[None]:
    """Let this process open `free` files more, whatever earlier tests left behind and close meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    limit = max(16, held[0] + 1)
    while held[-1] < limit:
        held.append(os.dup(held[0]))
    held_below = [descriptor for descriptor in held if descriptor < limit]
    for descriptor in held_below[len(held_below) - free :] if free else []:
        os.close(descriptor)
        held.remove(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)
