"""Base and tuned answers, side by side.

The words come from a warm child (``tuner/workers/answers.py``); this module
knows which checkpoint belongs to which run, and nothing about models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuner.config import TuningConfig
from tuner.errors import InputError, TunerError
from tuner.workers.pool import Pool


@dataclass(frozen=True)
class Answers:
    """What each side has said so far."""

    base: str = ""
    tuned: str = ""
    loading: bool = False


def stream(
    pool: Pool, config: TuningConfig, checkpoint: str, prompt: str, max_new_tokens: int = 64,
    temperature: float = 0.0, seed: int = 42,
) -> Iterator[Answers]:  # fmt: skip
    """Base and tuned answer to one prompt, growing; the last one is complete.

    The model, template and system prompt are those of the run's config. Ends
    early, with what was said so far, when it is cancelled.

    Raises:
        InputError: an empty prompt.
        WorkerError: the child failed.
    """
    if not prompt.strip():
        raise InputError("chat.empty")
    base, tuned = "", ""
    try:
        for message in pool.worker("chat").stream(
            "answer", model=config.get("model"), model_type=config.get("model_type"),
            template=config.get("template"), system=config.get("system"),
            adapters=[None, checkpoint], messages=[{"role": "user", "content": prompt}],
            max_new_tokens=max_new_tokens, temperature=temperature, seed=seed,
        ):  # fmt: skip
            if "texts" in message:
                base, tuned = message["texts"]
            elif message.get("side") == 0:
                base = message["text"]
            elif message.get("side") == 1:
                tuned = message["text"]
            yield Answers(base, tuned, loading=message.get("stage") == "load")
    except TunerError as error:
        if error.key != "worker.cancelled":
            raise
        yield Answers(base, tuned)


def ask_all(
    pool: Pool, config: TuningConfig, checkpoint: str, prompts: Sequence[str]
) -> list[Answers]:
    """The complete answers to several prompts."""
    answers = []
    for prompt in prompts:
        *_, last = stream(pool, config, checkpoint, prompt)
        answers.append(last)
    return answers
