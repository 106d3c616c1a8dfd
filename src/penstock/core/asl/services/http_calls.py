"""`http:invoke`: the request that its parameters and a connection make, and what its answer, or its failing, is to the machine.

A connection holds what authorises a call, so that no secret stands in a definition or a history. Its parameters win over those of
the call. A status that is no success fails the task with `States.Http.StatusCode.404` and the status text as cause, as on AWS:
the body of such an answer is not kept.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from msgspec import Struct, field

from penstock.core.asl.services.problems import DATA_LIMIT, RUNTIME, CallFailed, not_started
from penstock.core.asl.values import Json, json_text, parsed_json

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
ANSWER_BYTES_MAX: Final = 256 * 1024
TIMEOUT_S: Final = 60.0
SOCKET: Final = "States.Http.Socket"
NOT_AUTHORIZED: Final = "Events.ConnectionResource.InvalidConnectionState"
NO_CONNECTION: Final = "Events.ConnectionResource.ResourceNotFound"
_FORBIDDEN: Final = frozenset(
    """
    a-im accept-charset accept-datetime accept-encoding authorization cache-control connection content-encoding content-md5
    date expect forwarded from host http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since
    max-forwards origin pragma proxy-authorization referer server te trailer transfer-encoding upgrade via warning
    """.split()  # noqa: SIM905 - a list of so many quotes is hard to read
)
_FORBIDDEN_PREFIXES: Final = ("x-forwarded", "x-amz", "x-amzn")
_NAME: Final = re.compile(r"connection/([^/]+)")
_FORMATS: Final = ("INDICES", "REPEAT", "COMMAS", "BRACKETS")
_NO_TEXT: Final = ("image/", "video/", "audio/", "application/octet-stream")


class OAuth(Struct, frozen=True):
    """Where a client gets a token for itself: OAuth's client credentials."""

    token_url: str
    client_id: str
    client_secret: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


