"""What llama.cpp's own convert_hf_to_gguf.py knows: the classes of config.json that it converts.

Names only, as of October 2026: what is not converted here is told the way to a file that chatapp
runs. A name that has become a family here since does no harm, for families are asked first.
"""

from __future__ import annotations

from convert.checkpoints.checkpoint import Checkpoint

WAY = (
    "llama.cpp runs it, and its own convert_hf_to_gguf.py makes the file: python "
    "convert_hf_to_gguf.py FOLDER --outfile model.gguf. Then chatapp --model model.gguf chats with "
    "it, and chatapp quantize model.gguf Q4_K_M makes it smaller."
)
# `...ForCausalLM`
_CAUSAL = """
    Afmoe Apertus Arcee Arctic BaiChuan Baichuan BailingMoe BailingMoeV2 BailingMoeV3 Bamba BitNet
    Bitnet Bloom Chameleon CodeShell CogVLM Cohere2Moe Dbrx DeciLM Deepseek DeepseekOCR DeepseekV32
    DeepseekV4 Dots1 Dots3Note Dots3NoteText DotsOCR Ernie4_5 Ernie4_5_ Ernie4_5_Moe Exaone Exaone4
    ExaoneMoE ExaoneMoe FalconH1 FalconMamba GPTBigCode GPTRefact Gemma3n Gemma4 Gemma4Assistant
    Gemma4UnifiedAssistant Glm4Moe Glm4MoeLite GlmMoeDsa GptOss GraniteMoeSWA GraniteSWA
    GraniteSwitch Grok Grok1 GroveMoe HYV3 HYV4 HrmText HunYuanDenseV1 HunYuanMoEV1 IQuestCoder
    InternLM2 InternLM3 Jais2 Jamba KORMo KimiLinear LLaMA Laguna Llama4 MPT Maincoder Mamba Mamba2
    Maple Mellum MiMoV2 MiMoV2Flash MiniCPM MiniCPM3 MiniMaxM1 MiniMaxM2 MiniMaxM3Sparse
    MiniMaxText01 Nanbeige Nemotron NemotronH NemotronHPuzzle OLMo Olmo Olmoe OpenELM Orion PLM
    PLaMo2 PLaMo3 PanguEmbedded PhiMoE Plamo Plamo2 Plamo3 Qwen3Next Qwen3_5 Qwen3_5Moe Qwen4Exp
    RWKV6Qwen2 RWKV7 RuGPT3XL Rwkv6 Rwkv7 RwkvHybrid SarvamMoE SeedOss SmallThinker SolarOpen
    Spark2_5 Step3p5 Talkie UnlimitedOCR VLlama3 Xverse Youtu
"""
# `...ForConditionalGeneration`
_CONDITIONAL = """
    AudioFlamingo3 BailingMoeV3VL ChatGLM Chameleon Dots3Note Exaone4_5 Gemma3n Gemma4 Gemma4Unified
    Glm4v Glm4vMoe Glm5Next Glm5v GlmOcr Granite4Vision GraniteSpeech GraniteSpeechPlus HunYuanVL
    Idefics3 Janus KimiK25 KimiK3 KimiVL Lfm2Audio Lfm2Vl LightOnOCR Llama4 Llava MERaLiON2
    MiniCPMV4_6 MiniMaxM3Sparse MuseGlimmer PaddleOCRVL Qwen2Audio Qwen2VL Qwen2_5_VL Qwen3ASR
    Qwen3OmniMoe Qwen3TTS Qwen3VL Qwen3VLMoe Qwen3_5 Qwen3_5Moe Qwen4Exp SmolVLM Step3p7 StepVL
    Voxtral YoutuVL
"""
_OTHERS = """
    ChatGLMModel DistilBertModel DreamModel EuroBertModel JAISLMHeadModel JinaBertForMaskedLM
    JinaBertModel JinaEmbeddingsV5Model KimiLinearModel LLaDAMoEModel LLaDAMoEModelLM LLaDAModelLM
    Lfm2BidirectionalModel LlamaBidirectionalModel MambaLMHeadModel ModernBertForMaskedLM
    ModernBertModel NeoBERT NeoBERTLMHead NemotronH_Nano_VL_V2 NomicBertModel PocketTTSModel
    QWenLMHeadModel Qwen2VLModel Qwen2_5OmniModel RND1
    UltravoxModel WavTokenizerDec
"""
CLASSES = frozenset(
    (
        *(f"{name}ForCausalLM" for name in _CAUSAL.split()),
        *(f"{name}ForConditionalGeneration" for name in _CONDITIONAL.split()),
        *_OTHERS.split(),
    )
)


def known_elsewhere(checkpoint: Checkpoint) -> str | None:
    """The class in config.json that llama.cpp's own converter knows, or None."""
    classes = checkpoint.config.get("architectures")
    named = classes if isinstance(classes, list) else []
    return next((name for name in named if isinstance(name, str) and name in CLASSES), None)
