"""Cross-origin requests (the CORS protocol of the Fetch standard): off unless origins are configured."""

from collections.abc import Sequence

import falcon

#: Headers of answers that a page's script may read beyond the usual ones.
_EXPOSED = (
    "ETag, Idempotency-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, "
    "WWW-Authenticate, X-Request-ID"
)


class CrossOrigin(falcon.CORSMiddleware):  # type: ignore[type-arg, unused-ignore]  # with defaults from 3.13 on
    """Lets scripts of other origins read answers. Without credentials: who asks says so in a header, never in a
    cookie.

    Arguments:
        origins: which; `*` alone for all.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._all = list(origins) == ["*"]
        super().__init__(allow_origins="*" if self._all else origins, expose_headers=_EXPOSED)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Adds the headers. What they are depends on who asks, which caches have to know."""
        super().process_response(req, resp, resource, req_succeeded)
        if not self._all:
            resp.append_header("Vary", "Origin")
