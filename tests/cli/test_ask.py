"""`chatapp ask` in a real child process with the scripted engine."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from chatapp.store import Store
from tests.cli.conftest import COMMAND, Run

ROOT = Path(__file__).parents[2]


def test_a_prompt_is_answered_and_kept(chatapp: Run, home: Path) -> None:
    done = chatapp("ask", "hello there")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello there\n", "")
    with Store.open(home / "history.db") as store:
        last = store.last_conversation()
        assert last is not None
        assert last.title == "hello there"
        path = store.get_path(last.id)
    assert [(row.role, row.content, row.status) for row in path] == [
        ("user", "hello there", "complete"),
        ("assistant", "hello there", "complete"),
    ]


def test_words_need_no_quotes(chatapp: Run) -> None:
    assert chatapp("ask", "hello", "there").stdout == "hello there\n"


def test_what_is_piped_in_goes_below_the_prompt(chatapp: Run) -> None:
    assert chatapp("ask", "sum up", stdin="a\nb\n").stdout == "sum up\n\na\nb\n"
    assert chatapp("ask", stdin="北京 🎉\n").stdout == "北京 🎉\n"


def test_nothing_to_answer_is_wrong_use(chatapp: Run, home: Path) -> None:
    done = chatapp("ask", stdin="  \n")
    assert done.returncode == 2
    assert "nothing to answer" in done.stderr
    assert "chatapp ask" in done.stderr
    assert not (home / "history.db").exists()


def test_json_has_every_field_and_repeats(chatapp: Run) -> None:
    first, second = (
        json.loads(chatapp("ask", "--json", "--seed", "1", stdin="hello").stdout) for _ in range(2)
    )
    assert first["text"] == second["text"] == "hello"
    assert first["finish_reason"] == "stop"
    assert first["model"] == "echo"
    assert first["seed"] == 1
    assert first["conversation_id"] != second["conversation_id"]
    counts = ("prompt_tokens", "reused_tokens", "completion_tokens", "reasoning_tokens")
    assert tuple(first["usage"]) == counts
    assert set(first["timings"]) == {
        "load_s",
        "time_to_first_token_s",
        "prefill_tokens_per_second",
        "decode_tokens_per_second",
    }
    assert "alternatives" not in first


def test_alternatives(chatapp: Run, home: Path) -> None:
    answer = json.loads(chatapp("ask", "--n", "3", "--seed", "5", "--json", "hi").stdout)
    assert [row["seed"] for row in answer["alternatives"]] == [5, 6, 7]
    assert [row["text"] for row in answer["alternatives"]] == ["hi"] * 3
    with Store.open(home / "history.db") as store:
        leaf = store.get_path(answer["conversation_id"])[-1]
    assert leaf.sibling_count == 3
    text = chatapp("ask", "--n", "2", "hi").stdout
    assert text == "--- 1 of 2 (seed 1) ---\nhi\n\n--- 2 of 2 (seed 2) ---\nhi\n"


def test_log_probabilities(chatapp: Run) -> None:
    """Of the model alone: where it answers from facts, it says one of them as it is written."""
    words = ("ask", "--raw", "--no-save", "--max-tokens", "9", "--temperature", "0", "hello")
    more = ("--json", "--logprobs", "2")
    answer = json.loads(chatapp(*words, *more, CHATAPP_BACKEND="llama").stdout)
    assert "".join(one["token"] for one in answer["logprobs"]).startswith(answer["text"])
    for one in answer["logprobs"]:
        assert one["logprob"] == one["top"][0]["logprob"] <= 0
        assert len(one["top"]) == 2
    refused = chatapp("ask", "--logprobs", "2", "hello")
    assert refused.returncode == 2
    assert "--logprobs needs --json" in refused.stderr


def test_continue_goes_on_with_the_last_conversation(chatapp: Run, home: Path) -> None:
    assert chatapp("ask", "-c", "first").returncode == 2
    chatapp("ask", "first", "--system", "Be kind.")
    done = chatapp("ask", "-c", "second")
    assert done.stdout == "second\n"
    with Store.open(home / "history.db") as store:
        assert len(store.list_conversations()) == 1
        conversation = store.list_conversations()[0]
        path = store.get_path(conversation.id)
    assert conversation.system == "Be kind."
    assert [row.content for row in path] == ["first", "first", "second", "second"]


def test_no_save_leaves_nothing(chatapp: Run, home: Path) -> None:
    done = chatapp("ask", "--no-save", "--json", "hello")
    assert json.loads(done.stdout)["conversation_id"] is None
    assert not home.exists()
    assert chatapp("ask", "--no-save", "-c", "hello").returncode == 2


def test_max_tokens_is_a_length_stop(chatapp: Run) -> None:
    answer = json.loads(chatapp("ask", "--json", "--max-tokens", "3", "hello").stdout)
    assert (answer["text"], answer["finish_reason"]) == ("hel", "length")


def test_settings_apply_and_flags_win(chatapp: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[sampling]\nmax_tokens = 2\nseed = 9\n")
    answer = json.loads(chatapp("ask", "--json", "hello").stdout)
    assert (answer["text"], answer["seed"]) == ("he", 9)
    answer = json.loads(chatapp("ask", "--json", "--max-tokens", "4", "hello").stdout)
    assert (answer["text"], answer["seed"]) == ("hell", 9)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--top-p", "7"], "between 0 and 1"),
        (["--top-k", "-1"], "at least 0"),
        (["--temperature", "nan"], "between -1 and 100"),
        (["--logit-bias", "x"], "'x' is not a token's number"),
        (["--n", "0"], "--n"),
        (["--schema", "nowhere.json"], "nowhere.json"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_wrong_use_ends_with_2(chatapp: Run, arguments: list[str], complaint: str) -> None:
    done = chatapp("ask", "hello", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stdout == ""


def test_schema_and_grammar_files_are_checked(chatapp: Run, tmp_path: Path) -> None:
    broken, binary = tmp_path / "broken.json", tmp_path / "binary.gbnf"
    broken.write_text("{")
    binary.write_bytes(b"\xff\xff")
    assert "not valid JSON" in chatapp("ask", "x", "--schema", str(broken)).stderr
    assert "not UTF-8" in chatapp("ask", "x", "--grammar", str(binary)).stderr
    good, grammar = tmp_path / "good.json", tmp_path / "good.gbnf"
    good.write_text("{}")
    grammar.write_text('root ::= "a"')
    done = chatapp("ask", "x", "--schema", str(good), "--grammar", str(grammar))
    assert done.returncode == 2
    assert "cannot be used together" in done.stderr
    assert chatapp("ask", "x", "--schema", str(good)).stdout == "x\n"


def test_a_missing_model_leaves_no_trace(chatapp: Run, home: Path) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / "qwen-0.5b.gguf").write_bytes(b"GGUF")
    done = chatapp("ask", "hello", "--model", "qwen-05b", CHATAPP_BACKEND="llama")
    assert done.returncode == 1
    assert done.stderr.startswith("chatapp: There is no model qwen-05b.")
    assert "qwen-0.5b.gguf" in done.stderr
    assert not (home / "history.db").exists()


def test_a_failed_request_is_said_and_kept(chatapp: Run, home: Path) -> None:
    done = chatapp("ask", stdin="/fail")
    assert done.returncode == 1
    assert "asked to fail" in done.stderr
    assert done.stdout == ""
    with Store.open(home / "history.db") as store:
        assert store.get_path(1)[-1].status == "failed"


def test_a_dead_engine_leaves_the_text_that_came(chatapp: Run, home: Path) -> None:
    done = chatapp("ask", "--json", stdin="/die\n/words 20")
    assert done.returncode == 1
    assert done.stdout == ""
    done = chatapp("ask", stdin="/die\n/words 20")
    assert done.returncode == 1
    assert done.stdout.startswith("word1")
    assert "The engine ended by itself" in done.stderr
    with Store.open(home / "history.db") as store:
        row = store.get_path(2)[-1]
    assert row.status == "interrupted"
    assert done.stdout == row.content + "\n"


def _start(
    environment: dict[str, str], cwd: Path, *arguments: str, stdout: int
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [*COMMAND, "ask", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_ctrl_c_keeps_what_was_said(
    environment: dict[str, str], tmp_path: Path, home: Path, flags: list[str]
) -> None:
    prompt = "/delay 20\n/words 5000"
    child = _start(environment, tmp_path, *flags, prompt, stdout=subprocess.PIPE)
    assert child.stdout is not None
    if flags:  # nothing is printed before the end: the store tells that it speaks
        _wait_for_journal(home)
        before = b""
    else:
        before = b""
        while b"word2" not in before:
            before += os.read(child.stdout.fileno(), 100)
    child.send_signal(signal.SIGINT)
    rest, complaint = child.communicate(timeout=60)
    assert child.returncode == 130
    assert complaint == b""
    said = (before + rest).decode()
    with Store.open(home / "history.db") as store:
        row = store.get_path(1)[-1]
    assert row.status == "stopped"
    assert row.content.startswith("word1 word2")
    if flags:
        answer = json.loads(said)
        assert (answer["text"], answer["finish_reason"]) == (row.content, "cancelled")
    else:
        assert said == row.content + "\n"


def _wait_for_journal(home: Path) -> None:
    import time

    for _ in range(600):
        time.sleep(0.1)
        if (home / "history.db").exists():
            with Store.open(home / "history.db") as store:
                last = store.last_conversation()
                if last and "word2" in store.get_path(last.id)[-1].content:
                    return
    pytest.fail("no answer was journalled")


def test_a_reader_that_leaves_ends_the_answer_quietly(
    environment: dict[str, str], tmp_path: Path, home: Path
) -> None:
    child = _start(environment, tmp_path, "/delay 5\n/words 5000", stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert os.read(child.stdout.fileno(), 8)
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == b""
    assert child.wait(timeout=60) == 141
    with Store.open(home / "history.db") as store:
        assert store.get_path(1)[-1].status == "stopped"


HOSTILE = "a\x1b[31mred\x1b[0m\x07\x1b]0;title\x07 \x9b2Jb\x00\r\nend\ttab"
HARMLESS = "ared b\nend\ttab"


def test_control_characters_do_not_reach_a_pipe(chatapp: Run) -> None:
    assert chatapp("ask", stdin=HOSTILE).stdout == HARMLESS + "\n"
    printed = chatapp("ask", "--json", stdin=HOSTILE).stdout
    assert not set(printed) & {"\x1b", "\x9b", "\x07"}
    assert json.loads(printed)["text"] == HOSTILE


def test_control_characters_do_not_reach_a_terminal(
    environment: dict[str, str], tmp_path: Path
) -> None:
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, "ask"],
        stdin=subprocess.PIPE,
        stdout=follower,
        stderr=follower,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )
    os.close(follower)
    assert child.stdin is not None
    child.stdin.write(HOSTILE.encode())
    child.stdin.close()
    seen = _read_all(leader)
    assert child.wait(timeout=60) == 0
    assert "loading the model 100%" in seen  # progress is for a terminal
    answer = seen.rpartition("\r\x1b[K")[2].replace("\r\n", "\n")
    assert answer == HARMLESS + "\n"


def _read_all(leader: int) -> str:
    pieces = []
    try:
        while piece := os.read(leader, 4096):
            pieces.append(piece)
    except OSError:  # the other side was closed: Linux says so with EIO
        pass
    os.close(leader)
    return b"".join(pieces).decode()


def test_bytes_that_are_no_text_do_not_fail(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "ask", b"\xff prompt"],
        input=b"\xfe\xff piped",
        capture_output=True,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.decode() == "? prompt\n\n\ufffd\ufffd piped\n"


def test_every_sampling_parameter_is_a_flag(chatapp: Run) -> None:
    from chatapp.sampling import parameters

    shown = chatapp("ask", "--help").stdout
    for parameter in parameters():
        name = {"json_schema": "schema"}.get(parameter.name, parameter.name)
        assert f"--{name.replace('_', '-')} " in shown
    words = " ".join(shown.split())
    assert "[0 to 1, default 0.95]" in words
    assert "[tokens, at least 0, default 40]" in words


def test_repeated_and_paired_flags_reach_the_engine(chatapp: Run, home: Path) -> None:
    done = chatapp(
        "ask", "--stop", "a", "--stop", "b", "--logit-bias", "5=-1.5", "--logit-bias", "6=2",
        "--top-k", "0", "hello",
    )  # fmt: skip
    assert done.returncode == 0
    with Store.open(home / "history.db") as store:
        generation = store.get_path(1)[-1].generation
    assert generation is not None
    params = json.loads(generation.params_json)
    assert params["stop"] == ["a", "b"]
    assert params["logit_bias"] == [[5, -1.5], [6, 2.0]]
    assert params["top_k"] == 0


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_full_disk_behind_stdout_is_said(
    environment: dict[str, str], tmp_path: Path, home: Path, flags: list[str]
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has /dev/full")
    with Path("/dev/full").open("wb") as full:
        child = _start(environment, tmp_path, *flags, "hello", stdout=full.fileno())
        _, complaint = child.communicate(timeout=60)
    assert child.returncode == 1
    assert complaint == b"chatapp: No space left on device.\n"
    with Store.open(home / "history.db") as store:
        assert "hello".startswith(store.get_path(1)[-1].content)


def test_a_closed_stdout_does_not_fail(environment: dict[str, str], tmp_path: Path) -> None:
    command = " ".join([*COMMAND, "ask", "hello", "<&-", ">&-"])
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_is_utf_8_whatever_the_locale(chatapp: Run) -> None:
    assert chatapp("ask", stdin="北京", PYTHONIOENCODING="ascii").stdout == "北京\n"


def test_a_home_that_cannot_be_made_is_one_sentence(chatapp: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = chatapp("ask", "hello", CHATAPP_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert done.stderr.startswith("chatapp: ")
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr
