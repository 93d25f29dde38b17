"""Whether one order of the calls explains what clients saw of a seat: linearizability, with time.

Each operation took effect at one moment between its call and its answer, and each found the seat as
those before it left it (Herlihy and Wing, 1990). The model is the one that `reservation/lua` promises;
a hold ends at its `expires_at`, to the millisecond of the server's clock. An answer that fixes the
moment (a hold's end less its length, `Op.at_ms`) is taken at its word, so it has to fit.

The search goes over what may come next (Wing and Gong, 1993), where an order is furthest first, and
remembers where it has been (Lowe, 2017), with the earliest time at which it was there: to come later is
never better. What leaves seat and time as they are is put in its place at once, for it can stand in
nobody's way. Orders that take fewer lost calls to have had an effect go first: each such guess doubles
what there is to search.

An operation with no answer may have taken effect or not. The end of a hold that nobody was told is a span,
which later answers narrow; where two ends are unknown at once, the spans may allow too much. Never too
little: a history that is rejected has no explanation. One thing is taken for granted: that a reserve job
whose verdict nobody read kept its pin until it sold the seat or passed its deadline. What fails sooner
(`internal-error`) has to be told as `failed`.

Not modelled: the limit of seats per user, which is about other seats.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from tests.faults.history import History, Op

#: Later than every time in a history, ms.
_FOREVER = 1 << 60
#: States that are looked at before a search is given up as inconclusive.
BUDGET = 50_000
#: Operations of the longest order found that an explanation shows.
_SHOWN = 12


class Span(NamedTuple):
    """A time of which only the first and the last possible value are known, epoch ms."""

    first: int
    last: int


class State(NamedTuple):
    """A seat, as far as it is known.

    Attributes:
        user: who holds or has reserved it.
        expires: when the hold ends by itself.
        pin: until when a reserve job keeps the hold; None if there is no such job.
        job: that job's id; empty if unknown.
        spent: whether the hold has had a pin: the next one ends no later than the hold.
        start: when the hold was made, if it was refreshed since; else that is its length before `expires`.
        loose: jobs that were open when a reservation of the seat was cancelled; empty: one whose id is unknown.
    """

    status: str = "Available"
    user: str = ""
    expires: Span = Span(0, 0)
    pin: Span | None = None
    job: str = ""
    spent: bool = False
    start: Span | None = None
    loose: frozenset[str] = frozenset()


_FREE = State()


def _freed(state: State) -> State:
    return _FREE._replace(loose=state.loose)


def _phases(state: State, now: int) -> Iterator[tuple[State, int, int]]:
    """What time alone makes of the seat from `now` on: each state with its first and last ms, which
    may be the wrong way round: then it is over. Where ends are unknown, the states overlap."""
    if state.status == "On hold":
        if state.pin is not None:
            yield state, now, state.pin.last - 1
            now = max(now, state.pin.first)
            state = state._replace(pin=None, job="")
        yield state, now, state.expires.last - 1
        now = max(now, state.expires.first)
        state = _freed(state)
    yield state, now, _FOREVER


def _settled(state: State, now: int) -> State:
    """The seat without what is certainly over."""
    return next(phase for phase, _, last in _phases(state, now) if now <= last)


def _free(state: State, _: Op) -> bool:
    return state.status == "Available"


def _mine(state: State, op: Op) -> bool:
    return state.status == "On hold" and state.user == op.user


def _held(state: State, op: Op) -> bool:
    return state.status == "On hold" and state.user != op.user


def _reserved(state: State, _: Op) -> bool:
    return state.status == "Reserved"


def _blocked(state: State, _: Op) -> bool:
    return state.status == "Blocked"


def _not(test: Callable[[State, Op], bool]) -> Callable[[State, Op], bool]:
    return lambda state, op: not test(state, op)


def _bought(state: State, op: Op) -> bool:
    return state.status == "Reserved" and state.user == op.user


def _sold(state: State, op: Op) -> bool:
    return state.status == "Reserved" and state.user != op.user


def _pending(state: State, op: Op) -> bool:
    return _mine(state, op) and state.pin is not None


def _joins(state: State, op: Op) -> bool:
    # With the job's id known it does not matter which of two calls was told that it opened the job:
    # both get the same answer.
    told = op.job or op.outcome == "pinned-already"
    return _pending(state, op) and bool(told) and (not op.job or state.job in ("", op.job))


def _unpinned(state: State, op: Op) -> bool:
    return _mine(state, op) and state.pin is None


def _of_job(state: State, op: Op) -> bool:
    return _pending(state, op) and state.job in ("", op.job)


def _either(*tests: Callable[[State, Op], bool]) -> Callable[[State, Op], bool]:
    return lambda state, op: any(test(state, op) for test in tests)


def _met(state: State, op: Op) -> bool:
    """Whether a reserve job finds a hold of its user's that it has not pinned."""
    return _mine(state, op) and not _of_job(state, op) and op.job in state.loose


