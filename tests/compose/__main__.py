"""`make test-compose`: builds the image, runs all of docker-compose.yml, and breaks it while seats are sold."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import httpx
from rich.console import Console
from rich.table import Table

from tests.compose import hostile
from tests.compose.load import Load
from tests.compose.stack import Stack, compose_command, service_of
from tests.compose.watch import Audience
from tests.e2e.conftest import Process
from tests.waiting import wait_for

OURS = ("api", "stream", "worker", "sweeper")
#: How many of these run: two, two, five and two.
ALL = 11
#: How many others do: HAProxy, both Redis servers, Prometheus, and what sends webhooks.
BESIDE = 5
OTHERS = ("haproxy", "redis", "queue", "api", "stream", "sweeper")
#: How long an HAProxy that has been replaced stays: `hard-stop-after`, seconds.
LEFT_S = 35
#: Of one address, in docker/haproxy.cfg.
CONNECTIONS = 500
#: `timeout http-request` there, and what a busy machine may add, seconds.
CUT_S, SLACK_S = 5, 3
#: Between a process's death and our clock's reading of it, seconds.
UNSURE_S = 0.1

_NO_TOOLS = """
import importlib.util, shutil, sys
left = [m for m in ("pip", "setuptools", "wheel", "ensurepip") if importlib.util.find_spec(m)]
left += [c for c in ("pip", "pip3", "gcc", "cc", "make") if shutil.which(c)]
sys.exit(", ".join(left))
"""
_METRICS_STATUS = """
import http.client
c = http.client.HTTPConnection("127.0.0.1", 3000); c.request("GET", "/metrics"); print(c.getresponse().status)
"""

console = Console(highlight=False, width=160)


class Demo:
    """An on-sale against the service, in a process of its own."""

    def __init__(self, stack: Stack, seats: int = 500) -> None:
        size = ("--seats", str(seats), "--buyers", str(2 * seats))
        self._sale = Process("demo", "--url", stack.url, *size, cwd=stack.folder)

    def wait_until_selling(self) -> None:
        """Until it has reported what was sold so far."""
        self._sale.wait_for_line(" holds, ", 60)

    def event(self) -> str:
        """The id of what is sold."""
        return self._sale.output.partition(" seats of event ")[2].partition(",")[0]

    def running(self) -> bool:
        return self._sale.process.poll() is None

    def audit(self) -> tuple[bool, str]:
        """Whether its audit passed, and what it says."""
        status = self._sale.join(240)
        return status == 0, self._sale.output.strip().splitlines()[-1]


class Drill:
    """The steps, and what each of them found.

    Arguments:
        stack: that is drilled.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._found: list[tuple[bool, str, str]] = []

    def note(self, passed: bool, what: str, measured: object) -> None:
        """Notes a finding."""
        self._found.append((passed, what, str(measured)))
        console.print(f"{'ok    ' if passed else 'FAILED'} {what}: {measured}", soft_wrap=True)

    def report(self) -> bool:
        """Prints all findings; returns whether all passed."""
        table = Table("", "what", "measured", box=None)
        for passed, what, measured in self._found:
            table.add_row("ok" if passed else "FAILED", what, measured)
        console.print(table)
        return all(passed for passed, _, _ in self._found)

    def start(self) -> None:
        """From nothing, without configuration; with one worker."""
        began = time.monotonic()
        self._stack.compose("build")
        built = time.monotonic()
        self._stack.compose("up", "-d", "--scale", "worker=1")
        self._wait_ready(1)
        self.note(True, "built, started", f"{built - began:.0f} s, {time.monotonic() - built:.0f} s until ready")

    def _ready(self) -> dict[str, object]:
        try:
            answer = httpx.get(f"{self._stack.url}/health/ready", trust_env=False, timeout=5)
            return dict(answer.json()) if answer.status_code == 200 else {}
        except (httpx.TransportError, ValueError):
            return {}

    def _wait_ready(self, workers: int) -> None:
        def whole() -> bool:
            ready = self._ready()
            return (ready.get("status"), ready.get("workers"), ready.get("sweepers")) == ("ready", workers, 2)

        wait_for(whole, 90)

    def scale(self) -> None:
        """Workers, from one to five, and nobody else."""
        others = {c["Id"] for c in self._stack.containers(*OTHERS)}
        began = time.monotonic()
        self._stack.compose("up", "-d", "--scale", "worker=5")
        self._wait_ready(5)
        took = time.monotonic() - began
        same = others == {c["Id"] for c in self._stack.containers(*OTHERS)}
        self.note(same, "workers 1 to 5, all others untouched", f"{took:.1f} s until all five work")
        wait_for(lambda: self._stack.healthy(*OURS) == ALL, 60)
        self.note(True, "containers of ours that are healthy", self._stack.healthy(*OURS))

    def containers(self) -> None:
        """How they run."""
        running = self._stack.containers()
        published = {
            service_of(c): sorted(
                {p["HostIp"] for ports in c["NetworkSettings"]["Ports"].values() for p in ports or ()}
            )
            for c in running
        }
        shown = {service: addresses for service, addresses in published.items() if addresses}
        self.note(shown == {"haproxy": ["127.0.0.1"], "prometheus": ["127.0.0.1"]}, "published", shown)
        users = {
            uid for c in running for uid in self._stack.docker("top", c["Id"], "-eo", "pid,uid").split()[3::2]
        }  # fmt: skip
        self.note(
            "0" not in users and len(running) == ALL + BESIDE, f"users of {len(running)} containers", sorted(users)
        )
        writable = [service_of(c) for c in running if not c["HostConfig"]["ReadonlyRootfs"]]
        self.note(not writable, "root file systems that are not read-only", len(writable))
        images = {c["Image"] for c in running if service_of(c) in OURS}
        self.note(len(images) == 1, "images of all of ours", len(images))
        api = self._stack.containers("api")[0]["Id"]
        tools = [
            self._stack.run("docker", "exec", api, python, "-c", _NO_TOOLS.replace("sys.exit(", "print("), check=False)
            for python in ("python", "/usr/local/bin/python")
        ]
        self.note(
            tools == ["\n", "\n"], "build tools in the image", ", ".join(t.strip() for t in tools if t.strip()) or 0
        )

    def refusals(self) -> None:
        """What does not get past HAProxy."""
        port = self._stack.port
        answers = {name: hostile.status(port, sent) for name, sent in hostile.MALFORMED.items()}
        wrong = {name: answer for name, answer in answers.items() if answer != 400}
        self.note(
            not wrong, "malformed requests answered 400", f"{len(answers) - len(wrong)} of {len(answers)} {wrong or ''}"
        )
        proper = hostile.status(port, hostile.get("/health/live"))
        self.note(proper == 200, "a proper one", proper)
        seen = [hostile.status(port, hostile.get(path)) for path in hostile.METRICS]
        self.note(set(seen) == {404}, "/metrics from outside", seen)
        api = self._stack.containers("api")[0]["Id"]
        inside = self._stack.docker("exec", api, "python", "-c", _METRICS_STATUS).strip()
        self.note(inside == "401", "/metrics from inside, without the token", inside)
        for name, (answer, after_s) in hostile.cut_after_s(port).items():
            passed = answer == 408 and CUT_S - 1 < after_s < CUT_S + SLACK_S
            self.note(passed, f"a slow {name}", f"{answer} after {after_s:.1f} s")
        kind = hostile.problem(port, hostile.get("/metrics"))
        self.note(kind == "application/problem+json", "what that answer is", kind)
        served = hostile.served_of(port, CONNECTIONS + 20)
        self.note(0 < served <= CONNECTIONS, f"connections served of {CONNECTIONS + 20} of one address", served)

    def addresses(self) -> None:
        """Nobody chooses the address for which they are counted: not past HAProxy, and not through it."""
        most = 30  # RATE_LIMIT_EVENTS, in a minute
        networks = self._stack.containers("api")[0]["NetworkSettings"]["Networks"].values()
        ways = [(network["IPAddress"], 3000) for network in networks] + [("127.0.0.1", self._stack.port)]
        created = [hostile.events_created(address, port, most + 10) for address, port in ways]
        self.note(
            max(created) <= most, f"events of {most + 10} forged addresses, past HAProxy twice, and through", created
        )

    def prometheus(self) -> None:
        """Everybody is scraped."""
        base = f"{self._stack.prometheus}/api/v1"

        def states() -> list[tuple[str, str]]:
            targets = httpx.get(f"{base}/targets", trust_env=False).json()["data"]["activeTargets"]
            return sorted((target["labels"]["job"], target["health"]) for target in targets)

        running = {"api": 2, "stream": 2, "worker": 5, "sweeper": 2, "webhooks": 1}
        expected = sorted((job, "up") for job, count in running.items() for _ in range(count))
        _tried(lambda: states() == expected, 45)
        up = [job for job, health in states() if health == "up"]
        self.note(states() == expected, "scraped", ", ".join(f"{up.count(job)} {job}" for job in running))
        groups = httpx.get(f"{base}/rules", trust_env=False).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        bad = [rule["name"] for rule in rules if rule["health"] == "err"]
        self.note(bool(rules) and not bad, "alerts loaded", f"{len(rules)}, {len(bad)} in error")

    def demo(self) -> None:
        """Seats are sold and audited, through HAProxy."""
        self.note(*_flat(Demo(self._stack, 200).audit(), "a sale"))

    def onsale(self) -> None:
        """All that there is: a waiting room, VIPs, and webhooks, whose receiver is outside."""
        size = ("--seats", "200", "--buyers", "120", "--listen", self._stack.host())
        sale = Process("demo", "--scenario", "onsale", "--url", self._stack.url, *size, cwd=self._stack.folder)
        status, said = sale.join(240), sale.output.strip().splitlines()
        self.note(status == 0, "an opening night", "; ".join(line for line in said if line.endswith(" wrong")))
        self.note(status == 0, "in the end", said[-1])

    def kill(self) -> None:
        """One of each, while seats are sold. Docker starts them again."""
        demo = Demo(self._stack)
        with Load(self._stack.url) as load:
            demo.wait_until_selling()
            with Audience(self._stack.url, demo.event()) as audience:
                killed = {service: self._stack.kill(service) for service in ("stream", "worker", "sweeper")}
                before = time.monotonic()
                killed["api"] = self._stack.kill("api")
                killed_s = time.monotonic()
                self.note(demo.running(), "killed during the sale", ", ".join(killed))
                _tried(lambda: self._stack.healthy(*OURS) == ALL, 60)
                self._wait_ready(5)
                sale = demo.audit()
                watched = audience.finding()
        failed = load.failed()
        flight = [r for r in failed if r.sent_s < killed_s + UNSURE_S and r.ended_s > before - UNSURE_S]
        self.note(
            len(flight) == len(failed) <= load.clients,
            "requests lost with the killed API, and others",
            f"{len(flight)} and {len(failed) - len(flight)} of {len(load.requests)} "
            f"({load.outcomes()}; the slowest {load.slowest_ms():.0f} ms)",
        )
        for request in failed:
            console.print(f"       {request.outcome} {request.what} {request.sent_s - killed_s:+.3f} s")
        self.note(*_flat(sale, "the sale meanwhile"))
        self.note(*_flat(watched, "who watched it"))
        back = {service_of(c): c["RestartCount"] for c in self._stack.containers(*OURS) if c["Id"] in killed.values()}
        self.note(back == dict.fromkeys(OURS, 1), "killed ones that are back", back)

    def roll(self) -> None:
        """Every API is replaced, and nobody notices; and every stream service, which who watches goes on after."""
        old = {c["Id"] for c in self._stack.containers("api", "stream")}
        began = time.monotonic()
        with ExitStack() as watching:
            with Load(self._stack.url) as load:
                audience = watching.enter_context(Audience(self._stack.url, load.event))
                self._stack.run("docker/roll")
                took = time.monotonic() - began
            watched = audience.finding()
        new = {c["Id"] for c in self._stack.containers("api", "stream")}
        replaced = f"{len(new - old)} in {took:.0f} s"
        self.note(len(new) == len(old) == 4 and not new & old, "APIs and stream services replaced", replaced)
        failed = load.failed()
        measured = f"{len(failed)} of {len(load.requests)} ({load.outcomes()}; the slowest {load.slowest_ms():.0f} ms)"
        self.note(not failed and len(load.requests) > 500, "requests lost meanwhile", measured)
        self.note(*_flat(watched, "who watched meanwhile"))
        self.note(not audience.refused, "of them refused", audience.refused)

    def restart_redis(self) -> None:
        """Both, one after the other, while seats are sold."""
        demo = Demo(self._stack)
        demo.wait_until_selling()
        with Audience(self._stack.url, demo.event()) as audience:
            for service in ("queue", "redis"):
                began = time.monotonic()
                self._stack.docker("restart", self._stack.containers(service)[0]["Id"])
                self.note(demo.running(), f"{service} restarted during the sale", f"{time.monotonic() - began:.1f} s")
                self._wait_ready(5)
            self.note(*_flat(demo.audit(), "the sale meanwhile"))
            self.note(*_flat(audience.finding(), "who watched it"))

    def outage(self) -> None:
        """While the state is gone an API says so itself, and what needs none of it is served."""
        redis = self._stack.containers("redis")[0]["Id"]
        self._stack.docker("stop", redis)

        def seen() -> tuple[object, ...]:
            ready, live = (
                httpx.get(f"{self._stack.url}/health/{which}", trust_env=False, timeout=5)
                for which in ("ready", "live")
            )
            return ready.status_code, ready.json().get("state"), live.status_code

        _tried(lambda: seen() == (503, "down", 200), 20)
        self.note(seen() == (503, "down", 200), "without the state: ready, why, live", seen())
        self._stack.docker("start", redis)
        self._wait_ready(5)

    def reload(self) -> None:
        """HAProxy reads its configuration again, and nobody notices."""
        haproxy = self._stack.containers("haproxy")[0]["Id"]

        def processes() -> int:
            return len(self._stack.docker("top", haproxy, "-eo", "pid").split()) - 1

        with ExitStack() as watching:
            with Load(self._stack.url) as load:
                audience = watching.enter_context(Audience(self._stack.url, load.event))
                for _ in range(2):
                    self._stack.docker("kill", "-s", "USR2", haproxy)
                    time.sleep(3)
                kept = sum(watcher.again for watcher in audience.watchers)
                self.note(not kept, "who watched and was cut off by that", kept)
            _tried(lambda: processes() == 2, LEFT_S + 15)
            self.note(processes() == 2, "processes of HAProxy after that", processes())
            watched = audience.finding()
        failed = load.failed()
        measured = f"{len(failed)} of {len(load.requests)} ({load.outcomes()})"
        self.note(not failed and len(load.requests) > 100, "requests lost while HAProxy read its file twice", measured)
        self.note(*_flat(watched, "who watched meanwhile"))

    def logs(self) -> None:
        """What they write reaches the host."""
        lines = {
            role: sum(
                len(path.read_bytes().splitlines()) for path in (self._stack.folder / "logs").glob(f"{role}-*.log")
            )
            for role in OURS
        }
        self.note(all(lines.values()), "lines in logs/", lines)


def _flat(audit: tuple[bool, str], what: str) -> tuple[bool, str, str]:
    return audit[0], what, audit[1]


def _tried(condition: Callable[[], bool], timeout_s: float) -> None:
    """Waits for a condition that is looked at once more afterwards."""
    until = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < until:
        time.sleep(0.5)


def main() -> int:
    command = compose_command()
    if command is None:
        console.print("No docker with compose answers here.", style="red")
        return 2
    began = time.monotonic()
    with Stack(command) as stack:
        drill = Drill(stack)
        steps = (drill.start, drill.scale, drill.containers, drill.refusals, drill.prometheus, drill.demo, drill.onsale)
        try:
            for step in (
                *steps,
                drill.kill,
                drill.roll,
                drill.reload,
                drill.restart_redis,
                drill.outage,
                drill.addresses,
                drill.logs,
            ):
                step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the drill has failed and has to clean up
            drill.note(False, f"{step.__name__} broke off", f"{type(error).__name__}: {error}")
            console.print(stack.compose("ps", check=False), stack.compose("logs", "--tail", "15", check=False))
    passed = drill.report()
    console.print(f"\n{'Passed' if passed else 'FAILED'} in {time.monotonic() - began:.0f} s.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
