"""How each language's snippet is built and run: a harness reads cases as lines and prints a verdict for each.

A line is `secret:id:timestamp:signature:body`, each in base64, `-` for a header that is not there. A verdict
is `accepted`, or `refused` and the class of the error. What comes from a package registry has its exact
version here and stays in the user's cache directory; unchanged code is not compiled again either.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import unavailable

HARNESSES = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "avra-webhooks" / "snippets"
FETCH_SECONDS = BUILD_SECONDS = 300
RUN_SECONDS = 60

Command = tuple[str, ...]


@dataclass(frozen=True)
class Runtime:
    """Commands run in a folder that has the language's harness and, as `file`, the snippet."""

    file: str
    run: Command
    refusal: str  # the class of error that the snippet says it refuses a delivery with
    language: str = ""  # whose harness it is, if not of its own name
    needs: dict[str, str] = field(default_factory=dict)  # commands, and the Debian package of each
    fetch: Command = ()  # what the registry has to give, once
    build: Command = ()
    files: dict[str, str] = field(default_factory=dict)
    replace: tuple[str, str] = ("", "")  # in the harness


_NODE = {"node": "nodejs"}
_NPM = ("npm", "install", "--silent", "--no-save", "--no-package-lock", "--ignore-scripts")
_TYPES = ("typescript@5.9.3", "@types/node@20.19.0")
_STANDARD = "standardwebhooks@1.1.1"
_TSC: Command = (
    *("node", "node_modules/typescript/bin/tsc", "--strict", "--target", "es2022"),
    *("--module", "nodenext", "--types", "node", "snippet.mts"),
)
_JAVA = {"javac": "default-jdk-headless"}
_JAR = "com.standardwebhooks:standardwebhooks:1.1.1"
_RUST = {"cargo": "cargo-web"}
_CARGO = """[package]
name = "{name}"
version = "0.0.0"
edition = "2021"

[dependencies]
base64 = "=0.22.1"
http = "=1.4.0"
"""
_GO = {"go": "golang-go"}
_GO_MODULE = "module snippets\n\ngo 1.18\n"
_GO_LIBRARY = "\nrequire github.com/standard-webhooks/standard-webhooks/libraries v0.0.1\n"

# By the name of the snippet's template.
RUNTIMES = {
    "python": Runtime("snippet.py", (sys.executable, "harness.py"), "ValueError"),
    "python_library": Runtime("snippet.py", (sys.executable, "harness.py"), "WebhookVerificationError"),
    "javascript": Runtime("snippet.mjs", ("node", "harness.mjs"), "Error", needs=_NODE),
    "javascript_library": Runtime(
        "snippet.mjs",
        ("node", "harness.mjs"),
        "WebhookVerificationError",
        needs=_NODE | {"npm": "npm"},
        fetch=(*_NPM, _STANDARD),
    ),
    "typescript": Runtime(
        "snippet.mts",
        ("node", "harness.mjs"),
        "Error",
        language="javascript",
        needs=_NODE | {"npm": "npm"},
        fetch=(*_NPM, *_TYPES),
        build=_TSC,
    ),
    "typescript_library": Runtime(
        "snippet.mts",
        ("node", "harness.mjs"),
        "WebhookVerificationError",
        language="javascript",
        needs=_NODE | {"npm": "npm"},
        fetch=(*_NPM, *_TYPES, _STANDARD),
        build=_TSC,
    ),
    "go": Runtime(
        "webhooks/snippet.go",
        ("./harness",),
        "error",
        needs=_GO,
        build=("go", "build", "-o", "harness", "."),
        files={"go.mod": _GO_MODULE},
    ),
    "go_library": Runtime(
        "webhooks/snippet.go",
        ("./harness",),
        "error",
        needs=_GO,
        fetch=("go", "mod", "download", "github.com/standard-webhooks/standard-webhooks/libraries"),
        build=("go", "build", "-mod=mod", "-o", "harness", "."),
        files={"go.mod": _GO_MODULE.replace("1.18", "1.21") + _GO_LIBRARY},
    ),
    "ruby": Runtime("snippet.rb", ("ruby", "-w", "harness.rb"), "InvalidWebhook", needs={"ruby": "ruby"}),
    "php": Runtime(
        "snippet.php", ("php", "harness.php"), "UnexpectedValueException", needs={"php": "php-cli"}
    ),
    "java": Runtime(
        "Webhooks.java",
        ("java", "-cp", ".", "Harness"),
        "SignatureException",
        needs=_JAVA,
        build=("javac", "-Xlint:all", "-Werror", "Harness.java", "Webhooks.java"),
        replace=("HEADERS", "first::get"),
    ),
    "java_library": Runtime(
        "Webhooks.java",
        ("java", "-cp", ".:standardwebhooks-1.1.1.jar", "Harness"),
        "WebhookVerificationException",
        needs=_JAVA | {"mvn": "maven"},
        fetch=("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={_JAR}", "-DoutputDirectory=."),
        build=("javac", "-cp", "standardwebhooks-1.1.1.jar", "Harness.java", "Webhooks.java"),
        replace=("HEADERS", "headers"),
    ),
    "csharp": Runtime(
        "Webhooks.cs",
        ("mono", "harness.exe"),
        "CryptographicException",
        needs={"mcs": "mono-mcs", "mono": "mono-runtime"},
        build=("mcs", "-warnaserror", "-out:harness.exe", "Harness.cs", "Webhooks.cs"),
    ),
    "rust": Runtime(
        "src/snippet.rs",
        ("../target/debug/rust",),
        "Err",
        needs=_RUST,
        fetch=("cargo", "fetch", "--quiet"),
        build=("cargo", "build", "--quiet", "--target-dir", "../target"),
        files={"Cargo.toml": _CARGO.format(name="rust") + 'hmac = "=0.13.0"\nsha2 = "=0.11.0"\n'},
    ),
    "rust_library": Runtime(
        "src/snippet.rs",
        ("../target/debug/rust_library",),
        "Err",
        needs=_RUST,
        fetch=("cargo", "fetch", "--quiet"),
        build=("cargo", "build", "--quiet", "--target-dir", "../target"),
        files={"Cargo.toml": _CARGO.format(name="rust_library") + 'standardwebhooks = "=1.0.1"\n'},
    ),
    "shell": Runtime("snippet.sh", ("bash", "harness.sh"), "1", needs={"openssl": "openssl"}),
}


