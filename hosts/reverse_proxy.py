"""nginx before the webs, with deploy's own example as its configuration."""

import re
from collections.abc import Sequence
from pathlib import Path

from faults.fork_client import ROOT, ForkClient, ProcessGroup
from hosts.network import Host

EXAMPLE = ROOT / "deploy" / "nginx" / "avra.conf"
_WEB_PORT, _PORT = 8000, 80


class ReverseProxy(ProcessGroup):
    def __init__(self, folder: Path, host: Host, webs: Sequence[Host], fork_client: ForkClient) -> None:
        self.url = f"http://{host.address}:{_PORT}"
        files = folder / "nginx"
        files.mkdir()
        (files / "nginx.conf").write_text(_configuration(files, webs))
        command = [*host.prefix, "nginx", "-c", str(files / "nginx.conf"), "-p", str(files)]
        super().__init__(fork_client, lambda: fork_client.execute(command, name="nginx"))


def _configuration(files: Path, webs: Sequence[Host]) -> str:
    """Return the example for these webs, without the TLS that it ends, for a process in the foreground."""
    example = EXAMPLE.read_text()
    servers = "\n".join(f"    server {web.address}:{_WEB_PORT} max_fails=0;" for web in webs)
    example = re.sub(r"(    server \S+ max_fails.*\n)+", lambda _: servers + "\n", example)
    example = re.sub(r"listen 443 ssl.*;", f"listen {_PORT};", example)
    example = re.sub(r" *ssl_certificate.*\n", "", example)
    folders = "".join(
        f"{kind}_temp_path {files}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nworker_processes 1;\npid {files}/pid;\nerror_log stderr warn;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n{folders}{example}}}\n"
    )
