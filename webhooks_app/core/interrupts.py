"""Ctrl-C while a process starts, when it is importing more often than not."""

import signal


def end_quietly() -> None:
    """Have Ctrl-C end this process as SIGTERM does, without a traceback of what is just being imported.

    Until `raise_again`, or until the process handles it. Where it is ignored, as nohup has it, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_again() -> None:
    """Have Ctrl-C raise KeyboardInterrupt after `end_quietly`, for what has something to say of it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
