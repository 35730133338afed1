"""Reads a hand-written model: its roles, its form, and its tensors for llama.cpp.

What neither names nor shapes tell comes from the checkpoint's configuration, from the user, from
what was measured (`checkpoint.findings`), or else from what the author's code or most people do;
the model says for each which it was. What is as likely one way as the other is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convert.architectures.assumptions import ASSUMED, MEASURED, SAID, Assumption
from convert.architectures.layer_norm import ERF_NOTE
from convert.architectures.model import Model
from convert.architectures.output_bias import fold_output_bias
from convert.architectures.settings import Settings
from convert.architectures.taking import Taker
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError
from convert.handwritten import names as words
from convert.handwritten.choices import Choices, find_choices, fused_rows, kv_heads
from convert.handwritten.finding import find_roles
from convert.handwritten.form import FACTORS, RARE, SWITCHES, Form, meaning, text_of
from convert.handwritten.graphs import Graph, find_graph
from convert.handwritten.mapping import RELU_SCALE, Mapping
from convert.handwritten.roles import Roles
from convert.handwritten.spellings import Spelling, find_spelling
from convert.questions import Choice, Question

_CONTEXTS = (
    "max_position_embeddings", "context_length", "block_size", "max_seq_len", "n_ctx",
    "n_positions", "max_seq_length", "seq_len", "max_len",
)  # fmt: skip
_NO_CONTEXT = 2048
APPROXIMATE = (
    "Such a number is approximate where it was measured: the file computes nearly what its "
    "author's code does, not the same. --code FILE.py reads it off the code."
)
BEYOND = "beyond"  # the assumption that the author's code alone can tell


@dataclass(frozen=True)
class Reading:
    """A checkpoint understood as far as its names and shapes go."""

    checkpoint: Checkpoint
    roles: Roles
    spelling: Spelling
    choices: Choices

    @property
    def form(self) -> Form:
        """The form with what was found out, and the likeliest of the rest."""
        found = {switch: one.value for switch, one in self.checkpoint.findings.items()}
        return self.choices.form().but(**found)


def open_reading(checkpoint: Checkpoint) -> Reading:
    """Roles and what is open. Raises `ArchitectureError`."""
    roles = find_roles(checkpoint)
    spelling = find_spelling(checkpoint, roles)
    return Reading(checkpoint, roles, spelling, find_choices(checkpoint, roles, spelling))


def read(checkpoint: Checkpoint) -> Model:
    """The model in `checkpoint`. Raises `ArchitectureError` naming the first thing amiss."""
    return _Reader(open_reading(checkpoint)).model()


class _Reader:
    def __init__(self, reading: Reading) -> None:
        self._checkpoint = reading.checkpoint
        self._settings = Settings(reading.checkpoint)
        self._roles = reading.roles
        self._spelling = reading.spelling
        self._choices = reading.choices
        self._form = reading.form

    def model(self) -> Model:
        roles, form = self._roles, self._form
        self._refuse_variants()
        self._ask()
        n_kv = kv_heads(roles, form, fused_rows(self._checkpoint.tensors, roles))
        n_ctx = self._n_ctx()
        self._compare(n_ctx)
        graph = self._graph()
        taker = Taker(self._checkpoint, "a GPT-2" if graph.arch == "gpt2" else "a Llama")
        mapping = Mapping(taker, roles, form, graph, n_kv, n_ctx)
        tensors, bias = mapping.tensors()
        self._ignore_buffers(taker)
        model = Model(
            arch=graph.arch,
            layout=self._spelling.layout,
            hparams=mapping.hparams(),
            tensors=tuple(tensors),
            ignored=taker.finish(),
            evidence=self._evidence(graph, mapping, n_kv, n_ctx),
            notes=tuple(self._notes()),
            assumptions=tuple(self._assumptions(n_ctx)),
            form=form,
        )
        return model if bias is None else fold_output_bias(model, bias)

    def _graph(self) -> Graph:
        """llama.cpp's graph. Raises `ArchitectureError`, with what was measured."""
        try:
            return find_graph(self._roles, self._form)
        except ArchitectureError as error:
            usual = self._choices.form()
            measured = [
                f"\nMeasured: {meaning(name, one.value)} ({one.detail})."
                for name, one in self._checkpoint.findings.items()
                if one.value != usual.value(name)
            ]
            raise ArchitectureError(error.message, error.hint + "".join(measured)) from None

    def _refuse_variants(self) -> None:
        self._settings.require("add_cross_attention", (False,), "llama.cpp's GPT-2 has no encoder")
        if self._settings.flag("scale_attn_by_inverse_layer_idx", default=False):
            raise ArchitectureError(
                "Attention is scaled by the layer's number, which is read of config.json only."
            )

    def _ask(self) -> None:
        """Ask for what is as likely one way as another, and was not found."""
        for switch in SWITCHES:
            if switch in self._choices.asked and switch not in self._checkpoint.findings:
                value = self._checkpoint.ask(question(switch, self._choices.open[switch]))
                self._form = self._form.but(**{switch: value})

    def _n_ctx(self) -> int:
        if self._roles.positions is not None:
            rows = self._roles.n_positions or 0
            return rows - (self._form.positions == "offset")
        return self._settings.integer(*_CONTEXTS, default=self._roles.n_positions or _NO_CONTEXT)

    def _compare(self, n_ctx: int) -> None:
        """What configuration and tensors both say."""
        seen: dict[str, int | None] = {
            "n_embd": self._roles.n_embd,
            "n_layer": len(self._roles.layers),
            "n_inner": self._roles.n_ff,
        }
        if self._roles.positions is not None:
            seen |= {"block_size": n_ctx, "n_positions": n_ctx}
        seen["vocab_size"] = self._roles.n_vocab
        compare(self._settings, seen)

    def _ignore_buffers(self, taker: Taker) -> None:
        taker.ignore(words.MASK.pattern, "causal mask: llama.cpp makes its own")
        for name in taker.names():
            if words.is_buffer(name, taker.again(name)):
                taker.ignore(re.escape(name), "a table that is computed, or no weights")

    def _evidence(self, graph: Graph, mapping: Mapping, n_kv: int, n_ctx: int) -> tuple[str, ...]:
        roles, form = self._roles, self._form
        heads = f"{form.n_head} heads" + (f" over {n_kv} of K and V" if n_kv != form.n_head else "")
        lines = [
            self._spelling.evidence,
            (
                f"{len(roles.layers)} layers, {roles.n_embd} wide, {n_ctx} positions"
                f"{' by shape' if roles.positions else ''}; {heads} {self._how_heads()}."
            ),
        ]
        if self._spelling.show_roles:
            lines.append(self._roles_text())
        if mapping.n_zeros:
            lines.append(
                f"Trained without biases: {mapping.n_zeros} zero vectors are added, as llama.cpp "
                "asks for them."
            )
        if graph.arch != "gpt2":
            lines.append(f"llama.cpp's graph for it is {graph.arch}'s.")
        return tuple(lines)

    def _how_heads(self) -> str:
        if self._roles.n_per_head:
            return "by count"
        return "as measured" if "n_head" in self._checkpoint.findings else "as said"

    def _roles_text(self) -> str:
        roles, layer = self._roles, self._roles.layers[0]
        parts = [part[0].weight for part in layer.attention.parts]
        norms = [norm.weight for norm in (layer.norm_1, layer.norm_2) if norm is not None]
        out = layer.attention.out.weight if layer.attention.out else "none"
        mlp = [pair.weight for pair in (*layer.mlp.up, layer.mlp.down)]
        last = roles.norm.weight if roles.norm else "none"
        return (
            f"Roles: tokens {roles.tokens}, positions {roles.positions or 'none'}, norms "
            f"{' and '.join(norms)}, Q K V {' '.join(parts)}, projection {out}, MLP "
            f"{', '.join(mlp)}, last norm {last}."
        )

    def _notes(self) -> Iterator[str]:
        form = self._form
        if form.activation == "relu" and not self._roles.layers[0].mlp.gated:
            yield (
                "llama.cpp has no ReLU here: it is had from GELU, whose input is scaled by "
                f"{RELU_SCALE:g} and its output back. They differ by less than 0.001."
            )
        if form.activation == "gelu":
            yield ERF_NOTE
        if form.scale != "head":
            yield f"Attention: {meaning('scale', form.scale)} in the original: folded into Q."
        if form.embeddings == "sqrt":
            yield "Embeddings times the root of the width: folded into their table."
        if self._roles.layers[0].attention.out is None:
            yield "Attention has no output matrix: llama.cpp gets an identity."
        if self._roles.layers[0].norm_2 is None:
            yield "Attention and MLP share a norm: it is written twice."
        if form.passes != "once":
            yield (
                f"{meaning('passes', form.passes).capitalize()}: they are written as often, and "
                "the file has as many more."
            )
        if form.factors():
            said = "; ".join(meaning(name, factor) for name, factor in form.factors().items())
            yield f"Folded into weights: {said}."
            if not form.factors().keys() <= self._read_off():
                yield APPROXIMATE

    def _read_off(self) -> set[str]:
        """Factors that the author's code was asked for."""
        return {name for name, one in self._checkpoint.findings.items() if one.clear} & set(FACTORS)

    def _assumptions(self, n_ctx: int) -> Iterator[Assumption]:
        choices, findings = self._choices, self._checkpoint.findings
        for switch in SWITCHES:
            value = self._form.value(switch)
            others = choices.open.get(switch, ())
            if switch in choices.said:
                evidence, detail = SAID, ""
            elif switch in findings:
                found = findings[switch]
                evidence, detail = (MEASURED if found.clear else ASSUMED), found.detail
            elif switch in choices.open:
                evidence, detail = ASSUMED, ""
                if switch in RARE and value == others[0]:
                    continue
            else:
                continue
            yield Assumption(
                name=switch,
                value=text_of(value),
                meaning=meaning(switch, value),
                evidence=evidence,
                detail=detail,
                others=tuple(text_of(other) for other in others if other != value),
            )
        for name, factor in self._form.factors().items():
            by_code = name in self._read_off()
            yield Assumption(
                name=name,
                value=text_of(factor),
                meaning=meaning(name, factor),
                evidence=MEASURED if by_code else ASSUMED,
                detail=findings[name].detail if by_code else "as said, which no code has confirmed",
                others=("1",),
                told_by="" if by_code else "--code FILE.py",
            )
        yield Assumption(
            name="eps",
            value=text_of(self._form.eps),
            meaning=f"the norms' epsilon is {self._form.eps:g}",
            evidence=SAID if choices.eps_said else ASSUMED,
        )
        if self._roles.positions is None:
            said = self._settings.has(*_CONTEXTS)
            yield Assumption(
                name="n_ctx",
                value=str(n_ctx),
                meaning=f"texts of {n_ctx} tokens",
                evidence=SAID if said else ASSUMED,
            )
        yield Assumption(
            name=BEYOND,
            value="nothing",
            meaning="nothing is computed that tensors do not show (a factor, a window, another "
            "epsilon)",
            evidence=ASSUMED,
            told_by="--code FILE.py",
        )


