"""Tokens: what is accepted, what is refused, and which settings are."""

import base64
import hashlib
import hmac
import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from freezegun import freeze_time

from reservation.settings import Settings, SettingsError
from reservation_http import tokens
from reservation_http.errors import TokenInvalid
from reservation_http.tokens import Tokens
from tests.web import AUDIENCE, ISSUER, JWT, KEY

USER = "0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70"


def build(**values: object) -> Tokens:
    made = Tokens.of(Settings(_env_file=None, redis_url="redis://127.0.0.1", **{**JWT, **values}))  # type: ignore[call-arg, arg-type]  # pydantic-settings takes more than mypy sees
    assert made is not None
    return made


def claims(**others: object) -> dict[str, Any]:
    whole = {"sub": USER, "aud": AUDIENCE, "iss": ISSUER, "exp": time.time() + 60, **others}
    return {name: value for name, value in whole.items() if value is not None}


def signed(key: Any = KEY, algorithm: str = "HS256", headers: Any = None, **others: Any) -> str:
    return "Bearer " + jwt.encode(claims(**others), key, algorithm=algorithm, headers=headers)


def by_hand(header: dict[str, object], payload: dict[str, object], key: bytes) -> str:
    """A token as no library would make it."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, payload)]
    mac = hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    return "Bearer " + b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture(scope="module")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def key_set(*keys: Any, **more: object) -> str:
    """A JSON Web Key Set of public keys, whose names are 0, 1, ..."""
    entries = []
    for number, key in enumerate(keys):
        algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        entries.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": str(number), **more})
    return json.dumps({"keys": entries})


def test_a_token_says_who_asks_and_what_is_allowed() -> None:
    """Its scopes as a string (RFC 8693, section 4.2), or as a list, as some issuers have them."""
    bearer = build().bearer(signed(scope="events:write seats:read"))
    assert (bearer.user, bearer.scopes) == (USER, frozenset({"events:write", "seats:read"}))
    assert build().bearer(signed(scope=["events:write"])).scopes == {"events:write"}
    assert build().bearer(signed()).scopes == frozenset()
    assert build().bearer(signed().replace("Bearer", "bEARER")).user == USER


def test_a_subject_that_is_no_uuid_becomes_one() -> None:
    """Version 5 of issuer and subject: the same name of two issuers is two users."""
    one = build().bearer(signed(sub="auth0|alice")).user
    assert one == str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, ISSUER), "auth0|alice"))
    assert build(jwt_issuer="https://b.example").bearer(signed(sub="auth0|alice", iss="https://b.example")).user != one
    assert build().bearer(signed(sub=USER.upper())).user == USER


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "no exp"),
        ({"aud": None}, "no aud"),
        ({"iss": None}, "no iss"),
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "no sub"),
        ({"aud": "others"}, "aud"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"nbf": time.time() + 86_400}, "not valid"),
        ({"exp": "soon"}, "not valid"),
        ({"exp": float("inf")}, "not valid"),
        ({"scope": 7}, "not valid"),
    ],
)
def test_claims_that_are_wrong(others: dict[str, Any], why: str) -> None:
    """Each is refused, and the answer says which."""
    with pytest.raises(TokenInvalid, match=why):
        build().bearer(signed(**others))


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer a.b.c",
        "Bearer ....",
        "Bearer é.é.é",
        "Bearer " + "a" * 6_000,
        "Bearer e30.e30.",
        "Bearer bnVsbA.bnVsbA.bnVsbA",
        "Bearer " + base64.urlsafe_b64encode(b"[" * 4_000).decode() + ".e30.e30",
        by_hand({"alg": "HS256"}, claims(sub=7), KEY.encode()),
        by_hand({"alg": "HS256"}, claims(sub={"a": 1}), KEY.encode()),
        by_hand({"alg": "HS256", "crit": ["x"]}, claims(), KEY.encode()),
        by_hand({"alg": ["HS256"]}, claims(), KEY.encode()),
        by_hand({"alg": "HS256"}, {"keys": "none"}, KEY.encode()),
    ],
)
def test_what_is_no_token(given: str) -> None:
    """Is refused in one way, whatever a parser thinks of it."""
    with pytest.raises(TokenInvalid):
        build().bearer(given)


def test_a_token_that_was_changed() -> None:
    """One bit in any part is enough. The last character of the signature has bits that mean nothing."""
    token = signed().removeprefix("Bearer ")
    for place in range(0, len(token) - 1, 7):
        if token[place] != ".":
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            with pytest.raises(TokenInvalid):
                build().bearer(f"Bearer {changed}")


def test_unsigned_tokens_are_refused() -> None:
    """`alg: none`, in any spelling (RFC 8725, section 2.1)."""
    with pytest.raises(TokenInvalid):
        build().bearer("Bearer " + jwt.encode(claims(), "", algorithm="none"))
    for name in ("none", "None", "NONE", "", None):
        with pytest.raises(TokenInvalid):
            build().bearer(by_hand({"alg": name}, claims(), b""))


def test_the_algorithm_is_not_the_tokens_to_choose(rsa_key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """A public key is no secret, so it must not check what it was used to sign with (RFC 8725, section 2.1)."""
    (tmp_path / "key.pem").write_bytes(pem(rsa_key))
    strict = build(jwt_algorithm="RS256", jwt_key="", jwt_key_file=tmp_path / "key.pem")
    assert strict.bearer(signed(rsa_key, "RS256")).user == USER
    with pytest.raises(TokenInvalid):
        strict.bearer(by_hand({"alg": "HS256"}, claims(), pem(rsa_key)))
    with pytest.raises(TokenInvalid):
        strict.bearer(signed(rsa_key, "PS256"))
    with pytest.raises(TokenInvalid):
        build().bearer(signed("k" * 64, "HS512"))


def test_a_key_that_a_token_brings_is_not_looked_at(ec_key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    """Neither `jwk`, nor a place where one could be fetched, nor a `kid` that is a path (RFC 8725, section 3.10)."""
    mine = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "keys.json").write_text(key_set(ec_key))
    checked = build(jwt_algorithm="ES256", jwt_key="", jwt_jwks_file=tmp_path / "keys.json")
    public = jwt.algorithms.ECAlgorithm.to_jwk(mine.public_key(), as_dict=True)
    for header in ({"jwk": public}, {"jku": "http://127.0.0.1:9/keys"}, {"x5u": "http://127.0.0.1:9/key"}):
        with pytest.raises(TokenInvalid):
            checked.bearer(signed(mine, "ES256", {**header, "kid": "0"}))
    for kid in ("../../dev/null", "1", "", "0\0"):
        with pytest.raises(TokenInvalid):
            checked.bearer(signed(ec_key, "ES256", {"kid": kid}))


def test_keys_by_file_and_by_key_set(
    rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """Of both algorithms; a set may hold keys for others too."""
    (tmp_path / "ec.pem").write_bytes(pem(ec_key))
    (tmp_path / "keys.json").write_text(key_set(rsa_key, ec_key))
    by_file = build(jwt_algorithm="ES256", jwt_key="", jwt_key_file=tmp_path / "ec.pem")
    assert by_file.bearer(signed(ec_key, "ES256")).user == USER
    for algorithm, key, kid in (("RS256", rsa_key, "0"), ("ES256", ec_key, "1")):
        by_set = build(jwt_algorithm=algorithm, jwt_key="", jwt_jwks_file=tmp_path / "keys.json")
        assert by_set.bearer(signed(key, algorithm, {"kid": kid})).user == USER
        assert by_set.bearer(signed(key, algorithm)).user == USER  # the only one of its kind
    (tmp_path / "secret").write_text(KEY + "\n")
    assert build(jwt_key="", jwt_key_file=tmp_path / "secret").bearer(signed()).user == USER


def test_a_key_set_is_read_again_when_it_changes(
    ec_key: ec.EllipticCurvePrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key is taken, one that is gone signs nothing more, remembered tokens included; nonsense changes nothing."""
    monkeypatch.setattr(tokens, "_LOOK_S", -1)
    file, later = tmp_path / "keys.json", ec.generate_private_key(ec.SECP256R1())
    stamps = iter(range(1_700_000_000, 1_700_000_100))

    def write(text: str) -> None:
        file.write_text(text)
        os.utime(file, (stamp := next(stamps), stamp))

    write(key_set(ec_key))
    checked = build(jwt_algorithm="ES256", jwt_key="", jwt_jwks_file=file)
    old, new = signed(ec_key, "ES256", {"kid": "0"}), signed(later, "ES256", {"kid": "1"})
    assert checked.bearer(old).user == USER
    write(key_set(ec_key, later))
    assert checked.bearer(new).user == USER
    assert checked.bearer(old).user == USER
    write("{not a key set")
    assert checked.bearer(old).user == USER
    file.unlink()
    assert checked.bearer(old).user == USER
    write(key_set(later, later))
    with pytest.raises(TokenInvalid):
        checked.bearer(old)
    assert checked.bearer(new).user == USER


