"""A model in PyTorch's memory: loaded by transformers, which runs nothing that the folder brings.

The configuration is the cleaned one (`folder.py`), the class one of transformers' own, the weights
are safetensors, a checkpoint's (`checkpoint.py`), or a pickle that PyTorch reads with
`weights_only`; nothing is fetched. Whatever transformers and PyTorch raise over a stranger's files
becomes one sentence.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import psutil
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
)

from chatapp.engine.pytorch.characters import META_FILE, load_characters
from chatapp.engine.pytorch.folder import Folder
from chatapp.engine.pytorch.vocab import TorchVocab
from chatapp.errors import ModelError
from chatapp.gguf.size import size_text

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
_IDS = (
    "bos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
)
"""What a model's generation settings say of tokens; how it samples is for us to say."""


class TorchWeights:
    """One model and its tokenizer. Raises `ModelError`."""

    def __init__(self, folder: Folder, *, use_gpu: bool) -> None:
        self.folder = folder
        self.notices: list[str] = []
        _check_memory(folder, folder.size_bytes)
        with _telling(folder):
            config = _make_config(folder)
            made, self.is_encoder_decoder = _find_class(folder, config)
            if not (use_gpu and _find_gpus()):
                _check_memory(folder, _measure(folder, made, config))
            self.model = self._load(made, config)
            self.device = self._place(use_gpu=use_gpu)
            self.tokenizer = _load_tokenizer(folder)
            said = self.model.generation_config
            self.model.generation_config = transformers.GenerationConfig(
                **{name: getattr(said, name, None) for name in _IDS}, eos_token_id=None
            )
            n_rows = self.model.get_input_embeddings().num_embeddings
            ends = _find_ends(said, self.model.config, self.tokenizer)
            self.vocab = TorchVocab(self.tokenizer, n_rows, ends)
            self.recommended = _find_recommended(said)
        text = self.model.config.get_text_config(decoder=True)
        self.n_layers = int(getattr(text, "num_hidden_layers", 0) or 0)
        self.n_params = sum(parameter.numel() for parameter in self.model.parameters())
        self.size_bytes = sum(p.numel() * p.element_size() for p in self.model.parameters())
        found = (getattr(text, name, None) for name in _POSITIONS)
        trained = next((n for n in found if isinstance(n, int) and n > 0), 0)
        self.n_ctx_train = trained
        """Tokens it was trained for; 0: as many as one likes."""
        self.takes_mask = "attention_mask" in signature(self.model.forward).parameters
        self.has_learned_positions = self._has_table(trained)

    def _load(self, made: Any, config: Any) -> Any:
        path, state = self.folder.path, self.folder.state
        model, said = made.from_pretrained(
            path if state is None else None,
            config=config,
            state_dict=state,
            dtype="auto",
            local_files_only=True,
            weights_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        missing = sorted(said["missing_keys"])
        if missing:
            raise ModelError(
                f"{path.name} lacks {len(missing)} of the weights of a {made.__name__}, "
                f"{missing[0]} first: what it would say is noise.",
                "Is it the right kind of model? `chatapp inspect` shows what is in it.",
            )
        return model

    def _place(self, *, use_gpu: bool) -> torch.device:
        """Put the model where it runs: on a GPU where PyTorch has one with room for it."""
        for name in _find_gpus() if use_gpu else ():
            try:
                self.model.to(name)
                return torch.device(name)
            except torch.OutOfMemoryError:
                self.model.to("cpu")
                torch.cuda.empty_cache()
                self.notices.append("The model does not fit the GPU, and runs on the CPU.")
        if self.model.dtype == torch.float16:  # half of what a CPU computes in
            held = sum(p.numel() * p.element_size() for p in self.model.parameters())
            _check_memory(self.folder, held)  # as much again
            self.model.float()
        return torch.device("cpu")

    def _has_table(self, trained: int) -> bool:
        """Whether positions are rows of a table, behind whose end there is nothing."""
        tables = (m for m in self.model.modules() if isinstance(m, torch.nn.Embedding))
        sizes = {table.num_embeddings for table in tables}
        return any(0 <= size - trained <= 2 for size in sizes) if trained else False

    @property
    def templates(self) -> dict[str, str]:
        """The chat templates beside the tokenizer, which transformers never renders here."""
        found = self.tokenizer.chat_template
        if isinstance(found, str):
            return {"": found}
        named = found if isinstance(found, dict) else {}
        return {"" if name == "default" else name: str(text) for name, text in named.items()}

    @property
    def device_name(self) -> str:
        """What the GPU is called; empty for the CPU."""
        if self.device.type == "cuda":
            return str(torch.cuda.get_device_name(self.device))
        return "" if self.device.type == "cpu" else "Apple GPU"

    @contextlib.contextmanager
    def before_each_block(self, look: Callable[[], None]) -> Iterator[None]:
        """Call `look`, which may raise, before every block of layers that is computed."""
        lists = (m for m in self.model.modules() if isinstance(m, torch.nn.ModuleList))
        blocks = {id(block): block for one in lists for block in one}.values()
        hooks = [block.register_forward_pre_hook(lambda *_: look()) for block in blocks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _load_tokenizer(folder: Folder) -> Any:
    if folder.state is not None and (folder.path / META_FILE).is_file():
        characters = load_characters(folder.path)
        return transformers.PreTrainedTokenizerFast(tokenizer_object=characters)
    return transformers.AutoTokenizer.from_pretrained(
        folder.path, local_files_only=True, trust_remote_code=False
    )


@contextlib.contextmanager
def _telling(folder: Folder) -> Iterator[None]:
    """Whatever somebody else's code raises over somebody else's files, as one sentence."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except pickle.UnpicklingError as error:
        # PyTorch's own words say how to load it all the same
        raise ModelError(
            f"transformers cannot load {folder.path.name}: its pickle is damaged, or holds more "
            "than weights, which is never loaded. Nothing was run.",
            "`chatapp inspect` says which; safetensors hold weights alone.",
        ) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise ModelError(f"transformers cannot load {folder.path.name}: {reason}.") from error


def _make_config(folder: Folder) -> Any:
    if folder.model_type not in CONFIG_MAPPING:
        if folder.brings_code:
            raise ModelError(
                f"{folder.path.name} brings its own code (auto_map), which is never run, and "
                f"transformers {transformers.__version__} has no {folder.model_type} of its own.",
                "A newer version of transformers may have it.",
            )
        raise ModelError(
            f"transformers {transformers.__version__} knows no model of the type "
            f"{folder.model_type[:60]!r}.",
            "A newer version may: pip install -U transformers",
        )
    return CONFIG_MAPPING[folder.model_type].from_dict(dict(folder.config))


def _find_class(folder: Folder, config: Any) -> tuple[Any, bool]:
    """(the class that writes text, whether it reads the prompt with an encoder)."""
    for mapping, has_encoder in (
        (MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, True),
        (MODEL_FOR_CAUSAL_LM_MAPPING, False),
    ):
        if type(config) not in mapping:
            continue
        made: Any = mapping[type(config)]
        if _fits(folder.architecture, made.__name__):
            return made, has_encoder
    raise ModelError(
        f"{folder.path.name} is of the type {folder.architecture or folder.model_type}, which "
        "writes no text.",
        "chatapp runs models that go on with a text, or answer one.",
    )


def _fits(saved: str, made: str) -> bool:
    """Whether a class may have saved what `made` is: itself under an older name too
    (`T5WithLMHeadModel`), or without its head (`GPT2Model`)."""
    is_bare = saved.endswith("Model") and made.startswith(saved.removesuffix("Model"))
    return saved in ("", made) or "LMHead" in saved or is_bare


def _find_ends(said: Any, config: Any, tokenizer: Any) -> frozenset[int]:
    ends: set[int] = set()
    for ids in (said.eos_token_id, getattr(config, "eos_token_id", None), tokenizer.eos_token_id):
        ends.update(ids if isinstance(ids, list) else [] if ids is None else [ids])
    return frozenset(ends)


def _find_recommended(said: Any) -> dict[str, Any]:
    """What the model's maker says of sampling, by llama.cpp's names for model files."""
    names = {
        "temp": "temperature",
        "top_k": "top_k",
        "top_p": "top_p",
        "min_p": "min_p",
        "penalty_repeat": "repetition_penalty",
    }
    found = {name: getattr(said, theirs, None) for name, theirs in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def _find_gpus() -> list[str]:
    """What PyTorch calls the kinds of GPU that it finds here."""
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, is_there in kinds.items() if is_there]


def _measure(folder: Folder, made: Any, config: Any) -> int:
    """Bytes that the model takes on the CPU, which computes float16 as float32; it is built without
    memory for that."""
    with torch.device("meta"):
        n = sum(parameter.numel() for parameter in made(config).parameters())
    said = config.dtype
    stored = round(folder.size_bytes / max(1, n))
    width = said.itemsize if isinstance(said, torch.dtype) else stored
    return int(n * (4 if said == torch.float16 else width))


def _check_memory(folder: Folder, needed: int) -> None:
    """Raise `ModelError` where fewer bytes than `needed` are free."""
    free = psutil.virtual_memory().available
    if needed > free:
        raise ModelError(
            f"{folder.path.name} needs {size_text(needed)} of memory, and "
            f"{size_text(free)} are free.",
            "Close other programs, or convert it to a smaller type: chatapp convert --fit SIZE.",
        )
