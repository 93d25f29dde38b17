"""Bearer tokens: JSON Web Tokens (RFC 7519), checked as RFC 8725 asks for: one algorithm, its own kind of key,
`exp`, `aud` and `iss`."""

import json
import time
import uuid
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

from reservation.errors import InvalidId
from reservation.ids import parse_uuid
from reservation.settings import Settings, SettingsError
from reservation_http.errors import TokenInvalid

log = structlog.get_logger()

#: Fewest bytes of a key for HS256 (RFC 7518, section 3.2), and bits of one for RS256 (section 3.3).
_LEAST_BYTES, _LEAST_BITS = 32, 2048
#: How often it is looked whether the file of a key set has changed, seconds.
_LOOK_S = 1.0
#: Tokens whose check is remembered, so that a client's next request need not pay for it again.
_REMEMBERED = 4_096
#: Keys for HS256 that are looked at once.
_PREPARED = 1_024
#: A key that is named by no token.
_ONLY = ""

Keys = Mapping[str, Any]


class _PreparedOnce(HMACAlgorithm):
    """HS256, but a key is looked at once, not with every token: it takes as long as all the rest of the check. A
    waiting room has one of its own."""

    def __init__(self) -> None:
        super().__init__(HMACAlgorithm.SHA256)
        self._prepare = lru_cache(_PREPARED)(super().prepare_key)

    def prepare_key(self, key: str | bytes) -> bytes:
        return self._prepare(key)


jwt.unregister_algorithm("HS256")
jwt.register_algorithm("HS256", _PreparedOnce())


class Bearer(NamedTuple):
    """Who a token says is asking.

    Attributes:
        user: a UUID.
        scopes: what the token allows.
        expires: when it ends, epoch seconds.
    """

    user: str
    scopes: frozenset[str]
    expires: float


