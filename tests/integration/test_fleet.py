"""Heartbeats: who is alive, by the server's clock."""

from reservation import keys
from reservation.store import Store
from tests.conftest import wait_for


def test_a_process_is_alive_while_its_word_holds(store: Store) -> None:
    """Then it does not count, and the next one that beats removes it."""
    names = [keys.WORKERS, *keys.QUEUE_LAGS, keys.TALLY, keys.FAILED, keys.told("one")]
    assert store.scripts.run("heartbeat", names, ["one", 100, 7, 3, 50, 1000, 0, 0]) == 1
    assert store.fleet.load() == (1, 0, 7, 3)
    wait_for(lambda: store.fleet.load().workers == 0)
    assert store.client.zcard(keys.WORKERS) == 1, "nobody has removed it"
    assert store.fleet.beat(keys.WORKERS, "two") == 1
    assert store.client.zrange(keys.WORKERS, 0, -1) == ["two"]


def test_a_process_that_leaves_is_gone_at_once(store: Store) -> None:
    """Workers and sweepers are counted apart."""
    store.fleet.beat(keys.WORKERS, "a worker")
    store.fleet.beat(keys.SWEEPERS, "a sweeper")
    assert store.fleet.load()[:2] == (1, 1)
    store.fleet.leave(keys.WORKERS, "a worker")
    assert store.fleet.load()[:2] == (0, 1)
