"""Where chats are looked for: ZIPs, folders, files in odd encodings."""

import os
import zipfile
from pathlib import Path

import pytest

from chatapp.errors import UsageError
from chatapp.export import export
from chatapp.store import Store
from tests.export.importers import FIXTURES, bring_in, make_database, outline


def pack(folder: Path, path: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, inside + str(file.relative_to(folder)))
    return path


@pytest.mark.parametrize("name", ["chatgpt", "claude", "openwebui", "llamacpp", "lmstudio"])
def test_a_zip_is_read_like_the_folder(store: Store, name: str, tmp_path: Path) -> None:
    unpacked = bring_in(store, FIXTURES / name)
    with Store.in_memory() as other:
        report = bring_in(other, pack(FIXTURES / name, tmp_path / "export.bin", "export/"))
        assert [outline(other, id_) for id_ in report.new] == [
            outline(store, id_) for id_ in unpacked.new
        ]
        assert report.losses == unpacked.losses
        assert len(report.passed_over) == len(unpacked.passed_over)


def test_a_database_and_an_export_of_ours_in_a_zip(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    make_database(FIXTURES / "oterm" / "store.sql", folder / "store.db")
    with Store.in_memory() as other:
        ids = bring_in(other, FIXTURES / "claude").new
        text = "".join(export("json", other, ids))
    (folder / "ours.json").write_text(text, encoding="utf-8")
    report = bring_in(store, pack(folder, tmp_path / "both.zip"))
    assert len(report.new) == 3
    assert {*report.programs} == {"oterm", "chatapp"}


def test_a_folder_of_everything(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text('[{"role": "user", "content": "secret"}]')
    folder = tmp_path / "folder"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "a.json").write_text('[{"role": "user", "content": "a"}]')
    (folder / "notes.txt").write_text("notes")
    (folder / "broken.json").write_text('{"mapping": ')
    (folder / "bad.zip").write_bytes(b"PK\x03\x04 and no more")
    (folder / "other.json").write_text('{"name": "a package"}')
    (folder / "link.json").symlink_to(outside / "secret.json")
    (folder / "linked").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    report = bring_in(store, folder)
    assert [row.content for row in store.get_path(report.new[0])] == ["a"]
    assert len(report.new) == 1
    assert {*report.passed_over} == {"notes.txt", "broken.json", "bad.zip", "other.json"}
    assert "ends too early" in report.passed_over["broken.json"]
    assert report.passed_over["other.json"].startswith("it holds no chats")


def test_places_with_nothing_in_them(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No chats were found"):
        bring_in(store, tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        bring_in(store, tmp_path / "gone.json")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        bring_in(store, Path(os.devnull))
    with (tmp_path / "huge.json").open("wb") as huge:
        huge.write(b"[")
        huge.truncate(2**31)  # a hole, which takes no disk
    with pytest.raises(UsageError, match=r"huge\.json is larger than 1024 MiB"):
        bring_in(store, tmp_path / "huge.json")
    (tmp_path / "huge.json").unlink()
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(
        UsageError, match=r"No chats were found in .*a\.txt: it is neither"
    ) as found:
        bring_in(store, tmp_path)
    assert "chatgpt" in found.value.hint


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_at_the_beginning_of_a_file(store: Store, encoding: str, tmp_path: Path) -> None:
    for name in ("claude/conversations.json", "openai/tuning.jsonl"):
        file = tmp_path / "file.json"
        file.write_text((FIXTURES / name).read_text(encoding="utf-8"), encoding=encoding)
        assert len(bring_in(store, file).new) == 2


def test_an_export_of_ours_comes_in_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    with Store.in_memory() as other:
        ids = bring_in(other, FIXTURES / "claude").new
        text = "".join(export("json", other, ids))
    broken = tmp_path / "broken.json"
    at = text.rindex('"role": "assistant"')
    broken.write_text(text[:at] + '"role": "narrator"' + text[at + 19 :], encoding="utf-8")
    with pytest.raises(UsageError, match=r"role is not one of.*Nothing of it"):
        bring_in(store, broken)
    assert store.count_messages() == 0
    with pytest.raises(UsageError, match='"format" is not'):
        bring_in(store, FIXTURES / "claude" / "conversations.json", "chatapp")


def bomb(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, b"[" + b" " * (40 << 20))
    return path


def test_zip_bombs_are_refused(store: Store, tmp_path: Path) -> None:
    small = bomb(tmp_path / "bomb.zip", "conversations.json")
    assert small.stat().st_size < 100_000
    with pytest.raises(UsageError, match="made to fill memory"):
        bring_in(store, small)


def test_a_size_that_lies_is_not_believed(store: Store, tmp_path: Path) -> None:
    file = bomb(tmp_path / "lie.zip", "conversations.json")
    data = file.read_bytes()
    size = (40 << 20) + 1
    assert data.count(size.to_bytes(4, "little")) >= 1
    file.write_bytes(data.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(UsageError):
        bring_in(store, file)
    assert store.count_messages() == 0


def test_zips_that_cannot_be_read(store: Store, tmp_path: Path) -> None:
    file = pack(FIXTURES / "claude", tmp_path / "locked.zip")
    data = bytearray(file.read_bytes())
    data[6] |= 1  # encrypted, in the member's own header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    file.write_bytes(data)
    with pytest.raises(UsageError, match="No chats were found"):
        bring_in(store, file)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(pack(FIXTURES / "claude", tmp_path / "whole.zip").read_bytes()[:300])
    with pytest.raises(UsageError, match="cannot be unpacked"):
        bring_in(store, cut)
    assert store.count_messages() == 0
