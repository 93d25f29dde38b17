"""How long an idle service takes from a hold request to its result, as a polling client sees it.

    python bench/idle.py [URL] [HOLDS]

Speaks to a running service (`make up`) over one kept connection: POST /seats/hold, then the job's
status at once and every millisecond after that, with a pause between holds so that nothing queues.
"""

import json
import statistics
import sys
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import uuid4

#: Pause between two holds, seconds.
_PAUSE_S = 0.05
#: Pause between two looks at a job, seconds.
_POLL_S = 0.001


def call(connection: HTTPConnection, method: str, path: str, body: object = None) -> dict[str, object]:
    """One request; returns the answer's JSON. Raises RuntimeError for an error status."""
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status >= 400:
        raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
    parsed: dict[str, object] = json.loads(answer)
    return parsed


def main(url: str, holds: int) -> None:
    """Measures and prints percentiles, in milliseconds."""
    connection = HTTPConnection(urlsplit(url).netloc)
    event = call(connection, "POST", "/events/create", {"name": "Idle", "totalSeats": max(10, holds)})
    took, reads = [], 0
    for number in range(1, holds + 1):
        time.sleep(_PAUSE_S)
        began = time.perf_counter()
        body = {"id": f"{event['id']}-{number}", "UUID": str(uuid4())}
        status = str(call(connection, "POST", "/seats/hold", body)["statusEndpoint"])
        while True:
            reads += 1
            if call(connection, "GET", status)["status"] == "completed":
                break
            time.sleep(_POLL_S)
        took.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(took, n=100)
    print(  # noqa: T201 - this is its output
        f"{holds} holds, accept to result: p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, "
        f"p99 {cuts[98]:.1f} ms, max {max(took):.1f} ms; {reads / holds:.2f} status reads a hold"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000", int(sys.argv[2]) if len(sys.argv) > 2 else 500)
