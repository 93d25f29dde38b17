"""Documents for people: the frame that they share, and what those about problems say."""

from functools import cache
from html import escape
from importlib.resources import files

import orjson

from reservation_http.problems import KINDS, VERDICTS, Kind, body


@cache
def asset(name: str) -> str:
    """The text of a file that pages are made of."""
    return files("reservation_http.assets").joinpath(name).read_text(encoding="utf-8")


def framed(title: str, main: str, *, head: str = "", path: str = "", landmark: str = "main") -> str:
    """A page of the documentation.

    Arguments:
        title: of the page, as text.
        main: its content, as HTML.
        head: what else it loads, as HTML.
        path: its own, which the frame's links show to be here.
        landmark: the element around it: another where the content has a `main` of its own.
    """
    html = asset("frame.html").replace(f'href="{path}"', f'href="{path}" aria-current="page"')
    html = html.replace("{{title}}", escape(title)).replace("{{head}}", head).replace("{{landmark}}", landmark)
    return html.replace("{{main}}", main)


def reference() -> str:
    """`/docs`: where Swagger UI goes."""
    head = """<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/assets/reference.css">
<script src="/docs/swagger-ui.js" defer></script>
<script src="/assets/reference.js" defer></script>"""
    main = """<div id="reference"></div>
<noscript>
<p class="text">This page needs JavaScript. What it shows is in <a href="/openapi.yaml">openapi.yaml</a>.</p>
</noscript>"""
    return framed("API reference", main, head=head, path="/docs", landmark="div")


def problem_list() -> str:
    """`/problems`: every kind there is."""
    rows = "\n".join(
        f'<tr><td>{kind.status}</td><td><a href="/problems/{kind.slug}"><code>{kind.slug}</code></a></td>'
        f'<td class="wide">{escape(kind.title)}</td></tr>'
        for kind in sorted(KINDS.values(), key=lambda kind: kind.status)
    )
    verdicts = "\n".join(
        f'<tr><td><a href="/problems/{slug}"><code>{slug}</code></a></td><td>{escape(text)}</td></tr>'
        for slug, text in VERDICTS.items()
    )
    return framed(
        "Problems",
        f"""<div class="text">
<h1>Problems</h1>
<p>Every error is <code>application/problem+json</code> (RFC 9457). Programs go by its <code>type</code>, which leads
to a page here; <code>retryable</code> says whether the same request may succeed later.</p>
<table><thead>
<tr><th scope="col">Status</th><th scope="col">Type</th><th scope="col" class="wide">Title</th></tr>
</thead><tbody>
{rows}
</tbody></table>
<h2>Ends of jobs</h2>
<p>A job's <code>result.error</code> is one of the names above or of these.</p>
<table><thead>
<tr><th scope="col">Error</th><th scope="col">Meaning</th></tr>
</thead><tbody>
{verdicts}
</tbody></table>
</div>""",
        path="/problems",
    )


def problem_pages() -> dict[str, str]:
    """`/problems/{slug}`: what each kind means, and what to do about it."""
    ends = {slug: _article(slug, "How a job can end", text) for slug, text in VERDICTS.items()}
    return {**{kind.slug: _about(kind) for kind in KINDS.values()}, **ends}


def _about(kind: Kind) -> str:
    again = "The same request may succeed later." if kind.retryable else "Do not send the same request again as it is."
    example = orjson.dumps(
        body(kind.slug, kind.detail, kind.example, retryable=kind.retryable), option=orjson.OPT_INDENT_2
    ).decode()
    text = f"{kind.remedy} {again}" if kind.slug not in ("internal-error", "bad-request") else kind.remedy
    return _article(kind.title, f"{kind.status} {kind.slug}", text, f'<pre tabindex="0">{escape(example)}</pre>')


def _article(title: str, name: str, text: str, more: str = "") -> str:
    return framed(
        title,
        f"""<article class="text">
<p class="kind"><code>{escape(name)}</code></p>
<h1>{escape(title)}</h1>
<p>{escape(text)}</p>
{more}
<p class="back"><a href="/problems">All problems</a></p>
</article>""",
    )
