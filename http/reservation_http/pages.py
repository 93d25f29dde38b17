"""Pages for people: how they may be loaded, and what the pages about problems say."""

import base64
import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from html import escape
from html.parser import HTMLParser

import falcon
import orjson

from reservation_http.problems import KINDS, VERDICTS, Kind, body

#: What no page of ours needs, or may be used for (Content Security Policy Level 3).
_POLICY = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"


class _Inline(HTMLParser):
    """Collects the text of a page's scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {"script": [], "style": []}

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in self.found:
            # A long one may come in pieces.
            self.found[self.cdata_elem][-1] += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.found:
            self.found[tag].append("")


@dataclass(frozen=True)
class Page:
    """A page and the policy under which a browser shows it.

    Attributes:
        html: the page.
        policy: its `Content-Security-Policy`: the page's own scripts and styles run, by their hashes, and no other.
    """

    html: str
    policy: str

    @classmethod
    def of(cls, html: str, *, styled_by_script: bool = False) -> "Page":
        """A page.

        Arguments:
            html: with everything in it that it needs.
            styled_by_script: whether its elements get styles of their own, which cannot be told by hash.
        """
        html = html.replace("\r\n", "\n")  # as a browser does before it hashes
        inline = _Inline()
        inline.feed(html)
        styles = "'unsafe-inline'" if styled_by_script else _sources(inline.found["style"])
        policy = f"{_POLICY}; frame-ancestors 'none'; script-src {_sources(inline.found['script'])}; style-src {styles}"
        return cls(html, policy)

    def write(self, resp: falcon.Response) -> None:
        """Answers with the page."""
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", self.policy)
        resp.set_header("Referrer-Policy", "no-referrer")
        # Not copied for each who reads it, or does not: a browser may take its time with two megabytes.
        resp.set_stream(io.BytesIO(self._bytes), len(self._bytes))

    @cached_property
    def _bytes(self) -> bytes:
        return self.html.encode()


def _sources(texts: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


_FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ max-width: 48rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8885; text-align: left; vertical-align: top }}
pre {{ padding: 1rem; overflow-x: auto; border: 1px solid #8885 }}
</style>
</head>
<body>
{content}
</body>
</html>
"""


def _page(title: str, content: str) -> Page:
    return Page.of(_FRAME.format(title=escape(title), content=content))


def problem_list() -> Page:
    """`/problems`: every kind there is."""
    rows = "\n".join(
        f'<tr><td>{kind.status}</td><td><a href="/problems/{kind.slug}">{kind.slug}</a></td>'
        f"<td>{escape(kind.title)}</td></tr>"
        for kind in sorted(KINDS.values(), key=lambda kind: kind.status)
    )
    verdicts = "\n".join(
        f'<tr><td><a href="/problems/{slug}">{slug}</a></td><td>{escape(text)}</td></tr>'
        for slug, text in VERDICTS.items()
    )
    return _page(
        "Problems",
        f"""<h1>Problems</h1>
<p>Every error is <code>application/problem+json</code> (RFC 9457). Go by its <code>type</code>.</p>
<table><thead><tr><th>Status</th><th>Type</th><th>Title</th></tr></thead><tbody>
{rows}
</tbody></table>
<h2>Ends of jobs</h2>
<p>A job's <code>result.error</code> is one of the names above or of these.</p>
<table><tbody>
{verdicts}
</tbody></table>
<p><a href="/docs">The API</a></p>""",
    )


def problem_pages() -> dict[str, Page]:
    """`/problems/{slug}`: what each kind means, and what to do about it."""
    ends = {slug: _page(slug, _article(slug, "How a job can end", text)) for slug, text in VERDICTS.items()}
    return {**{kind.slug: _page(kind.title, _about(kind)) for kind in KINDS.values()}, **ends}


def _about(kind: Kind) -> str:
    again = "The same request may succeed later." if kind.retryable else "Do not send the same request again as it is."
    example = orjson.dumps(
        body(kind.slug, kind.detail, kind.example, retryable=kind.retryable), option=orjson.OPT_INDENT_2
    ).decode()
    text = f"{kind.remedy} {again}" if kind.slug not in ("internal-error", "bad-request") else kind.remedy
    return _article(kind.title, f"{kind.status} {kind.slug}", text, f"<pre>{escape(example)}</pre>")


def _article(title: str, name: str, text: str, more: str = "") -> str:
    return f"""<h1>{escape(title)}</h1>
<p><code>{escape(name)}</code></p>
<p>{escape(text)}</p>
{more}
<p><a href="/problems">All problems</a></p>"""
