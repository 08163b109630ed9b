"""Architectures of the transformers library with small random configurations, and arguments for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 99,
    "max_position_embeddings": 64,
}  # fmt: skip
TINY_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "n_positions": 64}
IMAGES = {"image_size": 32, "patch_size": 8, "num_channels": 3, **SMALL}
DECODER = {**SMALL, "num_key_value_heads": 2, "use_cache": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
PAIR = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 99, "max_position_embeddings": 64, "use_cache": False,
}  # fmt: skip


def _text() -> dict[str, Any]:
    return {"input_ids": torch.randint(3, 99, (2, 9)), "attention_mask": torch.ones(2, 9, dtype=torch.int64)}


def _pair() -> dict[str, Any]:
    return {**_text(), "decoder_input_ids": torch.randint(3, 99, (2, 5))}


def _image() -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 32, 32)}


def _large_image() -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 64, 64)}


CASES: dict[str, tuple[str, dict[str, Any], Callable[[], dict[str, Any]]]] = {
    "Bert": ("BertModel", SMALL, _text), "Roberta": ("RobertaModel", SMALL, _text), "Electra": ("ElectraModel", SMALL, _text),
    "MPNet": ("MPNetModel", SMALL, _text), "Ernie": ("ErnieModel", SMALL, _text), "Camembert": ("CamembertModel", SMALL, _text),
    "MegatronBert": ("MegatronBertModel", SMALL, _text), "RoFormer": ("RoFormerModel", {**SMALL, "embedding_size": 32}, _text),
    "Albert": ("AlbertModel", {**SMALL, "embedding_size": 16}, _text), "Deberta": ("DebertaModel", SMALL, _text),
    "DebertaV2": ("DebertaV2Model", SMALL, _text), "XLMRoberta": ("XLMRobertaModel", SMALL, _text),
    "ModernBert": ("ModernBertModel", {**SMALL, "pad_token_id": 0, "global_attn_every_n_layers": 2, "bos_token_id": 1,
                                       "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}, _text),
    "DistilBert": ("DistilBertModel", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "vocab_size": 99}, _text),
    "MobileBert": ("MobileBertModel", {**SMALL, "embedding_size": 32, "intra_bottleneck_size": 32}, _text),
    "SqueezeBert": ("SqueezeBertModel", {**SMALL, "embedding_size": 32, "q_groups": 2, "k_groups": 2, "v_groups": 2,
                                         "post_attention_groups": 1, "intermediate_groups": 2, "output_groups": 2}, _text),
    "FNet": ("FNetModel", SMALL, lambda: {"input_ids": torch.randint(3, 99, (2, 9))}),
    "GPT2": ("GPT2LMHeadModel", {**TINY_GPT2, "use_cache": False}, _text),
    "GPTNeo": ("GPTNeoForCausalLM", {**DECODER, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}, _text),
    "GPTNeoX": ("GPTNeoXForCausalLM", {**DECODER}, _text), "OPT": ("OPTForCausalLM", {**DECODER, "ffn_dim": 64, "word_embed_proj_dim": 32}, _text),
    "Llama": ("LlamaForCausalLM", DECODER, _text), "Mistral": ("MistralForCausalLM", DECODER, _text),
    "Qwen2": ("Qwen2ForCausalLM", DECODER, _text), "Qwen3": ("Qwen3ForCausalLM", {**DECODER, "head_dim": 8}, _text),
    "Gemma": ("GemmaForCausalLM", {**DECODER, "head_dim": 8}, _text), "Gemma2": ("Gemma2ForCausalLM", {**DECODER, "head_dim": 8}, _text),
    "Phi": ("PhiForCausalLM", {**DECODER}, _text), "Phi3": ("Phi3ForCausalLM", DECODER, _text),
    "StableLm": ("StableLmForCausalLM", DECODER, _text), "Cohere": ("CohereForCausalLM", DECODER, _text),
    "Olmo": ("OlmoForCausalLM", DECODER, _text), "Olmo2": ("Olmo2ForCausalLM", DECODER, _text),
    "Granite": ("GraniteForCausalLM", DECODER, _text), "Starcoder2": ("Starcoder2ForCausalLM", DECODER, _text),
    "Bloom": ("BloomForCausalLM", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "use_cache": False}, _text),
    "Falcon": ("FalconForCausalLM", {**DECODER}, _text), "CodeGen": ("CodeGenForCausalLM", {**TINY_GPT2, "rotary_dim": 4, "use_cache": False}, _text),
    "Mixtral": ("MixtralForCausalLM", {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 2}, _text),
    "Mamba": ("MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 99, "state_size": 4, "use_cache": False},
              lambda: {"input_ids": torch.randint(3, 99, (2, 9))}),
    "T5": ("T5Model", {"d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 64, "vocab_size": 99, "use_cache": False}, _pair),
    "Bart": ("BartModel", PAIR, _pair), "MBart": ("MBartModel", PAIR, _pair), "Pegasus": ("PegasusModel", PAIR, _pair),
    "Marian": ("MarianModel", {**PAIR, "pad_token_id": 0, "decoder_start_token_id": 0}, _pair), "M2M100": ("M2M100Model", PAIR, _pair),
    "ViT": ("ViTModel", IMAGES, _image), "DeiT": ("DeiTModel", IMAGES, _image), "Beit": ("BeitModel", IMAGES, _image),
    "Dinov2": ("Dinov2Model", IMAGES, _image), "ViTMSN": ("ViTMSNModel", IMAGES, _image),
    "ConvNext": ("ConvNextModel", {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 2, 1]}, _large_image),
    "ConvNextV2": ("ConvNextV2Model", {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 2, 1]}, _large_image),
    "ResNet": ("ResNetModel", {"embedding_size": 8, "hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 2, 1], "layer_type": "basic"}, _large_image),
    "RegNet": ("RegNetModel", {"embedding_size": 8, "hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 2, 1], "groups_width": 8}, _large_image),
    "MobileNetV2": ("MobileNetV2Model", {"depth_multiplier": 0.25}, _large_image),
    "MobileViT": ("MobileViTModel", {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 32], "image_size": 64}, _large_image),
    "EfficientNet": ("EfficientNetModel", {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320}, _large_image),
    "PoolFormer": ("PoolFormerModel", {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1]}, _large_image),
    "Segformer": ("SegformerForSemanticSegmentation", {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 4, 8],
                                                       "decoder_hidden_size": 16}, _large_image),
    "Swin": ("SwinModel", {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "image_size": 64, "window_size": 4}, _large_image),
    "Swinv2": ("Swinv2Model", {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "image_size": 64, "window_size": 4}, _large_image),
    "LeViT": ("LevitModel", {"hidden_sizes": [16, 32, 48], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1], "key_dim": [8, 8, 8],
                             "image_size": 64, "patch_size": 16}, _large_image),
    "Wav2Vec2": ("Wav2Vec2Model", {**SMALL, "conv_dim": (16, 16), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_feat_extract_layers": 2,
                                   "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}, lambda: {"input_values": torch.randn(2, 400)}),
    "Hubert": ("HubertModel", {**SMALL, "conv_dim": (16, 16), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_feat_extract_layers": 2,
                               "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}, lambda: {"input_values": torch.randn(2, 400)}),
    "Whisper": ("WhisperModel", {**PAIR, "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 20, "pad_token_id": 0,
                                 "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
                lambda: {"input_features": torch.randn(2, 8, 40), "decoder_input_ids": torch.randint(3, 99, (2, 5))}),
    "AST": ("ASTModel", {**SMALL, "patch_size": 4, "frequency_stride": 4, "time_stride": 4, "max_length": 16, "num_mel_bins": 16},
            lambda: {"input_values": torch.randn(2, 16, 16)}),
    "CLIPText": ("CLIPTextModel", {**SMALL, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}, _text),
    "CLIPVision": ("CLIPVisionModel", IMAGES, _image), "SiglipVision": ("SiglipVisionModel", IMAGES, _image),
    "Detr": ("DetrForObjectDetection", {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
                                        "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_queries": 5,
                                        "use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None,
                                        "backbone_config": {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 32, 64],
                                                            "depths": [1, 1, 1, 1], "layer_type": "basic", "out_features": ["stage4"]}}, _large_image),
    "Yolos": ("YolosForObjectDetection", {**IMAGES, "image_size": [32, 32], "num_detection_tokens": 5}, _image),
    "DPT": ("DPTForDepthEstimation", {**IMAGES, "num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 8, 16, 16],
                                      "fusion_hidden_size": 8, "reassemble_factors": [4, 2, 1, 0.5]}, _image),
    "UperNet": ("UperNetForSemanticSegmentation", {"hidden_size": 16, "pool_scales": [1, 2], "auxiliary_in_channels": 32, "auxiliary_channels": 8,
                                                   "backbone_config": {"model_type": "convnext", "hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 1, 1],
                                                                       "out_features": ["stage1", "stage2", "stage3", "stage4"]}}, _large_image),
    "Mamba2": ("Mamba2ForCausalLM", {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 99, "state_size": 4, "num_heads": 8, "head_dim": 8,
                                     "n_groups": 2, "chunk_size": 8, "use_cache": False}, lambda: {"input_ids": torch.randint(3, 99, (2, 9))}),
    "OLMoE": ("OlmoeForCausalLM", {**DECODER, "num_experts": 4, "num_experts_per_tok": 2}, _text),
    "Qwen2-MoE": ("Qwen2MoeForCausalLM", {**DECODER, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
                                          "shared_expert_intermediate_size": 32}, _text),
}  # fmt: skip


CACHED = ("GPT2", "GPTNeoX", "OPT", "Llama", "Qwen3", "Gemma2", "Mixtral", "T5", "Bart")
"""Those that are tried with a cache of keys and values, too."""

NAMES = [*CASES, *(f"{name} with cache" for name in CACHED)]


def build(name: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The module with random weights, and keywords to call it with."""
    import transformers

    kind, settings, arguments = CASES[name.removesuffix(" with cache")]
    cached = name.endswith(" with cache")
    torch.manual_seed(0)
    model_class = getattr(transformers, kind)
    configuration = model_class.config_class(**{**settings, "use_cache": cached} if "use_cache" in settings else settings)
    module = model_class(configuration).eval()
    return module, (_continued(module, arguments()) if cached else arguments())


def _continued(module: torch.nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
    """The second part of a text, and what the module keeps of the first."""
    tokens = "decoder_input_ids" if "decoder_input_ids" in arguments else "input_ids"
    begun = {**arguments, tokens: arguments[tokens][:, :3]}
    if tokens == "input_ids":
        begun["attention_mask"] = arguments["attention_mask"][:, :3]
    with torch.no_grad():
        found = module(**begun, use_cache=True)
    rest = {**arguments, tokens: arguments[tokens][:, 3:]}
    if tokens == "decoder_input_ids":
        del rest["input_ids"]
        rest["encoder_outputs"] = (found.encoder_last_hidden_state,)
    known = inspect.signature(module.forward).parameters
    rest["cache" if "cache" in known else "past_key_values"] = found.past_key_values
    return {name: rest[name] for name in known if name in rest}
