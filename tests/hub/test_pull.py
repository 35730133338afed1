"""`chatapp models search`, `offers` and `pull` in a child process, against a real HTTP server."""

import hashlib
import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from chatapp.library.fetching import BLOCK
from chatapp.paths import BUILTIN_MODEL
from tests.hub.conftest import NAME, Start
from tests.hub.server import Fault, Hub, Repo


def _end(process: "subprocess.Popen[str]", timeout: float = 60) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def test_search(hub: Hub, start: Start) -> None:
    hub.repos["else/other"] = Repo({"a.gguf": b""}, downloads=5, gated=True, licence="\x1b[31mmit")
    code, out, _ = _end(start("models", "search", "small"))
    assert code == 0
    assert NAME in out
    assert "9.0M" in out
    assert "else/other" not in out
    rows = json.loads(_end(start("models", "search", "o", "--json"))[1])
    assert [(row["id"], row["gated"]) for row in rows] == [(NAME, False), ("else/other", True)]
    assert "\x1b" not in _end(start("models", "search", "other"))[1]
    assert _end(start("models", "search", "nothing-like-it"))[2].startswith("Nothing was found.")


def test_offers(hub: Hub, start: Start) -> None:
    code, out, _ = _end(start("models", "offers", NAME))
    assert code == 0
    rows = [line.split()[:2] for line in out.splitlines()[1:4]]
    assert rows == [["Q4_K_M", "4.9"], ["*", "Q8_0"], ["F16", "24"]]
    assert "apache-2.0" in out


def test_pull_recommends_checks_and_is_listed(hub: Hub, start: Start, home: Path) -> None:
    code, out, err = _end(start("models", "pull", NAME))
    assert code == 0, err
    path = home / "models" / "ours--small-GGUF" / "small-Q8_0.gguf"
    assert out.strip() == str(path)
    assert "licence: apache-2.0" in err
    assert path.read_bytes() == hub.repos[NAME].files["small-Q8_0.gguf"]
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]
    listed = json.loads(_end(start("models", "list", "--json"))[1])
    assert str(path) in [row["path"] for row in listed]
    before = dict(hub.sent)
    assert _end(start("models", "pull", NAME))[0] == 0
    assert dict(hub.sent) == before  # it was there and right: nothing came again
    assert {line.split("?")[0] for line in hub.requests} == {
        f"GET /api/models/{NAME}",
        f"GET /{NAME}/resolve/{'c' * 40}/small-Q8_0.gguf",
        f"GET /{NAME}/small-Q8_0.gguf",
    }


@pytest.mark.parametrize(
    "spec",
    [f"{NAME}:q4_k_m", f"{NAME}/small-Q4_K_M.gguf", f"hf.co/{NAME}:Q4_K_M"],
)
def test_what_is_asked_for_comes(hub: Hub, start: Start, home: Path, spec: str) -> None:
    code, out, err = _end(start("models", "pull", spec))
    assert code == 0, err
    assert Path(out.strip()).read_bytes() == BUILTIN_MODEL.read_bytes()


def test_shards_come_together(hub: Hub, start: Start, home: Path) -> None:
    data = BUILTIN_MODEL.read_bytes()
    names = [f"Q4_0/big-Q4_0-0000{n}-of-00002.gguf" for n in (1, 2)]
    hub.repos["ours/big"] = Repo(dict.fromkeys(names, data))
    code, out, err = _end(start("models", "pull", "ours/big"))
    assert code == 0, err
    assert Path(out.strip()).name == "big-Q4_0-00001-of-00002.gguf"
    assert len(list((home / "models" / "ours--big").iterdir())) == 2


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_killed_and_resumed(hub: Hub, start: Start, home: Path, large: bytes, share: float) -> None:
    reached = threading.Event()
    hub.bytes_per_s = 20e6
    hub.on_sent = lambda total: reached.set() if total >= len(large) * share else None
    process = start("models", "pull", NAME)
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    folder = home / "models" / "ours--small-GGUF"
    (part,) = folder.iterdir()
    assert part.name.startswith(".")
    held = part.stat().st_size
    assert held > len(large) * share / 2
    hub.bytes_per_s, hub.on_sent = 0, lambda _total: None
    code, out, err = _end(start("models", "pull", NAME))
    assert code == 0, err
    first, second = hub.bodies
    assert second == [held, len(large) - held]
    # what was in the sockets, and the block that was being filled
    assert 0 <= first[1] - held <= 8 * BLOCK
    digest = hashlib.sha256(Path(out.strip()).read_bytes()).hexdigest()
    assert digest == hashlib.sha256(large).hexdigest()


