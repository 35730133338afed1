"""Model files that say a script: any sequence of tokens, control tokens too, by the real llama.cpp.

A GPT-2 whose attention and MLP are zero. What it says depends on the position alone: the learned
position of a token is one-hot at the token to be said next, and the output layer is the identity.
The right token leads by more than 100 in logits, so sampling at any usual temperature says it too.

A prompt decides where its answer begins, so a script is written for known prompts: `Turn.prompt`
is the text that the chat template is to give. An answer that comes out whole proves that the prompt
had exactly that many tokens; where it was shorter or longer, the answer begins with `?` or lacks
its beginning. The vocabulary is one token for each byte and one for each special token; the length
of a prompt is therefore known without llama.cpp.

    words = Words(control=("<|im_start|>", "<|im_end|>"), eos="<|im_end|>")
    write_scripted(path, words, template, [Turn(prompt, "<think>hm</think>Hello<|im_end|>")])
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import gguf
import numpy as np

from bench.synthetic import byte_letters

N_CTX = 4096
_FILLER = ord("?")
"""What is said at positions that no turn asks for."""
_HEAD = 64
_LEAD = 8.0
"""Times the normalised one-hot, about sqrt(320): the lead of the right token in logits."""


@dataclass(frozen=True)
class Words:
    """The tokens of a scripted model beside its 256 bytes."""

    control: tuple[str, ...] = ("<|im_start|>", "<|im_end|>")
    """Tokens that llama.cpp shows as nothing."""
    user_defined: tuple[str, ...] = ()
    """Tokens that are shown as their text."""
    eos: str = "<|im_end|>"
    """The token the file marks as the end. llama.cpp knows others as ends by their text
    (`<|end|>`, `<|call|>` ...), and takes some of a file's control tokens for user-defined ones."""
    eot: str = ""
    """A second end, if any."""
    eom: str = ""
    """A third one, where a message ends and the turn goes on elsewhere."""
    bos: str = ""
    """What a template gets as `bos_token`; the engine adds none by itself."""

    @cached_property
    def special(self) -> dict[str, int]:
        """The id of each special token."""
        return {text: 256 + n for n, text in enumerate((*self.control, *self.user_defined))}

    def tokenize(self, text: str) -> list[int]:
        """The ids of `text`: special tokens by their text, everything else byte by byte."""
        longest_first = sorted(self.special, key=len, reverse=True)
        pieces = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", text)
        ids: list[int] = []
        for piece in filter(None, pieces):
            known = self.special.get(piece)
            ids += piece.encode() if known is None else [known]
        return ids


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: where it begins, and what it is."""

    prompt: str | int
    """The prompt that it follows, or how many tokens that has."""
    says: str
    """The answer with its end token; without one it runs on until the context is full."""


def write_scripted(
    path: Path,
    words: Words,
    template: str | None,
    turns: Sequence[Turn],
    *,
    n_ctx: int = N_CTX,
    name: str = "",
    guide: bool = False,
) -> Path:
    """Write a model file with chat `template` to `path`; it says `turns`. With `guide` it wants
    what chatapp knows before every question.

    Raises `ValueError` where a script cannot be said: two turns want one position, as happens when
    a later prompt drops an answer's thoughts and is shorter than that answer (make its message
    longer), or the context is too short. llama.cpp would abort on a token that is there twice.
    """
    letters = [chr(code) for code in byte_letters()]
    if len({*letters, *words.special}) < 256 + len((*words.control, *words.user_defined)):
        raise ValueError("a special token is there twice, or is the letter of a byte")
    said = _lay_out(words, turns, n_ctx)
    n_vocab = 256 + len(words.special)
    n_embd = -(-n_vocab // _HEAD) * _HEAD
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_name(name or path.stem)
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_HEAD)
    writer.add_head_count(n_embd // _HEAD)
    writer.add_layer_norm_eps(1e-5)
    _add_vocab(writer, words, letters)
    if guide:
        writer.add_bool("chatapp.guide", True)
    if template is not None:
        writer.add_chat_template(template)
    _add_tensors(writer, said, n_vocab, n_embd)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _lay_out(words: Words, turns: Sequence[Turn], n_ctx: int) -> list[int]:
    """For each position the token that is said behind it."""
    script: dict[int, int] = {}
    for number, turn in enumerate(turns, 1):
        prompt = turn.prompt if isinstance(turn.prompt, int) else len(words.tokenize(turn.prompt))
        answer = words.tokenize(turn.says)
        wanted = dict(enumerate(answer, prompt - 1))
        if prompt < 1 or prompt + len(answer) > n_ctx:
            raise ValueError(f"turn {number} ends at {prompt + len(answer)}, of {n_ctx}")
        for position in script.keys() & wanted.keys():
            if script[position] != wanted[position]:
                raise ValueError(
                    f"turn {number} begins at {prompt}, inside an earlier answer: lengthen the "
                    "message before it"
                )
        script |= wanted
    end = words.special[words.eos]
    last = max(script, default=-1)
    return [script.get(n, _FILLER if n < last else end) for n in range(n_ctx)]


def _add_vocab(writer: gguf.GGUFWriter, words: Words, letters: list[str]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*letters, *words.special])
    types = [gguf.TokenType.NORMAL] * 256
    types += [gguf.TokenType.CONTROL] * len(words.control)
    types += [gguf.TokenType.USER_DEFINED] * len(words.user_defined)
    writer.add_token_types(types)
    writer.add_token_merges(["Ā Ā"])  # llama.cpp wants some; this one makes no token
    writer.add_eos_token_id(words.special[words.eos])
    for text, add in (
        (words.eot, writer.add_eot_token_id),
        (words.eom, writer.add_eom_token_id),
        (words.bos, writer.add_bos_token_id),
    ):
        if text:
            add(words.special[text])
    writer.add_add_bos_token(False)


def _add_tensors(writer: gguf.GGUFWriter, said: list[int], n_vocab: int, n_embd: int) -> None:
    one_hot = np.eye(n_vocab, n_embd, dtype=np.float16)
    writer.add_tensor("token_embd.weight", np.zeros((n_vocab, n_embd), np.float16))
    writer.add_tensor("position_embd.weight", one_hot[said])
    for name, rows, columns in (
        ("attn_qkv", 3 * n_embd, n_embd),
        ("attn_output", n_embd, n_embd),
        ("ffn_up", _HEAD, n_embd),
        ("ffn_down", n_embd, _HEAD),
    ):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((rows, columns), np.float16))
        writer.add_tensor(f"blk.0.{name}.bias", np.zeros(rows, np.float32))
    for name, scale in (("blk.0.attn_norm", 1.0), ("blk.0.ffn_norm", 1.0), ("output_norm", _LEAD)):
        writer.add_tensor(f"{name}.weight", np.full(n_embd, scale, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(n_embd, np.float32))
    writer.add_tensor("output.weight", one_hot)
