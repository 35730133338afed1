"""Remotes and the proxies of the environment: none for this machine, the right one for others."""

import asyncio
import socket
import threading

import pytest

from chatapp.engine.client import EngineClient
from chatapp.engine.protocol import ChatMessage, Finished, Generate, LoadOptions
from chatapp.errors import ConnectionLostError, EngineError
from chatapp.remotes import make_remote
from tests.remote.conftest import Name, Script
from tests.socks import SocksProxy

SAYS_YES = b'data: {"choices": [{"delta": {"content": "yes"}}]}\n\ndata: [DONE]\n\n'


async def _ask(client: EngineClient, script: Script) -> str:
    def answer(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.wfile.write(SAYS_YES)  # type: ignore[attr-defined]

    script.answers = [answer]
    request = Generate(request_id="a", messages=[ChatMessage.of("user", "Well?")])
    events = [event async for event in client.generate(request)]
    assert isinstance(events[-1], Finished)
    return events[-1].choices[0].text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "{own}"])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("ALL_PROXY", "nonsense://x"),
        ("http_proxy", "http://["),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
    ],
)
async def test_what_stays_on_this_machine_needs_no_proxy(
    client: EngineClient,
    script: Script,
    name: Name,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    variable: str,
    value: str,
) -> None:
    own = socket.gethostname()
    if host == "{own}":
        try:
            socket.create_connection((own, int(script.url[:-3].rpartition(":")[2])), 1).close()
        except OSError:
            pytest.skip(f"{own} does not lead to loopback here")
    monkeypatch.setenv(variable, value)
    name("near", script.url.replace("127.0.0.1", host.format(own=own)))
    await client.load(LoadOptions(path="remote:near"))
    assert await _ask(client, script) == "yes"


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("chat.localhost", True),
        ("127.255.0.1", True),
        ("0x7f.1", True),
        ("0", True),
        ("[::1]", True),
        ("[::]", True),
        ("[::ffff:127.0.0.1]", True),
        (socket.gethostname(), True),
        (socket.gethostname().partition(".")[0] + ".local", True),
        ("10.0.0.1", False),
        ("[fd00::1]", False),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("127.0.0.1.example", False),
        ("127.example", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, is_local: bool) -> None:
    assert make_remote("lab", f"http://{host}:8000/v1").is_local == is_local


@pytest.mark.parametrize("kind", ["socks5", "http"])
async def test_others_are_reached_through_the_proxy(
    client: EngineClient, script: Script, name: Name, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    port = int(script.url[:-3].rpartition(":")[2])
    with SocksProxy(port) as socks:
        address = socks.address if kind == "socks5" else f"127.0.0.1:{port}"
        monkeypatch.setenv("ALL_PROXY", f"{kind}://{address}")
        name("far", "http://lab.invalid:8000/v1")
        await client.load(LoadOptions(path="remote:far"))
        assert await _ask(client, script) == "yes"
    if kind == "socks5":
        assert set(socks.asked) == {"lab.invalid"}
    else:
        assert script.requests[-1][0] == "http://lab.invalid:8000/v1/chat/completions"


async def test_a_stop_reaches_through_a_proxy(
    client: EngineClient, script: Script, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocksProxy(int(script.url[:-3].rpartition(":")[2])) as socks:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{socks.address}")
        name("far", "http://lab.invalid:8000/v1")
        await client.load(LoadOptions(path="remote:far"))
        asked, left = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def silent(handler: object) -> None:
            loop.call_soon_threadsafe(asked.set)
            handler.connection.recv(1)  # type: ignore[attr-defined] # until the other side ends
            loop.call_soon_threadsafe(left.set)

        script.answers = [silent]
        request = client.request(
            Generate(request_id="a", messages=[ChatMessage.of("user", "Well?")])
        )
        waiting = asyncio.create_task(anext(aiter(request.events())))
        await asyncio.wait_for(asked.wait(), 60)
        request.cancel()
        done = await asyncio.wait_for(waiting, 60)
        assert isinstance(done, Finished)
        assert done.choices[0].finish_reason == "cancelled"
        await asyncio.wait_for(left.wait(), 60)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"ALL_PROXY": "gopher://127.0.0.1:1"}, "ALL_PROXY names a proxy of the kind gopher"),
        ({"http_proxy": "http://a:b:c"}, "http_proxy holds no address"),
        ({"ALL_PROXY": "socks5://127.0.0.1:{closed}"}, r"through ALL_PROXY \(socks5://127"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_one_sentence(
    client: EngineClient,
    name: Name,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    sentence: str,
) -> None:
    name("far", "http://lab.invalid/v1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for variable, value in settings.items():
            monkeypatch.setenv(variable, value.replace("{closed}", str(closed.getsockname()[1])))
        with pytest.raises(EngineError, match=sentence):
            await client.load(LoadOptions(path="remote:far"))


async def test_a_proxy_that_is_none_is_one_sentence(
    client: EngineClient, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greet() -> None:
        with listener.accept()[0] as connection:
            connection.sendall(b"220 mail.example ready\r\n")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, daemon=True).start()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{listener.getsockname()[1]}")
        name("far", "http://lab.invalid/v1")
        with pytest.raises(ConnectionLostError, match="through ALL_PROXY"):
            await client.load(LoadOptions(path="remote:far"))


async def test_certificates_that_are_missing_are_one_sentence(
    client: EngineClient, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    name("near", "https://127.0.0.1:1/v1")
    with pytest.raises(EngineError, match="SSL_CERT_FILE cannot be used: /nowhere"):
        await client.load(LoadOptions(path="remote:near"))
