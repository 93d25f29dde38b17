"""The OpenAPI document and a page to read it and try it out."""

from collections.abc import Sequence
from functools import cached_property

import falcon
import orjson

from reservation_http.dialects import to_yaml
from reservation_http.openapi import document


class ApiDocument:
    """`/openapi.yaml` and `/openapi.json`.

    Arguments:
        routes: what is described; read when first asked for.
    """

    def __init__(self, routes: Sequence[tuple[str, object]]) -> None:
        self._routes = routes

    @cached_property
    def _yaml(self) -> str:
        return to_yaml(document(self._routes))

    @cached_property
    def _json(self) -> bytes:
        return orjson.dumps(document(self._routes).to_dict())

    def on_get_yaml(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The document as YAML (media type of RFC 9512)."""
        resp.content_type = "application/yaml"
        resp.text = self._yaml

    def on_get_json(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The document as JSON."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._json


class ReferencePage:
    """`/docs`: Swagger UI with everything in the page, so that it loads nothing from elsewhere."""

    @cached_property
    def _page(self) -> str:
        from offapi import OpenAPITemplate  # 1.5 MB of JavaScript: not before somebody asks

        return OpenAPITemplate.SWAGGER.value.format(spec_url="/openapi.json").replace(
            "<title>SwaggerUI</title>", "<title>Seat reservation API</title>"
        )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header(
            "Content-Security-Policy",
            "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:",
        )
        resp.text = self._page

    def on_get_root(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`/`: the way here."""
        raise falcon.HTTPTemporaryRedirect("/docs")