def question(switch: str, values: tuple[Any, ...], **measured: dict[str, float]) -> Question:
    """What is asked where nothing tells a switch; `measured` is what was, by value."""
    whys = {
        "n_head": "Attention heads; shapes allow these.",
        "activation": "What the MLP has between its matrices; weights cannot tell.",
        "norms": "Where the norms stand; tensors cannot tell, and llama.cpp has them in front.",
        "norm": "The norms have no bias: LayerNorm or RMSNorm, and names cannot tell.",
        "positions": "There is no table of positions; tensors cannot tell what there is instead.",
    }
    choices = tuple(
        Choice(value, meaning(switch, value), measured.get(text_of(value), {})) for value in values
    )
    return Question(
        switch,
        whys.get(switch, "How the model was built; tensors cannot tell."),
        choices,
        flag="--n-head" if switch == "n_head" else "",
    )


def compare(settings: Settings, seen: dict[str, int | None]) -> None:
    """Raise `ArchitectureError` where the configuration says otherwise than the tensors."""
    for key, value in seen.items():
        said = settings.raw(key)
        if said not in (None, -1) and said != value:  # Meta's vocab_size is -1 until it is known
            raise ArchitectureError(
                f"{key} is {said!r:.40} by the configuration, but the tensors have {value}.",
                "The checkpoint and its configuration do not belong together.",
            )
