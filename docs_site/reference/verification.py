"""The verification code of the Verify tab, rendered from the templates that the tests run."""

from flask import Flask, render_template

from webhooks_app import config
from webhooks_app.core import signing
from webhooks_app.web import snippets
from webhooks_app.web.snippets import Framework, Language, Snippet

_FENCES = {"csharp": "csharp", "shell": "bash"}


def write() -> str:
    """Return every snippet, each behind a line that unfolds it."""
    app = Flask(__name__, template_folder=str(config.ROOT / "templates"))
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True  # as in the console
    with app.app_context():
        return "\n\n".join(
            _folded(language, framework, snippet)
            for language in snippets.LANGUAGES.values()
            for framework in language.frameworks
            for snippet in framework.snippets
        )


def _folded(language: Language, framework: Framework, snippet: Snippet) -> str:
    code = render_template(f"snippets/{snippet.file}", signing=signing).strip()
    name = language.label if framework.key == snippets.ANY else f"{language.label}, {framework.label}"
    kind = f": {snippet.title.lower()}" if framework.key == snippets.ANY else ""
    tested = f"Tested with {', '.join(snippet.tested)}." if snippet.tested else "Not run by our tests."
    fence = f"```{_FENCES.get(language.key, language.key)}\n{code}\n```"
    return f"<details>\n<summary>{name}{kind}</summary>\n\n{snippet.note}. {tested}\n\n{fence}\n\n</details>"
