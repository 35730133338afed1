"""Models that we know by name and do not convert: what does not fit, and which family is nearest.

Recognised by `model_type` before any family looks at the tensors, so that nothing is taken for a
relative because some of its names agree.
"""

from __future__ import annotations

import re

from convert.architectures.elsewhere import WAY, known_elsewhere
from convert.checkpoints.checkpoint import Checkpoint
from convert.errors import ArchitectureError

_OWN = WAY
_NOT = (
    "llama.cpp has no graph for it, so no file of it would run. Where transformers knows it, it "
    "runs as the folder it is: chatapp ask --model FOLDER --backend torch."
)
_NO_TEXT = "llama.cpp has no graph for it, so no file of it would run; transformers runs it."
_NANOCHAT = (
    "Q and K have norms after rope and are scaled again, a gate smears each embedding over the "
    "next, embeddings return as values in later layers, what early layers found is taken back at "
    "the end, its MLP squares ReLU, and no pre-tokenizer of llama.cpp splits text as its own does"
)
_BOTH = "its encoder and decoder are not T5's"
_ENCODER = "it is an encoder of its own kind"
_SSM = "it has a state instead of attention"
_LINEAR = "most of its layers have a state instead of attention"
_VISION = "it sees pictures, and its positions have three axes"
_SHARED = "its experts are shared and routed otherwise"