def _shown(state: State, op: Op) -> bool:
    shown = state.status == op.outcome and (state.user == op.user) == op.mine
    return shown and (state.pin is None) == (op.reserving_until is None)


#: The answers that change nothing, by what they say of the seat.
_SAYS: dict[tuple[str, str | None], Callable[[State, Op], bool]] = {
    ("hold", "held-already"): _mine,
    ("hold", "seat-held"): _held,
    ("hold", "seat-reserved"): _reserved,
    ("hold", "seat-blocked"): _blocked,
    ("hold", "limit-reached"): _free,
    ("hold", "failed"): lambda *_: True,
    ("hold", "held-or-had"): _mine,
    ("hold", "spared"): _either(_free, _mine),
    ("pin", "pinned"): _joins,
    ("pin", "pinned-already"): _joins,
    ("pin", "accepted"): _bought,
    ("pin", "not-holder"): _held,
    ("pin", "not-on-hold"): _free,
    ("pin", "seat-reserved"): _sold,
    ("pin", "seat-blocked"): _blocked,
    ("pin", "let-in"): _either(_joins, _bought),
    ("pin", "reserve-pending"): _pending,
    ("pin", "spared"): _either(_mine, _bought),
    ("reserve", "reserved-already"): _bought,
    ("reserve", "seat-reserved"): _sold,
    ("reserve", "hold-expired"): _either(_free, _held, _blocked),
    ("reserve", "reserved-or-had"): _bought,
    ("reserve", "spared"): _either(_bought, _met),
    ("refresh", "not-holder"): _held,
    ("refresh", "not-on-hold"): _free,
    ("refresh", "seat-reserved"): _reserved,
    ("refresh", "seat-blocked"): _blocked,
    ("refresh", "reserve-pending"): _pending,
    ("refresh", "hold-ceiling"): _unpinned,
    ("refresh", "in-the-way"): _either(_held, _pending),
    ("refresh", "spared"): _unpinned,
    ("release", "not-holder"): _held,
    ("release", "seat-reserved"): _reserved,
    ("release", "reserve-pending"): _pending,
    ("release", "in-the-way"): _either(_held, _pending),
    ("release", "spared"): _either(_free, _unpinned, _blocked),
    ("cancel", "not-owner"): _sold,
    ("cancel", "not-reserved"): _not(_reserved),
    ("cancel", "spared"): _bought,
    ("block", "blocked-or-was"): _blocked,
    ("block", "seat-held"): _either(_mine, _held),
    ("block", "seat-reserved"): _reserved,
    ("block", "spared"): _either(_free, _blocked),
    ("unblock", "unblocked-or-was-not"): _not(_blocked),
    ("read", "Available"): _free,
    ("read", "On hold"): _shown,
    ("read", "Reserved"): _shown,
    ("read", "Blocked"): _shown,
    ("list", "free"): _free,
    ("list", "taken"): _not(_free),
}
#: The answers that may change the seat. The first is what an operation without an answer may have done.
_DOES: dict[str, tuple[str, ...]] = {
    "hold": ("held",),
    "pin": ("pinned",),
    "reserve": ("reserved", "failed"),
    "refresh": ("refreshed",),
    "release": ("released",),
    "cancel": ("cancelled",),
    "block": ("blocked",),
    "unblock": ("unblocked",),
    "read": (),
    "list": (),
}
#: What an answer that leaves open whether the seat was changed did to it, if it was.
_MAY: dict[tuple[str, str | None], str] = {
    ("hold", "held-or-had"): "held",
    ("pin", "let-in"): "pinned",
    ("reserve", "reserved-or-had"): "reserved",
    ("reserve", "spared"): "failed",
    ("block", "blocked-or-was"): "blocked",
    ("unblock", "unblocked-or-was-not"): "unblocked",
}