def test_a_token_that_was_accepted_expires_all_the_same() -> None:
    """Its check is remembered, its end is looked at each time."""
    with freeze_time("2026-01-01 12:00:00") as clock:
        checked, token = build(), signed()
        assert checked.bearer(token).user == USER
        clock.tick(61)
        with pytest.raises(TokenInvalid, match="expired"):
            checked.bearer(token)


SETTING_CASES: list[tuple[dict[str, object], str]] = [
    ({"jwt_key": "k" * 31}, "JWT_KEY: has 31 bytes"),
    ({"jwt_key": ""}, "JWT_KEY: AUTH_MODE=jwt needs one"),
    ({"jwt_algorithm": None}, "JWT_ALGORITHM: is not set"),
    ({"jwt_audience": None, "jwt_issuer": None}, "JWT_AUDIENCE: is not set.*\nJWT_ISSUER: is not set"),
    ({"jwt_algorithm": "RS256"}, "JWT_KEY: is for HS256"),
    ({"jwt_key": "-----BEGIN PUBLIC KEY-----" + "k" * 32}, "JWT_KEY: is a key for another algorithm"),
    ({"jwt_key_file": "x"}, "only one"),
    ({"jwt_key": "", "jwt_jwks_file": "x"}, "JWT_JWKS_FILE: is for RS256"),
    ({"jwt_key": "", "jwt_key_file": "missing"}, "JWT_KEY_FILE: cannot read"),
    ({"auth_mode": "none", "environment": "production"}, "AUTH_MODE: is none"),
]


