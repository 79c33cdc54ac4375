"""The verb ``inspect_model``: which ms-swift template fits a model, checked token for token.

ms-swift knows an architecture by several model types and refuses to guess
between them. Here each candidate renders a few probe conversations, and its
tokens are compared with what the model's own chat template gives. It refuses
to load anything that needs code of the repository: the tokenizer is loaded
with ``trust_remote_code=False`` and the caller has looked at the JSON files.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tuner.errors import InputError

if TYPE_CHECKING:
    from tuner.workers.child import Call

_SYSTEM: Final = {"role": "system", "content": "Answer briefly, 简短回答."}
_ASK: Final = {"role": "user", "content": "What is 2 + 3? 等于几？"}
_ANSWER: Final = {"role": "assistant", "content": "2 + 3 is 5. 等于五。"}
#: Each probe is a conversation; a last message of the user asks for the generation prompt.
PROBES: Final = (
    (_SYSTEM, _ASK),
    (_SYSTEM, _ASK, _ANSWER),
    (_SYSTEM, _ASK, _ANSWER, {"role": "user", "content": "And 3 + 4?"}),
)


@dataclass(frozen=True)
class Candidate:
    """A model type of ms-swift and one of its templates."""

    model_type: str
    template: str


def inspect_model(
    call: Call, path: str, ref: str, model_type: str | None = None, template: str | None = None
) -> dict[str, Any]:
    """Model type and template for the model in ``path``.

    Returns ``model_type``, ``template``, ``candidates`` (template names),
    ``template_check`` and ``default_system`` as in :class:`tuner.records.ModelInfo`.
    A given ``model_type`` or ``template`` is checked, not replaced.

    Raises:
        InputError: ms-swift does not know the model type or template, or no
            candidate agrees with the model's own template and none was given.
    """
    from swift.model import MODEL_MAPPING
    from swift.template import TEMPLATE_MAPPING

    if model_type is not None and model_type not in MODEL_MAPPING:
        raise InputError("model.unknown_type", model_type=model_type)
    if template is not None and template not in TEMPLATE_MAPPING:
        raise InputError("model.unknown_template", template=template)
    candidates = _candidates(path, ref, model_type, template)
    if not candidates:
        raise InputError("model.unknown_architecture", model=ref)
    tokenizer = _tokenizer(path)
    names = tuple(dict.fromkeys(c.template for c in candidates))
    chosen, check = candidates[0], "unchecked"
    if tokenizer is not None and tokenizer.chat_template:
        call.progress(stage="template")
        expected = [_own_tokens(tokenizer, probe) for probe in PROBES]
        agreeing = (c for c in candidates if _agrees(path, c, expected))
        if found := next(agreeing, None):
            chosen, check = found, "equal"
        else:
            check = "differs"
    if check != "equal" and template is None and len(names) > 1:
        raise InputError("model.ask_template", model=ref, candidates=", ".join(names))
    return {
        "model_type": chosen.model_type,
        "template": chosen.template,
        "candidates": list(names),
        "template_check": check,
        "default_system": _default_system(tokenizer),
    }


def _candidates(
    path: str, ref: str, model_type: str | None, template: str | None
) -> list[Candidate]:
    """What ms-swift could take, best first: by name, then by architecture, then plain chatml."""
    from swift.model import MODEL_MAPPING
    from swift.model.model_meta import get_matched_model_meta, get_matched_model_types

    types: list[str] = []
    templates: list[str] = []
    if model_type is not None:
        types = [model_type]
    elif (meta := get_matched_model_meta(ref)) is not None:
        types = [str(meta.model_type)]
        templates = [str(meta.template)]
    else:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        types = list(get_matched_model_types(config.get("architectures")))
        # A plain type ("llama", "qwen3") before a derived one ("deepseek_r1_distill").
        plain = str(config.get("model_type", ""))
        types.sort(key=lambda name: name != plain)
    if template is not None:
        templates = [template]
    found = [
        Candidate(kind, name)
        for kind in types
        for name in (templates or MODEL_MAPPING[kind].candidate_templates)
    ]
    if types and not templates:
        # Plain chatml, which many models use, comes before the templates of single families.
        found.insert(1, Candidate(types[0], "chatml"))
    return list(dict.fromkeys(found))


def _tokenizer(path: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError("model.no_tokenizer", model=path, reason=str(error)[:200]) from error


def _own_tokens(tokenizer: Any, probe: tuple[dict[str, str], ...]) -> list[list[int]]:
    """The probe's tokens by the model's own chat template; none if it refuses the probe.

    A hybrid-thinking model has several right renderings of a generation
    prompt: as it comes, with thinking on, and with thinking off.
    """
    asks = probe[-1]["role"] == "user"
    variants: tuple[dict[str, bool], ...] = ({},)
    if asks:
        variants = ({}, {"enable_thinking": True}, {"enable_thinking": False})
    renderings: list[list[int]] = []
    for variant in variants:
        try:
            text = tokenizer.apply_chat_template(
                list(probe), tokenize=False, add_generation_prompt=asks, **variant
            )
        except Exception:  # a Jinja template raises what it likes, a refusal of roles included
            continue
        tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        if tokens not in renderings:
            renderings.append(tokens)
    return renderings


def _agrees(path: str, candidate: Candidate, expected: list[list[list[int]]]) -> bool:
    """Whether the candidate gives the expected tokens on every probe that the model accepts.

    Spaces and newlines after the last message are left out: ms-swift ends
    where the model learns to stop, chat templates add a newline.
    """
    from swift.model import get_processor
    from swift.template import get_template

    try:
        processor = get_processor(path, model_type=candidate.model_type)
        template = get_template(processor, template_type=candidate.template)
    except Exception as error:  # a candidate that cannot even be built does not fit
        print(f"{candidate}: {error}", flush=True)
        return False
    tokenizer = template.tokenizer
    seen = 0
    for probe, own in zip(PROBES, expected, strict=True):
        if not own:
            continue
        asks = probe[-1]["role"] == "user"
        template.set_mode("transformers" if asks else "train")
        try:
            tokens = template.encode({"messages": [dict(m) for m in probe]})["input_ids"]
        except Exception as error:  # a template may refuse a system message, for one
            print(f"{candidate}: {error}", flush=True)
            return False
        if _trimmed(tokenizer, list(tokens)) not in [_trimmed(tokenizer, t) for t in own]:
            return False
        seen += 1
    return seen > 0


def _trimmed(tokenizer: Any, tokens: list[int]) -> list[int]:
    while tokens and not tokenizer.decode(tokens[-1:]).strip():
        tokens = tokens[:-1]
    return tokens


def _default_system(tokenizer: Any) -> str | None:
    """What the model's own template says as system when nobody does."""
    if tokenizer is None or not tokenizer.chat_template:
        return None
    mark = "\u2063mark\u2063"
    try:
        with_mark = tokenizer.apply_chat_template(
            [{"role": "system", "content": mark}, dict(_ASK)], tokenize=False
        )
        without = tokenizer.apply_chat_template([dict(_ASK)], tokenize=False)
    except Exception:  # no system role in this template: nothing to say
        return None
    before, found, after = with_mark.partition(mark)
    if not found:
        return None
    match = re.fullmatch(re.escape(before) + "(.+)" + re.escape(after), without, re.DOTALL)
    return match.group(1) if match else None
