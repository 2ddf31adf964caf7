"""Start a browser that hears nothing of the system's network interfaces.

Other tests make and remove some meanwhile, upon which Chromium ends whatever waits for a connection, to
loopback too, with ERR_NETWORK_CHANGED. Run as a script, this becomes the program that its arguments name.
"""

import ctypes
import os
import platform
import shlex
import struct
import sys
from pathlib import Path

# Of each machine the number that the kernel has for it (linux/audit.h), and that of socket(2).
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_AF_NETLINK, _NETLINK_ROUTE, _EAFNOSUPPORT = 16, 0, 97
# prctl(2) and seccomp(2).
_SET_SECCOMP, _SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL_WITH = 0x7FFF0000, 0x00050000
# Where struct seccomp_data has the number of the call, the machine, and the first and third argument.
_CALL, _MACHINE, _FAMILY, _PROTOCOL = 0, 4, 16, 32


def starter(program: str, folder: Path) -> str:
    """Return what to start instead of the program: a script in the folder; itself where none is known."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return program
    script = folder / "browser"
    command = shlex.join([sys.executable, "-I", "-S", __file__, program])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    return str(script)


class _Filter(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _refuse_news() -> None:
    """Have each socket for news of interfaces fail from now on, in this process and those it starts."""
    machine, socket_call = _MACHINES[platform.machine()]
    wanted = (
        (_MACHINE, machine),
        (_CALL, socket_call),
        (_FAMILY, _AF_NETLINK),
        (_PROTOCOL, _NETLINK_ROUTE),
    )
    steps: list[tuple[int, int, int, int]] = []
    for number, (place, value) in enumerate(wanted):
        to_the_last = 2 * (len(wanted) - number) - 1
        steps += [(_LOAD, 0, 0, place), (_JUMP_IF_EQUAL, 0, to_the_last, value)]
    steps += [(_RETURN, 0, 0, _FAIL_WITH | _EAFNOSUPPORT), (_RETURN, 0, 0, _ALLOW)]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    made = _Filter(len(steps), ctypes.addressof(instructions))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    # Where the system has no such filters, the browser hears of interfaces as ever.
    prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.byref(made), 0, 0)


if __name__ == "__main__":
    _refuse_news()
    os.execv(sys.argv[1], sys.argv[1:])
