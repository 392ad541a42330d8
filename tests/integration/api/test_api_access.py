"""Who is let in, for what, and how the door says no."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from clients import MakeClient, MakeToken
from support.rows import insert, new_job
from support.tls import Authority

import fitfleet as ff
from fitfleet.api.app import ROUTES
from fitfleet.api.serve import ApiServer, Options
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope
from fitfleet.errors import AccessError, ApiError, FitfleetError, SettingsError

NONE = "0" * 64


def ask(
    server: ApiServer, method: str, path: str, token: str = "", body: bytes = b"", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """Status, document and headers of an answer."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, body, {**sent, **headers})
    response = connection.getresponse()
    text, found = response.read(), {k.lower(): v for k, v in response.getheaders()}
    connection.close()
    return response.status, json.loads(text), found


def said(document: Any) -> str:
    """The sentence of a refusal."""
    assert document.keys() == {"error"} and {"kind", "message"} <= document["error"].keys()
    assert "\n" not in document["error"]["message"]
    return str(document["error"]["message"])


def test_each_route_asks_for_its_scope(server: ApiServer, token: MakeToken) -> None:
    by_scope = {scope: token("ana", scope) for scope in Scope}
    assert len(ROUTES) > 30
    for method, route, needed, _ in ROUTES:
        name = f"datasets/{NONE}.h5"
        path = route.replace("{job_id:int}", "1").replace("{kind}/{name}", name)
        assert ask(server, method, path)[0] == 401
        for scope, given in by_scope.items():
            status, document, _ = ask(server, method, path, given)
            is_refused = status == 403 and "is of scope" in said(document)
            assert is_refused is not scope.allows(needed), (method, path, scope)
            assert status != 500


def test_wrong_expired_and_revoked_tokens_are_distinguished(
    server: ApiServer, token: MakeToken, fleet: ff.Fleet
) -> None:
    expired, revoked = token(expires_s=0.0), token()
    with fleet.database.begin() as c:
        tokens.revoke(c, revoked.split("_")[1])
    wrong = token()[:-1] + "!"
    told = [ask(server, "GET", "/v1/fleet", text) for text in (wrong, expired, revoked)]
    assert [status for status, _, _ in told] == [401, 401, 401]
    assert [said(document).split(";")[0].split()[-1] for _, document, _ in told] == [
        "fleet", "expired", "revoked",
    ]  # fmt: skip
    for text, end in (
        (wrong, "does not belong to this fleet"),
        (expired, "expired"),
        (revoked, "revoked"),
    ):
        with pytest.raises(AccessError, match=end):
            ff.connect(server.url, token=text)
    with pytest.raises(AccessError, match="requires a token"):
        ff.connect(server.url)


def test_who_guesses_has_to_wait_and_others_of_the_address_do_not(
    server: ApiServer, token: MakeToken
) -> None:
    known, unseen = token("ana"), token("bob")
    assert ask(server, "GET", "/v1/fleet", known)[0] == 200
    statuses = [ask(server, "GET", "/v1/fleet", f"ff_{n:08x}_{'x' * 43}")[0] for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    status, document, headers = ask(server, "GET", "/v1/fleet", unseen)
    assert (status, "too many wrong tokens" in said(document)) == (429, True)
    assert 0 < int(headers["retry-after"]) <= 61
    assert ask(server, "GET", "/v1/fleet", known)[0] == 200


def test_a_token_that_is_revoked_ends_its_client(
    client: MakeClient, fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    remote = client()
    with fleet.database.read() as c:
        (row,) = tokens.listed(c)
    with fleet.database.begin() as c:
        tokens.revoke(c, row["token"])
    with pytest.raises(AccessError, match="was revoked"):
        remote.jobs()


def test_no_token_is_in_a_log_or_an_answer(
    server: ApiServer, token: MakeToken, caplog: pytest.LogCaptureFixture, client: MakeClient
) -> None:
    right, wrong = token("ana", Scope.READ), f"ff_00000000_{'q' * 43}"
    with caplog.at_level(logging.DEBUG):
        answers = [
            ask(server, "POST", "/v1/jobs", text, b"{") for text in (right, wrong, "no token")
        ]
        remote = client("bob")
        shown = repr(remote) + repr(remote.settings) + repr(vars(remote)) + remote._repr_html_()
    secrets = [right.split("_", 2)[2], wrong.split("_", 2)[2], remote.settings.token]
    text = caplog.text + repr(answers) + shown
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "is not JSON"),
        (b"[]", 400, "not a JSON object"),
        (b'{"jobs": "x"}', 400, "jobs: 'x' is not a list of objects"),
        (b'{"jobs": []}', 413, "submit 1 to"),
        (b'{"jobs": [{}]}', 400, "model"),
        (b'{"jobs": [{"model": "m.keras", "dataset": "d"}]}', 400, "takes a config of Keras"),
        (b'{"jobs": [{"model": {}, "dataset": 5}]}', 400, "dataset: the API takes"),
        (b'{"jobs": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, "nested too deep"),
        (b'{"jobs": [' + b'{"a": ' * 500 + b"1" + b"}" * 500 + b"]}", 400, "model"),
        (b'{"jobs": "' + b"x" * (33 * 2**20) + b'"}', 413, "submit fewer jobs at once"),
    ],
    ids=["cut", "list", "text", "none", "empty", "path", "number", "deep", "nested", "long"],
)
def test_a_request_that_is_none_is_refused(
    body: bytes, status: int, says: str, server: ApiServer, token: MakeToken
) -> None:
    answer = ask(server, "POST", "/v1/jobs", token(), body)
    assert (answer[0], says in said(answer[1])) == (status, True), answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/jobs/1", 405),
        ("GET", "/v1/jobs/77", 404),
        ("GET", f"/v1/jobs/{10**30}", 404),
        ("GET", "/v1/jobs?limit=x", 400),
        ("GET", "/v1/jobs?status=GONE", 400),
        ("GET", f"/v1/files/code/{NONE}.h5", 404),
        ("GET", f"/v1/files/datasets/{NONE}.py", 400),
        ("GET", "/v1/files/datasets/..%2F..%2Ffleet.db", 404),
        ("GET", f"/v1/files/datasets/{NONE}.h5", 404),
    ],
)
def test_what_is_not_there_is_reported(
    method: str, path: str, status: int, server: ApiServer, token: MakeToken
) -> None:
    answer = ask(server, method, path, token())
    assert answer[0] == status, answer
    assert said(answer[1])