#: What has an effect whosever the seat is.
_BY_ANYBODY = ("hold", "block", "unblock")
#: The answers of an accept whose job has pinned the hold, or may have.
_ACCEPTED = ("pinned", "pinned-already", "let-in")


@dataclass(frozen=True)
class _Step:
    """An operation to be put in order.

    Attributes:
        first, last: between which it took effect, epoch ms.
        does: how it may change the seat.
        after: bits of the steps that all come before it: of a verdict, the accepts of its job.
        opens_before: bits of the steps that all come after it if it is this one that opens the job.
    """

    op: Op
    first: int
    last: int
    does: tuple[str, ...]
    after: int = 0
    opens_before: int = 0

    @property
    def passive(self) -> bool:
        """Whether it may leave the seat as it is."""
        return (self.op.kind, self.op.outcome) in _SAYS

    def settled_in(self, state: State, final: bool) -> bool:
        """Whether it cannot be needed to change the seat elsewhere, if it leaves it as it is in this state.

        Arguments:
            final: whether a reservation stays.
        """
        return (
            not self.does or (self.op.kind == "pin" and _joins(state, self.op)) or (final and _bought(state, self.op))
        )


class _Placed(NamedTuple):
    step: _Step
    did: str | None
    at: int
    before: "_Placed | None"


class _Node(NamedTuple):
    """A point of the search: which steps were placed, as bits, and what the seat is then."""

    done: int
    state: State
    now: int
    trail: _Placed | None


class _TwoVerdicts(Exception):
    """Raised when a job was told to have ended in two ways."""


def check_seat(ops: list[Op], *, hold_ms: int, max_hold_ms: int, budget: int = BUDGET) -> str | None:
    """None if one order of the operations explains them all; else what is wrong, for people.

    Arguments:
        ops: all operations on one seat, which nobody had touched before the first.
        hold_ms: length of a hold, ms.
        max_hold_ms: how long a hold may last however often it is refreshed, ms.
        budget: states to look at. When they are used up the text says that the search is inconclusive.

    Raises ValueError for an outcome that the operation's kind does not have.
    """
    try:
        required, optional = _steps(ops, hold_ms)
    except _TwoVerdicts as error:
        return str(error)
    return _Search(required, optional, hold_ms, max_hold_ms).run(budget)


def check(history: History, *, hold_ms: int, max_hold_ms: int) -> list[str]:
    """What is wrong with each seat; empty if the whole history is linearizable, that of a group taken as one
    operation on each of its seats. It is if each seat's is (Herlihy and Wing's locality)."""
    found = {seat: check_seat(ops, hold_ms=hold_ms, max_hold_ms=max_hold_ms) for seat, ops in history.by_seat().items()}
    return [f"seat {seat}: {text}" for seat, text in found.items() if text is not None]


