"""The OpenAPI document, a page to read it and try it out, and pages about problems."""

from collections.abc import Sequence
from functools import cached_property

import falcon
import orjson
from apispec import APISpec

from reservation.errors import NotFound
from reservation_http.access import Access
from reservation_http.dialects import to_yaml
from reservation_http.openapi import document
from reservation_http.pages import Page, problem_list, problem_pages


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
    """`/docs`: Swagger UI with everything in the page, so that it loads nothing from elsewhere."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @cached_property
    def _page(self) -> Page:
        from offapi import OpenAPITemplate  # 1.5 MB of JavaScript: not before somebody asks

        html = OpenAPITemplate.SWAGGER.value.format(spec_url="/openapi.json")
        html = html.replace("<title>SwaggerUI</title>", "<title>Seat reservation API</title>")
        return Page.of(html, styled_by_script=True)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._access.visit(req)
        self._page.write(resp)


class ProblemPages:
    """`/problems` and `/problems/{slug}`: what the `type` of a problem leads to."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @cached_property
    def _list(self) -> Page:
        return problem_list()

    @cached_property
    def _pages(self) -> dict[str, Page]:
        return problem_pages()

    def on_get_list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All kinds."""
        self._access.visit(req)
        self._list.write(resp)

    def on_get_kind(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """One kind."""
        self._access.visit(req)
        page = self._pages.get(slug)
        if page is None:
            raise NotFound("There is no problem of this name.")
        page.write(resp)
