"""Yardstick: Falcon on Waitress that answers the POST of a hold with a constant, as its documentation shows it.

python -m bench.bare_falcon PORT THREADS
"""

import sys
from wsgiref.types import WSGIApplication

import falcon
import waitress

_ANSWER = {
    "message": "Your request to hold this seat is in the queue.",
    "jobId": "k3v9x2m7qa-4m0s8y2k1c7r5t9w3x6z0b8d2",
    "position": 0,
    "estimatedWaitTime": 0,
    "statusEndpoint": "/seats/job/k3v9x2m7qa-4m0s8y2k1c7r5t9w3x6z0b8d2/status",
}


class Constant:
    """`/seats/hold`, without doing it."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Reads the body and answers the same each time."""
        req.get_media()
        resp.status = 202
        resp.media = _ANSWER


def create_app() -> WSGIApplication:
    """The application."""
    app = falcon.App()
    app.add_route("/seats/hold", Constant())
    return app


if __name__ == "__main__":
    import logging

    # It warns of nearly every request under load, and nobody would leave that on.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    waitress.serve(create_app(), host="127.0.0.1", port=int(sys.argv[1]), threads=int(sys.argv[2]))
