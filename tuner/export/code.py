"""The code behind each cell: plain ms-swift, nothing of Tuner's, runs in a clean process.

Each function gives a text that a reader may paste into a notebook or a
terminal. The tests run every one of them and compare with the cell's result.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from tuner.config import TuningConfig
from tuner.records import DatasetRef, ModelInfo


def model(info: ModelInfo) -> str:
    """Cell 1: parameters, context length and template, by ms-swift."""
    return f"""import math
from pathlib import Path
from safetensors import safe_open
from swift.model import get_processor
from swift.template import get_template

folder = Path({info.path!r})
processor = get_processor(str(folder), model_type={info.model_type!r})
template = get_template(processor, template_type={info.template!r})
tied = {{"lm_head.weight"}} if template.config.tie_word_embeddings else set()
parameters = 0
for file in folder.glob("*.safetensors"):
    with safe_open(file, "pt") as weights:
        for name in set(weights.keys()) - tied:
            parameters += math.prod(weights.get_slice(name).get_shape())
print("parameters:", parameters)
print("context length:", template.model_info.max_model_len)
print("template:", template.template_meta.template_type)
"""


def data(ref: DatasetRef, seed: int = 42) -> str:
    """Cell 2: the rows as ms-swift reads and splits them."""
    lines = [
        "from swift.dataset import load_dataset",
        "",
        (
            f"train, validation = load_dataset({list(ref.train)!r},"
            f" split_dataset_ratio={ref.split_ratio!r}, shuffle=True, seed={seed}{_columns(ref)})"
        ),
    ]
    if ref.validation:
        lines.append(
            f"_, validation = load_dataset({list(ref.validation)!r}, split_dataset_ratio=1.0{_columns(ref)})"
        )
    lines += [
        'print("rows to train on:", len(train))',
        'print("rows to validate on:", len(validation) if validation is not None else 0)',
        'print("first row:", train[0]["messages"])',
    ]
    return "\n".join(lines) + "\n"


def lengths(info: ModelInfo, ref: DatasetRef, max_length: int, system: str | None) -> str:
    """Cell 3: exact token lengths, one row at a time, by ms-swift's own template."""
    return f"""import numpy as np
from swift.arguments import BaseArguments
from swift.dataset import load_dataset

template = BaseArguments(
    model={info.path!r}, model_type={info.model_type!r},
    template={info.template!r}, system={system!r},{_agent(ref)}
).get_template()
template.set_mode("train")
template.max_length = 2**31 - 1  # measure first, decide afterwards
rows, _ = load_dataset({list(ref.train)!r}, shuffle=False{_columns(ref)})
lengths = np.array([template.encode(row, return_length=True)["lengths"][0] for row in rows])
print("rows:", len(lengths), "mean:", round(lengths.mean(), 2), "longest:", lengths.max())
print("over max_length:", (lengths > {max_length}).sum())
"""


def _columns(ref: DatasetRef) -> str:
    return f", columns={dict(ref.columns)!r}" if ref.columns else ""


def _agent(ref: DatasetRef) -> str:
    return f" agent_template={ref.agent_template!r}," if ref.agent_template else ""


def plan(info: ModelInfo, ref: DatasetRef, system: str | None) -> str:
    """Cell 4: the same advice from the terminal."""
    words = ["python", "-m", "tuner", "plan", "--model", info.path or info.ref]
    words += ["--dataset", *ref.train]
    if ref.validation:
        words += ["--val-dataset", *ref.validation]
    if ref.split_ratio:
        words += ["--split-dataset-ratio", f"{ref.split_ratio:g}"]
    if ref.columns:
        words += ["--columns", json.dumps(dict(ref.columns), ensure_ascii=False)]
    if ref.agent_template:
        words += ["--agent-template", ref.agent_template]
    words += ["--model-type", info.model_type or "", "--template", info.template or ""]
    words += ["--system", system or ""]
    return shlex.join([*words, "--json"]) + "\n"


def train(config: TuningConfig) -> str:
    """Cell 5: the same training without Tuner."""
    return config.to_command() + "\n"


def answers(config: TuningConfig, checkpoint: str, prompts: Sequence[str]) -> str:
    """Cell 6: base and tuned model asked the same."""
    return f"""from swift import AdapterRequest, InferRequest, RequestConfig, TransformersEngine
import torch

dtype = None if torch.cuda.is_available() else torch.float32
engine = TransformersEngine(
    {config.get("model")!r}, model_type={config.get("model_type")!r},
    template_type={config.get("template")!r}, torch_dtype=dtype,
)
system = {config.get("system")!r}
tuned = AdapterRequest("tuned", {checkpoint!r})
for prompt in {list(prompts)!r}:
    messages = [{{"role": "user", "content": prompt}}]
    if system is not None:
        messages.insert(0, {{"role": "system", "content": system}})
    for name, adapter in (("base", None), ("tuned", tuned)):
        answer = engine.infer(
            [InferRequest(messages=messages)], RequestConfig(max_tokens=64, temperature=0),
            adapter_request=adapter, use_tqdm=False,
        )[0]
        print(name, "|", prompt, "|", answer.choices[0].message.content)
"""
