"""Messages on their way, to real receivers: signed, over TLS, and to no address that was not checked."""

import base64
import hashlib
import hmac
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpcore
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from actors.posting import Poster, delay_ms, sign
from reservation.ids import DeliveryId
from reservation.webhooks import Attempt, Outcome
from tests.receiver import receiving
from tests.tls import Certificate, certificate

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
HOST = "hooks.example"


def attempt(url: str, body: bytes = b'{"type":"seat.reserved"}') -> Attempt:
    delivery = DeliveryId("wh_aaaaaaaaaa", "1767225600000-0")
    return Attempt(delivery, url, SECRET, body, round(time.time() * 1000), tried=0, number=1)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of `hooks.example`."""
    return certificate(tmp_path_factory.mktemp("tls"), HOST)


def poster(*addresses: str, tls: Certificate | None = None, allow_private: bool = True, **waits: float) -> Poster:
    """One that finds these addresses for any name, and believes a certificate."""
    trust = None if tls is None else ssl.create_default_context(cafile=str(tls.cert))
    return Poster(
        allow_private=allow_private,
        resolve=lambda host, _: list(addresses) or [host],
        tls=trust,
        **waits,
    )


def test_a_message_is_signed(tls: Certificate) -> None:
    """As the library of the specification has it, and the specification's words."""
    with receiving(tls=tls) as receiver:
        outcome, _ = poster("127.0.0.1", tls=tls).post(attempt(receiver.url(HOST, "https")))
    assert outcome == Outcome(200)
    (post,) = receiver.posts
    assert post.verified(SECRET) == {"type": "seat.reserved"}
    assert post.headers["content-type"] == "application/json"
    assert post.headers["host"] == f"{HOST}:{receiver.port}"
    assert post.id == "wh_aaaaaaaaaa-1767225600000-0"
    signed = f"{post.id}.{post.headers['webhook-timestamp']}.".encode() + post.body
    digest = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{digest}"
    for forged in (post._replace(body=post.body + b" "), post._replace(headers={**post.headers, "webhook-id": "x"})):
        with pytest.raises(WebhookVerificationError):
            forged.verified(SECRET)


def test_the_signature_of_the_specification() -> None:
    """Its own example, by its own library."""
    body = b'{"test": 2432232314}'
    secret, message_id, timestamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
    assert sign(secret, message_id, timestamp, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert Webhook(secret)


def test_a_certificate_of_another_host_is_refused(tls: Certificate) -> None:
    """Though its address is the right one: nothing is sent."""
    with receiving(tls=tls) as receiver:
        assert poster("127.0.0.1", tls=tls).post(attempt(receiver.url("other.example", "https")))[0].error == "tls"
        assert poster("127.0.0.1").post(attempt(receiver.url(HOST, "https")))[0].error == "tls"
    assert not receiver.posts


def test_an_authority_of_ones_own_is_believed(tls: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SSL_CERT_FILE names it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.cert))
    with receiving(tls=tls) as receiver:
        assert poster("127.0.0.1").post(attempt(receiver.url(HOST, "https")))[0].arrived


@pytest.mark.parametrize("status", [201, 204, 299])
def test_what_counts_as_arrived(status: int) -> None:
    """Any 2xx."""
    with receiving(status) as receiver:
        assert poster().post(attempt(receiver.url()))[0].arrived


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 410, 429, 500, 503])
def test_what_does_not(status: int) -> None:
    """Anything else; 410 says that nothing is wanted any more."""
    with receiving(status) as receiver:
        outcome, _ = poster().post(attempt(receiver.url()))
    assert (outcome.status_code, outcome.arrived, outcome.gone) == (status, False, status == 410)


def test_no_redirect_is_followed() -> None:
    """It could lead anywhere."""
    with receiving() as elsewhere, receiving((307, {"Location": elsewhere.url()})) as receiver:
        outcome, _ = poster().post(attempt(receiver.url()))
    assert outcome.status_code == 307
    assert not elsewhere.posts


@pytest.mark.parametrize(
    ("given", "wait_s"), [("7", 7), ("0", 0), ("99999999999", 0), ("Fri, 31 Dec 2027 23:59:59 GMT", 0), ("-1", 0)]
)
def test_how_long_a_receiver_asks_to_wait(given: str, wait_s: float) -> None:
    """In seconds; a date is another clock's."""
    with receiving((503, {"Retry-After": given})) as receiver:
        assert poster().post(attempt(receiver.url()))[1] == wait_s


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"])
def test_a_name_that_leads_to_a_private_address_is_not_asked(tls: Certificate, address: str) -> None:
    """Nor one of several addresses, of which the first may be public."""
    with receiving(tls=tls) as receiver:
        for addresses in ([address], ["93.184.215.14", address]):
            sends = poster(*addresses, tls=tls, allow_private=False)
            assert sends.post(attempt(receiver.url(HOST, "https")))[0].error == "address-not-allowed"
    assert not receiver.posts


