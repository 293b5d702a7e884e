"""``tocsin send``, with a server on this machine and no service anywhere."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from engine.cli import app
from tests import smsc
from tests.endpoints import certificate_for
from tests.relay import Relay, real_server, relay
from tests.smsc import Smsc

T = TypeVar("T")

TOKEN = "0a1b2c3d4e"
SECRET = "SECx0y1z2w3"


class Server:
    """Answers every request with one status and body; keeps what came."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b'{"errcode":0,"errmsg":"ok"}'
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append((self.path, dict(self.headers), body))
                self.send_response(server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                """Stay silent."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own."""
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tocsin.toml but the test's own."""
    monkeypatch.chdir(tmp_path)


def tocsin_send(*arguments: str, given: str | None = None) -> Result:
    """The command, as if it had been typed."""
    return CliRunner().invoke(app, ["send", *arguments], input=given, prog_name="tocsin")


@contextmanager
def beside(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """A server of the tests' own that runs in a thread: the command has a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def done(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    async def entered() -> T:
        return await server.__aenter__()

    async def left() -> Any:
        return await server.__aexit__(None, None, None)

    try:
        yield done(entered())
        done(left())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def mail_relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay that the environment names."""
    with beside(relay()) as found:
        one = {"host": "127.0.0.1", "port": found.port, "tls": "none"}
        monkeypatch.setenv("TOCSIN_SMTP_RELAYS", json.dumps([one]))
        monkeypatch.setenv("TOCSIN_SMTP_SENDER", "tocsin@example.com")
        yield found


@pytest.fixture
def centre(monkeypatch: pytest.MonkeyPatch) -> Iterator[Smsc]:
    """A message centre that the environment names."""
    with beside(smsc.smsc()) as found:
        monkeypatch.setenv("TOCSIN_SMS_URL", found.url)
        monkeypatch.setenv("TOCSIN_SMS_SMPP_PASSWORD", smsc.PASSWORD)
        yield found


def to_a_bot(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The endpoint of a bot at the server."""
    monkeypatch.setenv("TOCSIN_DINGTALK_BASE_URLS", json.dumps([server.origin]))
    monkeypatch.setenv("TOCSIN_ALLOW_ENDPOINTS", "127.0.0.0/8")
    return f"{server.origin}/robot/send?access_token={TOKEN}"


def test_it_shows_request_answer_and_outcome(server: Server) -> None:
    """All that an operator needs to see, and 0 for what was delivered."""
    server.body = b"thank you"
    done = tocsin_send(
        *("http", f"{server.origin}/hook", "-m", "hello", "--subject", "s"),
        *("-e", "header.X-Mine=geheim", "--allow-endpoints", "127.0.0.0/8"),
    )
    assert done.exit_code == 0, done.output
    assert f"> POST {server.origin}/hook\n" in done.stdout
    assert "> X-Mine: ***\n" in done.stdout
    assert '"message":"hello"' in done.stdout
    assert "< HTTP 200, after " in done.stdout
    assert "< thank you" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("delivered: ")
    assert server.requests[0][1]["X-Mine"] == "geheim"


def test_a_bots_secrets_are_masked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither token nor signature nor secret is shown, though the server repeats them."""
    endpoint = to_a_bot(server, monkeypatch)
    server.body = json.dumps({"errcode": 310000, "errmsg": f"{endpoint} {SECRET}"}).encode()
    Path("secret.txt").write_text(f"{SECRET}\n")
    for extra in ((), ("--json",)):
        done = tocsin_send("dingding", endpoint, "-e", "sign_secret=@secret.txt", *extra)
        assert done.exit_code == 1, done.output
        assert "access_token=***" in done.stdout
        assert "sign=***" in done.stdout
        assert "rejected" in done.stdout
        assert TOKEN not in done.output
        assert SECRET not in done.output
    assert f"access_token={TOKEN}&timestamp=" in server.requests[0][0]


def test_nothing_secret_need_be_typed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint comes from a file, the secret from a prompt that does not show it."""
    Path("url.txt").write_text(to_a_bot(server, monkeypatch) + "\n")
    done = tocsin_send("dingding", "@url.txt", "-e", "sign_secret", given=f"{SECRET}\n")
    assert done.exit_code == 0, done.output
    assert "sign=" in server.requests[0][0]
    assert SECRET not in done.output
    assert TOKEN not in done.output


def test_without_anybody_to_ask_it_says_so(server: Server) -> None:
    """In one sentence, with another way to give what is secret."""
    done = tocsin_send("http", server.origin, "-e", "sign_secret")
    assert done.exit_code == 2
    assert "give sign_secret=@FILE" in done.stderr
    assert not server.requests


def test_a_name_that_the_protocol_does_not_know_is_pointed_out(server: Server) -> None:
    """It is ignored as the API does, which nobody who mistyped it would notice."""
    allowed = ("--allow-endpoints", "127.0.0.0/8")
    done = tocsin_send("http", server.origin, "-e", "sing_secret=x", *allowed)
    assert done.exit_code == 0
    assert "note: the extension's 'sing_secret' is none that this protocol knows" in done.stdout


def test_what_an_adapter_logs_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which relay failed, and why: the outcome does not tell."""
    monkeypatch.setenv("TOCSIN_SMTP_RELAYS", '[{"host": "127.0.0.1", "port": 1, "tls": "none"}]')
    monkeypatch.setenv("TOCSIN_SMTP_SENDER", "tocsin@example.com")
    done = tocsin_send("email", "somebody@example.com")
    assert done.exit_code == 1
    assert "relay.failed relay=127.0.0.1:1" in done.stderr


def test_what_a_mail_relay_is_told_and_answers_is_shown(mail_relay: Relay) -> None:
    """Which relay, the envelope, the mail fit to read, and each reply."""
    mail_relay.answer(".", b"250 2.0.0 queued as 4711")
    done = tocsin_send("email", "somebody@example.com", "-m", "磁盘已满", "--subject", "告警")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:3] == [f"127.0.0.1:{mail_relay.port}:", "> connect", "< connected"]
    assert lines[3].startswith("> MAIL FROM:<tocsin@example.com> SIZE=")
    assert lines[4:9] == [
        "< 250 2.0.0 fine",
        "> RCPT TO:<somebody@example.com>",
        "< 250 2.0.0 fine",
        "> DATA",
        "< 354 go on",
    ]
    assert {"> Subject: 告警", "> To: <somebody@example.com>", "> 磁盘已满"} <= set(lines)
    assert "< 250 2.0.0 queued as 4711" in lines
    assert lines[-1].startswith("delivered: ")


def test_why_a_mail_relay_refuses_is_shown(mail_relay: Relay) -> None:
    """In its own words, at the command that it refused; as JSON, too."""
    mail_relay.always["RCPT"] = b"550 5.1.1 no such user"
    done = tocsin_send("email", "somebody@example.com", "--json")
    assert done.exit_code == 1
    said, heard, outcome = [json.loads(line) for line in done.stdout.splitlines()][-3:]
    server = f"127.0.0.1:{mail_relay.port}"
    assert said == {"server": server, "said": "RCPT TO:<somebody@example.com>"}
    assert heard == {"server": server, "heard": "550 5.1.1 no such user"}
    assert outcome["outcome"]["name"] == "rejected"


# The client's TLS is still saying goodbye when the command ends: transport and socket.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_password_of_a_mail_relay_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what it says to a wrong one."""
    ca_file, key = certificate_for("127.0.0.1", tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ca_file, key)
    with beside(real_server(tls=tls, password="another")) as server:
        one = {"host": "127.0.0.1", "port": server.port, "ca_file": str(ca_file)}
        relays = [{**one, "username": "tocsin", "password": SECRET}]
        monkeypatch.setenv("TOCSIN_SMTP_RELAYS", json.dumps(relays))
        monkeypatch.setenv("TOCSIN_SMTP_SENDER", "tocsin@example.com")
        done = tocsin_send("email", "somebody@example.com")
    gc.collect()
    assert done.exit_code == 1
    assert done.stdout.splitlines()[1:3] == [
        "> connect with STARTTLS, AUTH as tocsin",
        "< the mail relay refused the user name or password (SMTP 535)",
    ]
    assert SECRET not in done.output


def test_what_a_message_centre_is_told_and_answers_is_shown(centre: Smsc) -> None:
    """The bind, the fields of each submit, each status."""
    done = tocsin_send("sms", "+8613600000000", "-m", "x" * 153 + "tail of it")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        f"127.0.0.1:{centre.port}:",
        "> bind_transceiver",
        f"> system_id: {smsc.SYSTEM_ID}",
        "< ESME_ROK (0x00000000)",
    ]
    assert {"> destination_addr: 8613600000000 (ton 1, npi 1)", "> esm_class: 0x40"} <= set(lines)
    assert "> short_message: tail of it" in lines
    assert lines.count("< ESME_ROK (0x00000000)") == 3
    assert smsc.PASSWORD not in done.output


def test_why_a_message_centre_refuses_is_shown(centre: Smsc) -> None:
    """The status of a submit, by its name."""
    centre.answers.append(0x0B)
    done = tocsin_send("sms", "+8613600000000", "-m", "hello", "--json")
    assert done.exit_code == 1
    heard = json.loads(done.stdout.splitlines()[-2])
    assert heard == {
        "server": f"127.0.0.1:{centre.port}",
        "heard": "ESME_RINVDSTADR (0x0000000B)",
    }


def test_a_refused_bind_is_shown(centre: Smsc, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its reason, without the password."""
    monkeypatch.setenv("TOCSIN_SMS_SMPP_PASSWORD", "another")
    done = tocsin_send("sms", "+8613600000000", "-m", "hello")
    assert "< the bind was refused: ESME_RINVPASWD (0x0000000E)" in done.stdout
    assert "another" not in done.output


@pytest.mark.parametrize(
    "how", [("-e", "-"), ("-e", "@e.json"), ("-e", '{"keyword": "alarm"}'), ("-e", "keyword=alarm")]
)
def test_an_extension_can_be_given_in_several_ways(
    server: Server, monkeypatch: pytest.MonkeyPatch, how: tuple[str, str]
) -> None:
    """As JSON from standard input, a file or the command line, or by name."""
    Path("e.json").write_text('{"keyword": "alarm"}')
    endpoint = to_a_bot(server, monkeypatch)
    done = tocsin_send("dingding", endpoint, "-m", "hello", *how, given='{"keyword": "alarm"}')
    assert done.exit_code == 0, done.output
    assert "alarm" in server.requests[0][2].decode()


def test_a_message_can_be_the_object_form_from_stdin(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a publisher would send as message_structure."""
    markdown = {"msgType": "markdown", "title": "t", "content": "# hello"}
    given = json.dumps({"default": "d", "dingding": markdown})
    endpoint = to_a_bot(server, monkeypatch)
    done = tocsin_send("dingding", endpoint, "-m", "-", "--structure", given=given)
    assert done.exit_code == 0, done.output
    assert json.loads(server.requests[0][2])["msgtype"] == "markdown"


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (500, {}, "retry: HTTP 500"),
        (404, {}, "rejected: HTTP 404"),
        (429, {"Retry-After": "30"}, "throttled: HTTP 429. A worker would wait"),
    ],
)
def test_the_outcome_says_what_a_worker_would_do(
    server: Server, status: int, headers: dict[str, str], says: str
) -> None:
    """And the exit status is 1."""
    server.status, server.headers = status, headers
    done = tocsin_send("http", server.origin, "--allow-endpoints", "127.0.0.0/8")
    assert done.exit_code == 1
    assert says in done.stdout.splitlines()[-1]