def test_ctrl_c_keeps_what_came(hub: Hub, start: Start, home: Path) -> None:
    reached = threading.Event()
    hub.bytes_per_s = 10e6
    hub.on_sent = lambda total: reached.set() if total >= 5_000_000 else None
    process = start("models", "pull", NAME)
    assert reached.wait(60)
    process.send_signal(signal.SIGINT)
    code, out, err = _end(process, 10)
    assert (code, out) == (130, "")
    assert "The same command goes on from there." in err
    assert "Traceback" not in err
    hub.bytes_per_s = 0
    assert _end(start("models", "pull", NAME))[0] == 0
    assert hub.starts[1] > 0


def test_two_at_once(hub: Hub, start: Start) -> None:
    reached = threading.Event()
    hub.bytes_per_s = 5e6
    hub.on_sent = lambda total: reached.set() if total >= 1_000_000 else None
    first = start("models", "pull", NAME)
    assert reached.wait(60)
    code, _, err = _end(start("models", "pull", NAME))
    assert code == 1
    assert "Another chatapp is fetching small-Q8_0.gguf." in err
    hub.bytes_per_s = 0
    assert _end(first)[0] == 0


def test_a_gated_one_and_tokens(hub: Hub, start: Start) -> None:
    hub.repos[NAME].gated = True
    code, _, err = _end(start("models", "pull", f"{NAME}:Q4_K_M"))
    assert code == 1
    assert f"{NAME} is gated: its licence must be accepted first." in err
    assert f"{hub.url}/{NAME}" in err
    assert "HF_TOKEN" in err
    code, _, err = _end(start("models", "pull", NAME, HF_TOKEN="hf_wrong"))
    assert code == 1
    assert "does not accept your token" in err
    assert "hf_wrong" not in err
    assert _end(start("models", "pull", NAME, HF_TOKEN="hf_right"))[0] == 0
    assert hub.leaked == []


def test_no_network_in_every_way(hub: Hub, start: Start) -> None:
    cases = {
        "cannot be reached": {"HF_ENDPOINT": f"http://127.0.0.1:{_unused_port()}"},
        "HF_HUB_OFFLINE is set.": {"HF_HUB_OFFLINE": "1"},
        "https_proxy": {},
    }
    cases.pop("https_proxy")
    for sentence, environment in cases.items():
        for words in (["pull", NAME], ["search", "x"], ["offers", NAME]):
            code, _, err = _end(start("models", *words, **environment))
            assert code == 1
            assert sentence in err
            assert "chatapp models list" in err
            assert "Traceback" not in err
    proxy = f"http://127.0.0.1:{_unused_port()}"
    code, _, err = _end(start("models", "pull", NAME, http_proxy=proxy, no_proxy=""))
    assert code == 1
    assert "cannot be reached" in err


def test_names_that_mean_nothing(hub: Hub, start: Start, home: Path) -> None:
    hub.repos["ours/evil"] = Repo({"../../evil-Q8_0.gguf": b"x", "..gguf": b"x"})
    hub.repos["ours/weights"] = Repo({"model.safetensors": b"x"})
    for spec, sentence in {
        "small": "names no repository",
        "a/../b": "names no repository",
        "ours/nothing": "does not exist, or is private",
        "ours/weights": "has no GGUF file",
        f"{NAME}:Q2_K": "It has: Q4_K_M, Q8_0, F16.",
        "ours/evil/..gguf": "is not one that can be used here",
    }.items():
        code, _, err = _end(start("models", "pull", spec))
        assert code == 1, spec
        assert sentence in err, spec
    assert not list(home.rglob("*.gguf"))


def test_what_the_api_answers_wrongly(hub: Hub, start: Start) -> None:
    hub.api_faults = [Fault(status=503)]
    assert "out of order (status 503)" in _end(start("models", "pull", NAME))[2]
    hub.api_faults = [Fault(status=429, headers={"Retry_After": "77"})]
    assert "Try again in 77 s." in _end(start("models", "search", "x"))[2]
    hub.api_faults = [Fault(status=403)]
    assert "forbids access" in _end(start("models", "pull", NAME))[2]


def _unused_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
