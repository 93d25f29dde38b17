"""`reservation demo --scenario onsale`: all that there is, at one sale, and everything in agreement afterwards."""

from collections.abc import Callable

from tests.e2e.conftest import Process, Service

SIGNED = {
    "AUTH_MODE": "jwt",
    "JWT_ALGORITHM": "HS256",
    "JWT_KEY": "k" * 32,
    "JWT_AUDIENCE": "sale",
    "JWT_ISSUER": "e2e",
}
TELLING = {"WEBHOOKS": "on", "WEBHOOK_ALLOW_PRIVATE": "on"}


def _demo(service: Service, **environment: str) -> Process:
    arguments = ("--scenario", "onsale", "--url", str(service.http.base_url), "--seats", "60", "--buyers", "40")
    demo = Process("demo", *arguments, "--seed", "1", cwd=service.folder, **environment)
    demo.join(120)
    return demo


def test_everything_agrees_with_everything_else(make_service: Callable[..., Service]) -> None:
    """With tokens, so that who goes first may."""
    service = make_service(**SIGNED, **TELLING)
    demo = _demo(service, **SIGNED)
    assert demo.process.returncode == 0, demo.output
    said = demo.output
    assert "Everything agrees with everything else." in said
    assert said.count("; 0 wrong") == 6
    assert "waiting room: 40 admitted" in said


def test_it_says_what_a_service_lacks(service: Service) -> None:
    """Rather than leave something out."""
    demo = _demo(service)
    assert demo.process.returncode == 2
    assert "WEBHOOKS=on WEBHOOK_ALLOW_PRIVATE=on make up" in demo.output
