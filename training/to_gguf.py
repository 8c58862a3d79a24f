"""Writes a tiny Qwen2 as a GGUF file, which is all that llama.cpp needs.

python -m training.to_gguf HF_FOLDER OUT.gguf
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

ARCHITECTURE = gguf.MODEL_ARCH.QWEN2


@dataclass(frozen=True)
class Checkpoint:
    """A model as its three parts: Hugging Face's config, tensor names, and tokenizer.json."""

    config: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    tokenizer: str


def write_gguf(checkpoint: Checkpoint, path: Path, template: str) -> None:
    """Writes weights, tokenizer and chat template into one file."""
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[ARCHITECTURE])
    writer.add_name("toolmend tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_shape(writer, checkpoint.config)
    _add_tokenizer(writer, checkpoint)
    writer.add_chat_template(template)
    names = gguf.get_tensor_name_map(ARCHITECTURE, checkpoint.config["num_hidden_layers"])
    for name, tensor in checkpoint.tensors.items():
        # Biases and norms stay in single precision: llama.cpp wants them so.
        kind = np.float32 if tensor.ndim == 1 else np.float16
        writer.add_tensor(names.get_name(name, (".weight", ".bias")), tensor.astype(kind))
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def _add_tokenizer(writer: gguf.GGUFWriter, checkpoint: Checkpoint) -> None:
    data = json.loads(checkpoint.tokenizer)
    size = checkpoint.config["vocab_size"]
    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for token, number in data["model"]["vocab"].items():
        tokens[number], types[number] = token, gguf.TokenType.NORMAL
    for added in data["added_tokens"]:
        # Servers hide control tokens from the text and show user-defined ones.
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    merges = data["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_eos_token_id(checkpoint.config["eos_token_id"])
    writer.add_pad_token_id(checkpoint.config["pad_token_id"])
    writer.add_add_bos_token(False)


def read_folder(folder: Path) -> tuple[Checkpoint, str]:
    """A checkpoint in Hugging Face's form, as `to_hf` writes it, and its chat template."""
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
    tensors = load_file(folder / "model.safetensors")
    return Checkpoint(config, tensors, tokenizer), settings["chat_template"]


if __name__ == "__main__":
    read, template = read_folder(Path(sys.argv[1]))
    write_gguf(read, Path(sys.argv[2]), template)