def test_http_is_for_development() -> None:
    """Also where a webhook was made while it was allowed."""
    with receiving() as receiver:
        assert poster(allow_private=False).post(attempt(receiver.url()))[0].error == "address-not-allowed"
    assert not receiver.posts


def test_the_address_that_was_checked_is_the_one_that_is_asked(
    tls: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere when it is looked up again is not looked up again."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"], ["127.0.0.1"]])
    asked: list[str] = []

    def connect(_: object, host: str, *__: Any) -> None:
        asked.append(host)
        raise httpcore.ConnectError("nobody there")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    sends = Poster(allow_private=False, resolve=lambda *_: next(answers))
    assert sends.post(attempt(f"https://{HOST}/"))[0].error == "not-connected"
    assert asked == ["93.184.215.14"]
    assert sends.post(attempt(f"https://{HOST}/"))[0].error == "address-not-allowed"
    assert asked == ["93.184.215.14"]


def test_the_next_address_is_tried(tls: Certificate) -> None:
    """Where nobody listens at the first."""
    with receiving(tls=tls) as receiver:
        outcome, _ = poster("127.0.0.9", "127.0.0.1", tls=tls).post(attempt(receiver.url(HOST, "https")))
    assert outcome.arrived


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look up the name itself."""
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert poster().post(attempt(receiver.url()))[0].arrived
    assert not proxy.posts


@pytest.fixture
def dripping() -> Iterator[int]:
    """The port of one who answers a byte at a time, and never ends; and of one who says nothing."""
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not done.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                pass

    def accept() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        done.set()
        listener.shutdown(socket.SHUT_RDWR)


def test_one_who_answers_without_end_is_left(dripping: int) -> None:
    """Each byte comes in time, all of them do not."""
    outcome, _ = poster(total_s=0.3).post(attempt(f"http://127.0.0.1:{dripping}/"))
    assert outcome.error == "timeout"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_one_who_says_nothing_is_left(scheme: str) -> None:
    """Before TLS, or instead of an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
        assert poster(total_s=0.2, connect_s=0.2).post(attempt(url))[0].error == "timeout"


def test_a_long_answer_is_not_read() -> None:
    """Its status is all that counts."""
    with receiving((200, {"Content-Length": "1000000000"})) as receiver:
        assert poster(total_s=0.3).post(attempt(receiver.url()))[0] == Outcome(200)


def test_why_there_was_no_answer(tls: Certificate) -> None:
    """By a name each, and never by an exception."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    assert poster().post(attempt(f"http://127.0.0.1:{free}/"))[0].error == "not-connected"

    def nowhere(*_: object) -> list[str]:
        raise socket.gaierror

    assert Poster(allow_private=True, resolve=nowhere).post(attempt("http://x/"))[0].error == "host-not-found"
    with receiving(None) as receiver:
        assert poster().post(attempt(receiver.url()))[0].error == "no-answer"
    broken = Poster(allow_private=True, resolve=lambda *_: 1 / 0)  # type: ignore[arg-type]  # a mistake
    assert broken.post(attempt("http://x/"))[0].error == "internal-error"


def test_the_schedule() -> None:
    """Growing, over about a day on average, and jittered in full; what the receiver asks for counts up to an hour."""
    means = [delay_ms(tried, 0.5) or 0 for tried in range(1, 11)]
    assert means == sorted(means)
    assert means[0] == 5_000
    assert 23 * 3_600_000 < sum(means) < 25 * 3_600_000
    assert delay_ms(11, 0.5) is None
    assert (delay_ms(2, 0), delay_ms(2, 1)) == (0, 60_000)
    assert delay_ms(1, 0, retry_after_s=20) == 20_000
    assert delay_ms(1, 0, retry_after_s=10**6) == 3_600_000
    assert delay_ms(11, 0, retry_after_s=20) is None


def test_receivers_of_one_name_are_told_apart_by_path_and_query() -> None:
    """All of a URL is used."""
    with receiving() as receiver:
        poster().post(attempt(f"http://127.0.0.1:{receiver.port}/a%20b?c=d&e="))
    assert [post.path for post in receiver.posts] == ["/a%20b?c=d&e="]
