"""The demo's audit finds what it is there to find."""

from reservation_cli.demo_audit import LATE_MS, Job, Reading, audit

ANN, BEN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
DEADLINE = 1_000_000


def job(kind: str, seat_id: str, user: str, *, succeeded: bool = True, ended_ms: int | None = DEADLINE - 1) -> Job:
    return Job(f"{kind}-{seat_id}-{user}", kind, seat_id, user, DEADLINE, ended_ms, succeeded)


def test_what_buyers_were_told_is_what_the_service_says() -> None:
    """Sold to one, on hold and free: nothing to find, whatever was refused on the way."""
    jobs = [
        job("hold", "e-1", ANN),
        job("reserve", "e-1", ANN),
        job("reserve", "e-1", BEN, succeeded=False),
        job("hold", "e-2", BEN),
    ]
    readings = {
        ("e-1", ANN): Reading("Reserved", ANN),
        ("e-2", ""): Reading("On hold", ""),
        ("e-3", ""): Reading("Available", ""),
    }
    found = audit(jobs, readings)
    assert found.passed
    assert (found.seats, found.sold, found.jobs) == (3, 1, 4)


def test_a_seat_with_two_owners_is_found() -> None:
    """Two buyers were told that the same seat is theirs, whether or not the service still tells both."""
    jobs = [job("reserve", "e-1", ANN), job("reserve", "e-1", BEN)]
    for shown_to_ben in (BEN, ""):
        found = audit(jobs, {("e-1", ANN): Reading("Reserved", ANN), ("e-1", BEN): Reading("Reserved", shown_to_ben)})
        assert found.two_owners == ["e-1"]
        assert not found.passed


def test_being_told_twice_is_not_two_owners() -> None:
    """Reserving one's own reserved seat succeeds again, with a job of its own."""
    again = job("reserve", "e-1", ANN)
    again.id = "another"
    assert audit([job("reserve", "e-1", ANN), again], {("e-1", ANN): Reading("Reserved", ANN)}).passed


def test_a_seat_of_which_the_service_thinks_otherwise_is_found() -> None:
    """Sold, but free again, only on hold, somebody else's, or not read; or reserved, and nobody was told."""
    sold = [job("reserve", "e-1", ANN)]
    for readings in (
        {("e-1", ANN): Reading("Available", "")},
        {("e-1", ANN): Reading("On hold", ANN)},
        {("e-1", ANN): Reading("Reserved", "")},
        {("e-1", ""): Reading("Available", "")},
    ):
        found = audit(sold, readings)
        assert len(found.mismatches) == 1
        assert not found.passed
        assert ANN not in found.mismatches[0], "a UUID is a credential"
    assert len(audit([], {("e-1", ""): Reading("Reserved", "")}).mismatches) == 1


def test_a_job_that_never_ended_is_found() -> None:
    """No end, an end that is too late, and a job that could never be read are all no end in time."""
    late = job("hold", "e-2", BEN, ended_ms=DEADLINE + LATE_MS + 1)
    open_ = job("hold", "e-1", ANN, ended_ms=None)
    unread = Job("unread", "hold", "e-3", ANN)
    just = job("hold", "e-4", BEN, ended_ms=DEADLINE + LATE_MS)
    found = audit([late, open_, unread, just], {})
    assert found.never_ended == [late.id, open_.id, "unread"]
    assert not found.passed