class Tokens:
    """Checks tokens.

    Arguments:
        algorithm: the only one that is accepted.
        keys: by the `kid` that tokens name; one alone needs no name.
        audience: what `aud` must contain.
        issuer: what `iss` must be.
        key_set: a file from which the keys are read again when it changes.
    """

    def __init__(self, algorithm: str, keys: Keys, audience: str, issuer: str, key_set: Path | None = None) -> None:
        self._algorithm, self._keys = algorithm, keys
        self._audience, self._issuer = audience, issuer
        self._key_set = key_set
        self._changed = _changed(key_set)
        self._look_at = 0.0
        self._namespace = uuid.uuid5(uuid.NAMESPACE_URL, issuer)
        self._check = lru_cache(_REMEMBERED)(self._decode)

    @classmethod
    def of(cls, settings: Settings) -> "Tokens | None":
        """As it is set; None where nobody needs one. Raises SettingsError, one line for each setting."""
        if settings.auth_mode == "none":
            if settings.environment == "production":
                raise SettingsError("AUTH_MODE: is none, which is for development; in production it has to be jwt")
            return None
        named = {"JWT_ALGORITHM": settings.jwt_algorithm, "JWT_AUDIENCE": settings.jwt_audience}
        named["JWT_ISSUER"] = settings.jwt_issuer
        if missing := [f"{name}: is not set, and AUTH_MODE=jwt needs it" for name, value in named.items() if not value]:
            raise SettingsError("\n".join(missing))
        algorithm = str(settings.jwt_algorithm)
        keys = _keys_of(settings, algorithm)
        return cls(
            algorithm, keys, str(settings.jwt_audience), str(settings.jwt_issuer), key_set=settings.jwt_jwks_file
        )

    def bearer(self, authorization: str) -> Bearer:
        """Who sends this `Authorization` header. Raises TokenInvalid."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise TokenInvalid("The Authorization header has to be: Bearer, a space and a token.")
        if self._key_set is not None and time.monotonic() > self._look_at:
            self._read_again(self._key_set)
        bearer = self._check(token)
        if time.time() >= bearer.expires:  # one that was remembered
            raise TokenInvalid("The token has expired.")
        return bearer

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token with these claims, which it would accept: whoever can check HS256 can sign too. Not for others."""
        own = {"aud": self._audience, "iss": self._issuer}
        return jwt.encode({**own, **claims}, self._keys[_ONLY], algorithm=self._algorithm)

    def _decode(self, token: str) -> Bearer:
        try:
            claims = jwt.decode(
                token,
                self._key_for(token),
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                # When it was issued decides nothing, and clocks differ.
                options={"require": ["exp", "aud", "iss", "sub"], "verify_iat": False},
            )
            scope = claims.get("scope", "")
            names = scope.split() if isinstance(scope, str) else [str(name) for name in scope]
            return Bearer(self._user(claims["sub"]), frozenset(names), float(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise TokenInvalid("The token has expired.") from None
        except jwt.InvalidAudienceError:
            raise TokenInvalid("The token is not for this service: see its aud.") from None
        except jwt.InvalidIssuerError:
            raise TokenInvalid("The token is from another issuer: see its iss.") from None
        except jwt.MissingRequiredClaimError as error:
            raise TokenInvalid(f"The token has no {error.claim}.") from None
        # What is not a token at all can make PyJWT raise these too.
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
            raise TokenInvalid("The token is not valid.") from None

    def _key_for(self, token: str) -> Any:
        if _ONLY in self._keys:
            return self._keys[_ONLY]
        name = jwt.get_unverified_header(token).get("kid")
        key = self._keys.get(name) if isinstance(name, str) else None
        if key is None and name is None and len(self._keys) == 1:
            (key,) = self._keys.values()
        if key is None:
            raise TokenInvalid("The token names a key that is not known: see its kid.")
        return key

    def _user(self, subject: str) -> str:
        """The user's UUID: the subject if it is one, else one that is made of issuer and subject (version 5,
        RFC 9562, section 5.5)."""
        try:
            return parse_uuid(subject)
        except InvalidId:
            if not subject:
                raise TokenInvalid("The token has no sub.") from None
            return str(uuid.uuid5(self._namespace, subject))

    def _read_again(self, key_set: Path) -> None:
        """Takes the keys of a file that has changed, which takes less than a millisecond; keeps those there were
        if it cannot be read."""
        self._look_at = time.monotonic() + _LOOK_S
        changed = _changed(key_set)
        if changed in (None, self._changed):
            return
        self._changed = changed
        try:
            self._keys = _read_key_set(key_set, self._algorithm)
        except SettingsError as error:
            log.warning("key set not read", error=str(error))
            return
        self._check.cache_clear()
        log.info("key set read", keys=len(self._keys))


def _changed(file: Path | None) -> tuple[float, int] | None:
    """What differs once a file was written; None if it cannot be seen."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_mtime, found.st_ino) if found else None


def _keys_of(settings: Settings, algorithm: str) -> Keys:
    key, file, key_set = settings.jwt_key.get_secret_value().encode(), settings.jwt_key_file, settings.jwt_jwks_file
    if sum(map(bool, (key, file, key_set))) != 1:
        raise SettingsError("JWT_KEY: AUTH_MODE=jwt needs one of JWT_KEY, JWT_KEY_FILE and JWT_JWKS_FILE, and only one")
    if algorithm == "HS256":
        if key_set:
            raise SettingsError("JWT_JWKS_FILE: is for RS256 and ES256; HS256 takes JWT_KEY or JWT_KEY_FILE")
        name = "JWT_KEY_FILE" if file else "JWT_KEY"
        key = _read("JWT_KEY_FILE", file).strip() if file else key
        if len(key) < _LEAST_BYTES:
            raise SettingsError(f"{name}: has {len(key)} bytes; HS256 needs {_LEAST_BYTES} or more")
        if key.startswith((b"-----BEGIN", b"ssh-")):
            raise SettingsError(f"{name}: is a key for another algorithm than HS256: whoever has it could sign")
        return {_ONLY: key}
    if key_set:
        return _read_key_set(key_set, algorithm)
    if file is None:
        raise SettingsError(f"JWT_KEY: is for HS256; {algorithm} takes JWT_KEY_FILE or JWT_JWKS_FILE")
    text = _read("JWT_KEY_FILE", file)
    if b"PRIVATE KEY" in text:
        raise SettingsError(
            "JWT_KEY_FILE: is a private key, which only the issuer should have; the public one is needed"
        )
    try:
        public = load_pem_public_key(text)
    except ValueError:
        raise SettingsError("JWT_KEY_FILE: is no public key in PEM") from None
    _require_fit("JWT_KEY_FILE", public, algorithm)
    return {_ONLY: public}


def _read_key_set(file: Path, algorithm: str) -> Keys:
    try:
        found = json.loads(_read("JWT_JWKS_FILE", file))
        entries = [entry for entry in found["keys"] if entry.get("use", "sig") == "sig"]
        entries = [entry for entry in entries if entry.get("alg", algorithm) == algorithm]
        if any("d" in entry or entry["kty"] == "oct" for entry in entries):
            raise SettingsError("JWT_JWKS_FILE: has a private key, which only the issuer should have")
        entries = [entry for entry in entries if entry["kty"] == {"R": "RSA", "E": "EC"}[algorithm[0]]]
        keys = {str(entry.get("kid", number)): jwt.PyJWK(entry, algorithm).key for number, entry in enumerate(entries)}
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise SettingsError(f"JWT_JWKS_FILE: is no JSON Web Key Set: {type(error).__name__}: {error}") from None
    if not keys:
        raise SettingsError(f"JWT_JWKS_FILE: has no key for {algorithm}")
    for key in keys.values():
        _require_fit("JWT_JWKS_FILE", key, algorithm)
    return keys


def _require_fit(setting: str, key: object, algorithm: str) -> None:
    """Raises SettingsError unless a key is of the algorithm's kind and size."""
    if algorithm == "RS256":
        if not isinstance(key, rsa.RSAPublicKey):
            raise SettingsError(f"{setting}: is no RSA key, which RS256 needs")
        if key.key_size < _LEAST_BITS:
            raise SettingsError(f"{setting}: has {key.key_size} bits; RS256 needs {_LEAST_BITS} or more")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SettingsError(f"{setting}: is no key on the curve P-256, which ES256 needs")


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting}: cannot read {file}: {error.strerror}") from None
