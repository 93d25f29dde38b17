"""The clients: one that waits, one that is awaited. They carry out the steps of `Operations` over httpx, no more."""

import asyncio
import inspect
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar
from uuid import UUID

import httpx

from reservation_client.errors import NoAnswer, Problem
from reservation_client.operations import Operations, Policy
from reservation_client.steps import Answer, Batches, GetToken, NextLine, Pause, Request, Step, Steps, TokenSource
from reservation_client.version import __version__

P = ParamSpec("P")
T = TypeVar("T")
Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)

_HEADERS = {"Accept": "application/json", "User-Agent": f"seat-reservation-client/{__version__}"}
#: After these another attempt may go better; after the first few, nothing was sent.
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_TRANSIENT = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)


class _Base(Generic[Http]):
    """What both clients have."""

    def __init__(
        self,
        url: str,
        *,
        user: str | UUID | None = None,
        token: TokenSource | None = None,
        wait_s: float = 60,
        patience_s: float = 30,
        timeout_s: float = 10,
        on_repeat: Callable[[NoAnswer | Problem], None] | None = None,
        http: Http | None = None,
    ) -> None:
        """
        Arguments:
            url: where the service is.
            user: who asks: a UUID that nobody else knows. It may be left out where a token says so.
            token: a bearer token, or a function that gets one, which is called for the first request and whenever a
                token is not accepted any more.
            wait_s: how long holds and reservations are waited for, seconds.
            patience_s: how long is tried to get an answer, with all repetitions, seconds.
            timeout_s: how long one attempt may take, seconds.
            on_repeat: told why, each time a request is sent again.
            http: what requests are sent with, if it shall be special (proxies, certificates, a number of connections).
                It is not closed here.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url} is not a URL: {error}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"{url} is not a URL: it has to start with http:// or https:// and a name")
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        policy = Policy(wait_s=wait_s, patience_s=patience_s, on_repeat=on_repeat)
        self._operations = Operations(str(user or ""), token, policy)
        self._own = http is None
        self._http: Http = self._connect() if http is None else http

    @abstractmethod
    def _connect(self) -> Http: ...

    def acting_for(self, user: str | UUID | None = None, *, token: TokenSource | None = None) -> Self:
        """The same client for another user, over the same connections. It need not be closed."""
        policy = self._operations.policy
        return type(self)(
            self._url,
            user=user,
            token=token,
            wait_s=policy.wait_s,
            patience_s=policy.patience_s,
            timeout_s=self._timeout_s,
            on_repeat=policy.on_repeat,
            http=self._http,
        )

    def _prepare(self, request: Request) -> httpx.Request:
        url = self._url + request.path if request.path.startswith("/") else request.path
        return self._http.build_request(
            request.method,
            url,
            json=request.body,
            headers=_HEADERS | dict(request.headers),
            timeout=httpx.Timeout(self._timeout_s, read=self._timeout_s + request.wait_s),
        )


def _answer(response: httpx.Response, body: bytes) -> Answer:
    return Answer(response.status_code, response.headers, body)


def _no_answer(error: httpx.RequestError) -> NoAnswer:
    why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    failure = NoAnswer(why, unsent=isinstance(error, _UNSENT), transient=isinstance(error, _TRANSIENT))
    failure.__cause__ = error
    return failure


# The one that waits --------------------------------------------------------------------------------------------------


class _Wire:
    """Carries out steps. It has the last stream that was asked for."""

    def __init__(self, http: httpx.Client, prepare: Callable[[Request], httpx.Request]) -> None:
        self._http = http
        self._prepare = prepare
        self._stream: httpx.Response | None = None
        self._lines: Iterator[str] = iter(())

    def run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    result = self._carry_out(step)
                except httpx.RequestError as error:
                    step = steps.throw(_no_answer(error))
                else:
                    step = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    def _carry_out(self, step: Step) -> object:
        match step:
            case Request():
                self.close()
                response = self._http.send(self._prepare(step), stream=step.stream, follow_redirects=False)
                if not step.stream:
                    return _answer(response, response.content)
                if response.status_code == httpx.codes.OK:
                    self._stream, self._lines = response, response.iter_lines()
                    return _answer(response, b"")
                body = response.read()
                response.close()
                return _answer(response, body)
            case NextLine():
                return next(self._lines, None)
            case Pause():
                time.sleep(step.seconds)
            case GetToken():
                return step.source()
        return None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _blocking(conversation: Callable[Concatenate[Operations, P], Steps[T]]) -> Callable[Concatenate["Client", P], T]:
    @wraps(conversation)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return _Wire(self._http, self._prepare).run(conversation(self._operations, *args, **kwargs))

    return method


def _iterating(
    conversations: Callable[Concatenate[Operations, P], Batches[T]],
) -> Callable[Concatenate["Client", P], Iterator[T]]:
    @wraps(conversations)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        wire = _Wire(self._http, self._prepare)
        try:
            for steps in conversations(self._operations, *args, **kwargs):
                yield from wire.run(steps)
        finally:
            wire.close()

    return method


class Client(_Base[httpx.Client]):
    """The service, for threads: each call returns when it is done. Several threads may share one."""

    create_event = _blocking(Operations.create_event)
    get_event = _blocking(Operations.get_event)
    change_event = _blocking(Operations.change_event)
    list_events = _iterating(Operations.list_events)
    get_layout = _blocking(Operations.get_layout)
    get_seat_map = _blocking(Operations.get_seat_map)
    list_free_seats = _blocking(Operations.list_free_seats)
    list_own_seats = _blocking(Operations.list_own_seats)
    audit = _iterating(Operations.audit)
    watch = _iterating(Operations.watch)
    get_seat = _blocking(Operations.get_seat)
    hold = _blocking(Operations.hold)
    hold_best = _blocking(Operations.hold_best)
    refresh = _blocking(Operations.refresh)
    reserve = _blocking(Operations.reserve)
    release = _blocking(Operations.release)
    cancel = _blocking(Operations.cancel)
    block = _blocking(Operations.block)
    unblock = _blocking(Operations.unblock)
    get_job = _blocking(Operations.get_job)
    wait_for_job = _blocking(Operations.wait_for_job)
    draw_ticket = _blocking(Operations.draw_ticket)
    get_ticket = _blocking(Operations.get_ticket)
    wait_for_admission = _blocking(Operations.wait_for_admission)
    call = _blocking(Operations.call)

    def _connect(self) -> httpx.Client:
        return httpx.Client()

    def close(self) -> None:
        """Closes the connections."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# The one that is awaited ---------------------------------------------------------------------------------------------


