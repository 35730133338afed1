"""What every kind of tokenizer shares: tokens by id, special ids, ends, and the chat template.

It promises a whole `Vocab` but for what the kind itself decides: pre-tokenizer, merges, scores and
reference, which each source lays over it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from convert.vocab.chat import find_templates
from convert.vocab.layout import Added, Layout, find_markers, lay_out
from convert.vocab.special import (
    Ends,
    Surroundings,
    find_ends,
    find_special_ids,
    read_surroundings,
    token_text,
)
from convert.vocab.vocabulary import TokenKind, Vocab
from convert.vocab.wanted import Wanted

END = "<|endoftext|>"


def assemble(
    path: Path,
    wanted: Wanted,
    model: str,
    ids: Mapping[str, int],
    added: Mapping[str, Added],
    *,
    kinds: Mapping[int, TokenKind] | None = None,
    post: Sequence[int | None] = (),
    named: Mapping[str, str] | None = None,
    promote: bool = False,
) -> Vocab:
    """The vocabulary of the tokenizer in `path`. Raises `VocabError`.

    `post` is what is put around a text, None for the text; `named` has special tokens by role that
    the configuration may override; `promote` makes ordinary tokens control tokens when the
    configuration names them so, as transformers does for tokenizers without a list of their own.
    """
    around = read_surroundings(path.parent, wanted.config)
    roles = {f"{role}_token": text for role, text in (named or {}).items()}
    around = Surroundings(roles | dict(around.config), around.generation)
    if promote:
        added = {**_named_ordinary(around, ids, added), **added}
    layout = lay_out(ids, added, wanted.n_rows, path.name, kinds)
    template, more = find_templates(path.parent, around.config, wanted.chat_template)
    put = Ends.of(post)
    special, said = find_special_ids(around, layout.special(), len(layout.tokens), template, put)
    appended: tuple[int, ...] = ()
    if "eos" not in special:
        layout, end = _append_end(layout)
        appended, special = (end,), {"bos": end, **special, "eos": end}
        said.append("No token ends a text: one is added for that, which the model never chooses.")
    markers, odd = find_markers({t: a for t, a in added.items() if a.id < wanted.n_rows})
    add_bos, add_eos, added_ends = find_ends(around.config, put, special)
    return Vocab(
        model=model,
        pre="default",
        tokens=layout.tokens,
        kinds=layout.kinds,
        merges=(),
        special_ids=special,
        add_bos=add_bos,
        add_eos=add_eos,
        chat_template=template,
        source=path,
        notes=(*layout.notes, *said, *added_ends, *odd),
        templates=more,
        markers=markers,
        appended=appended,
    )


def _append_end(layout: Layout) -> tuple[Layout, int]:
    """`layout` with one more token, which ends a text, and its id."""
    text = END if END not in layout.tokens else f"{END}>"
    tokens, kinds = (*layout.tokens, text), (*layout.kinds, TokenKind.CONTROL)
    return replace(layout, tokens=tokens, kinds=kinds), len(layout.tokens)


def _named_ordinary(
    around: Surroundings, ids: Mapping[str, int], added: Mapping[str, Added]
) -> dict[str, Added]:
    values = [value for key, value in around.config.items() if key.endswith("_token")]
    extra = around.config.get("additional_special_tokens")
    values += extra[:1000] if isinstance(extra, list) else []
    texts = [text for text in map(token_text, values) if text is not None]
    return {t: Added(ids[t], special=True) for t in texts if t in ids and t not in added}


def add_notes(vocab: Vocab, *notes: str) -> Vocab:
    """The vocabulary `vocab` with further notes."""
    return replace(vocab, notes=(*vocab.notes, *notes))
