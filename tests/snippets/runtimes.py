"""How each language's snippet is built and run: a harness reads cases as lines and prints a verdict for each.

A line is `secret:id:timestamp:signature:body`, each in base64, `-` for a header that is not there. A verdict
is `accepted`, or `refused` and the class of the error.
"""

import re
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from tests.snippets import projects
from tests.snippets.projects import CACHE, Command

RUN_SECONDS = 60


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
_BY_NAME = "(name) => headers[name]"
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
    "javascript": Runtime(
        "snippet.mjs", ("node", "harness.mjs"), "Error", needs=_NODE, replace=("HEADERS", _BY_NAME)
    ),
    "javascript_library": Runtime(
        "snippet.mjs",
        ("node", "harness.mjs"),
        "WebhookVerificationError",
        needs=_NODE | {"npm": "npm"},
        fetch=(*_NPM, _STANDARD),
        replace=("HEADERS", "headers"),
    ),
    "typescript": Runtime(
        "snippet.mts",
        ("node", "harness.mjs"),
        "Error",
        language="javascript",
        needs=_NODE | {"npm": "npm"},
        fetch=(*_NPM, *_TYPES),
        build=_TSC,
        replace=("HEADERS", _BY_NAME),
    ),
    "typescript_library": Runtime(
        "snippet.mts",
        ("node", "harness.mjs"),
        "WebhookVerificationError",
        language="javascript",
        needs=_NODE | {"npm": "npm"},
        fetch=(*_NPM, *_TYPES, _STANDARD),
        build=_TSC,
        replace=("HEADERS", "headers"),
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


# What Debian brings, by the name that the page has for it, and the command that says its version.
TOOLS: dict[str, Command] = {
    "Python": (sys.executable, "--version"),
    "Node.js": ("node", "--version"),
    "Go": ("go", "env", "GOVERSION"),
    "Ruby": ("ruby", "--version"),
    "PHP": ("php", "--version"),
    "OpenJDK": ("javac", "--version"),
    "Mono": ("mono", "--version"),
    "Rust": ("cargo", "--version"),
    "OpenSSL": ("openssl", "version"),
}


def version(tool: str, runtime: Runtime) -> tuple[int, ...]:
    """The version of one of `TOOLS`, or of what the runtime has pinned."""
    if tool in TOOLS:
        return projects.version_in(projects.call(TOOLS[tool], projects.HERE, RUN_SECONDS).stdout)
    if not runtime.fetch:
        return projects.version_in(metadata.version(tool))
    pinned = "\n".join((*runtime.fetch, *runtime.files.values()))
    found = re.search(rf"{re.escape(tool.lower())}\W+(?:\w+:)?v?([\d.]+\d)", pinned)
    assert found, f"{tool} is not pinned in {pinned}"
    return projects.version_in(found[1])


@dataclass(frozen=True)
class Program:
    folder: Path
    runtime: Runtime

    def judge(self, lines: list[str]) -> list[str]:
        """One verdict for each line. An AssertionError where the program does not come through."""
        given = "".join(line + "\n" for line in lines)
        done = projects.call(self.runtime.run, self.folder, RUN_SECONDS, given)
        verdicts = done.stdout.splitlines()
        assert done.returncode == 0 and len(verdicts) == len(lines), done.stdout + done.stderr
        return verdicts


def build(name: str, code: str) -> Program:
    """The program that has this code as its snippet."""
    runtime = RUNTIMES[name]
    projects.require(runtime.needs)
    folder = CACHE / name
    harness = projects.sources(projects.HERE / (runtime.language or name.removesuffix("_library")))
    files = {path: text.replace(*runtime.replace) for path, text in harness.items()}
    files |= runtime.files | {runtime.file: code}
    projects.lay(folder, files)
    projects.fetch(folder, runtime.fetch, runtime.files.values())
    projects.build(folder, runtime.build, files)
    return Program(folder, runtime)
