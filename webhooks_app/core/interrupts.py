"""Ctrl-C while a process starts, when it is importing more often than not."""

import signal


def use_default_sigint() -> None:
    """Have Ctrl-C end this process as SIGTERM does, without a traceback of what is just being imported.

    Until `raise_keyboard_interrupt`, or until the process handles it. Where it is ignored, as nohup has it,
    it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_keyboard_interrupt() -> None:
    """Have Ctrl-C raise KeyboardInterrupt after `use_default_sigint`, for code that handles it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
