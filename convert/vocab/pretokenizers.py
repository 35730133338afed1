"""How text is split before the merges: llama.cpp knows this by name, `tokenizer.json` as a program.

It promises names whose program is the same, compared step by step after both are spelled alike.
Where none is, all of llama.cpp's are worth trying: `trial.py` does, on text. Names and expressions
are those of llama.cpp's llama-vocab.cpp, `llm_tokenizer_bpe`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convert.vocab.json_parts import flatten

Steps = tuple[str, ...]
"""`split REGEX`, `digits each`, `digits runs`, `punctuation BEHAVIOUR`, or a type we know not."""

_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_NO_WORD = r"[^\r\n\p{L}\p{N}]?"
_CASES = f"{_NO_WORD}{_UPPER}*{_LOWER}+{{s}}|{_NO_WORD}{_UPPER}+{_LOWER}*{{s}}"
_SLASH_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{_SHORT}|{_NO_WORD}\p{{L}}+|\p{{N}}{{1,3}}|{_TAIL}"
QWEN2 = rf"{_SHORT}|{_NO_WORD}\p{{L}}+|\p{{N}}|{_TAIL}"
QWEN35 = (
    rf"{_SHORT}|{_NO_WORD}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4O = _CASES.replace("{s}", f"{_SHORT}?") + rf"|\p{{N}}{{1,3}}|{_SLASH_TAIL}"
TEKKEN = _CASES.replace("{s}", "") + rf"|\p{{N}}|{_SLASH_TAIL}"
SEED_CODER = (
    rf"{_SHORT}|{_NO_WORD}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
)
EXAONE_MOE = (
    rf"{_SHORT}|{_NO_WORD}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]+|\s+(?!\S)|\s+"
)
JAIS2 = LLAMA3.removesuffix(r"\s+(?!\S)|\s+") + (
    r"\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|"
    r"\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
)


@dataclass(frozen=True)
class PreTokenizer:
    """One of llama.cpp's pre-tokenizers, and the steps it takes."""

    name: str
    steps: Steps
    ignore_merges: bool = False
    """Whether a word that is a token is taken whole, whatever its merges."""
    exact: bool = True
    """Whether llama.cpp's rendering of the program is the program; if not, text must decide."""

    def does(self, steps: Steps) -> bool:
        """Whether `steps`, already in the plain spelling, are its program."""
        return tuple(simplify(step) for step in self.steps) == steps


# Of several names with one program the first is the plainest: no added bos, nothing special.
KNOWN: tuple[PreTokenizer, ...] = (
    PreTokenizer("gpt-2", (f"split {GPT2}",)),
    PreTokenizer("llama-bpe", (f"split {LLAMA3}",), ignore_merges=True),
    PreTokenizer("dbrx", (f"split {LLAMA3}",)),
    PreTokenizer("qwen2", (f"split {QWEN2}",)),
    PreTokenizer("qwen35", (f"split {QWEN35}",)),
    # these know no combining marks and take letters beyond ASCII for both cases at once
    PreTokenizer("gpt-4o", (f"split {GPT4O}",), exact=False),
    PreTokenizer("granite-embed-multi-97m", (f"split {GPT4O}",), ignore_merges=True, exact=False),
    PreTokenizer("tekken", (f"split {TEKKEN}",), ignore_merges=True, exact=False),
    PreTokenizer("starcoder", ("digits each", f"split {GPT2}")),
    PreTokenizer("falcon", ("punctuation Contiguous", f"split {GPT2}", "split [0-9][0-9][0-9]")),
    PreTokenizer(
        "deepseek-v3",
        (r"split \p{N}{1,3}", "split [一-龥぀-ゟ゠-ヿ]+", f"split {_DEEPSEEK}"),
    ),
    PreTokenizer("tiny_aya", (r"split \d{1,3}(?=(?:\d{3})*\b)", f"split {GPT4O}")),
    PreTokenizer("seed-coder", (f"split {SEED_CODER}",)),
    PreTokenizer("exaone-moe", (f"split {EXAONE_MOE}",)),
    PreTokenizer("jais-2", (f"split {JAIS2}",)),
    PreTokenizer("ufakzeka", (f"split {QWEN2.removeprefix(_SHORT + '|')}",)),
    PreTokenizer("bloom", (r"split  ?[^(\s|[.,!?…。，、।۔،])]+",)),
    PreTokenizer(
        "minicpm5",
        (r"split \p{N}{1,3}", "split " + LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}+")),
        ignore_merges=True,
    ),
)

# Tried on text where no program matches: one name for each different behaviour.
BY_TEXT: tuple[str, ...] = (
    *(known.name for known in KNOWN),
    "deepseek-llm",
    "deepseek-coder",
    "bailingmoe",
    "viking",
    "superbpe",
    "youtu",
    "laguna",
    "glm4",
    "default",
)