class Connection(Struct, frozen=True):
    """What authorises calls of an API: headers, query parameters and fields of the body that each of them gets."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, str] = field(default_factory=dict[str, str])
    basic: tuple[str, str] | None = None
    oauth: OAuth | None = None


class HttpRequest(Struct, frozen=True):
    """What is sent. `body` is None where there is none."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class HttpResponse(Struct, frozen=True):
    """What came back."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def connection_name(parameters: Mapping[str, Json]) -> str:
    """Return the name of the connection that a checked call names by its ARN, or by the name itself."""
    arn = ""
    for name in ("InvocationConfig", "Authentication"):
        given = parameters.get(name)
        if isinstance(given, dict) and given.get("ConnectionArn"):
            arn = str(given["ConnectionArn"])
            break
    found = _NAME.search(arn)
    return found[1] if found else arn


def http_request(parameters: Mapping[str, Json], connection: Connection, idempotency_key: str) -> HttpRequest:
    """Return the request of a checked call; raise `CallFailed` with all that is wrong with it."""
    problems: list[str] = []
    url, method = str(parameters["ApiEndpoint"]), str(parameters["Method"])
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        problems.append("The value of the field 'ApiEndpoint' has an invalid format")
    if method not in METHODS:
        problems.append("The value of the field 'Method' has an invalid format")
    headers = _headers(parameters.get("Headers") or {}, problems)
    encoding, array_format = _encoding(parameters.get("Transform"), problems)
    if problems:
        raise not_started(dict(parameters), problems)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *_pairs(parameters.get("QueryParameters") or {})]
    query = [pair for pair in query if pair[0] not in connection.query] + list(connection.query.items())
    body, kind = _body(parameters.get("RequestBody"), connection.body, encoding, array_format)
    authorised = {name.lower() for name in connection.headers}
    sent = [(name, value) for name, value in headers if name.lower() not in authorised]
    sent += connection.headers.items()
    names = {name.lower() for name, _ in sent}
    if body is not None and "content-type" not in names:
        sent.append(("Content-Type", kind))
    if "idempotency-key" not in names:
        sent.append(("Idempotency-Key", quote(idempotency_key, safe="/:.-_#@")))
    whole = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
    return HttpRequest(method, whole, tuple(sent), body)


def http_answer(response: HttpResponse) -> dict[str, Json]:
    """Return what the task gets; raise `CallFailed` for a status that is no success, and for what is no text."""
    reason = response.reason or reason_of(response.status)
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise CallFailed(f"States.Http.StatusCode.{response.status}", reason)
    if len(response.body) > ANSWER_BYTES_MAX:
        what = (
            "The state/task 'http' returned a result with a size exceeding the maximum number of bytes service limit."
        )
        raise CallFailed(DATA_LIMIT, what)
    grouped: dict[str, list[Json]] = {}
    for name, value in response.headers:
        grouped.setdefault(name.lower(), []).append(value)
    kind = str(grouped.get("content-type", [""])[0]).partition(";")[0].strip().lower()
    if kind.startswith(_NO_TEXT):
        raise CallFailed(RUNTIME, f"The HTTP response has the content type {kind}, which is no text")
    return {
        "Headers": cast("dict[str, Json]", grouped),
        "ResponseBody": _answer_body(response.body, kind),
        "StatusCode": response.status,
        "StatusText": reason,
    }


def _answer_body(body: bytes, kind: str) -> Json:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise CallFailed(RUNTIME, "The HTTP response is no UTF-8 text") from error
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return parsed_json(text)
        except ValueError:
            return text
    return text


def _headers(given: Json, problems: list[str]) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    for name, value in cast("dict[str, Any]", given).items():
        if name.lower() in _FORBIDDEN or name.lower().startswith(_FORBIDDEN_PREFIXES):
            problems.append(f"The header '{name}' is not allowed")
            continue
        each = [_text(one) for one in cast("list[Any]", value if isinstance(value, list) else [value])]
        if any("\n" in text or "\r" in text for text in (name, *each)):
            problems.append(f"The header '{name}' has a line break")
        headers += [(name, text) for text in each]
    return headers


def _encoding(given: Json, problems: list[str]) -> tuple[str, str]:
    transform = cast("dict[str, Any]", given or {})
    options = cast("dict[str, Any]", transform.get("RequestEncodingOptions") or {})
    encoding, array_format = transform.get("RequestBodyEncoding", "NONE"), options.get("ArrayFormat", "INDICES")
    if encoding not in ("NONE", "URL_ENCODED"):
        problems.append("The value of the field 'RequestBodyEncoding' has an invalid format")
    if array_format not in _FORMATS:
        problems.append("The value of the field 'ArrayFormat' has an invalid format")
    return encoding, array_format


def _body(given: Json, added: Mapping[str, str], encoding: str, array_format: str) -> tuple[bytes | None, str]:
    if added:
        if given is not None and not isinstance(given, dict):
            raise CallFailed(RUNTIME, "The RequestBody must be an object: the connection adds fields to it")
        given = {**(given or {}), **added}
    if given is None:
        return None, ""
    if encoding == "URL_ENCODED" and isinstance(given, dict):
        pairs = [pair for name, value in given.items() for pair in _form(name, value, array_format)]
        return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
    if isinstance(given, str):
        return given.encode(), "application/json"
    return json_text(given).encode(), "application/json"


def _form(name: str, value: Json, array_format: str) -> Iterator[tuple[str, str]]:
    """Give the fields of a form: objects as `a[b]`, lists in one of AWS's four ways."""
    if isinstance(value, dict):
        for member, each in value.items():
            yield from _form(f"{name}[{member}]", each, array_format)
    elif isinstance(value, list) and array_format == "COMMAS":
        yield name, ",".join(map(_text, value))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            place = {"INDICES": f"[{at}]", "BRACKETS": "[]", "REPEAT": ""}[array_format]
            yield from _form(f"{name}{place}", each, array_format)
    elif value is not None:
        yield name, _text(value)


def _pairs(given: Json) -> Iterator[tuple[str, str]]:
    for name, value in cast("dict[str, Json]", given).items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                yield name, _text(each)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json_text(value)


def reason_of(status: int) -> str:
    """Return the text of a status, where the answer brought none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return str(status)
