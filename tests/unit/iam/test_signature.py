"""The AK/SK signature, checked against worked examples and against tampering."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from engine.errors import Refused
from engine.iam.signature import (
    Authorization,
    SignedRequest,
    canonical_path,
    canonical_query,
    check_date,
    parse_authorization,
    parse_date,
    verify,
)

ACCESS_KEY = "AKEXAMPLE00000000001"
SECRET = b"SKEXAMPLE0000000000000000000000000000001"
DATE = "20260102T030405Z"
NOW_MS = 1767323045000
PROJECT = "762bdb3251034f268af0e395c53ea09b"
BODY = b'{"name": "demo", "display_name": "Demo"}'
TOPICS = f"/v2/{PROJECT}/notifications/topics"
SUBSCRIPTIONS = f"{TOPICS}/urn%3Asmn%3Aregion01%3A{PROJECT}%3Ademo/subscriptions"
NAMES = "content-type;host;x-project-id;x-sdk-date"
HEADERS = {
    "content-type": "application/json;charset=utf-8",
    "host": "smn.example.test",
    "x-project-id": PROJECT,
    "x-sdk-date": DATE,
}
# Both signatures were made with the official SDK's signer and recomputed independently.
SIGNATURE_A = "8a4eddbe35328b48e2e1cec46a73986b21ea33d9cf53c2b443e489801d5bc5e3"
SIGNATURE_B = "b28bf9a3f87d2c1b14fbd1ab1b3f318096600448614d7c25f54e29364fda2770"


def request(
    method: str = "POST",
    path: str = TOPICS,
    query: tuple[tuple[str, str], ...] = (),
    headers: Mapping[str, str] = HEADERS,
    body: bytes = BODY,
    host: str | None = None,
) -> SignedRequest:
    """The first worked example, but for what is given."""
    return SignedRequest(
        method,
        path,
        query,
        lambda name: [headers[name]] if name in headers else [],
        body,
        lambda: hashlib.sha256(body).hexdigest(),
        host,
    )


def listing(**changes: object) -> SignedRequest:
    """The second worked example, but for what is given."""
    given: dict[str, object] = {
        "method": "GET",
        "path": SUBSCRIPTIONS,
        "query": (("limit", "2"), ("offset", "0"), ("fuzzy_remark", "a b/c")),
        "headers": HEADERS | {"content-type": "application/json"},
        "body": b"",
    }
    return request(**(given | changes))  # type: ignore[arg-type]


def authorization(signature: str = SIGNATURE_A, names: str = NAMES) -> Authorization:
    """A parsed header, by default the first example's."""
    return Authorization(ACCESS_KEY, names, signature)


def test_a_signed_post_with_a_body_verifies() -> None:
    """The first worked example: a POST whose body is covered by the signature."""
    verify(authorization(), SECRET, DATE, request())


def test_a_signed_get_with_an_encoded_path_and_a_query_verifies() -> None:
    """The second worked example: an encoded URN in the path and a query in another order."""
    verify(authorization(SIGNATURE_B), SECRET, DATE, listing())


def test_plain_colons_in_the_path_verify_like_encoded_ones() -> None:
    """Clients that send URNs unencoded sign the same canonical path."""
    path = SUBSCRIPTIONS.replace("%3A", ":")
    verify(authorization(SIGNATURE_B), SECRET, DATE, listing(path=path))


def test_behind_a_trusted_proxy_the_forwarded_host_is_the_signed_one() -> None:
    """A proxy that replaces Host does not break the signature."""
    headers = HEADERS | {"host": "10.0.0.7:8080"}
    verify(authorization(), SECRET, DATE, request(headers=headers, host="smn.example.test"))


@pytest.mark.parametrize(
    "changed",
    [
        request(method="PUT"),
        request(path=f"{TOPICS}x"),
        request(query=(("a", ""),)),
        request(body=BODY + b" "),
        request(headers=HEADERS | {"host": "smn.example.test:8080"}),
        request(headers=HEADERS | {"x-project-id": "0" * 32}),
        request(headers={name: HEADERS[name] for name in HEADERS if name != "host"}),
    ],
    ids=["method", "path", "query", "body", "host", "header", "missing header"],
)
def test_a_changed_request_is_refused(changed: SignedRequest) -> None:
    """Whatever the signature covers cannot be altered."""
    with pytest.raises(Refused, match="verify aksk signature fail") as caught:
        verify(authorization(), SECRET, DATE, changed)
    assert (caught.value.status, caught.value.code) == (401, "APIGW.0301")


