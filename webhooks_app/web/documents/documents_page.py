"""The documents as a site at `/docs/`, for whoever asks: they hold nothing of a workspace.

`make docs` builds it; a wheel and the image have it. In a checkout where it was not built, one page says how,
and lists the Markdown that it would be built of.
"""

import os
from pathlib import Path

from flask import (
    Blueprint,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join
from werkzeug.wrappers import Response

from webhooks_app import config
from webhooks_app.extensions import services
from webhooks_app.web.documents import deployed_documents

# The console's policy, with the theme's icons, which its stylesheet has within it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A page changes with a release; what was kept is asked for again by its ETag.
PAGE_SECONDS = 300
ASSET_SECONDS = 365 * 86_400


def add_routes(blueprint: Blueprint) -> None:
    blueprint.get("/")(index)
    blueprint.get("/<path:name>")(show)


def index() -> Response | str:
    if _site().joinpath("index.html").is_file():
        return show("index.html")
    found = (*_sources().glob("*.md"), *_sources().glob("*/README.md"))
    documents = sorted(path.relative_to(_sources()).as_posix() for path in found)
    return render_template("documents.html", documents=documents)


def show(name: str) -> Response:
    """Answer a file of the site, or the Markdown of that name; what lacks `.html` leads to its page.

    Where the deployment has event types of its own, pages are as it has them.
    """
    if (own := _of_deployment(name)) is not None:
        return own
    for folder, is_allowed in ((_site(), True), (_sources(), name.endswith(".md"))):
        try:
            if is_allowed:
                return _with_headers(send_from_directory(folder, name, max_age=PAGE_SECONDS))
        except NotFound:
            continue
    markdown = f"{name.removesuffix('.html')}.md"
    if name.endswith(".html") and (_has(_sources(), markdown) or _of_deployment(markdown)):
        return redirect(url_for("documents.show", name=markdown))
    stem = name.rstrip("/")
    if not stem.endswith((".html", ".md")) and _of_deployment(f"{stem}.html"):
        return redirect(url_for("documents.show", name=f"{stem}.html"))
    page = next((each for each in (f"{stem}.html", f"{stem}/index.html") if _has(_site(), each)), None)
    if page is None:
        abort(404)
    return redirect(url_for("documents.show", name=page))


def _of_deployment(name: str) -> Response | None:
    """Return the document where it is not as the site has it, or where to find another."""
    path = safe_join("", name)
    if path is None:
        return None
    base_url, catalog = services().settings.base_url, services().catalog
    try:
        found = deployed_documents.find(path.removeprefix("./"), catalog, _site(), base_url=base_url)
    except LookupError:  # such as a built-in event type that is not in the catalog
        return redirect(url_for("documents.show", name="events/index.html"))
    if found is None:
        return None
    response = Response(found.content, content_type=f"{found.media_type}; charset=utf-8")
    response.add_etag()
    return _with_headers(response.make_conditional(request))


def _has(folder: Path, name: str) -> bool:
    """Return whether there is such a file within the folder, whatever the name holds."""
    path = safe_join(str(folder), name)
    return path is not None and os.path.isfile(path)


def _with_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    is_asset = request.path.rpartition("/docs/")[2].startswith("_static/") and "v" in request.args
    if is_asset:  # its address holds a digest of its content
        response.headers["Cache-Control"] = f"public, max-age={ASSET_SECONDS}, immutable"
    else:
        response.headers["Cache-Control"] = f"public, max-age={PAGE_SECONDS}"
    return response


def _site() -> Path:
    folder: Path = current_app.config["DOCUMENTS_FOLDER"]
    return folder


def _sources() -> Path:
    return config.ROOT / "docs"
