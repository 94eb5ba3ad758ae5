"""Tokens that a caller could send: good ones, and ones that the pool's own key signed and nobody should take."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.user_pool import issuers_of
from tests.conftest import CLIENT_ID, ISSUER, KID, POOL
from tests.unit.forge import ABSENT, CLAIMS, HEADER, Forge, merged, pss, public_bytes, segment

HOUR = 3_600


@dataclass(frozen=True)
class Workshop:
    """Makes tokens for the time that ``now`` says, in seconds since 1970."""

    forge: Forge
    now: int

    @property
    def good(self) -> dict[str, Any]:
        return CLAIMS | {"iat": self.now - 60, "exp": self.now + HOUR}

    def claims(self, **changes: Any) -> str:
        return self.forge.token(HEADER, merged(self.good, changes))

    def header(self, **changes: Any) -> str:
        return self.forge.token(merged(HEADER, changes), self.good)

    def texts(self, header: str = "", claims: str = "") -> str:
        """The good header and claims, with this text put in before the closing brace."""
        return self.forge.token(with_member(HEADER, header), with_member(self.good, claims))

    def parts(self, change: Callable[[list[str]], list[str]]) -> str:
        """A good token, cut at its dots, changed, and put together again."""
        return ".".join(change(self.claims().split(".")))

    def secret(self, alg: str, form: str) -> str:
        """Signed with the public key as if it were a shared secret."""
        return self.forge.hmac(alg, public_bytes(self.forge, form), self.good)

    def loose(self) -> str:
        """A segment whose last character has bits that no encoder writes, signed as it stands."""
        text = json.dumps(self.good).encode()
        claims = segment(text + b" " * (-len(text) % 3 + 1))
        return self.forge.sign(f"{segment(HEADER)}.{claims[:-1]}{chr(ord(claims[-1]) + 1)}")


def with_member(members: dict[str, Any], more: str) -> bytes:
    text = json.dumps(members)
    return (text[:-1] + (f", {more}" if more else "") + "}").encode()


type Make = Callable[[Workshop], str]

GOOD: dict[str, Make] = {
    "as Cognito writes it": lambda shop: shop.claims(),
    "typ JWT": lambda shop: shop.header(typ="JWT"),
    "typ at+jwt": lambda shop: shop.header(typ="at+jwt"),
    "nbf a minute ago": lambda shop: shop.claims(nbf=shop.now - 60),
    "an audience beside the client": lambda shop: shop.claims(aud="https://jobs.example.com"),
    "a claim of its own": lambda shop: shop.claims(**{"cognito:groups": ["staff"]}),
    "a life of a day": lambda shop: shop.claims(iat=shop.now - 60, exp=shop.now - 60 + 24 * HOUR),
}

HOSTILE: dict[str, Make] = {
    "another pool, in the newer form": lambda shop: shop.claims(
        iss=issuers_of(POOL)["UPDATED"].replace("TestPool1", "OtherPool")
    ),
    "no exp": lambda shop: shop.claims(exp=ABSENT),
    "no iat": lambda shop: shop.claims(iat=ABSENT),
    "exp an hour ago": lambda shop: shop.claims(iat=shop.now - 2 * HOUR, exp=shop.now - HOUR),
    "exp as a string": lambda shop: shop.claims(exp="123"),
    "exp as a string, ahead": lambda shop: shop.claims(exp=str(shop.now + HOUR)),
    "exp as a fraction": lambda shop: shop.claims(exp=shop.now + HOUR + 0.5),
    "exp 1e300": lambda shop: shop.claims(exp=1e300),
    "exp 1e400": lambda shop: shop.texts(claims='"exp2": 1e400'),
    "exp in two days": lambda shop: shop.claims(exp=shop.now + 48 * HOUR),
    "exp true": lambda shop: shop.claims(exp=True),
    "iat an hour ahead": lambda shop: shop.claims(iat=shop.now + HOUR, exp=shop.now + 2 * HOUR),
    "iat as a string": lambda shop: shop.claims(iat=str(shop.now)),
    "nbf an hour ahead": lambda shop: shop.claims(nbf=shop.now + HOUR),
    "nbf as a string": lambda shop: shop.claims(nbf=str(shop.now)),
    "no token_use": lambda shop: shop.claims(token_use=ABSENT),
    "an ID token": lambda shop: shop.claims(token_use="id", aud=CLIENT_ID, client_id=ABSENT),
    "an ID token that names its client": lambda shop: shop.claims(token_use="id"),
    "another client": lambda shop: shop.claims(client_id="other-client"),
    "a client in a list": lambda shop: shop.claims(client_id=[CLIENT_ID]),
    "no client": lambda shop: shop.claims(client_id=ABSENT),
    "our client only in aud": lambda shop: shop.claims(client_id=ABSENT, aud=CLIENT_ID),
    "another pool": lambda shop: shop.claims(iss=ISSUER.replace("TestPool1", "OtherPool")),
    "a part of our issuer": lambda shop: shop.claims(iss=ISSUER[:-1]),
    "more than our issuer": lambda shop: shop.claims(iss=f"{ISSUER}/"),
    "our issuer in a list": lambda shop: shop.claims(iss=[ISSUER]),
    "no sub": lambda shop: shop.claims(sub=ABSENT),
    "an empty sub": lambda shop: shop.claims(sub=""),
    "sub as a number": lambda shop: shop.claims(sub=7),
    "crit that names nothing known": lambda shop: shop.header(crit=["never-heard-of"], **{"never-heard-of": 1}),
    "crit that is empty": lambda shop: shop.header(crit=[]),
    "crit that names exp": lambda shop: shop.header(crit=["exp"], exp=1),
    "b64 false with crit": lambda shop: shop.header(b64=False, crit=["b64"]),
    "b64 false alone": lambda shop: shop.header(b64=False),
    "b64 true": lambda shop: shop.header(b64=True),
    "alg twice, none first": lambda shop: shop.forge.token(
        b'{"alg":"none","alg":"RS256","kid":"%s"}' % KID.encode(), shop.good
    ),
    "kid twice": lambda shop: shop.texts(header=f'"kid": "{KID}"'),
    "client_id twice": lambda shop: shop.forge.token(
        HEADER,
        with_member(
            {"client_id": "other-client"} | shop.good | {"client_id": "other-client"}, f'"client_id": "{CLIENT_ID}"'
        ),
    ),
    "typ JWE": lambda shop: shop.header(typ="JWE"),
    "typ dpop+jwt": lambda shop: shop.header(typ="dpop+jwt"),
    "cty JWT": lambda shop: shop.header(cty="JWT"),
    "jwk beside the right kid": lambda shop: shop.header(jwk={"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
    "jku beside the right kid": lambda shop: shop.header(jku="https://evil.example.com/jwks.json"),
    "x5u beside the right kid": lambda shop: shop.header(x5u="https://evil.example.com/cert.pem"),
    "x5c beside the right kid": lambda shop: shop.header(x5c=["MIIB"]),
    "zip": lambda shop: shop.header(zip="DEF"),
    "enc": lambda shop: shop.header(enc="A256GCM"),
    "no kid": lambda shop: shop.header(kid=ABSENT),
    "kid as a number": lambda shop: shop.header(kid=1),
    "another kid": lambda shop: shop.header(kid="other"),
    "padding behind the claims": lambda shop: shop.forge.sign(
        f"{segment(HEADER)}.{segment(shop.good | {'p': 'x' * pad(shop)})}="
    ),
    "padding behind the signature": lambda shop: f"{shop.claims()}==",
    "stray bits in the claims": lambda shop: shop.loose(),
    "a space in the signature": lambda shop: shop.parts(lambda parts: [*parts[:2], f"{parts[2][:9]} {parts[2][9:]}"]),
    "a newline at the end": lambda shop: f"{shop.claims()}\n",
    "9 KB": lambda shop: shop.claims(pad="x" * 9_000),
    "1 MB": lambda shop: shop.claims(pad="x" * 1_000_000),
    "a lone surrogate": lambda shop: shop.texts(claims='"x": "\\ud800"'),
    "claims that are not UTF-8": lambda shop: shop.forge.token(
        HEADER, json.dumps(shop.good).encode().replace(b"alice", b"ali\xff\xfe")
    ),
    "claims with a byte order mark": lambda shop: shop.forge.token(
        HEADER, b"\xef\xbb\xbf" + json.dumps(shop.good).encode()
    ),
    "claims nested 1,000 deep": lambda shop: shop.texts(claims=f'"x": {"[" * 1_000}{"]" * 1_000}'),
    "claims that are a list": lambda shop: shop.forge.token(HEADER, b"[]"),
    "alg none": lambda shop: f"{segment(HEADER | {'alg': 'none'})}.{segment(shop.good)}.",
    "alg nOnE": lambda shop: f"{segment(HEADER | {'alg': 'nOnE'})}.{segment(shop.good)}.AAAA",
    **{
        f"HS256 with the public key as {form}": lambda shop, form=form: shop.secret("HS256", form)
        for form in ("PEM", "DER", "JWK", "modulus")
    },
    "alg rs256": lambda shop: shop.header(alg="rs256"),
    "alg RS512": lambda shop: shop.header(alg="RS512"),
    "PSS instead of PKCS 1": lambda shop: pss(shop.forge),
    "another key": lambda shop: shop.forge.token(HEADER, shop.good, key=shop.forge.other_key),
    "no signature": lambda shop: shop.parts(lambda parts: [*parts[:2], ""]),
    "two parts": lambda shop: shop.parts(lambda parts: parts[:2]),
    "five parts": lambda shop: shop.parts(lambda parts: [*parts, "AAAA", "AAAA"]),
    "a token in a token": lambda shop: shop.forge.token(HEADER, shop.claims().encode()),
}


def pad(shop: Workshop) -> int:
    """As many characters as make base64 want one sign of padding behind the claims."""
    return next(count for count in range(3) if len(json.dumps(shop.good | {"p": "x" * count})) % 3 == 2)