@pytest.mark.parametrize(("values", "why"), SETTING_CASES)
def test_settings_that_cannot_be(values: dict[str, object], why: str) -> None:
    """Are refused at the start, by name."""
    with pytest.raises(SettingsError, match=why):
        build(**values)


def test_keys_that_are_too_weak_or_secret(
    rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """Of another kind than the algorithm needs, too short, on another curve, or the issuer's own."""
    weak = rsa.generate_private_key(public_exponent=65_537, key_size=1024)  # noqa: S505 - that is what is tested
    curve = ec.generate_private_key(ec.SECP384R1())
    private = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    whole = json.dumps({"keys": [jwt.algorithms.ECAlgorithm.to_jwk(ec_key, as_dict=True)]})
    cases: list[tuple[str, bytes, str, str]] = [
        ("RS256", pem(weak), "jwt_key_file", "1024 bits"),
        ("RS256", pem(ec_key), "jwt_key_file", "no RSA key"),
        ("ES256", pem(curve), "jwt_key_file", "P-256"),
        ("ES256", pem(rsa_key), "jwt_key_file", "P-256"),
        ("RS256", private, "jwt_key_file", "private key"),
        ("RS256", b"nonsense", "jwt_key_file", "no public key"),
        ("ES256", whole.encode(), "jwt_jwks_file", "private key"),
        ("RS256", key_set(weak).encode(), "jwt_jwks_file", "1024 bits"),
        ("RS256", key_set(ec_key).encode(), "jwt_jwks_file", "no key for RS256"),
        ("ES256", key_set(ec_key, use="enc").encode(), "jwt_jwks_file", "no key for ES256"),
        ("ES256", b'{"keys": 7}', "jwt_jwks_file", "no JSON Web Key Set"),
        ("ES256", b"[]", "jwt_jwks_file", "no JSON Web Key Set"),
        ("ES256", b'{"keys": [{"kty": "EC"}]}', "jwt_jwks_file", "no JSON Web Key Set"),
    ]
    for algorithm, text, setting, why in cases:
        (tmp_path / "key").write_bytes(text)
        with pytest.raises(SettingsError, match=why):
            build(**{"jwt_algorithm": algorithm, "jwt_key": "", setting: tmp_path / "key"})


def test_a_key_is_never_shown() -> None:
    """Neither in the settings' text nor in an error."""
    secret = "open-sesame-" + "x" * 10
    shown = repr(Settings(_env_file=None, jwt_key=secret))  # type: ignore[call-arg, arg-type]  # pydantic-settings' own
    assert secret not in shown
    with pytest.raises(SettingsError) as error:
        build(jwt_key=secret)
    assert secret not in str(error.value)
