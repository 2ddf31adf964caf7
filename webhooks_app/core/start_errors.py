"""What keeps a process from starting until a person has put it right."""

import os


class StartError(Exception):
    """The message is the one line to show; `exit_code` is the process's status, one of sysexits.h."""

    exit_code = os.EX_CONFIG