class _AsyncWire:
    """The same as `_Wire`, awaited."""

    def __init__(self, http: httpx.AsyncClient, prepare: Callable[[Request], httpx.Request]) -> None:
        self._http = http
        self._prepare = prepare
        self._stream: httpx.Response | None = None
        self._lines: AsyncIterator[str] | None = None

    async def run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    result = await self._carry_out(step)
                except httpx.RequestError as error:
                    step = steps.throw(_no_answer(error))
                else:
                    step = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    async def _carry_out(self, step: Step) -> object:
        match step:
            case Request():
                await self.close()
                response = await self._http.send(self._prepare(step), stream=step.stream, follow_redirects=False)
                if not step.stream:
                    return _answer(response, response.content)
                if response.status_code == httpx.codes.OK:
                    self._stream, self._lines = response, response.aiter_lines()
                    return _answer(response, b"")
                body = await response.aread()
                await response.aclose()
                return _answer(response, body)
            case NextLine():
                return await anext(self._lines, None) if self._lines else None
            case Pause():
                await asyncio.sleep(step.seconds)
            case GetToken():
                token = step.source()
                return await token if inspect.isawaitable(token) else token
        return None

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None


def _awaited(
    conversation: Callable[Concatenate[Operations, P], Steps[T]],
) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    @wraps(conversation)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _AsyncWire(self._http, self._prepare).run(conversation(self._operations, *args, **kwargs))

    return method


def _aiterating(
    conversations: Callable[Concatenate[Operations, P], Batches[T]],
) -> Callable[Concatenate["AsyncClient", P], AsyncIterator[T]]:
    @wraps(conversations)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        wire = _AsyncWire(self._http, self._prepare)
        try:
            for steps in conversations(self._operations, *args, **kwargs):
                for each in await wire.run(steps):
                    yield each
        finally:
            await wire.close()

    return method


class AsyncClient(_Base[httpx.AsyncClient]):
    """The service, for asyncio: each call is awaited. `contextlib.aclosing` ends an iteration that is left early."""

    create_event = _awaited(Operations.create_event)
    get_event = _awaited(Operations.get_event)
    change_event = _awaited(Operations.change_event)
    list_events = _aiterating(Operations.list_events)
    get_layout = _awaited(Operations.get_layout)
    get_seat_map = _awaited(Operations.get_seat_map)
    list_free_seats = _awaited(Operations.list_free_seats)
    list_own_seats = _awaited(Operations.list_own_seats)
    audit = _aiterating(Operations.audit)
    watch = _aiterating(Operations.watch)
    get_seat = _awaited(Operations.get_seat)
    hold = _awaited(Operations.hold)
    hold_best = _awaited(Operations.hold_best)
    refresh = _awaited(Operations.refresh)
    reserve = _awaited(Operations.reserve)
    release = _awaited(Operations.release)
    cancel = _awaited(Operations.cancel)
    block = _awaited(Operations.block)
    unblock = _awaited(Operations.unblock)
    get_job = _awaited(Operations.get_job)
    wait_for_job = _awaited(Operations.wait_for_job)
    draw_ticket = _awaited(Operations.draw_ticket)
    get_ticket = _awaited(Operations.get_ticket)
    wait_for_admission = _awaited(Operations.wait_for_admission)
    call = _awaited(Operations.call)

    def _connect(self) -> httpx.AsyncClient:
        return httpx.AsyncClient()

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._own:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
