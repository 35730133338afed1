"""Which proxy a request goes through, read from the environment."""

import httpx2
import pytest

from chatapp.errors import NetworkSettingsError
from chatapp.network import Network, find_proxy

PROXY = "http://10.9.8.7:3128"


def _shown(url: str) -> str:
    return str(find_proxy(httpx2.URL(url)) or "direct")


@pytest.mark.parametrize(
    ("environment", "url", "shown"),
    [
        ({}, "https://hub.example", "direct"),
        ({"HTTPS_PROXY": PROXY}, "https://hub.example", f"HTTPS_PROXY ({PROXY})"),
        ({"HTTPS_PROXY": PROXY}, "http://hub.example", "direct"),
        ({"https_proxy": PROXY}, "https://hub.example", f"https_proxy ({PROXY})"),
        ({"ALL_PROXY": PROXY}, "http://hub.example", f"ALL_PROXY ({PROXY})"),
        ({"all_proxy": "10.9.8.7:3128"}, "http://hub.example", f"all_proxy ({PROXY})"),
        (
            {"ALL_PROXY": "ftp://x", "HTTP_PROXY": PROXY},
            "http://a.example",
            f"HTTP_PROXY ({PROXY})",
        ),
        (
            {"HTTP_PROXY": "ftp://x", "ALL_PROXY": PROXY},
            "https://a.example",
            f"ALL_PROXY ({PROXY})",
        ),
        ({"ALL_PROXY": f" {PROXY}\n"}, "https://a.example", f"ALL_PROXY ({PROXY})"),
        ({"ALL_PROXY": "  "}, "https://a.example", "direct"),
        (
            {"ALL_PROXY": "socks5h://me:secret@[::1]:1080/x"},
            "https://a.example",
            "ALL_PROXY (socks5h://[::1]:1080)",
        ),
    ],
)
def test_the_variable_of_the_scheme_else_all_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, shown: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _shown(url) == shown


@pytest.mark.parametrize(
    ("entry", "host", "is_excepted"),
    [
        ("*", "a.example", True),
        ("a.example", "a.example", True),
        ("A.Example", "a.example", True),
        ("a.example", "b.a.example", True),
        (".a.example", "b.a.example", True),
        ("*.a.example", "b.a.example", True),
        ("a.example", "ba.example", False),
        ("x, a.example ,y", "a.example", True),
        ("x a.example", "a.example", True),
        ("a.example:8000", "a.example:8000", True),
        ("a.example:8000", "a.example:8001", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "ten.example", False),
        ("fd00::/8", "[fd00::1]", True),
        ("fd00::1", "[fd00::1]:80", True),
        ("[fd00::1]", "[fd00::1]:80", True),
        ("/,//,10/999,,.", "a.example", False),
        ("", "a.example", False),
    ],
)
def test_no_proxy(
    monkeypatch: pytest.MonkeyPatch, entry: str, host: str, is_excepted: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", entry)
    assert (_shown(f"http://{host}/v1") == "direct") == is_excepted


def test_what_is_excepted_needs_no_usable_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://x")
    monkeypatch.setenv("no_proxy", "a.example")
    assert _shown("http://a.example") == "direct"
    with pytest.raises(NetworkSettingsError):
        _shown("http://b.example")


@pytest.mark.parametrize("value", ["ftp://x:1", "socks://x:1", "socks4://x:1", "file:///etc"])
def test_an_unknown_kind_is_said(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(NetworkSettingsError, match="HTTP_PROXY") as raised:
        _shown("http://a.example")
    assert value.partition(":")[0] in str(raised.value)


@pytest.mark.parametrize(
    "value", ["http://", "://", "http://:80", "http://[::1", "h://a:b", "a:b:c"]
)
def test_rubbish_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("all_proxy", value.replace("://", "://me:secret@"))
    with pytest.raises(NetworkSettingsError, match="all_proxy") as raised:
        _shown("http://a.example")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("proxy", ["http://{}.example:1", "socks5://{}.example:1", ""])
def test_a_name_that_no_host_can_have_is_a_failed_connection(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.format("a" * 70))
    with (
        httpx2.Client(transport=Network(), timeout=5) as client,
        pytest.raises(httpx2.ConnectError),
    ):
        client.get(f"http://{'b' * 70}.invalid")
