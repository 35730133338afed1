"""Makes the pretraining texts in `data/` from what Debian packages and two data files carry.

Promises plain UTF-8 prose, one document a line-free paragraph block, gzip without a time stamp, so
that the same inputs give the same bytes. May not be needed to train: its results are in the
repository, with their licences in `data/SOURCES.md`. Surprising: it takes the last hundredth of
every source away into `data/heldout.txt`, which is never trained on.

Run: `python -m chatapp.builtin.recipe.collect UNPACKED`, where UNPACKED holds the unpacked Debian
packages wordnet-base, jargon-text and python3.11-doc, and topical_chat.jsonl.gz and
tinyshakespeare.txt.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).parent / "data"
WORDNET = "usr/share/wordnet"
JARGON = "usr/share/doc/jargon-text/jargon.txt.gz"
PYTHON = "usr/share/doc/python3.11/html/_sources"
HELD_OUT = 100
"""Of so many documents, the last is held out."""
CRUDE = re.compile(
    r"fuck|shit|cunt|bitch|asshole|dick|porn|nigg|rape|whore|piss|tits|bastard", re.I
)


def write(name: str, documents: list[str]) -> None:
    """`documents` to `data/NAME.txt.gz`, separated by a line with only a form feed."""
    with gzip.GzipFile(DATA / f"{name}.txt.gz", "wb", mtime=0) as stream:
        stream.write("\n\f\n".join(documents).encode())


def plain(text: str) -> str:
    """Typographic quotes and dashes as ASCII, so that they do not cost tokens."""
    for fancy, simple in (("“", '"'), ("”", '"'), ("’", "'"), ("‘", "'"), ("—", " - "), ("–", "-")):
        text = text.replace(fancy, simple)
    return text


def wordnet(root: Path) -> list[str]:
    """Definitions of frequent words, each with its example sentences, forty to a document."""
    entries: list[str] = []
    for part in ("noun", "verb", "adj", "adv"):
        counted = set()
        for line in (root / WORDNET / f"index.{part}").read_text().splitlines():
            fields = line.split()
            if line.startswith(" ") or int(fields[-int(fields[2]) - 1]) == 0:
                continue
            counted.update(fields[-int(fields[2]) :][: int(fields[-int(fields[2]) - 1])])
        for line in (root / WORDNET / f"data.{part}").read_text().splitlines():
            if line.split(" ", 1)[0] in counted:
                entries += [_definition(line)]
    entries = [entry for entry in entries if not CRUDE.search(entry)]
    return ["\n".join(entries[start : start + 40]) for start in range(0, len(entries), 40)]


def _definition(line: str) -> str:
    head, gloss = line.split(" | ", 1)
    word = re.sub(r"\(\w+\)$", "", head.split()[4]).replace("_", " ")
    examples = re.findall(r'"([^"]+)"', gloss)
    meaning = re.sub(r';? *"[^"]*"', "", gloss).strip().rstrip(";")
    sentences = [f"{word[0].upper()}{word[1:]}: {meaning}."]
    for example in examples:
        end = "" if example[-1] in ".!?" else "."
        sentences.append(f"{example[0].upper()}{example[1:]}{end}")
    return " ".join(sentences)


def jargon(root: Path) -> list[str]:
    """The lexicon and essays of the Jargon File, unwrapped, an entry a document."""
    with gzip.open(root / JARGON, "rt", encoding="utf-8") as stream:
        text = plain(stream.read())
    text = text[text.index("Chapter 1.") :] if "Chapter 1." in text else text
    entries = re.split(r"\n(?=   :[^\n]+:)", text)
    documents = []
    for entry in entries:
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", entry)]
        prose = [re.sub(r"[{}]", "", part) for part in paragraphs if len(part) > 60]
        if prose and not CRUDE.search(entry):
            documents.append("\n".join(prose))
    return documents


def python_docs(root: Path) -> list[str]:
    """Prose paragraphs of Python's tutorial, FAQ, how-tos and glossary, a file a document."""
    files = [root / PYTHON / "glossary.rst.txt"]
    for folder in ("tutorial", "faq", "howto"):
        files += sorted((root / PYTHON / folder).glob("*.rst.txt"))
    return [document for file in files if len(document := _rst_prose(file.read_text())) > 500]


def _rst_prose(text: str) -> str:
    kept = []
    for part in re.split(r"\n\s*\n", plain(text)):
        line = " ".join(part.split())
        words = re.findall(r"[A-Za-z]{2,}", line)
        if line.startswith("..") or line.endswith("::") or ">>>" in line or len(words) < 8:
            continue
        line = re.sub(r":[\w:]+:`~?([^`<]*?)(?: *<[^`]*>)?`", r"\1", line)
        line = re.sub(r"`([^`<]*?) *<[^`]*>`_+", r"\1", line).replace("``", "").replace("**", "")
        if sum(character in "=_(){}[]|\\<>" for character in line) * 25 < len(line):
            kept.append(line)
    return "\n".join(kept)


def shakespeare(root: Path) -> list[str]:
    """The plays, some speeches a document."""
    speeches = (root / "tinyshakespeare.txt").read_text().strip().split("\n\n")
    return ["\n\n".join(speeches[start : start + 40]) for start in range(0, len(speeches), 40)]


def topical(root: Path) -> Iterator[list[str]]:
    """Conversations as lists of turns."""
    with gzip.open(root / "topical_chat.jsonl.gz", "rt", encoding="utf-8") as stream:
        for line in stream:
            yield [" ".join(plain(turn).split()) for turn in json.loads(line)]


def main(root: Path) -> None:
    """Write every file of `data/`."""
    held: list[str] = []
    for name, make in (
        ("wordnet", wordnet),
        ("jargon", jargon),
        ("python_docs", python_docs),
        ("tinyshakespeare", shakespeare),
    ):
        documents = make(root)
        count = max(1, len(documents) // HELD_OUT) if name != "python_docs" else 0
        held += documents[len(documents) - count :]
        write(name, documents[: len(documents) - count])
    talks = list(topical(root))
    count = len(talks) // HELD_OUT
    held += ["\n".join(talk) for talk in talks[-count:]]
    with gzip.GzipFile(DATA / "topical_chat.jsonl.gz", "wb", mtime=0) as stream:
        for talk in talks[:-count]:
            stream.write((json.dumps(talk, ensure_ascii=False) + "\n").encode())
    (DATA / "heldout.txt").write_text("\n\f\n".join(held), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
