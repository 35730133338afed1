"""How a server is reached: certificates, keys that cannot be sent, and what is this machine."""

import socket
from pathlib import Path

import pytest

from chatapp.errors import ChatAppError, ConnectionLostError, NetworkSettingsError, UsageError
from chatapp.remotes import clean_key, make_remote
from tests.certificates import make_certificate, secure_server
from tests.remote.answers import Asking
from tests.remote.conftest import Name, Script

AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in AUTHORITIES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path, days=30)


def _hint_of(name: Name, certificate: Path) -> tuple[str, str]:
    with secure_server(certificate) as url:
        name("lab", url)
        with pytest.raises(ConnectionLostError) as raised:
            Asking().load()
    return raised.value.message, raised.value.hint


def test_a_certificate_of_ones_own_names_the_variable(name: Name, certificate: Path) -> None:
    message, hint = _hint_of(name, certificate)
    assert "its certificate is not accepted (self-signed certificate" in message
    assert hint.endswith("in SSL_CERT_FILE.")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_it_is_trusted_where_it_is_named(
    name: Name, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    with secure_server(certificate) as url:
        name("lab", url)
        assert Asking().load().name == "lab: m"


def test_the_first_variable_counts_and_is_named(
    name: Name, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path, days=40)
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert _hint_of(name, certificate)[1].endswith(f"now SSL_CERT_FILE is {other}.")


def test_other_faults_of_certificates_have_other_hints(
    name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made, hint in (
        (make_certificate(tmp_path, days=1), "must be renewed"),
        (make_certificate(tmp_path, address="10.1.2.3", days=30), "the name that"),
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
        assert hint in _hint_of(name, made)[1]


def test_a_server_without_tls_is_said(script: Script, name: Name) -> None:
    name("lab", script.url.replace("http://", "https://"))
    with pytest.raises(ConnectionLostError, match="does not speak TLS there") as raised:
        Asking().load()
    assert "http://" in raised.value.hint


@pytest.mark.parametrize("variable", AUTHORITIES)
@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_authorities_that_cannot_be_read_are_named(
    name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, kind: str
) -> None:
    path = tmp_path / "authorities"
    if kind == "empty":
        path.touch()
    monkeypatch.setenv(variable, str(path))
    name("lab", "https://127.0.0.1:9/v1")
    with pytest.raises(NetworkSettingsError, match=f"{variable} cannot be used: {path}"):
        Asking().load()


def test_a_folder_of_authorities(
    name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name("lab", "https://127.0.0.1:9/v1")
    for variable in ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(tmp_path))
        with pytest.raises(ConnectionLostError, match="cannot be reached"):
            Asking().load()


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("sk-1\nsk-2", "character 5 of 9 is a line break"),
        ("sk-1\r\nX-Other: 2", "character 5 of 16 is a line break"),
        ("sk-naïve", "character 6 of 8 is not ASCII"),
        ("„sk-1“", "character 1 of 6 is not ASCII"),
        ("sk 1", "character 3 of 4 is a space"),
        ("sk\x00", "character 3 of 3 is a control character"),
        ("sk-\udcff", "character 4 of 4 is not ASCII"),
    ],
)
def test_a_key_that_cannot_be_sent_is_said_and_not_shown(
    script: Script, name: Name, monkeypatch: pytest.MonkeyPatch, key: str, what: str
) -> None:
    if "\x00" not in key:  # no environment takes it
        monkeypatch.setenv("CHATAPP_KEY_LAB", key)
        name("lab", script.url)
        with pytest.raises(ChatAppError, match=f"CHATAPP_KEY_LAB cannot be sent: {what}") as raised:
            Asking().load()
        assert key.splitlines()[0] not in str(raised.value)
        assert not script.requests
    with pytest.raises(UsageError, match=f"the keyring cannot be sent: {what}"):
        clean_key(key, "the keyring")


@pytest.mark.parametrize("key", ["sk-1\n", " sk-1 ", "\ufeffsk-1", "sk-1\r\n"])
def test_what_stands_around_a_key_is_left_out(
    script: Script, name: Name, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("CHATAPP_KEY_LAB", key)
    name("lab", script.url)
    Asking().load()
    assert script.requests[-1][1]["Authorization"] == "Bearer sk-1"


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("0.0.0.0", True),
        ("[::]", True),
        ("[0:0:0:0:0:0:0:0]", True),
        ("[::ffff:0.0.0.0]", True),
        ("0x0", True),
        ("2130706433", True),
        ("0177.0.0.1", True),
        ("127.1", True),
        ("127.0.0.1.", True),
        ("[0:0:0:0:0:0:0:1]", True),
        ("[::1%25lo]", True),
        ("[::ffff:7f00:1]", True),
        ("LOCALHOST", True),
        ("localhost.localdomain", True),
        ("ip6-localhost", True),
        ("192.0.2.1", False),
        ("[2001:db8::1]", False),
        ("224.0.0.1", False),
        ("[ff02::1]", False),
        ("[fe80::1]", False),
        ("1.0.0.127", False),
        ("localhost.localdomain.example", False),
    ],
)
def test_spellings_of_this_machine(host: str, is_local: bool) -> None:
    assert make_remote("lab", f"http://{host}:8000/v1").is_local == is_local


def test_an_address_of_our_own_is_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: the way there is looked up
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = probe.getsockname()[0]
    assert make_remote("lab", f"http://{own}:8000/v1").is_local


def test_a_server_behind_every_address_is_reached(
    script: Script, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPP_OFFLINE", "1")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    name("lab", script.url.replace("127.0.0.1", "0.0.0.0"))
    assert Asking().load().name == "lab: m"
