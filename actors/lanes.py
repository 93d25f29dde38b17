"""What a worker process has in hand: VIP jobs go first, and the others get their share all the same."""

from heapq import heappop, heappush
from queue import PriorityQueue
from typing import Any

#: VIP jobs that are begun in a row while others wait: then one of those is (reservation/lua/_turn.lua counts on it).
VIP_IN_A_ROW = 4
#: What the names of queues for VIP jobs end in. They are queues of their own, so that no backlog of others is in front.
VIP = ".vip"


class Lanes(PriorityQueue[Any]):
    """Dramatiq's work queue, with a lane for what came from the VIP queues. Within a lane the order is Dramatiq's: by
    the actor's priority, and then as they came."""

    def _init(self, maxsize: int) -> None:
        self._vip: list[Any] = []
        self._standard: list[Any] = []
        self._in_a_row = 0

    def _qsize(self) -> int:
        return len(self._vip) + len(self._standard)

    def _put(self, item: Any) -> None:
        heappush(self._vip if item.message.queue_name.endswith(VIP) else self._standard, item)

    def _get(self) -> Any:
        if self._vip and (self._in_a_row < VIP_IN_A_ROW or not self._standard):
            self._in_a_row += 1
            return heappop(self._vip)
        self._in_a_row = 0
        return heappop(self._standard)
