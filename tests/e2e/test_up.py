"""`reservation up`: starts, heals, and leaves nothing behind, however it ends."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import redis

from reservation import embedded
from reservation.embedded import EmbeddedRedis
from reservation_client import Job
from tests.conftest import wait_for
from tests.e2e.conftest import COMMAND, Process, Service, clean_environment, free_port, gone
from tests.web import JWT

Make = Callable[..., Service]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(make_service: Make, how: signal.Signals) -> None:
    """By Ctrl-C, SIGTERM, and SIGKILL of the parent, which can then do nothing about it."""
    service = make_service()
    family = service.process.family()
    assert sum("redis-server" in name or "valkey-server" in name for name in family.values()) == 2, family
    assert len(family) >= 7
    status = service.process.stop(how)
    wait_for(lambda: gone(list(family)), 20)
    if how != signal.SIGKILL:
        assert status == 0
        assert "stopped" in service.process.output


def test_what_was_sold_is_there_after_a_restart(make_service: Make) -> None:
    """The embedded server's data is in var/."""
    service = make_service()
    event, user = service.create(10), str(uuid4())
    assert service.buyer(user).hold(f"{event}-1").result()
    assert service.buyer(user).reserve(f"{event}-1").result()
    service.close()
    again = make_service()
    assert again.buyer(user).get_seat(f"{event}-1").user == user
    assert again.buyer().list_free_seats(event).total == 9