def _steps(ops: list[Op], hold_ms: int) -> tuple[list[_Step], list[_Step]]:
    """The operations that have to be placed, and those that may be; each by `first`."""
    for op in ops:
        if (op.kind, op.outcome) not in _SAYS and op.outcome not in (None, *_DOES[op.kind]):
            raise ValueError(f"{op.kind} does not answer {op.outcome!r}")
    deadlines = {op.job: op.reserving_until for op in ops if op.kind == "pin" and op.job and op.reserving_until}
    steps = [
        _step(op, hold_ms, op.reserving_until or deadlines.get(op.job))
        for op in [*(op for op in ops if op.kind != "reserve"), *_verdicts(ops)]
        if op.outcome is not None or _DOES[op.kind]  # a read that was not answered says nothing
    ]
    steps.sort(key=lambda step: (step.op.outcome is None, step.first, step.last))
    accepts: dict[str, int] = {}
    jobs: dict[str, int] = {}
    for index, step in enumerate(steps):
        jobs[step.op.job] = jobs.get(step.op.job, 0) | 1 << index
        if step.op.kind == "pin" and step.op.outcome is not None:
            accepts[step.op.job] = accepts.get(step.op.job, 0) | 1 << index
    for index, step in enumerate(steps):
        if step.op.job:
            after = accepts.get(step.op.job, 0) if step.op.kind == "reserve" else 0
            steps[index] = replace(step, after=after, opens_before=jobs[step.op.job])
    required = [step for step in steps if step.op.outcome is not None]
    return required, steps[len(required) :]


def _step(op: Op, hold_ms: int, deadline: int | None) -> _Step:
    """An operation with all that is known of when it took effect.

    Arguments:
        deadline: of a reserve job and its accept, epoch ms: when it can only fail.
    """
    if op.outcome is None:
        last = _FOREVER if op.until_ms is None else op.until_ms - 1
        # One of several may have been spared, and its pin taken back.
        return _Step(op, op.call_ms, last, _DOES[op.kind][: 1 if op.seats == 1 else 2])
    firsts, lasts = [op.call_ms], [_FOREVER if op.return_ms is None else op.return_ms]
    exact = [] if op.at_ms is None else [op.at_ms]
    if op.outcome in ("held", "held-or-had") and op.expires_at is not None:
        exact.append(op.expires_at - hold_ms)
    if op.outcome == "refreshed" and op.expires_at is not None:
        firsts.append(op.expires_at - hold_ms)  # later, if there was less left than a hold's length
    by_deadline = op.outcome in _ACCEPTED or (op.kind == "reserve" and op.outcome != "failed")
    if by_deadline and deadline is not None:
        lasts.append(deadline - 1)
    did = _MAY.get((op.kind, op.outcome), op.outcome)
    if op.outcome == "pinned-already" and op.job:
        did = "pinned"
    does: tuple[str, ...] = (did,) if did in _DOES[op.kind] else ()
    if op.outcome == "failed" and does:
        does = ("failed", "failed late")
    return _Step(op, max(firsts + exact), min(lasts + exact), does)


def _verdicts(ops: list[Op]) -> list[Op]:
    """One reserve for each job: the same verdict may have been read by several, and by nobody."""
    jobs: dict[str, Op] = {}
    for op in ops:
        if op.kind == "reserve":
            # Without an id there is nothing to tell jobs apart by, or to bring them together.
            name = op.job or f"{op.user} {len(jobs)}"
            jobs[name] = _both(jobs[name], op) if name in jobs else op
    for op in ops:
        if op.kind == "pin" and (op.outcome in (*_ACCEPTED, None) or (op.outcome == "accepted" and op.job)):
            jobs.setdefault(op.job or op.user, replace(op, kind="reserve", outcome=None, until_ms=None))
    return list(jobs.values())


def _both(one: Op, two: Op) -> Op:
    """A verdict that two were told: it was there before the first of them was."""
    answered = [op for op in (one, two) if op.outcome is not None]
    if len({op.outcome for op in answered}) == 2:
        raise _TwoVerdicts(f"job {one.job} ended twice: {one.outcome} and {two.outcome}")
    returns = [op.return_ms for op in answered if op.return_ms is not None]
    return replace(answered[0] if answered else one, return_ms=min(returns, default=None))


