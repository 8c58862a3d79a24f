"""Makes the checkpoint that mlx-lm and transformers read out of the committed GGUF file.

python -m training.to_hf IN.gguf FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file

from .pretokenizer import DECODER, PRETOKENIZER

IN_A_BLOCK = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}
ELSEWHERE = {"token_embd": "embed_tokens", "output_norm": "norm"}


def write_folder(source: Path, folder: Path) -> None:
    """Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json."""
    reader = gguf.GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {tensor_name(tensor.name): np.array(tensor.data, dtype=np.float16) for tensor in reader.tensors}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name, content in (
        ("config.json", _config(fields)),
        ("tokenizer.json", _tokenizer(fields)),
        ("tokenizer_config.json", _tokenizer_config(fields)),
    ):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def tensor_name(name: str) -> str:
    """Hugging Face's name for a tensor of a GGUF file."""
    *block, kind, what = name.split(".")
    if not block:
        return f"model.{ELSEWHERE[kind]}.{what}"
    return f"model.layers.{block[1]}.{IN_A_BLOCK[kind]}.{what}"


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": fields["qwen2.embedding_length"],
        "intermediate_size": fields["qwen2.feed_forward_length"],
        "num_hidden_layers": fields["qwen2.block_count"],
        "num_attention_heads": fields["qwen2.attention.head_count"],
        "num_key_value_heads": fields["qwen2.attention.head_count_kv"],
        "max_position_embeddings": fields["qwen2.context_length"],
        "rms_norm_eps": fields["qwen2.attention.layer_norm_rms_epsilon"],
        # mlx-lm reads it here and nowhere else; without it a model talks nonsense.
        "rope_theta": fields["qwen2.rope.freq_base"],
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
        "torch_dtype": "float16",
    }


def _tokenizer(fields: dict[str, Any]) -> dict[str, Any]:
    numbered = list(enumerate(fields["tokenizer.ggml.tokens"]))
    kinds = [gguf.TokenType(kind) for kind in fields["tokenizer.ggml.token_type"]]
    added = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": token,
                "special": kinds[number] is gguf.TokenType.CONTROL,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
            }
            for number, token in numbered
            if kinds[number] in added
        ],
        "normalizer": None,
        "pre_tokenizer": PRETOKENIZER,
        "post_processor": None,
        "decoder": DECODER,
        "model": {
            "type": "BPE",
            "vocab": {t: n for n, t in numbered if kinds[n] is gguf.TokenType.NORMAL},
            "merges": [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]],
        },
    }


def _tokenizer_config(fields: dict[str, Any]) -> dict[str, Any]:
    tokens = fields["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": fields["qwen2.context_length"],
        "bos_token": None,
        "unk_token": None,
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        "chat_template": fields["tokenizer.chat_template"],
    }


if __name__ == "__main__":
    write_folder(Path(sys.argv[1]), Path(sys.argv[2]))
