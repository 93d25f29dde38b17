"""The OpenAPI document, a page to read it and try it out, the quick start, and pages about problems."""

from collections.abc import Sequence
from functools import cached_property
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from uuid import uuid4

import falcon
import orjson
from apispec import APISpec

from reservation.errors import NotFound
from reservation_http.access import Access
from reservation_http.dialects import to_yaml
from reservation_http.openapi import document
from reservation_http.pages import problem_list, problem_pages, reference
from reservation_http.resources.pages import File, show
from reservation_http.streams import StreamAddress, origin

if TYPE_CHECKING:
    from reservation_http.quickstart import Guide


class ApiDocument:
    """`/openapi.yaml` and `/openapi.json`.

    Arguments:
        routes: what is described; read when first asked for.
        access: the way in.
    """

    def __init__(self, routes: Sequence[tuple[str, object]], access: Access) -> None:
        self._routes = routes
        self._access = access

    def _document(self) -> APISpec:
        return document(self._routes, tokens=self._access.tokens is not None)

    @cached_property
    def _yaml(self) -> str:
        return to_yaml(self._document())

    @cached_property
    def _json(self) -> bytes:
        return orjson.dumps(self._document().to_dict())

    def on_get_yaml(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The document as YAML (media type of RFC 9512)."""
        self._access.visit(req)
        resp.content_type = "application/yaml"
        resp.text = self._yaml

    def on_get_json(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The document as JSON."""
        self._access.visit(req)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._json


class ReferencePage:
    """`/docs`: Swagger UI, whose script and style are served beside it, so that it loads nothing from elsewhere.

    Arguments:
        access: counts who looks at it.
        stream: where the live feed is, which can be tried out too.
    """

    def __init__(self, access: Access, stream: StreamAddress) -> None:
        self._access = access
        self._stream = stream

    @cached_property
    def _files(self) -> dict[str, File]:
        from offapi import OpenAPITemplate  # 1.5 MB of JavaScript: not before somebody asks

        inline = _Inline()
        inline.feed(OpenAPITemplate.SWAGGER.value.format(spec_url=""))
        script, style = inline.found["script"][0], inline.found["style"][0]
        return {"js": File.of(script.encode(), "js"), "css": File.of(style.encode(), "css")}

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._access.visit(req)
        show(resp, reference(), self._stream.seen_by(req))

    def on_get_file(self, req: falcon.Request, resp: falcon.Response, suffix: str) -> None:
        """`/docs/swagger-ui.js` and `.css`, as offapi has them in a page of its own."""
        self._access.visit(req)
        file = self._files.get(suffix)
        if file is None:
            raise NotFound("Nothing is served under this path.")
        file.answer(req, resp)


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


class QuickStart:
    """`/docs/quickstart`, and its scripts: at the address at which they are asked for.

    Arguments:
        access: counts who looks at it, and knows whether tokens say who asks.
        stream: where the live feed is.
    """

    def __init__(self, access: Access, stream: StreamAddress) -> None:
        self._access = access
        self._stream = stream

    @cached_property
    def _guide(self) -> "Guide":
        from reservation_http.quickstart import Guide  # with pygments: not before somebody asks

        return Guide(tokens=self._access.tokens is not None)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._access.visit(req)
        show(resp, self._guide.page(origin(req), str(uuid4())), self._stream.seen_by(req))

    def on_get_script(self, req: falcon.Request, resp: falcon.Response, suffix: str) -> None:
        """All of a language's steps."""
        self._access.visit(req)
        script = self._guide.script(suffix, origin(req), str(uuid4()))
        if script is None:
            raise NotFound("Nothing is served under this path.")
        resp.content_type = "text/plain; charset=utf-8"
        resp.set_header("Cache-Control", "no-cache")
        resp.text = script


class ProblemPages:
    """`/problems` and `/problems/{slug}`: what the `type` of a problem leads to."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @cached_property
    def _pages(self) -> dict[str, str]:
        return problem_pages()

    def on_get_list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All kinds."""
        self._access.visit(req)
        show(resp, problem_list())

    def on_get_kind(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """One kind."""
        self._access.visit(req)
        page = self._pages.get(slug)
        if page is None:
            raise NotFound("There is no problem of this name.")
        show(resp, page)
