"""What transformers' tokenizer classes do with files that do not say it themselves.

`vocab.json` and `merges.txt` say no word of how text is split, and SentencePiece's pieces may be
numbered otherwise than in their file: the class that `tokenizer_config.json` names decides, and
one that is not listed here is asked about, never guessed. The classes are those of transformers 5.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.vocab.files import load_json_if_there
from convert.vocab.pretokenizers import GPT2, QWEN2, QWEN35, Steps


@dataclass(frozen=True)
class Bytes:
    """What a class of byte-level BPE in transformers does to a text."""

    steps: Steps = (f"split {GPT2}",)
    composes: bool = False
    """Whether characters are composed first (NFC)."""
    prefix: bool = False
    """Whether a space is put before a text, where nothing else is said."""
    around: tuple[str, str] | None = None
    """What is put around every text: the usual names of cls and sep."""


_QWEN2 = Bytes((f"split {QWEN2}",), composes=True)
_ROBERTA = Bytes(around=("<s>", "</s>"))
BYTE_LEVEL: dict[str, Bytes] = {
    "GPT2Tokenizer": Bytes(),
    "CodeGenTokenizer": Bytes(),
    "GPTNeoXTokenizer": Bytes(composes=True),
    "CohereTokenizer": Bytes(("digits each", f"split {GPT2}"), composes=True),
    "Qwen2Tokenizer": _QWEN2,
    "Qwen3_5Tokenizer": Bytes((f"split {QWEN35}",), composes=True),
    "RobertaTokenizer": _ROBERTA,
    "BartTokenizer": _ROBERTA,
    "LongformerTokenizer": _ROBERTA,
    "LEDTokenizer": _ROBERTA,
    "MvpTokenizer": _ROBERTA,
    "BlenderbotTokenizer": Bytes(prefix=True),
}
# Classes whose ids are those of the SentencePiece file, and what they put around a text.
PIECES: dict[str, tuple[str, ...]] = {
    "LlamaTokenizer": ("bos", "text"),
    "CodeLlamaTokenizer": ("bos", "text"),
    "GemmaTokenizer": ("bos", "text"),
    "T5Tokenizer": ("text", "eos"),
}
# Of these, four tokens of the class's own stand before the file's pieces, and one behind.
SHIFTED_PIECES = frozenset({"XLMRobertaTokenizer"})
WORD_PIECES = frozenset(
    {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"}
    | {"SqueezeBertTokenizer", "ConvBertTokenizer", "RetriBertTokenizer", "NezhaTokenizer"}
    | {"DPRQuestionEncoderTokenizer", "DPRContextEncoderTokenizer", "LxmertTokenizer"}
    | {"LayoutLMTokenizer", "FunnelTokenizer"}
)
# Where the tokenizer names no class, the model's own configuration does.
_BY_MODEL = {
    **dict.fromkeys(("gpt2", "gpt_neo", "gptj", "opt", "dbrx", "jais2"), "GPT2Tokenizer"),
    **dict.fromkeys(("phi", "codegen"), "CodeGenTokenizer"),
    **dict.fromkeys(("gpt_neox", "olmo", "olmoe", "mamba", "mamba2"), "GPTNeoXTokenizer"),
    **dict.fromkeys(("cohere", "cohere2"), "CohereTokenizer"),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"), "Qwen2Tokenizer"),
    **dict.fromkeys(
        ("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"), "Qwen3_5Tokenizer"
    ),
    **dict.fromkeys(("roberta", "bart", "longformer"), "RobertaTokenizer"),
    "blenderbot": "BlenderbotTokenizer",
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma3_text"), "GemmaTokenizer"),
    **dict.fromkeys(("t5", "mt5", "umt5"), "T5Tokenizer"),
    "xlm-roberta": "XLMRobertaTokenizer",
    **dict.fromkeys(("bert", "distilbert", "electra", "nomic_bert"), "BertTokenizer"),
}
# Names that say only that a tokenizer.json does.
_GENERIC = frozenset({"PreTrainedTokenizer", "TokenizersBackend", "PythonBackend", ""})
SAVE = (
    'Save it whole with transformers: AutoTokenizer.from_pretrained("DIR").save_pretrained("DIR") '
    "writes a tokenizer.json."
)


def find_class(folder: Path, model: Mapping[str, Any], known: Collection[str]) -> str | None:
    """The tokenizer's class, without its ending "Fast"; None where nothing says it.

    `model` is the model's own configuration: its kind of model counts only where it leads to one of
    `known`. Raises `VocabError` for a damaged file.
    """
    said = load_json_if_there(folder / "tokenizer_config.json").get("tokenizer_class")
    for name in (said, model.get("tokenizer_class")):
        if isinstance(name, str) and name.removesuffix("Fast") not in _GENERIC:
            return name.removesuffix("Fast")[:80]
    kind = model.get("model_type")
    usual = _BY_MODEL.get(kind) if isinstance(kind, str) else None
    return usual if usual in known else None
