"""A small crowd, while the API is killed again and again."""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial

from bench.servers import Client
from tests.conftest import wait_for
from tests.crowd.checks import check, check_strangers
from tests.crowd.people import Crowd, gather, wait
from tests.e2e.conftest import Service
from tests.e2e.conftest import make_service as make_service


def test_nobody_is_lost_however_often_the_api_is_killed(make_service: Callable[..., Service]) -> None:
    """Before the opening and after it: every slot is kept, and everybody is let in at the rate, in order, once."""
    service = make_service(API_PROCESSES="2")
    url = str(service.http.base_url)
    client = Client(url)
    crowd = gather(client, url, people=200, rate=3_000, lead_s=8, early=0.6)
    waiting = threading.Thread(target=wait, args=(crowd, 8))
    waiting.start()
    # Twice before the opening, twice after it.
    for done in (45, 90, 210, 320):
        wait_for(partial(_so_far, crowd, done), 30)
        apis = [pid for pid, line in service.process.family().items() if " api" in line]
        assert apis
        for pid in apis:
            os.kill(pid, signal.SIGKILL)
    waiting.join()
    found = check(crowd)
    assert crowd.again > 0
    assert found["early"] > 80
    assert found["later"] > 50
    client.close()
    check_strangers(crowd, client)
    client.close()


def _so_far(crowd: Crowd, done: int) -> bool:
    return crowd.done >= done or bool(crowd.wrong)
