"""A primary of a cluster is killed while seats are sold, and replaced."""

from tests.faults.failover import run


def test_a_replica_takes_over_and_no_seat_is_sold_twice() -> None:
    """What the cluster still knows is whole: of each seat one reservation, and every job that it knows ends. Meanwhile
    other events are sold on. What the primary had answered and not passed on may be forgotten: hardly anything."""
    loss = run(before_s=3, after_s=3)
    assert loss.sold_twice == []
    assert loss.endless == []
    assert loss.told > 100
    assert loss.elsewhere_s < loss.away_s
    assert loss.told_twice <= loss.forgotten
