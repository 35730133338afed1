"""Special ids, from every file that may name them: which token ends a text, a turn, a message.

It promises that bos and eos are real tokens of the vocabulary, or an error: llama.cpp's own
defaults would name an ordinary one. Names come from `tokenizer_config.json` and
`special_tokens_map.json`, ids from `generation_config.json` and the model's configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.errors import VocabError
from convert.questions import Choice, Question
from convert.vocab.files import load_json_if_there

_ROLES = ("bos", "eos", "eot", "eom", "pad", "unk", "sep", "cls", "mask")
# Without these a model cannot be run; any other that is missing is left out with a note.
_NEEDED = frozenset({"bos", "eos"})
# Names that mean "the text ends here" wherever they occur, most common first.
_USUAL_ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|end|>", "<|im_end|>")
# Names of special tokens that are no end.
_NO_ENDS = frozenset(
    {"<unk>", "[UNK]", "<pad>", "[PAD]", "<mask>", "[MASK]", "<s>", "<bos>", "[BOS]", "[CLS]"}
    | {"[SEP]", "<UNK>", "<PAD>", "<BOS>", "<MASK>", "<|unk|>", "<|pad|>", "<|bos|>"}
)
# Names that end a turn when a template writes them.
_TURN_ENDS = ("<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|eot|>", "<turn|>")


@dataclass(frozen=True)
class Surroundings:
    """What lies beside a tokenizer and says how it is used."""

    config: Mapping[str, Any] = field(default_factory=dict)
    """`tokenizer_config.json` over `special_tokens_map.json`."""
    generation: Mapping[str, Any] = field(default_factory=dict)
    """`generation_config.json` over the model's own configuration."""


def read_surroundings(folder: Path, model: Mapping[str, Any]) -> Surroundings:
    """The files in `folder`; `model` is the checkpoint's configuration. Raises `VocabError`."""
    config = load_json_if_there(folder / "special_tokens_map.json")
    config = config | load_json_if_there(folder / "tokenizer_config.json")
    asked = {f"{role}_token": model.get(f"{role}_token") for role in _ROLES}  # with --set
    config = config | {key: text for key, text in asked.items() if isinstance(text, str)}
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    ids = {key: model[key] for key in names if model.get(key) is not None}
    said = _usable(folder / "generation_config.json")
    return Surroundings(config, ids | {k: said[k] for k in names if said.get(k) is not None})


def _usable(path: Path) -> dict[str, Any]:
    """The object in `path`; {} where it is damaged, which the plan notes elsewhere."""
    try:
        return load_json_if_there(path)
    except VocabError:
        return {}


@dataclass(frozen=True)
class Ends:
    """Ids that the original puts before and behind every text."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @classmethod
    def of(cls, template: Sequence[int | None]) -> Ends:
        """The ends in a post-processor's template: ids, and None for the text."""
        if None not in template:
            return cls()
        at = template.index(None)
        before, after = template[:at], template[at + 1 :]
        return cls(*(tuple(i for i in part if i is not None) for part in (before, after)))


def find_special_ids(
    around: Surroundings,
    special: Mapping[str, int],
    n_tokens: int,
    template: str | None,
    put: Ends = Ends(),
) -> tuple[dict[str, int], list[str]]:
    """Ids by role, and notes. `special` maps the text of every special token to its id.

    A missing eos is what is put behind every text, else looked for under its usual names, and left
    out where no special token can be one; a missing bos is what is put before a text, else eos, as
    in GPT-2; eot, where a turn ends, is the end the chat template writes, else eos.
    """
    ids, notes = _named(around.config, special)
    ends = _listed(around.generation.get("eos_token_id"), n_tokens)
    for role, one in (("bos", put.before), ("eos", put.after)):
        if len(one) == 1 and one[0] in range(n_tokens):
            ids.setdefault(role, one[0])
    if "eos" not in ids and ends:
        ids["eos"] = ends[0]
    if "eos" not in ids:
        usual = next((text for text in _USUAL_ENDS if text in special), None)
        if usual is None:
            return _without_end(ids, special), notes
        ids["eos"] = special[usual]
    starts = _listed(around.generation.get("bos_token_id"), n_tokens)
    ids.setdefault("bos", starts[0] if starts else ids["eos"])
    if template is not None:
        notes += _find_turn_ends(ids, ends, special, template)
    elif len(ends) > 1:
        notes += _place([i for i in ends if i != ids["eos"]], ids)
    return {role: ids[role] for role in _ROLES if role in ids}, notes