def test_the_queue_has_a_server_of_its_own(make_service: Make) -> None:
    """One that waits for no disk: it has nothing on it, while the state's has all that it answered."""
    service = make_service()
    event = service.create(10)
    assert service.buyer().hold(f"{event}-1").result()
    state, queue = service.folder / "var" / "redis", service.folder / "var" / "queue"
    assert _told(state) == {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction"}
    assert _told(queue).items() >= {"appendonly": "no", "save": "", "maxmemory-policy": "noeviction"}.items()
    with redis.Redis.from_url(embedded.url(state)) as seats, redis.Redis.from_url(embedded.url(queue)) as messages:
        assert seats.info("server")["process_id"] != messages.info("server")["process_id"]
        assert set(seats.info("keyspace")) == {"db0"}
        assert not seats.keys("*dramatiq:*")
        assert messages.exists("{dramatiq:seat_operations}:__heartbeats__")
    service.close()
    assert {path.name for path in queue.iterdir()} <= {"lock", "redis.sock"}


def _told(data_dir: Path) -> dict[str, str]:
    """How the server of a folder is set."""
    names = ("appendonly", "appendfsync", "save", "maxmemory-policy")
    with redis.Redis.from_url(embedded.url(data_dir), decode_responses=True) as client:
        return {name: client.config_get(name)[name] for name in names}


def _part(service: Service, name: str) -> int:
    """The pid of a part, by what is in its command line."""
    return next(pid for pid, line in service.process.family().items() if name in line)


def _hold_all(service: Service, seats: int) -> list[Job]:
    """The accepted holds of so many seats of a new event, each by another user."""
    event = service.create(seats)
    return [service.buyer().hold(f"{event}-{number}", wait_s=0) for number in range(1, seats + 1)]


def test_accepted_jobs_outlive_a_restart(make_service: Make) -> None:
    """The queue is empty after it; what nobody had carried out is sent again, and ends."""
    service = make_service(WORKER_PROCESSES="1")
    worker = _part(service, " worker")
    os.kill(worker, signal.SIGSTOP)
    accepted = _hold_all(service, 20)
    os.kill(worker, signal.SIGKILL)  # at work, it would give back what it has, and keep the stop waiting
    service.close()
    assert "restarted" not in service.process.output, "somebody could have carried them out"
    again = make_service(WORKER_PROCESSES="1")
    assert all(again.buyer().wait_for_job(job).result() for job in accepted)


def test_accepted_jobs_outlive_the_queues_server(make_service: Make) -> None:
    """It is killed with all their messages in it, and comes back without any."""
    service = make_service(WORKER_PROCESSES="1")
    worker = _part(service, " worker")
    os.kill(worker, signal.SIGSTOP)
    accepted = _hold_all(service, 20)
    os.kill(_part(service, "queue/redis.sock"), signal.SIGKILL)
    service.process.wait_for_line("restarted")
    os.kill(worker, signal.SIGCONT)
    assert all(service.buyer().wait_for_job(job).result() for job in accepted)


_PARTS = [
    *(" worker", " api", " sweeper"),
    *(" reservation.embedded var/redis", "redis/redis.sock", " reservation.embedded var/queue", "queue/redis.sock"),
]


@pytest.mark.parametrize("part", _PARTS)
def test_a_part_that_is_killed_comes_back(make_service: Make, part: str) -> None:
    """Jobs are carried out again, and what was sold is sold: of each Redis, the server itself or its keeper."""
    service = make_service(WORKER_PROCESSES="1")
    event, owner = service.create(10), str(uuid4())
    assert service.buyer(owner).hold(f"{event}-2").result()
    assert service.buyer(owner).reserve(f"{event}-2").result()
    os.kill(_part(service, part), signal.SIGKILL)
    service.process.wait_for_line("restarted")
    wait_for(lambda: _is_ready(service), 20)
    assert service.buyer(owner).get_seat(f"{event}-2").user == owner
    assert service.buyer().hold(f"{event}-1").result()


def _is_ready(service: Service) -> bool:
    try:
        return bool(httpx.get(f"{service.http.base_url}/health/ready", timeout=2).json()["status"] == "ready")
    except (httpx.HTTPError, ValueError):
        return False


def test_a_redis_of_ones_own_is_used(redis_server: EmbeddedRedis, make_service: Make) -> None:
    """With REDIS_URL set, no server is started."""
    service = make_service(REDIS_URL=redis_server.url())
    assert not any("-server" in name for name in service.process.family().values())
    event = service.create(10)
    assert service.buyer().hold(f"{event}-1").result()


def test_several_api_processes_share_the_port(make_service: Make) -> None:
    """Each answers some of the requests."""
    service = make_service(API_PROCESSES="2")
    assert sum(" api " in name for name in service.process.family().values()) == 2
    event = service.create(10)
    assert service.buyer().hold(f"{event}-1").result()


def test_the_apis_parent_stops_listening_first(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """Who connects while its processes finish is refused, rather than left waiting for nobody."""
    port = free_port()
    process = Process("api", "--processes", "2", cwd=tmp_path, PORT=str(port), REDIS_URL=redis_server.url())
    wait_for(lambda: process.output.count("serving") == 2, 20)
    with socket.create_connection(("127.0.0.1", port)) as busy:
        busy.sendall(b"POST /events/create HTTP/1.1\r\nContent-Length: 50\r\n\r\n")  # keeps its process draining
        process.process.terminate()
        wait_for(lambda: not _accepts(port), 5)
        assert process.process.poll() is None
    assert process.stop() == 0


def test_a_worker_command_runs_several_processes(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    """One that is killed comes back, and SIGTERM stops all."""
    process = Process("worker", "--processes", "2", cwd=tmp_path, REDIS_URL=redis_server.url())
    wait_for(lambda: process.output.count("worker started") == 2, 20)
    family = process.family()
    assert len(family) == 2
    os.kill(min(family), signal.SIGKILL)
    wait_for(lambda: process.output.count("worker started") == 3, 20)
    family |= process.family()
    assert process.stop() == 0
    assert gone(list(family))


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_bad_setting_stops_the_start(tmp_path: Path) -> None:
    """With one line that names it."""
    for command in ("up", "api", "worker", "sweeper"):
        process = Process(command, cwd=tmp_path, LOCK_EXPIRATION_TIME="soon", REDIS_URL="redis://127.0.0.1:1")
        assert process.process.wait(20) == 1
        process.stop()
        assert process.output.startswith("Error: LOCK_EXPIRATION_TIME: ")
        assert len(process.output.splitlines()) == 1


def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    """Before anything else is started."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        process = Process("up", cwd=tmp_path, PORT=str(taken.getsockname()[1]))
        assert process.process.wait(20) == 1
    process.stop()
    assert process.output.startswith("Error: PORT: ")
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("name", "value"), [("LOG_DIR", "/dev/null/x"), ("VAR_DIR", "/dev/null/x"), ("HOST", "999.1.1.1")]
)
def test_a_place_that_cannot_be_used_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    """In one line, with the setting's name."""
    process = Process("up", cwd=tmp_path, **{"PORT": str(free_port()), name: value})
    assert process.process.wait(20) == 1
    process.stop()
    assert process.output.startswith(f"Error: {name}: ")
    assert len(process.output.splitlines()) == 1


def test_a_server_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """By name, rather than with a service that is never ready."""
    process = Process("up", cwd=tmp_path, PORT=str(free_port()), REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert process.process.wait(30) == 1
    process.stop()
    assert process.output.startswith("Error: REDIS_URL: ")


def test_a_server_that_would_drop_seats_stops_the_start(tmp_path: Path) -> None:
    """Of whatever part, in one line with the remedy."""
    evicting = ["--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"]
    with tempfile.TemporaryDirectory(prefix="reservation-") as folder, EmbeddedRedis(Path(folder), evicting) as server:
        for command in ("up", "api", "worker", "sweeper"):
            process = Process(command, cwd=tmp_path, PORT=str(free_port()), REDIS_URL=server.url())
            assert process.process.wait(30) == 1
            process.stop()
            assert process.output.startswith("Error: REDIS_URL: the server drops seats")
            assert "set maxmemory-policy noeviction" in process.output.splitlines()[0]


def test_one_folder_has_one_server(make_service: Make) -> None:
    """A second `up` in the same folder says so, and the first goes on."""
    service = make_service()
    second = Process("up", cwd=service.folder, PORT=str(free_port()))
    assert second.process.wait(30) == 1
    second.stop()
    assert second.output.startswith("Error: VAR_DIR: another service is using ")
    assert service.create(10)


def test_a_stopping_worker_gives_its_jobs_back(redis_server: EmbeddedRedis, make_service: Make) -> None:
    """SIGTERM under a backlog: all jobs end, none waits for a heartbeat to lapse."""
    service = make_service(REDIS_URL=redis_server.url(), WORKER_PROCESSES="2")
    queued = _hold_all(service, 300)
    os.kill(_part(service, " worker"), signal.SIGTERM)
    began = time.monotonic()
    assert all(service.buyer().wait_for_job(job).result() for job in queued)
    assert time.monotonic() - began < 8


def test_in_production_tokens_say_who_asks(make_service: Make) -> None:
    """It does not start without; with them, a sale goes as ever, and no file says who bought."""
    folder = Path(tempfile.mkdtemp(prefix="reservation-"))
    refused = Process("up", cwd=folder, ENVIRONMENT="production", PORT=str(free_port()))
    assert refused.process.wait(20) == 1
    refused.wait_for_line("AUTH_MODE: is none")
    refused.stop()
    folder.rmdir()  # it has made nothing

    environment = {name.upper(): str(value) for name, value in JWT.items()} | {"ENVIRONMENT": "production"}
    service = make_service(**environment)
    assert "bearer tokens, HS256" in service.process.output
    assert "AUDIT_KEY: is not set" in service.process.output
    user, http = str(uuid4()), service.http

    def token(*arguments: str) -> str:
        command = [*COMMAND, "token", "--user", user, *arguments]
        done = subprocess.run(command, env=clean_environment(**environment), capture_output=True, text=True, check=True)
        return f"Bearer {done.stdout.strip()}"

    new = {"name": "Opening night", "totalSeats": 10}
    assert http.post("/events/create", json=new).status_code == 401
    http.headers["Authorization"] = token()
    assert http.post("/events/create", json=new).status_code == 403
    made = http.post("/events/create", json=new, headers={"Authorization": token("--scope", "events:write")})
    seat = {"id": f"{made.json()['id']}-1"}
    key = {"Idempotency-Key": user, "X-Request-ID": user}
    held = [http.post("/seats/hold", json=seat, headers=key) for _ in range(2)]
    assert held[0].json() == held[1].json()
    assert service.result(held[0])["result"]["seat"]["UUID"] == user
    assert service.result(http.post("/seats/reserve", json=seat, headers=key))["result"]["success"] is True
    assert http.get("/health/ready").json()["rateLimits"] == "up"
    demo = [*COMMAND, "demo", "--url", f"http://127.0.0.1:{service.port}", "--seats", "20", "--buyers", "20"]
    subprocess.run(demo, env=clean_environment(**environment), capture_output=True, check=True, timeout=60)
    service.close()
    logged = [path.read_text() for path in (service.folder / "logs").iterdir()]
    assert sum(text.count(made.json()["id"]) for text in logged) >= 4
    assert not [text for text in logged if user in text or user.replace("-", "") in text]