def test_a_wrong_secret_is_refused_with_the_canonical_request() -> None:
    """The answer shows what the server signed, line breaks as bars, to ease debugging."""
    with pytest.raises(Refused) as caught:
        verify(authorization(), b"other", DATE, request())
    assert f"canonicalRequest:POST|{TOPICS}/||content-type:" in caught.value.message
    assert SECRET.decode() not in caught.value.message


def test_a_signed_secret_header_is_not_shown() -> None:
    """A token among the signed headers is masked in the answer."""
    headers = HEADERS | {"x-auth-token": "s3cr3t"}
    with pytest.raises(Refused) as caught:
        verify(
            authorization(names="x-auth-token;x-sdk-date"), SECRET, DATE, request(headers=headers)
        )
    assert "x-auth-token:***" in caught.value.message
    assert "s3cr3t" not in caught.value.message


def test_a_declared_body_hash_must_be_the_bodys() -> None:
    """X-Sdk-Content-Sha256 cannot vouch for another body."""
    headers = HEADERS | {"x-sdk-content-sha256": hashlib.sha256(BODY).hexdigest()}
    verify(authorization(), SECRET, DATE, request(headers=headers))
    with pytest.raises(Refused, match="not the body's hash"):
        verify(authorization(), SECRET, DATE, request(headers=headers, body=b"{}"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Basic dXNlcjpwYXNz",
        "SDK-HMAC-SHA256",
        f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders={NAMES}",
        f"SDK-HMAC-SHA256 Access=, SignedHeaders={NAMES}, Signature={'0' * 64}",
        f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders={NAMES}, Signature={'0' * 63}",
        f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders={NAMES}, Signature={'g' * 64}",
        f"SDK-HMAC-SM3 Access={ACCESS_KEY}, SignedHeaders={NAMES}, Signature={'0' * 64}",
        f"SDK-HMAC-SHA256 Access=\udce4, SignedHeaders={NAMES}, Signature={'0' * 64}",
        f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders=host, Signature={'0' * 64}",
    ],
)
def test_a_malformed_authorization_is_refused(text: str) -> None:
    """Anything but a complete header that signs the date is a 401."""
    with pytest.raises(Refused) as caught:
        parse_authorization(text)
    assert (caught.value.status, caught.value.code) == (401, "APIGW.0301")


def test_the_official_form_of_the_header_is_understood() -> None:
    """The header as the SDK writes it."""
    parsed = parse_authorization(
        f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, SignedHeaders={NAMES}, Signature={SIGNATURE_A}"
    )
    assert parsed == authorization()
    assert parsed.names == NAMES.split(";")


@pytest.mark.parametrize("skew_ms", [-15 * 60_000, 0, 15 * 60_000])
def test_a_date_within_15_minutes_passes(skew_ms: int) -> None:
    """Clocks may differ by 15 minutes either way."""
    assert check_date(lambda _: [DATE], NOW_MS + skew_ms) == DATE


@pytest.mark.parametrize("skew_ms", [-15 * 60_000 - 1, 15 * 60_000 + 1])
def test_a_date_further_off_is_refused(skew_ms: int) -> None:
    """An old signature cannot be replayed."""
    with pytest.raises(Refused, match="signature expired"):
        check_date(lambda _: [DATE], NOW_MS + skew_ms)


@pytest.mark.parametrize("values", [[], ["yesterday"], ["20261302T030405Z"], [DATE, DATE]])
def test_a_date_that_is_none_is_refused(values: list[str]) -> None:
    """Missing, malformed, impossible and doubled dates are all a 401."""
    with pytest.raises(Refused) as caught:
        check_date(lambda _: values, NOW_MS)
    assert caught.value.status == 401


def test_the_date_is_utc() -> None:
    """Z means UTC."""
    assert parse_date(DATE) == NOW_MS


def test_paths_are_decoded_whole_and_encoded_by_segment() -> None:
    """An encoded slash becomes a separator; odd bytes survive; nothing is collapsed."""
    assert canonical_path("/a%2Fb//c d:~") == "/a/b//c%20d%3A~/"
    assert canonical_path("/\udcff%FF") == "/%FF%FF/"


def test_query_parameters_are_sorted_by_name_then_value() -> None:
    """Repeated names keep all their values."""
    assert canonical_query([("b", ""), ("a", "2"), ("a", "1 +")]) == "a=1%20%2B&a=2&b="