def _without_end(ids: dict[str, int], special: Mapping[str, int]) -> dict[str, int]:
    """`ids` as they are, where no special token can be the end. Raises `VocabError` else."""
    taken = set(ids.values())
    others = [text for text, i in special.items() if i not in taken and text not in _NO_ENDS]
    if not others:
        return ids
    shown = ", ".join(repr(text[:40]) for text in others[:12])
    why = (
        "The tokenizer names no end-of-text token, so the model would never stop. Its special "
        f"tokens are {shown}."
    )
    choices = tuple(Choice(text) for text in others[:64])
    question = Question("eos_token", why, choices, str, others=True)
    raise VocabError(why, "Say which one ends a text: --set eos_token=TOKEN.", question)


def _named(
    config: Mapping[str, Any], special: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    ids: dict[str, int] = {}
    notes = []
    for role in _ROLES:
        text = token_text(config.get(f"{role}_token"))
        if text is None:
            continue
        if text in special:
            ids[role] = special[text]
        elif role in _NEEDED:
            raise VocabError(
                f"The tokenizer's configuration names {text!r:.60} as {role}_token, but it is no "
                "special token of the tokenizer.",
                "Add it to the tokenizer as a special token.",
            )
        else:
            notes.append(f"{role}_token is {text!r:.60}, which is no special token: left out.")
    return ids, notes


def _listed(value: Any, n_tokens: int) -> list[int]:
    """Ids in `value`, one or a list of them, that are tokens."""
    values = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(i for i in values[:64] if type(i) is int and 0 <= i < n_tokens))


def _find_turn_ends(
    ids: dict[str, int], ends: list[int], special: Mapping[str, int], template: str
) -> list[str]:
    """Fill eot and eom: ends that the template writes come first."""
    texts = {index: text for text, index in special.items()}
    written = [i for i in ends if texts.get(i, "\0") in template]
    usual = [special[text] for text in _TURN_ENDS if text in special and text in template]
    eos_written = texts.get(ids["eos"], "\0") in template or "eos_token" in template
    if "eot" not in ids:
        others = [i for i in written if i != ids["eos"]]
        ids["eot"] = (others or ([] if eos_written else usual) or [ids["eos"]])[0]
    return _place([i for i in ends if i not in (ids["eos"], ids["eot"])], ids)


def _place(more: list[int], ids: dict[str, int]) -> list[str]:
    """Put further ends where llama.cpp has a place: eot, then eom."""
    for role in ("eot", "eom"):
        if more and role not in ids:
            ids[role] = more.pop(0)
    return [f"Further end tokens llama.cpp has no place for: {more[:8]}."] if more else []


def token_text(value: Any) -> str | None:
    """The text of a token given as text or as an object with `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def find_ends(
    config: Mapping[str, Any], put: Ends, ids: dict[str, int]
) -> tuple[bool, bool, list[str]]:
    """(add_bos, add_eos, notes); `ids` gets the tokens that llama.cpp is to put there.

    The post-processor is what runs, unless the configuration says otherwise. llama.cpp has one
    place before a text and one behind it: bos and eos. What was eos by name then ends a turn.
    """
    wanted = {"bos": put.before, "eos": put.after}
    added, notes = {}, []
    for role, tokens in wanted.items():
        said = config.get(f"add_{role}_token")
        added[role] = bool(said) if said is not None else len(tokens) == 1
        if said is not None:
            continue
        if len(tokens) > 1:
            side = "before" if role == "bos" else "behind"
            notes.append(
                f"The original puts the tokens {list(tokens)} {side} every text; llama.cpp can put "
                "only one, so none is put: write them into the prompt."
            )
        elif tokens and tokens[0] != ids[role]:
            notes.append(
                f"{role} is {tokens[0]}, which the original puts around every text; by name it is "
                f"{ids[role]}."
            )
            if role == "eos":
                ids.setdefault("eot", ids["eos"])
            ids[role] = tokens[0]
    return added["bos"], added["eos"], notes
