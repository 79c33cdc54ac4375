"""The verb ``answer``: what the base model and a tuned one say to the same messages.

The model is loaded once and kept; an adapter is put on and off by request.
Both sides go through ms-swift's engine, so the prompt is the one of training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.workers.child import Call

_loaded: dict[str, Any] = {}


def answer(
    call: Call,
    model: str,
    model_type: str | None,
    template: str | None,
    system: str | None,
    adapters: list[str | None],
    messages: list[dict[str, str]],
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    seed: int = 42,
) -> dict[str, Any]:
    """One answer for each of ``adapters`` (None is the base model), streamed.

    Progress is ``{"side": i, "text": so far}``. Returns ``{"texts": [...]}``.
    With temperature 0 the answers are greedy and always the same.
    """
    from swift.infer_engine import AdapterRequest, InferRequest, RequestConfig

    engine = _engine(call, model, model_type, template)
    if system is not None and messages[0]["role"] != "system":
        # As ms-swift's arguments do: a typed backslash-n is a line break.
        messages = [{"role": "system", "content": system.replace("\\n", "\n")}, *messages]
    config = RequestConfig(
        max_tokens=max_new_tokens, temperature=temperature, seed=seed, stream=True
    )
    texts: list[str] = []
    for side, adapter in enumerate(adapters):
        request = AdapterRequest(adapter, adapter) if adapter else None
        texts.append("")
        call.progress(side=side, text="")
        stream = engine.infer(
            [InferRequest(messages=messages)], config, adapter_request=request, use_tqdm=False
        )[0]
        for part in stream:
            if part is None or not part.choices:
                continue
            delta = part.choices[0].delta.content
            if delta:
                texts[side] += delta
                call.progress(side=side, text=texts[side])
    # A character that the token limit cut in two shows as U+FFFD.
    return {"texts": [text.rstrip("\ufffd") for text in texts]}


def _engine(call: Call, model: str, model_type: str | None, template: str | None) -> Any:
    import torch
    from swift.infer_engine import TransformersEngine

    key = f"{model}|{model_type}|{template}"
    if key not in _loaded:
        _loaded.clear()  # one model in memory at a time
        call.progress(stage="load")
        dtype = None if torch.cuda.is_available() else torch.float32
        _loaded[key] = TransformersEngine(
            model, model_type=model_type, template_type=template, torch_dtype=dtype
        )
    return _loaded[key]
