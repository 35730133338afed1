"""The hub behind proxies that work, and proxies and certificates that cannot be used."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import make_certificate, secure_server
from tests.hub.conftest import NAME, Start
from tests.hub.server import Hub
from tests.socks import SocksProxy

ELSEWHERE = "http://hub.invalid"


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that refuses: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _end(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = child.communicate(timeout=60)
    assert "Traceback" not in err
    return child.returncode, out, err


@pytest.mark.parametrize("kind", ["socks5", "socks5h"])
def test_search_and_fetch_through_socks(start: Start, hub: Hub, home: Path, kind: str) -> None:
    port = int(hub.url.rpartition(":")[2])
    hub.repos[NAME].files = {"small-Q4_K_M.gguf": hub.repos[NAME].files["small-Q4_K_M.gguf"]}
    with SocksProxy(port) as proxy:
        way = {"HF_ENDPOINT": ELSEWHERE, "ALL_PROXY": f"{kind}://{proxy.address}"}
        way["NO_PROXY"] = "127.0.0.1"  # where the files are
        code, out, err = _end(start("models", "search", "small", **way))
        assert (code, err) == (0, "")
        assert NAME in out
        assert _end(start("models", "pull", NAME, **way))[0] == 0
    assert set(proxy.asked) == {"hub.invalid"}
    assert len(list(home.rglob("*.gguf"))) == 1


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_search_through_an_http_proxy(start: Start, hub: Hub, variable: str) -> None:
    way = {"HF_ENDPOINT": ELSEWHERE, variable: hub.url}
    code, out, _ = _end(start("models", "search", "small", **way))
    assert code == 0
    assert NAME in out
    assert hub.requests[0].startswith(f"GET {ELSEWHERE}/api/models")


@pytest.mark.parametrize("words", [["search", "qwen"], ["offers", NAME], ["pull", NAME]])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks4://127.0.0.1:{}"),
        ("all_proxy", "ftp://user:secret@127.0.0.1:{}"),
        ("HTTP_PROXY", "http://user:secret@127.0.0.1:{}"),
        ("ALL_PROXY", "socks5://user:secret@127.0.0.1:{}"),
        ("http_proxy", "http://[::1"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(
    start: Start, closed: int, words: list[str], variable: str, value: str
) -> None:
    way = {"HF_ENDPOINT": ELSEWHERE, variable: value.format(closed)}
    code, out, err = _end(start("models", *words, **way))
    assert (code, out) == (1, "")
    assert variable in err
    assert value.partition(":")[0] in err or "holds no address" in err
    assert "chatapp models list" in err
    assert "secret" not in err


@pytest.mark.parametrize(
    "settings",
    [
        {"ALL_PROXY": "ftp://x", "NO_PROXY": "127.0.0.1"},
        {"ALL_PROXY": "ftp://x", "no_proxy": "*"},
        {"HTTPS_PROXY": "ftp://x"},
        {"SSL_CERT_FILE": "/nowhere/certificates.pem"},
    ],
)
def test_what_a_request_does_not_need_does_no_harm(
    start: Start, hub: Hub, settings: dict[str, str]
) -> None:
    code, out, err = _end(start("models", "search", "small", **settings))
    assert (code, err) == (0, "")
    assert NAME in out


@pytest.mark.parametrize("kind", ["missing", "empty", "folder"])
def test_certificates_that_cannot_be_read_are_one_sentence(
    start: Start, tmp_path: Path, closed: int, kind: str
) -> None:
    path = tmp_path / "certificates.pem"
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    way = {"HF_ENDPOINT": f"https://127.0.0.1:{closed}", "SSL_CERT_FILE": str(path)}
    code, out, err = _end(start("models", "search", "qwen", **way))
    assert (code, out) == (1, "")
    assert f"SSL_CERT_FILE cannot be used: {path}" in err.replace("\n  ", " ")


def test_a_certificate_that_nobody_vouches_for_names_the_variable(
    start: Start, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path, days=30)
    with secure_server(certificate) as url:
        code, out, err = _end(start("models", "search", "qwen", HF_ENDPOINT=url))
        assert (code, out) == (1, "")
        assert "self-signed certificate" in err
        assert "SSL_CERT_FILE" in err
        way = {"HF_ENDPOINT": url, "SSL_CERT_FILE": str(certificate)}
        assert "does not answer as a hub" in _end(start("models", "search", "qwen", **way))[2]
