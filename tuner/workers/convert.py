"""The verb ``convert``: the embedded model from GGUF to a Hugging Face folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.workers.child import Call


def convert(call: Call, source: str, file: str, target: str) -> dict[str, Any]:
    """Dequantise ``source/file`` and save weights (bfloat16) and tokenizer in ``target``.

    The weights were quantised to 4 bits when they were published; saving them
    in 16 bits loses nothing more and lets them be trained.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    call.progress(stage="read")
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=file,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    model = model.to(torch.bfloat16)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    call.progress(stage="write")
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return {"parameters": sum(p.numel() for p in model.parameters())}
