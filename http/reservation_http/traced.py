"""The span of a request, named and described as OpenTelemetry's conventions for HTTP have it (1.36)."""

from typing import Any

import falcon

from reservation import tracing
from reservation.logs import masked

#: Methods by their names; whatever else somebody sends is one (RFC 9110, RFC 5789).
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}


class Traced:
    """Continues the caller's trace (`traceparent`), or begins one. The first of all middleware, so that what the others
    log belongs to it; only there when there are traces."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begins the span. The path that is served is not known yet."""
        caller = tracing.called(
            {"traceparent": req.get_header("traceparent"), "tracestate": req.get_header("tracestate")}
        )
        method = _method(req)
        # Printable, and no user in it, whatever somebody sends.
        path = masked(req.path.encode("ascii", "backslashreplace").decode())
        attributes = {"http.request.method": method, "url.path": path, "url.scheme": req.scheme}
        tracing.begin("SERVER", _name(method), caller, attributes)

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Ends it."""
        status, route = resp.status_code, req.uri_template
        attributes: dict[str, str | int] = {
            "http.response.status_code": status,
            **({"http.route": route} if route else {}),
        }
        name = f"{_name(_method(req))} {route}" if route else ""
        tracing.end(name, attributes, str(status) if status >= 500 else "")


def _method(req: falcon.Request) -> str:
    return req.method if req.method in _METHODS else "_OTHER"


def _name(method: str) -> str:
    return "HTTP" if method == "_OTHER" else method