# model_type: (the first thing that does not fit, the nearest family, who runs it).
UNSUPPORTED: dict[str, tuple[str, str, str]] = {
    "recurrent_gemma": (_LINEAR, "Gemma 2", _NOT),
    "llama4": ("its attention sees chunks, and some layers have no positions", "Llama", _OWN),
    "llama4_text": ("its attention sees chunks, and some layers have no positions", "Llama", _OWN),
    "mllama": ("it attends to pictures in layers of its own", "Llama", _NOT),
    "diffllama": ("its attention is a difference of two", "Llama", _NOT),
    "helium": ("its positions rotate neighbouring pairs", "Llama", _NOT),
    "arcee": ("its MLP has no gate and squares ReLU", "Llama", _OWN),
    "apertus": ("its activation is xIELU", "Llama", _OWN),
    "nemotron": ("it has LayerNorm plus one, and squares ReLU", "Llama", _OWN),
    "ministral": ("attention slides in some layers only", "Mistral", _NOT),
    "minicpm": ("it scales embeddings and layers", "Granite", _OWN),
    "baichuan": ("Q, K and V are one tensor (W_pack)", "Llama", _OWN),
    "internlm2": ("Q, K and V are one tensor (wqkv)", "Llama", _OWN),
    "seed_oss": ("its output of attention has a bias of its own switch", "Qwen2", _OWN),
    "qwen": ("Q, K and V are one tensor, and its rope grows with the text", "Qwen2", _OWN),
    "qwen3_next": (_LINEAR, "Qwen3-MoE", _OWN),
    "qwen2_vl": (_VISION, "Qwen2", _OWN),
    "qwen2_5_vl": (_VISION, "Qwen2", _OWN),
    "qwen3_vl": (_VISION, "Qwen3", _OWN),
    "olmo": ("its LayerNorm has no weights, and Q, K and V may be clipped", "OLMo 2", _OWN),
    "olmoe": ("it has experts", "OLMo 2", _OWN),
    "phimoe": ("it has experts and LayerNorm", "Phi-3", _OWN),
    "exaone4": ("attention slides in some layers, without positions in others", "OLMo 2", _OWN),
    "dots1": (_SHARED, "Qwen3-MoE", _OWN),
    "hunyuan_v1_dense": ("Q and K have norms after rope", "Qwen3", _OWN),
    "ernie4_5": ("its positions rotate neighbouring pairs", "Llama", _OWN),
    "nanochat": (_NANOCHAT, "Llama", _NOT),
    "bitnet": ("its weights are ternary, with norms inside each block", "Llama", _OWN),
    "gpt_bigcode": ("all heads share one key and value", "StarCoder2", _OWN),
    "gpt_neo": ("every second layer sees a window, and scores are not scaled", "GPT-2", _NOT),
    "gptj": ("attention and MLP run side by side on one norm", "GPT-NeoX", _NOT),
    "codegen": ("attention and MLP run side by side on one norm", "GPT-NeoX", _NOT),
    "opt": ("its activation is ReLU", "GPT-2", _NOT),
    "bloom": ("positions are slopes (ALiBi)", "GPT-2", _OWN),
    "mpt": ("positions are slopes (ALiBi)", "GPT-2", _OWN),
    "persimmon": ("it squares ReLU", "GPT-NeoX", _NOT),
    "mamba": (_SSM, "GPT-2", _OWN),
    "mamba2": (_SSM, "GPT-2", _OWN),
    "rwkv": (_SSM, "GPT-2", _NOT),
    "jamba": (_LINEAR, "Mixtral", _OWN),
    "falcon_h1": ("every layer has a state beside its attention", "Llama", _OWN),
    "mpnet": ("its positions are a bias by distance", "BERT", _NO_TEXT),
    "albert": ("its layers are one layer, many times", "BERT", _NO_TEXT),
    "electra": ("its embeddings may be narrower than its layers", "BERT", _NO_TEXT),
    "deberta": ("its attention looks at distances apart from words", "BERT", _NO_TEXT),
    "deberta-v2": ("its attention looks at distances apart from words", "BERT", _NO_TEXT),
    "eurobert": ("it has Llama's blocks and looks both ways", "ModernBERT", _OWN),
    "jina_embeddings_v3": ("each task has an adapter of its own", "RoBERTa", _OWN),
    "longt5": ("its encoder attends to a neighbourhood", "T5", _NOT),
    "switch_transformers": ("it has experts", "T5", _NOT),
    "bart": ("its encoder and decoder have learned positions and LayerNorm", "T5", _NOT),
    "mbart": ("its encoder and decoder have learned positions and LayerNorm", "T5", _NOT),
    "marian": ("its encoder and decoder have sinusoids and LayerNorm", "T5", _NOT),
    "pegasus": ("its encoder and decoder have sinusoids and LayerNorm", "T5", _NOT),
    "m2m_100": ("its encoder and decoder have sinusoids and LayerNorm", "T5", _NOT),
    "whisper": ("it hears speech", "GPT-2", "whisper.cpp has a converter of its own."),
    "llava": ("it sees pictures", "Llama", _OWN),
    "xlnet": ("it learns every order of the words, with attention in two streams", "GPT-2", _NOT),
    "transfo-xl": ("it remembers the states of the text before", "GPT-2", _NOT),
    "openai-gpt": ("its norms stand behind attention and MLP", "GPT-2", _NOT),
    "ctrl": ("its positions are sines, and its norms have none of their own", "GPT-2", _NOT),
    "xglm": ("its positions are sines", "GPT-2", _NOT),
    "biogpt": ("it scales embeddings, and its positions begin at two", "GPT-2", _NOT),
    "xlm": ("its norms stand behind attention and MLP", "GPT-2", _NOT),
    "reformer": ("its attention looks where hashes agree", "GPT-2", _NOT),
    "jetmoe": ("its attention has experts too", "Mixtral", _NOT),
    "zamba": (_LINEAR, "Mixtral", _NOT),
    "zamba2": (_LINEAR, "Mixtral", _NOT),
    **dict.fromkeys(
        (
            *("bigbird_pegasus", "blenderbot", "blenderbot-small", "fsmt", "led", "mvp"),
            *("nllb-moe", "pegasus_x", "plbart", "prophetnet", "t5gemma", "xlm-prophetnet"),
        ),
        (_BOTH, "T5", _NOT),
    ),
    **dict.fromkeys(
        (
            *("big_bird", "canine", "convbert", "data2vec-text"),
            *("ernie", "esm", "fnet", "funnel", "ibert", "layoutlm"),
            *("longformer", "luke", "mobilebert", "mra", "nezha", "nystromformer"),
            *("rembert", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert"),
            *("xlm-roberta-xl", "xmod", "yoso"),
        ),
        (_ENCODER, "BERT", _NO_TEXT),
    ),
    **dict.fromkeys(
        ("beit", "clip", "convnext", "dinov2", "resnet", "siglip", "swin", "vit"),
        ("it sees pictures and writes nothing", "BERT", _NO_TEXT),
    ),
    **dict.fromkeys(
        ("hubert", "wav2vec2", "wavlm"),
        ("it hears speech and is no language model", "BERT", _NO_TEXT),
    ),
}


# What a tensor of theirs is called, for weights that come without a configuration.
_SIGNS = {
    "x0_lambdas": "nanochat",
    "resid_lambdas": "nanochat",
    "value_embeds.": "nanochat",
    ".A_log": "mamba",
    ".time_decay": "rwkv",
    ".W_pack.": "baichuan",
    ".attention.wqkv.": "internlm2",
}


# The same of families that are converted with their configuration.
_NEED_CONFIG = {
    ".kv_a_proj_with_mqa.": "a DeepSeek V2 or V3",
    ".operator_norm.": "an LFM2",
    ".post_self_attn_layernorm.": "a GLM-4",
    ".block_sparse_moe.input_linear.": "a Granite with experts",
    ".shared_mlp.input_linear.": "a Granite 4",
    "model.final_layernorm.": "a Phi-2",
}

_STATE = ".A_log"
_ATTENTION = re.compile(r"\.(?:self_attn|attention|attn|shared_transformer)\.")
# Models that end in something else than the next token, by the class in config.json or its tensor.
_OTHER_HEADS = re.compile(
    r".*For(MaskedLM|SequenceClassification|TokenClassification|QuestionAnswering|MultipleChoice"
    r"|RewardModel|ImageClassification|AudioClassification)"
)
_HEAD_TENSORS = re.compile(r"(?:score|classifier|qa_outputs|v_head|reward_head)\..*")


def refuse_heads(checkpoint: Checkpoint) -> None:
    """Raise `ArchitectureError` where a decoder ends in a classifier or the like."""
    classes = checkpoint.config.get("architectures")
    named = str(classes[0])[:80] if isinstance(classes, list) and classes else ""
    by_class = _OTHER_HEADS.fullmatch(named)
    tensor = next((name for name in checkpoint.tensors if _HEAD_TENSORS.fullmatch(name)), "")
    if not by_class and not tensor:
        return
    what = f"a {named}" if by_class else f"a model with a head of its own, {tensor[:80]}"
    raise ArchitectureError(
        f"{checkpoint.path.name} is {what}: it gives scores, not the next token of a text.",
        "llama.cpp's file has no place for that head. Give the language model it was made from.",
    )


def refuse_by_names(checkpoint: Checkpoint) -> None:
    """Raise `ArchitectureError` where tensors without a configuration are named as in a model that
    we do not convert."""
    if isinstance(checkpoint.config.get("model_type"), str):  # it says itself what it is
        return
    for name in checkpoint.tensors:
        if name.endswith(_STATE) and any(_ATTENTION.search(each) for each in checkpoint.tensors):
            raise ArchitectureError(
                f"{checkpoint.path.name} has layers with a state ({name[:80]}) beside layers with "
                "attention, as Qwen3.5, Granite 4, Jamba and Falcon-H1; which one is not in its "
                "names.",
                "Put the model's config.json beside the weights.",
            )
        for sign, kind in _SIGNS.items():
            if sign in name:
                raise _refusal(checkpoint, kind, f" by its {name[:80]}")


def refuse_elsewhere(checkpoint: Checkpoint) -> None:
    """Raise `ArchitectureError` where config.json names a class that only llama.cpp's own converter
    knows, or the tensors without a configuration belong to a family that cannot do without."""
    known = known_elsewhere(checkpoint)
    if known is not None:
        raise ArchitectureError(
            f"{checkpoint.path.name} is of the type {known}, which we do not convert.", WAY
        )
    if isinstance(checkpoint.config.get("model_type"), str):
        return
    for name in checkpoint.tensors:
        for sign, title in _NEED_CONFIG.items():
            if sign in name:
                raise ArchitectureError(
                    f"{checkpoint.path.name} is {title} by its {name[:80]}, and what it computes "
                    "is in its configuration.",
                    "Put the model's config.json beside the weights.",
                )


def refuse_unsupported(checkpoint: Checkpoint) -> None:
    """Raise `ArchitectureError` where the configuration names a model that we do not convert."""
    kind = checkpoint.config.get("model_type")
    if isinstance(kind, str) and kind in UNSUPPORTED:
        raise _refusal(checkpoint, kind, "")


def _refusal(checkpoint: Checkpoint, kind: str, evidence: str) -> ArchitectureError:
    difference, nearest, runs = UNSUPPORTED[kind]
    return ArchitectureError(
        f"{checkpoint.path.name} is of the type {kind}{evidence}, which we do not convert: "
        f"{difference}. The nearest family is {nearest}.",
        runs,
    )