# Further names of llama.cpp's, by the plainest one with the same program.
_ALIASES: dict[str, tuple[str, ...]] = {
    "gpt-2": (
        *(
            "phi-2",
            "jina-es",
            "jina-de",
            "gigachat",
            "jina-v2-es",
            "jina-v2-de",
            "a.x-4.0",
            "mellum",
        ),
        *("modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "mpt", "olmo", "jais"),
        *("trillion", "granite-docling"),
    ),
    "llama-bpe": (
        *("llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
        *("jina-v5-nano", "glm4", "glm5"),
    ),
    "dbrx": ("smaug-bpe", "chatglm-bpe"),
    "qwen2": (
        *("deepseek-r1-qwen", "kormo", "f2llmv2", "stablelm2", "megrez", "hunyuan", "grok-2"),
        *("solar-open",),
    ),
    "starcoder": (
        *("refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"),
    ),
    "gpt-4o": ("llama4", "kanana2", "talkie", "minimax-m2"),
    "deepseek-v3": ("hunyuan-dense", "joyai-llm", "hy_v4"),
    "tiny_aya": ("cohere2moe",),
    "bloom": ("poro-chat", "gpt3-finnish"),
}
# Names whose program is several expressions that only llama.cpp has, or no expression at all.
_OTHERS = (
    *("spark2_5", "gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace", "exaone4"),
    *("chameleon", "bailingmoe2", "llada-moe", "afmoe"),
)
# All that llama.cpp takes; for --pre.
NAMES = frozenset([*BY_TEXT, *_OTHERS, *(name for names in _ALIASES.values() for name in names)])


def match(steps: Steps, *, ignore_merges: bool) -> str | None:
    """llama.cpp's name of the very same program, or None."""
    for known in KNOWN:
        if known.exact and known.ignore_merges == ignore_merges and known.does(steps):
            return known.name
    return None


def find_steps(name: str | None) -> Steps | None:
    """The program of the pre-tokenizer `name`; None where it is not known."""
    plain = next((known for known, names in _ALIASES.items() if name in names), name)
    return next((known.steps for known in KNOWN if known.name == plain), None)


def find_expression(name: str | None) -> str | None:
    """The one expression of the pre-tokenizer `name`; None where it has several, or is unknown."""
    steps = find_steps(name) or ()
    return steps[0].removeprefix("split ") if len(steps) == 1 else None


def candidates(steps: Steps) -> tuple[str, ...]:
    """Every name worth trying on text, those with the same expressions first."""
    alike = [known.name for known in KNOWN if known.does(steps)]
    return tuple(dict.fromkeys([*alike, *BY_TEXT]))


def read_steps(pre_tokenizer: Any) -> tuple[Steps, bool, bool]:
    """(steps, whether bytes become characters once, whether a space is put before the text)."""
    steps: list[str] = []
    byte_level, prefix = 0, False
    for item in flatten(pre_tokenizer, "pretokenizers"):
        kind = item.get("type")
        if kind == "ByteLevel":
            byte_level += 1
            prefix = prefix or bool(item.get("add_prefix_space", True))
            steps += [f"split {simplify(GPT2)}"] if item.get("use_regex", True) else []
        else:
            steps.append(_spell(item))
    return tuple(steps), byte_level == 1, prefix


def _spell(item: dict[str, Any]) -> str:
    kind = item.get("type")
    if kind == "Digits":
        return "digits each" if item.get("individual_digits") else "digits runs"
    if kind == "Punctuation":
        return f"punctuation {item.get('behavior')}"
    if kind != "Split":
        return f"{kind} {sorted(map(str, item.items()))}"[:300]
    pattern = item.get("pattern")
    text = pattern.get("Regex") if isinstance(pattern, dict) else None
    if not isinstance(text, str):
        return f"split at {pattern}"[:300]
    expression = simplify(text)
    # Removed and inverted: matches stay, what lies between goes; these expressions leave no gaps.
    kept = item.get("behavior") == "Removed" and item.get("invert")
    if kept or (item.get("behavior") == "Isolated" and not item.get("invert")):
        return f"split {expression}"
    return f"split {item.get('behavior')} {item.get('invert')} {expression}"


def simplify(expression: str) -> str:
    """A splitting expression in the spelling of `KNOWN`; equal expressions only.

    Possessive quantifiers match as greedy ones do where nothing that follows could match less,
    which is so in every expression above.
    """
    text = expression.replace("\r", r"\r").replace("\n", r"\n")
    text = text.replace(r"(?i:[sdmt]|ll|ve|re)", "(?i:S)").replace("'(?i:S)", _SHORT)
    text = text.replace("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", _SHORT)
    plain = "'s|'t|'re|'ve|'m|'ll|'d"
    text = text.replace(f"(?:{plain})", plain).replace("'(?:[sdmt]|ll|ve|re)", plain)
    text = text.replace("++", "+")
    text = text.replace("?+", "?").replace("*+", "*")
    text = text.replace(r"\p{N}{1}", r"\p{N}").replace(r"\s*[\r\n]|", r"\s*[\r\n]+|")
    text = text.replace(r"\s+$|\s+(?!\S)", r"\s+(?!\S)")
    return text + "+" if text.endswith(r"\s+(?!\S)|\s") else text
