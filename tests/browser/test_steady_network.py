"""The browser of these tests hears of no network interface that another test makes."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import steady_network

ASK = """
import socket, sys
news, tcp = (socket.AF_NETLINK, socket.SOCK_RAW), (socket.AF_INET, socket.SOCK_STREAM)
for asked in ((*news, 0), (*news, 15), (*tcp, 0)):
    try:
        socket.socket(*asked).close()
        print("opened")
    except OSError as error:
        print(error.strerror)
print(sys.argv[1:])
"""


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="Linux tells of interfaces so")
def test_only_news_of_interfaces_are_refused(tmp_path: Path) -> None:
    program = steady_network.starter(sys.executable, tmp_path)
    done = subprocess.run(
        [program, "-c", ASK, "a b"], capture_output=True, text=True, timeout=300, check=True
    )
    refused = "Address family not supported by protocol"
    assert done.stdout.splitlines() == [refused, "opened", "opened", "['a b']"]