def test_an_upload_is_what_its_name_says_or_nothing(
    server: ApiServer, token: MakeToken, fleet: ff.Fleet
) -> None:
    content = b"some bytes"
    good, right = hashlib.sha256(content).hexdigest(), token()
    place = "/v1/files/datasets/{}.npz"
    status, document, _ = ask(server, "PUT", place.format(NONE), right, content)
    assert (status, "send it again" in said(document)) == (400, True)
    assert ask(server, "PUT", place.format(good), right, content)[0] == 200
    assert ask(server, "PUT", place.format(good), right, content)[0] == 200
    # The draft of the refused one is gone.
    names = [path.name for path in (Path(fleet.settings.storage) / "datasets").iterdir()]
    assert names == [f"{good}.npz"]
    weights = f"/v1/files/weights/{good}.weights.h5"
    status, document, _ = ask(server, "PUT", weights, right, content)
    assert (status >= 400, bool(said(document))) == (True, True)


def test_a_file_that_is_too_large_is_refused_by_its_size(fleet: ff.Fleet, token: MakeToken) -> None:
    small = ff.Fleet(fleet.settings.replace(max_upload_bytes=4), fleet.database)
    server = ApiServer(small, Options("127.0.0.1:0")).start()
    try:
        content = b"some bytes"
        place = f"/v1/files/datasets/{hashlib.sha256(content).hexdigest()}.npz"
        status, document, _ = ask(server, "PUT", place, token(), content)
        assert (status, "max_upload_bytes allows 4" in said(document)) == (413, True)
    finally:
        server.stop()


def test_a_database_that_is_away_is_reported_without_its_address(
    server: ApiServer, client: MakeClient, fleet: ff.Fleet
) -> None:
    remote = client()
    (number,) = insert(fleet.database, new_job("a"))
    path = fleet.database.file
    assert path is not None
    fleet.database.dispose()
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    with pytest.raises(ApiError, match="fleet's database does not respond") as refused:
        remote.job(number)
    assert str(path) not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("0.0.0.0:0", "give --certificate and --key"),
        ("example.org:9500", "give --certificate and --key"),
        ("9500x", "not an address such as"),
        ("127.0.0.1:70000", "not an address such as"),
    ],
)
def test_tokens_do_not_travel_where_others_can_read_them(address: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Options(address)


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("http://fleet.example:9500", SettingsError, "use https://"),
        ("https://ana:secret@host:9500", SettingsError, "a token is given as token="),
        ("https://host:port", SettingsError, "is not an address"),
        ("http://127.0.0.1:1", ApiError, "does not answer: Connection refused"),
    ],
)
def test_a_url_that_is_none_is_refused(url: str, error: type[FitfleetError], says: str) -> None:
    with pytest.raises(error, match=says) as refused:
        ff.connect(url, token="ff_0_x")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("https://127.0.0.1", r"for another address: IP address mismatch, .*'127.0.0.1'; use one"),
        ("http://127.0.0.1", r"does not answer: .*; the address .* begins with https://"),
    ],
)
def test_an_address_that_is_not_the_one_of_the_certificate_is_named(
    fleet: ff.Fleet, token: MakeToken, tmp_path: Path, address: str, says: str
) -> None:
    authority = Authority(tmp_path, "authority")
    pair = authority.issue("fleet.example")
    server = ApiServer(fleet, Options("127.0.0.1:0", pair, pair)).start()
    try:
        url = f"{address}:{server.url.rpartition(':')[2]}"
        with pytest.raises(ApiError, match=says):
            ff.connect(url, token=token(), ca_file=str(authority.file))
    finally:
        server.stop()