@dataclass(frozen=True)
class Program:
    folder: Path
    runtime: Runtime

    def judge(self, lines: list[str]) -> list[str]:
        """One verdict for each line. An AssertionError where the program does not come through."""
        given = "".join(line + "\n" for line in lines)
        done = _call(self.runtime.run, self.folder, RUN_SECONDS, given)
        verdicts = done.stdout.splitlines()
        assert done.returncode == 0 and len(verdicts) == len(lines), done.stdout + done.stderr
        return verdicts


def build(name: str, code: str) -> Program:
    """The program that has this code as its snippet."""
    runtime = RUNTIMES[name]
    for command, package in runtime.needs.items():
        if shutil.which(command) is None or not _has_toolchain(command):
            unavailable(command, f"apt install {package}")
    folder = CACHE / name
    _lay(folder, runtime, name.removesuffix("_library"), code)
    _fetch(folder, runtime)
    if runtime.build:
        done = _call(runtime.build, folder, BUILD_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
    return Program(folder, runtime)


def _has_toolchain(command: str) -> bool:
    """Tell a command from a stand-in that rustup leaves where no toolchain is installed."""
    return command != "cargo" or subprocess.run([command, "--version"], capture_output=True).returncode == 0


@contextmanager
def cache(name: str) -> Iterator[None]:
    """For one process at a time, of whatever test runs; another snippet is built meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lay(folder: Path, runtime: Runtime, language: str, code: str) -> None:
    source = HARNESSES / (runtime.language or language)
    files = {
        str(path.relative_to(source)): path.read_text().replace(*runtime.replace)
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    for name, text in (files | runtime.files | {runtime.file: code}).items():
        path = folder / name
        if not path.exists() or path.read_text() != text:  # or compilers would start afresh
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _fetch(folder: Path, runtime: Runtime) -> None:
    done_before, wanted = folder / "fetched", f"{runtime.fetch}{runtime.files}"
    if not runtime.fetch or (done_before.exists() and done_before.read_text() == wanted):
        return
    done = _call(runtime.fetch, folder, FETCH_SECONDS)
    if done.returncode != 0:
        unavailable(f"What {' '.join(runtime.fetch)} fetches", f"connect this machine: {done.stderr[-500:]}")
    done_before.write_text(wanted)


def _call(
    command: Command, folder: Path, seconds: float, given: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, timeout=seconds, check=False
    )
