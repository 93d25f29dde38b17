"""The quick start: a script for each language, of which its page is made, and which its tests run.

A line `#: name`, or `//: name`, begins a step. Nothing in a script is said twice: the page has its own address in
place of `API`, and a user made for it in place of `USER`.
"""

import re
from html import escape
from importlib.resources import files
from typing import NamedTuple

import orjson
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from reservation_http.examples import EXAMPLES
from reservation_http.pages import asset, framed

#: What the scripts have for the service's address, and for who is asking.
API, USER = "http://127.0.0.1:3000", "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"

_STEP = re.compile(r"^(?:#|//): (\w+)\n", re.MULTILINE)
#: In the page's file: the code of a step, and an answer of the service.
_CODE = re.compile(r"{{code (\w+)}}")
_ANSWER = re.compile(r"{{answer (\w+)}}")


class Language(NamedTuple):
    """What a script is called by people, and by pygments."""

    name: str
    lexer: str


#: By the suffix of their scripts.
LANGUAGES = {"sh": Language("curl", "bash"), "py": Language("Python", "python"), "mjs": Language("JavaScript", "js")}


def source(suffix: str) -> str:
    """A language's script."""
    return files(__name__).joinpath(f"quickstart.{suffix}").read_text(encoding="utf-8")


def steps(script: str) -> dict[str, str]:
    """The code of each step, by its name."""
    _, *parts = _STEP.split(script)
    return {name: code.strip("\n") for name, code in zip(parts[::2], parts[1::2], strict=True)}


class Guide:
    """The page and its scripts.

    Arguments:
        tokens: whether it is tokens that say who asks.
    """

    def __init__(self, *, tokens: bool) -> None:
        self._scripts = {suffix: source(suffix) for suffix in LANGUAGES}
        self._steps = {suffix: steps(script) for suffix, script in self._scripts.items()}
        answers = {model.__name__: example for model, example in EXAMPLES.items()}
        text = _CODE.sub(lambda found: self._code(found[1]), asset("quickstart.html"))
        text = _ANSWER.sub(
            lambda found: _colour(
                orjson.dumps(
                    answers[found[1]].model_dump(mode="json", by_alias=True, exclude_none=True),
                    option=orjson.OPT_INDENT_2,
                ).decode(),
                "json",
            ),
            text,
        )
        head = '<link rel="stylesheet" href="/assets/quickstart.css">\n<script src="/assets/quickstart.js"></script>'
        main = f'<div class="guide{" with-tokens" if tokens else ""}" data-origin="{API}">\n{text}</div>'
        self._page = framed("Quick start", main, head=head, path="/docs/quickstart")

    def page(self, origin: str, user: str) -> str:
        """The page.

        Arguments:
            origin: the service's address.
            user: a UUID that nobody else has.
        """
        return self._page.replace(API, escape(origin, quote=True)).replace(USER, user)

    def script(self, suffix: str, origin: str, user: str) -> str | None:
        """All steps of a language, or None if there is no such language."""
        script = self._scripts.get(suffix)
        return None if script is None else _STEP.sub("", script).replace(API, origin).replace(USER, user)

    def _code(self, step: str) -> str:
        figures = "\n".join(
            f'<figure class="snippet" data-lang="{suffix}">\n<figcaption>{language.name}</figcaption>\n'
            f'<pre tabindex="0"><code>{_colour(self._steps[suffix][step], language.lexer)}</code></pre>\n</figure>'
            for suffix, language in LANGUAGES.items()
        )
        return f'<div class="snippets">\n{figures}\n</div>'


def _colour(code: str, lexer: str) -> str:
    html: str = highlight(code, get_lexer_by_name(lexer), HtmlFormatter(nowrap=True))
    return html.strip("\n")
