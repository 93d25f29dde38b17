"""Pages for people, and the files that they are made of. They use the public API only."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from html import escape
from importlib.resources import files

import falcon

from reservation.errors import NotFound
from reservation_http.access import Access
from reservation_http.pages import asset
from reservation_http.streams import StreamAddress

#: By suffix. What has none of these is not served.
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}

#: What no page of ours needs, or may be used for (Content Security Policy Level 3). What runs in it are files of this
#: origin; where it connects to is added.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; connect-src 'self'"
)
#: Where a page's file has the address of the stream service, and whether it takes a token to be somebody.
_STREAM, _AUTH = "{{stream}}", "{{auth}}"


def show(resp: falcon.Response, html: str, stream: str = "") -> None:
    """Answers with a page.

    Arguments:
        resp: the answer.
        html: the page, with nothing inline that runs or paints.
        stream: the live feed's base address, if the page may ask it.
    """
    resp.content_type = falcon.MEDIA_HTML
    resp.set_header("Content-Security-Policy", f"{_POLICY} {stream}".rstrip())
    resp.set_header("Referrer-Policy", "no-referrer")
    resp.set_header("Cache-Control", "no-cache")
    resp.text = html


@dataclass(frozen=True)
class File:
    """A file as it is served."""

    content: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, suffix: str) -> "File":
        """A file of one of the types that are served."""
        return cls(content, _TYPES[suffix], blake2b(content, digest_size=12).hexdigest())

    def answer(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The file. A browser asks each time whether it is still the same: the pages and their files go together."""
        resp.etag = self.etag
        resp.set_header("Cache-Control", "no-cache")
        known = [str(tag) for tag in req.if_none_match or []]
        if self.etag in known or "*" in known:
            resp.status = 304
            return
        resp.content_type = self.content_type
        # Not copied for each who reads it, or does not: a browser may take its time with a megabyte.
        resp.set_stream(io.BytesIO(self.content), len(self.content))


def _assets() -> Iterator[tuple[str, File]]:
    for file in files("reservation_http.assets").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in _TYPES:
            yield file.name, File.of(file.read_bytes(), suffix)


class Assets:
    """`/assets/{name}`: scripts, styles and pictures. Read once, when the process starts."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._files = dict(_assets())

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The file."""
        self._access.visit(req)
        file = self._files.get(name)
        if file is None:
            raise NotFound("Nothing is served under this path.")
        file.answer(req, resp)


class WebPage:
    """A page in a file of its own, which says in `<meta name="stream">` where the live feed is, and in
    `<meta name="auth">` what AUTH_MODE is.

    Arguments:
        name: of the file among the assets.
        access: counts who looks at it.
        stream: where the feed is.
    """

    def __init__(self, name: str, access: Access, stream: StreamAddress) -> None:
        self._html = asset(name).replace(_AUTH, "none" if access.tokens is None else "jwt")
        self._access = access
        self._stream = stream

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._access.visit(req)
        stream = self._stream.seen_by(req)
        show(resp, self._html.replace(_STREAM, escape(stream, quote=True)), stream)
