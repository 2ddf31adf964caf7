"""Pages of documents as blocks, written as Markdown and as HTML for the style of the site. Pure."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_INLINE = re.compile(r"`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)")
_LEADS_SOMEWHERE = re.compile(r"https?://|[^:]*$")
_JSON_PART = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d[\d.eE+-]*)')


@dataclass(frozen=True, slots=True)
class Heading:
    """Of the page (level 1) or of a part of it."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text with `code` and [links](…) in it, each as Markdown has them."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Its cells are written as a paragraph's text is."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    language: str
    text: str


Block = Heading | Paragraph | Table | CodeBlock


def as_markdown(blocks: Iterable[Block]) -> str:
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Table(head, rows):
            return markdown_table(head, rows)
        case CodeBlock(language, text):
            return f"```{language}\n{text}\n```"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; bars in a cell are escaped, and line breaks become spaces."""
    return "\n".join([_row(head), _row(["---"] * len(head)), *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def as_html(blocks: Iterable[Block]) -> str:
    return "\n".join(map(_html, blocks))


def anchor(text: str) -> str:
    """Return what leads to a heading."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            name = anchor(text)
            link = f'<a class="headerlink" href="#{name}" title="Link to this heading">¶</a>'
            return f'<h{level} id="{name}">{escape(text)}{link}</h{level}>'
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Table(head, rows):
            return _table(head, rows)
        case CodeBlock(language, text):
            code = _colored(text) if language == "json" else escape(text)
            pre = f'<pre tabindex="0">{code}\n</pre>'
            return f'<div class="highlight-{language} notranslate"><div class="highlight">{pre}</div></div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # Lines between cells keep their words apart where a search shows the text alone.
    heads = "\n".join(f'<th class="head"><p>{_inline(each)}</p></th>' for each in head)
    cells = ("\n".join(f"<td><p>{_inline(each)}</p></td>" for each in row) for row in rows)
    body = "\n".join(f"<tr>{each}</tr>" for each in cells)
    table = (
        f'<table class="docutils align-default"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    )
    return f'<div class="table-wrapper colwidths-auto docutils container">{table}</div>'


def _inline(text: str) -> str:
    parts, end = [], 0
    for found in _INLINE.finditer(text):
        parts.append(escape(text[end : found.start()]))
        code, label, target = found.groups()
        if code is not None:
            parts.append(f'<code class="docutils literal notranslate">{escape(code)}</code>')
        elif not _LEADS_SOMEWHERE.match(target):
            parts.append(escape(found[0]))
        else:
            page = re.sub(r"\.md(?=#|$)", ".html", target)
            parts.append(f'<a class="reference internal" href="{escape(page)}">{escape(label)}</a>')
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def _colored(text: str) -> str:
    """Return JSON with the classes that the site's style colours."""

    def color(found: re.Match[str]) -> str:
        string, colon, word, number = found.groups()
        if string is not None:
            return f'<span class="{"nt" if colon else "s2"}">{escape(string)}</span>{colon or ""}'
        return f'<span class="{"kc" if word else "mi"}">{word or number}</span>'

    parts, end = [], 0
    for found in _JSON_PART.finditer(text):
        parts += [escape(text[end : found.start()]), color(found)]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def json_code(value: object) -> CodeBlock:
    return CodeBlock("json", json.dumps(value, indent=2, ensure_ascii=False))
