"""What the documents say is so: keys, commands, settings, JSON, links."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from chatapp.cli import Session, root
from chatapp.config import Config, load_config
from chatapp.export import FORMATS
from chatapp.paths import find_paths
from chatapp.presets.reading import read_preset
from chatapp.presets.shelf import read_shelf
from chatapp.ui.keymap import movable_ids
from convert.architectures import FAMILIES
from convert.checkpoints import FORMATS as CHECKPOINTS
from convert.cli import _parser
from convert.ftype import FTYPES
from convert.vocab import SOURCES as VOCABS
from tests.architecture.documents import DOCUMENTS, blocks, commands, make_files, read, split_line
from tests.architecture.sources import PACKAGES, ROOT
from tests.architecture.tables import TABLES, rewrite
from tests.convert.table import rows

SPOKEN = [
    pytest.param(document, words, id=f"{document}: {' '.join(words)}")
    for document in DOCUMENTS
    for words in commands(document)
    if words[0] == "chatapp"
]


def parse_command(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Parse `chatapp …` with everything in place but the running; the paths of its commands."""
    seen: list[click.Context] = []
    monkeypatch.chdir(folder)
    monkeypatch.setattr(click.Command, "invoke", lambda _self, ctx: seen.append(ctx))
    make_files(words, folder)
    root.main(words[1:], prog_name="chatapp", standalone_mode=False, obj=Session(debug=False))
    if seen and seen[-1].command_path == "chatapp convert":
        _parser().parse_args(seen[-1].params["arguments"])
    return [ctx.command_path for ctx in seen]


@pytest.mark.parametrize(("document", "words"), SPOKEN)
def test_every_chatapp_command_parses(
    document: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks_for_help = "--help" in words  # which click answers itself
    assert parse_command(words, tmp_path, monkeypatch) or asks_for_help, document


@pytest.mark.parametrize(
    "line",
    [
        "chatapp histroy",
        "chatapp ask --tempratur 1 hello",
        "chatapp ask --top-p 7 hello",
        "chatapp history show one",
        "chatapp convert my-model --quantise Q8_0",
    ],
)
def test_a_wrong_command_would_be_seen(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (words,) = split_line(line)
    with pytest.raises((click.UsageError, SystemExit)):
        parse_command(words, tmp_path, monkeypatch)


def test_a_line_is_cut_into_its_commands() -> None:
    line = 'git diff | CHATAPP_HOME=/tmp/x chatapp ask "a b" > out.txt && chatapp  # c'
    assert split_line(line) == [["git", "diff"], ["chatapp", "ask", "a b"], ["chatapp"]]


def test_every_make_target_and_module_exists() -> None:
    targets = set(re.findall(r"^(\w+):.*##", read("Makefile"), re.MULTILINE))
    modules = []
    for document in DOCUMENTS:
        for words in commands(document):
            if words[0] == "make":
                named = {word for word in words[1:] if "=" not in word}
                assert named <= targets, document
            elif words[:2] == ["python", "-m"]:
                modules.append(words[2])
    assert "bench.decode" in modules
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_the_documents_name_every_command() -> None:
    text = "".join(map(read, DOCUMENTS))
    names = root.list_commands(click.Context(root))
    history = root.get_command(click.Context(root), "history")
    assert isinstance(history, click.Group)
    names += [f"history {name}" for name in history.commands]
    assert [name for name in names if f"chatapp {name}" not in text] == []


@pytest.mark.parametrize("document", TABLES)
def test_the_table_of_a_document_is_the_one_that_is_read(document: str) -> None:
    assert rewrite(read(document), TABLES[document]()) == read(document), "make docs writes it"


def test_the_presets_in_the_documents_are_valid(tmp_path: Path) -> None:
    (tmp_path / "saying.json").write_text("{}", encoding="utf-8")
    for number, block in enumerate(blocks("docs/PRESETS.md", "toml")):
        path = tmp_path / f"preset{number}.toml"
        path.write_text(block, encoding="utf-8")
        assert read_preset(path).fill({})
    ready = read_shelf(tmp_path / "nosuch").presets
    table = [line for line in read("docs/PRESETS.md").splitlines() if line.startswith("| `")]
    assert {line.split("`")[1] for line in table} == set(ready)
    for line in table:
        preset = ready[line.split("`")[1]]
        variables = [
            f"`{name}`" + (f" ({preset.variables[name]})" if name in preset.variables else "")
            for name in preset.wanted
        ]
        assert line.split("|")[2].strip() == ", ".join(variables)


def test_the_settings_in_the_documents_are_valid(home: Path) -> None:
    home.mkdir()
    for block in (*blocks("docs/SETTINGS.md", "toml"), *blocks("docs/KEYS.md", "toml")):
        (home / "config.toml").write_text(block, encoding="utf-8")
        config = load_config(find_paths())
        assert config != Config()
        assert set(config.keys) <= set(movable_ids())


def test_the_json_in_the_documents_is_what_ask_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATAPP_BACKEND", "echo")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("docs/COMMAND_LINE.md", "json")
    command = [sys.executable, "-m", "chatapp", "ask", "--json", "--n", "2", "hello"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    documented, printed = json.loads(block), json.loads(done.stdout)
    assert documented["sampling"].keys() < printed["sampling"].keys()
    for answer in (documented, printed):  # too many to list, and of every kind
        answer["sampling"] = [sorted(one) for one in answer["sampling"].values()]
    assert _shape(documented) == _shape(printed)


def _shape(value: object) -> object:
    """Names, their order and the kinds of their values; a list counts by its first item."""
    if isinstance(value, dict):
        return [(name, _shape(item)) for name, item in value.items()]
    if isinstance(value, list):
        return [_shape(value[0])]
    return type(value).__name__


def test_the_documents_name_every_format_of_the_registries() -> None:
    text = "".join(map(read, DOCUMENTS))
    families = [family.description for family in FAMILIES]
    described = [known.DESCRIPTION for known in (*CHECKPOINTS, *VOCABS)]
    exports = [name.replace("json", "JSON").replace("html", "HTML") for name in FORMATS]
    names = [*families, *described, *FTYPES, *exports]
    assert [name for name in names if name.lower() not in text.lower()] == []


def test_the_table_of_proofs_is_what_is_measured() -> None:
    lines = [line for line in read("docs/CONVERTING.md").splitlines() if line.count("|") == 10]
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines]
    assert cells[2:] == [list(row[:3]) for row in rows()]


def test_every_family_has_a_row_in_the_table() -> None:
    proved = {row[1].split(",")[0].split(" (")[0] for row in rows()}
    for family in FAMILIES:
        name = re.split(r" and | \(|:| 1 to| shape", family.description)[0]
        assert any(row.startswith(name) for row in proved), name


def test_the_architecture_page_knows_every_package() -> None:
    text = read("docs/ARCHITECTURE.md")
    packages = {
        str(path.parent.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert [name for name in sorted(packages) if f"{name}/" not in text] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", read(document))
    near = [target for target in targets if "://" not in target]
    assert [name for name in near if not (ROOT / document).parent.joinpath(name).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 200