def test_what_is_tried_once_more_is_said_so(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature that is refused for its age."""
    server.body = b'{"errcode":310000,"errmsg":"invalid timestamp"}'
    done = tocsin_send("dingding", to_a_bot(server, monkeypatch), "-e", f"sign_secret={SECRET}")
    assert "A worker would try again, once, after 5 s." in done.stdout.splitlines()[-1]


def test_no_answer_is_shown_as_such() -> None:
    """A refused connection is the commonest reason of all."""
    done = tocsin_send("http", "http://127.0.0.1:1/", "--allow-endpoints", "127.0.0.0/8")
    assert done.exit_code == 1
    assert "< no answer: connection refused, after " in done.stdout


def test_an_answer_cannot_steer_the_terminal(server: Server) -> None:
    """Answers come from anybody, and may be long."""
    server.body = b"\x1b]0;owned\x07\x1b[31m" + b"x" * 50_000
    done = tocsin_send("http", server.origin, "--allow-endpoints", "127.0.0.0/8")
    assert "\x1b" not in done.stdout
    assert "characters]" in done.stdout
    assert len(done.stdout) < 10_000


def test_json_is_an_object_a_line(server: Server) -> None:
    """An exchange each, then the outcome."""
    done = tocsin_send("http", server.origin, "--json", "--allow-endpoints", "127.0.0.0/8")
    exchange, outcome = (json.loads(line) for line in done.stdout.splitlines())
    assert exchange["request"]["method"] == "POST"
    assert exchange["answer"]["status"] == 200
    assert outcome["outcome"] == {
        "name": "delivered",
        "code": 200,
        "meaning": "whoever was asked has taken the message (200).",
    }


def test_what_would_only_be_kept_is_shown_as_such() -> None:
    """Nobody should wait for a message that went to the outbox."""
    done = tocsin_send("sms", "13600000000", "-m", "hello")
    assert done.exit_code == 0
    assert "for the outbox, not sent: sms 13600000000" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("delivered: to the outbox alone")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["http", "http://127.0.0.1/"], "--allow-endpoints"),
        (["http", "nonsense"], "SMN.0012"),
        (["pigeon", "coop 7"], "'pigeon' is spoken by no adapter"),
        (["functiongraph", "x"], "is not enabled"),
        (["http", "http://8.8.8.8/", "-e", "{"], "not JSON"),
        (["http", "http://8.8.8.8/", "-e", "@missing"], "missing cannot be read: No such file"),
        (["http", "http://8.8.8.8/", "-e", "header=x"], "SMN.0043"),
        (["http", "http://8.8.8.8/", "-m", ""], "The message is empty"),
        (["http", "http://8.8.8.8/", "--structure", "-m", "{}"], "SMN.0021"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_wrong_usage_is_said_in_one_sentence(arguments: list[str], says: str) -> None:
    """With status 2, and nothing is sent."""
    done = tocsin_send(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
