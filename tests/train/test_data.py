"""Texts on their way to tokens: files of every kind, cleaned, each once, some held out, packed."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.errors import ChatAppError
from chatapp.train import corpus, packing
from chatapp.train.cleaning import clean
from chatapp.train.corpus import Document, read_documents
from chatapp.train.model import ModelArgs
from chatapp.train.packing import pack
from chatapp.train.reading import find_files, read_blocks, read_lines
from chatapp.train.routing import Routes
from chatapp.train.settings import Recipe, Source
from chatapp.train.tokenizer import encode, train_tokenizer

WORDS = "Some words about cats and mats in 北京.\n"


class Recorder:
    def __init__(self) -> None:
        self.said: list[str] = []

    def report(self, progress: object) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.append(text)


def texts(path: Path, repeat: float = 1.0) -> list[str]:
    return ["".join(map(str, one.pieces)) for one in read_documents(Source(path, repeat))]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_text_is_read_in_what_it_is_encoded_in(tmp_path: Path, encoding: str, packed: bool):
    content = WORDS.replace("\n", "\r\n").encode(encoding)
    path = tmp_path / ("text.txt.gz" if packed else "text.txt")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert "".join(read_blocks(path)) == WORDS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(range(256)) * 40, "no UTF-8"),
        (b"\x7fELF" + bytes(5000), "no text: it holds binary data"),
        ("Déjà vu".encode("latin-1"), "no UTF-8, as byte 0xe9 shows"),
        ("北京".encode("utf-16") + b"\xd8", "no UTF-16"),
    ],
)
def test_what_is_no_text_is_one_sentence(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(ChatAppError) as caught:
        list(read_documents(Source(path)))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_folder_is_its_text_files_in_order(tmp_path: Path):
    for name in ("b.txt", "a/deep.md", "c.jsonl", "sub/.hidden/x.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": name}) if name == "c.jsonl" else name)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(900))
    (tmp_path / "empty.txt").touch()
    assert texts(tmp_path) == ["b.txt", "c.jsonl", "a/deep.md"]
    (tmp_path / "none").mkdir()
    with pytest.raises(ChatAppError, match="none holds no text: it is empty"):
        find_files(tmp_path / "none")
    (tmp_path / "none" / "x.bin").write_bytes(bytes(900))
    with pytest.raises(ChatAppError, match="none of its 1 files is text"):
        find_files(tmp_path / "none")


def test_one_giant_line_comes_in_parts_with_the_same_tokens(tmp_path: Path, monkeypatch):
    tokenizer = train_tokenizer([WORDS], 300)
    monkeypatch.setattr(corpus, "PART", 5000)
    line = "".join(f"word{n} and {n % 7} " for n in range(2000))
    path = tmp_path / "text.txt"
    path.write_text(line)
    parts = list(read_documents(Source(path)))
    assert [part.ends for part in parts] == [False] * (len(parts) - 1) + [True]
    assert len(parts) > 3
    ids = [number for row in packing.encode_documents(tokenizer, parts) for number in row]
    assert ids == [*encode(tokenizer, line), tokenizer.token_to_id("<|endoftext|>")]
    path.write_text("x" * 12_000)
    assert "".join(texts(path)) == "x" * 12_000
    monkeypatch.setattr("chatapp.train.reading.LONGEST_LINE", 5000)
    with pytest.raises(ChatAppError, match="line 1 is longer"):
        list(read_lines(path))


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str):
    once = clean(text)
    assert clean(once) == once
    assert not set(once) & {"\0", "\x1b", "\x0c", "\ufeff"}


def test_cleaning_composes_and_keeps_what_one_sees():
    assert clean("cafe\u0301\ttab\nline\x1b[0m\x00 a\x0cb") == "café\ttab\nline[0m a\nb"


def test_a_document_that_is_there_twice_is_taken_once_and_a_source_repeats(tmp_path: Path):
    path = tmp_path / "lines.jsonl"
    lines = [json.dumps({"text": f"document {n % 50}"}) for n in range(100)]
    path.write_text("\n".join(lines))
    routes = Routes((Source(path, 2.5),), share=0.1)
    routed = list(routes)
    assert routes.duplicates == 50
    held = {one.document.pieces[0] for one in routed if one.held}
    seen = [one.document.pieces[0] for one in routed if not one.held]
    assert 3 <= len(held) <= 5
    assert not held & set(seen)
    assert len(set(seen)) + len(held) == 50
    assert 2 * (50 - len(held)) < len(seen) < 3 * (50 - len(held))


def make_recipe(folder: Path, **more: object) -> Recipe:
    return Recipe(ModelArgs(vocab_size=300), text=(Source(folder / "lines.jsonl"),), **more)  # type: ignore[arg-type]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    rows = [json.dumps({"text": f"Document {n}. {WORDS}"}) for n in range(400)]
    (tmp_path / "lines.jsonl").write_text("\n".join(rows))
    return tmp_path


def test_an_interrupted_packing_goes_on_and_a_finished_one_is_used(lines: Path, monkeypatch):
    tokenizer = train_tokenizer([WORDS], 300)
    whole = pack(make_recipe(lines), tokenizer, lines / "whole", 8, Recorder())
    assert whole.train.dtype == "uint16"
    assert 0.01 < len(whole.heldout) / len(whole.train) < 0.03
    monkeypatch.setattr(packing, "_GROUP", 2000)
    monkeypatch.setattr(packing, "_SAVED_EVERY", 500)
    calls = 0
    real = packing.encode_documents

    def fail(*given):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(packing, "encode_documents", fail)
    with pytest.raises(KeyboardInterrupt):
        pack(make_recipe(lines), tokenizer, lines / "broken", 8, Recorder())
    before = calls
    broken = pack(make_recipe(lines), tokenizer, lines / "broken", 8, Recorder())
    for name in packing.NAMES:
        file = f"{name}.bin"
        assert (lines / "whole" / file).read_bytes() == (lines / "broken" / file).read_bytes()
    assert calls - before < before + 20
    (lines / "lines.jsonl").unlink()
    again = pack(make_recipe(lines), tokenizer, lines / "broken", 8, Recorder(), resume=True)
    assert (again.train == broken.train).all()
    other = train_tokenizer(["x y"], 280)
    with pytest.raises(ChatAppError, match="another tokenizer"):
        pack(make_recipe(lines), other, lines / "broken", 8, Recorder(), resume=True)
    (lines / "broken" / "train.bin").write_bytes(b"cut")
    with pytest.raises(ChatAppError, match="not what was written"):
        pack(make_recipe(lines), tokenizer, lines / "broken", 8, Recorder(), resume=True)
    (lines / "lines.jsonl").write_text('{"text": "another text"}')
    after = pack(make_recipe(lines), tokenizer, lines / "broken", 0, Recorder())
    assert len(after.train) + len(after.heldout) < 20


def test_one_long_text_is_held_out_at_its_end(tmp_path: Path):
    (tmp_path / "lines.jsonl").write_text(json.dumps({"text": WORDS * 500}))
    tokenizer = train_tokenizer([WORDS], 300)
    packed = pack(make_recipe(tmp_path, share=0.1), tokenizer, tmp_path / "data", 8, Recorder())
    ids = packing.encode_documents(tokenizer, [Document((WORDS * 500,))])[0]
    assert [*packed.train, *packed.heldout] == ids
    assert len(packed.heldout) == len(ids) // 10


def test_no_room_for_the_tokens_is_one_sentence(lines: Path, monkeypatch):
    def full(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "_cut", full)
    with pytest.raises(ChatAppError, match="No space left") as caught:
        pack(make_recipe(lines), train_tokenizer([WORDS], 300), lines / "data", 8, Recorder())
    assert caught.value.hint
