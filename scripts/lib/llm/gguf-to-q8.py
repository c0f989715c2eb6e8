#!/usr/bin/env python3
"""Rewrite a GGUF file with its Q4_1 matrices as Q8_0: the same weights, a larger file, much faster prompts on a CPU.

    gguf-to-q8.py IN.gguf OUT.gguf

llama.cpp has a fast matrix product for Q8_0 on a CPU and none for Q4_1. Needs only the PyPI package gguf.
scripts/llm-up runs it.
"""
import sys

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Q


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    r = gguf.GGUFReader(sys.argv[1])
    arch = r.fields["general.architecture"].contents()
    w = gguf.GGUFWriter(sys.argv[2], arch)
    for key, field in r.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        if key == "general.file_type":
            w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        w.add_key_value(key, field.contents(), kind, sub_type=sub)
    for t in r.tensors:
        data, kind = t.data, t.tensor_type
        if kind == Q.Q4_1:
            data, kind = gguf.quants.quantize(gguf.quants.dequantize(data, kind).astype(np.float32), Q.Q8_0), Q.Q8_0
        w.add_tensor(t.name, data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