class _Search:
    """The search for an order.

    Arguments:
        required: steps that have to be placed, by `first`.
        optional: steps that may be placed, by `first`.
        hold_ms, max_hold_ms: length of a hold, and of one that is refreshed for as long as it can be, ms.
    """

    def __init__(self, required: list[_Step], optional: list[_Step], hold_ms: int, max_hold_ms: int) -> None:
        self._steps = [*required, *optional]
        self._required = len(required)
        self._hold_ms = hold_ms
        self._max_hold_ms = max_hold_ms
        self._cancels = sum(1 << index for index, step in enumerate(self._steps) if "cancelled" in step.does)

    def run(self, budget: int) -> str | None:
        """None if there is an order, else an explanation."""
        everything = (1 << self._required) - 1
        best = _Node(0, _FREE, 0, None)
        been: dict[tuple[int, State], list[tuple[int, int]]] = {}
        looked_at = 0
        ticket = count()
        queue = [(0, 0, 0, 0, best)]
        while queue:
            node = self._absorbed(heappop(queue)[-1])
            done = node.done & everything
            if done == everything:
                return None
            if done.bit_count() > (best.done & everything).bit_count():
                best = node
            # No use in being here again, unless sooner or with another guess left to make.
            guessed = node.done & ~everything
            here = been.setdefault((done, node.state), [])
            if any(now <= node.now and not others & ~guessed for others, now in here):
                continue
            if looked_at == budget:
                return f"inconclusive: gave up after {budget} states; {self._explained(best)}"
            looked_at += 1
            here.append((guessed, node.now))
            for child in self._next(node):
                guesses, placed = (child.done >> self._required).bit_count(), (child.done & everything).bit_count()
                heappush(queue, (guesses, -placed, child.now, next(ticket), child))
        return f"not linearizable: {self._explained(best)}"

    def _absorbed(self, node: _Node) -> _Node:
        """With every step placed that fits now and changes nothing."""
        for index in self._open(node.done):
            step = self._steps[index]
            if step.first > node.now:
                break
            if not step.passive or not step.settled_in(node.state, self._final(node)):
                continue
            if any(move[:2] == (node.state, node.now) for move in self._moves(node, step, step.last)):
                trail = _Placed(step, None, node.now, node.trail)
                node = node._replace(done=node.done | 1 << index, trail=trail)
        return node

    def _open(self, done: int) -> Iterator[int]:
        """The required steps that are not placed, by `first`."""
        lowest = (~done & (done + 1)).bit_length() - 1
        return (index for index in range(lowest, self._required) if not done >> index & 1)

    def _final(self, node: _Node) -> bool:
        """Whether nothing can cancel a reservation any more."""
        return not self._cancels & ~node.done

    def _next(self, node: _Node) -> Iterator[_Node]:
        """What may come next."""
        horizon, able = _FOREVER, []
        for index in self._open(node.done):
            step = self._steps[index]
            if step.first > horizon:
                break
            horizon = min(horizon, step.last)
            able.append(index)
        waiting: _Node | None = None
        for index in [*able, *self._guesses(node, horizon)]:
            step = self._steps[index]
            for state, at, did in self._moves(node, step, horizon):
                child = _Node(node.done | 1 << index, state, at, _Placed(step, did, at, node.trail))
                before = _settled(node.state, at)
                needed = index < self._required and (did is not None or not step.settled_in(before, self._final(node)))
                if state != before or needed:
                    yield child
                elif did is None and (waiting is None or at < waiting.now):
                    waiting = child
        # Of the steps that only have to wait, the others are absorbed after the first.
        if waiting is not None:
            yield waiting

    def _guesses(self, node: _Node, horizon: int) -> Iterator[int]:
        """The steps without an answer that may have had an effect next; of those that are alike, the first."""
        alike = set()
        for index in range(self._required, len(self._steps)):
            step = self._steps[index]
            if step.first > horizon:
                return
            if node.done >> index & 1 or (step.op.kind not in _BY_ANYBODY and step.op.user != node.state.user):
                continue
            what = (step.op.kind, step.op.user, step.op.job, step.last)
            if what not in alike:
                alike.add(what)
                yield index

    def _moves(self, node: _Node, step: _Step, horizon: int) -> Iterator[tuple[State, int, str | None]]:
        """The ways to place a step next, by the horizon at the latest: the state after it, when, and
        what it did (None: nothing)."""
        if step.after & ~node.done:
            return
        for phase, first, last in _phases(node.state, node.now):
            at, end = max(first, step.first), min(last, step.last, horizon)
            if at > end:
                continue
            if step.passive and (seen := self._seen(step.op, phase, at)):
                yield _settled(*seen), seen[1], None
            for did in step.does:
                if (changed := self._changed(step, did, phase, at, end, node.done)) is not None:
                    yield _settled(changed, at), at, did

    def _seen(self, op: Op, state: State, at: int) -> tuple[State, int] | None:
        """What an answer that changes nothing tells of the seat, and when it was given at the earliest;
        None if it does not fit."""
        if not _SAYS[op.kind, op.outcome](state, op):
            return None
        if state.status != "On hold":
            return state, at
        expires, pin = state.expires, state.pin
        if op.expires_at is not None:
            if not expires.first <= op.expires_at <= expires.last:
                return None
            expires = Span(op.expires_at, op.expires_at)
            at = max(at, op.expires_at - self._hold_ms)
        if pin is None:
            expires = Span(max(expires.first, at + 1), expires.last)
        else:
            pin = Span(max(pin.first, at + 1), pin.last)
            if op.reserving_until is not None:
                pin = Span(max(pin.first, op.reserving_until), min(pin.last, op.reserving_until))
        start = state.start
        if op.outcome == "hold-ceiling":
            ceiling = self._ceiling(state._replace(expires=expires))
            expires = Span(max(expires.first, ceiling.first), min(expires.last, ceiling.last))
            if start is not None:
                start = Span(expires.first - self._max_hold_ms, expires.last - self._max_hold_ms)
        if expires.first > expires.last or (pin is not None and pin.first > pin.last):
            return None
        job = op.job if op.kind == "pin" and op.job and pin is not None else state.job
        return state._replace(expires=expires, pin=pin, job=job, start=start), at

    def _changed(self, step: _Step, did: str, state: State, at: int, end: int, done: int) -> State | None:
        """The seat after a change made between `at` and `end`; None if it could not be made."""
        op = step.op
        match did:
            case "held" if _free(state, op):
                ends = Span(at + self._hold_ms, end + self._hold_ms)
                return State("On hold", op.user, ends, loose=state.loose)
            case "refreshed" if _unpinned(state, op):
                return self._refreshed(op, state, at, end)
            case "released" if _free(state, op) or _unpinned(state, op):
                return _freed(state)
            case "released" if _blocked(state, op):
                return state
            case "blocked" if _free(state, op):
                return State("Blocked", loose=state.loose)
            case "unblocked" if _blocked(state, op):
                return _freed(state)
            case "cancelled" if _bought(state, op):
                return _FREE._replace(loose=self._open_jobs(op.user, end, done))
            case "reserved" if _of_job(state, op) or _met(state, op):
                return State("Reserved", op.user, loose=state.loose)
            case "failed" if _of_job(state, op):
                return state._replace(pin=None, job="")
            case "failed late":
                # Where nobody knows whose the pin is, it may be another job's.
                return None if _of_job(state, op) and state.job else state
            case "pinned" if _unpinned(state, op) and not done & step.opens_before:
                return self._pinned(op, state, at)
        return None

    def _ceiling(self, state: State) -> Span:
        """When the hold ends at the latest, however often it is refreshed."""
        since, ms = (state.expires, -self._hold_ms) if state.start is None else (state.start, 0)
        return Span(since.first + ms + self._max_hold_ms, since.last + ms + self._max_hold_ms)

    def _refreshed(self, op: Op, state: State, at: int, end: int) -> State | None:
        ceiling, told = self._ceiling(state), op.expires_at
        if state.expires.first >= ceiling.last:
            return None
        if told is None:
            ends = Span(min(at + self._hold_ms, ceiling.first), min(end + self._hold_ms, ceiling.last))
        elif told == at + self._hold_ms:  # which may be the ceiling too
            ends, ceiling = Span(told, told), Span(max(ceiling.first, told), ceiling.last)
        else:
            ends, ceiling = Span(told, told), Span(max(ceiling.first, told), min(ceiling.last, told))
        if ceiling.first > ceiling.last:
            return None
        start = Span(ceiling.first - self._max_hold_ms, ceiling.last - self._max_hold_ms)
        return state._replace(expires=ends, start=start)

    def _open_jobs(self, user: str, now: int, done: int) -> frozenset[str]:
        """The user's reserve jobs that may have been accepted by now, and have not ended. One that is accepted
        later has the next hold pinned until it ends, so that it makes no difference."""
        return frozenset(
            step.op.job
            for index, step in enumerate(self._steps)
            if step.op.kind == "reserve" and step.op.user == user and not done >> index & 1 and step.op.call_ms <= now
        )

    def _pinned(self, op: Op, state: State, at: int) -> State | None:
        expires = Span(max(state.expires.first, at + 1), state.expires.last)
        until = op.reserving_until
        pin = Span(at + 1, _FOREVER) if until is None else Span(until, until)
        if state.spent:
            expires = Span(max(expires.first, pin.first), expires.last)
            pin = Span(pin.first, min(pin.last, expires.last))
        if expires.first > expires.last:
            return None
        return state._replace(expires=expires, pin=pin, job=op.job, spent=True)

    def _explained(self, node: _Node) -> str:
        """The longest order found, the seat at its end, and what could not follow."""
        origin = min(step.op.call_ms for step in self._steps)
        placed: list[_Placed] = []
        trail = node.trail
        while trail is not None:
            placed.insert(0, trail)
            trail = trail.before
        horizon = min(max(self._steps[index].last, self._steps[index].op.call_ms) for index in self._open(node.done))
        left = [step for step in map(self._steps.__getitem__, self._open(node.done)) if step.op.call_ms <= horizon]
        fit = sum(p.step.op.outcome is not None for p in placed)
        lines = [
            f"{fit} of {self._required} operations can be put in order (times in ms after {origin})",
            *([f"  ... {len(placed) - _SHOWN} more before"] if len(placed) > _SHOWN else []),
            *(f"  at {p.at - origin}: {_told(p.step.op, origin, p.did)}" for p in placed[-_SHOWN:]),
            f"then, at {node.now - origin if placed else 0} or later, the seat is {_stated(node.state, origin)}",
            "and none of these can follow:",
            *(f"  {_told(step.op, origin)}" for step in left),
        ]
        return "\n".join(lines)


def _told(op: Op, origin: int, did: str | None = None) -> str:
    """An operation, for people; times after `origin`."""
    times = {"expires_at": op.expires_at, "reserving_until": op.reserving_until, "at": op.at_ms}
    answer = [
        op.outcome or f"no answer{f', taken as {did}' if did else ''}",
        *(["mine"] if op.mine else []),
        *(f"{name} {time - origin}" for name, time in times.items() if time is not None),
        *([f"job {op.job}"] if op.job else []),
    ]
    until = "?" if op.return_ms is None else op.return_ms - origin
    return f"{op.kind} by {op.user[:8]}, {op.call_ms - origin} to {until}: {', '.join(answer)}"


def _stated(state: State, origin: int) -> str:
    """A seat, for people; times after `origin`."""
    if state.status != "On hold":
        return f"{state.status} {state.user[:8]}".strip()

    def span(time: Span) -> str:
        last = f"{time.last - origin}" if time.last < _FOREVER else "?"
        return last if time.first == time.last else f"{time.first - origin}..{last}"

    pin = "" if state.pin is None else f", pinned until {span(state.pin)} by job {state.job or '?'}"
    return f"On hold for {state.user[:8]} until {span(state.expires)}{pin}"
