"""What ``swift sft`` itself makes of a dataset before it trains: its pipeline, run up to the trainer.

Arguments, loader, split, template, encoding, the lazy dataset that training
reads and the trainer's own count of steps are ms-swift's and transformers'
code, unchanged. Left out is only the model: no weights are loaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal

from tuner.config import TuningConfig
from tuner.plan import recommend
from tuner.records import DatasetRef, Machine, ModelInfo

Strategy = Literal["delete", "left", "right"]
#: Where a run can end: its arguments; reading, preprocessors and split; template and max_length;
#: reading the rows once more while it trains.
Stage = Literal["arguments", "load", "encode", "train"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("delete", "left", "right")
#: What the count of steps is asked for.
BATCH: Final = 2
ACCUMULATION: Final = 2
EPOCHS: Final = 3
#: A machine without a GPU, the same everywhere.
MACHINE: Final = Machine(
    cpu_count=2, memory_total=1 << 34, memory_available=1 << 33, disk_free=1 << 36
)

#: Tokens of a row, and how many of them count in the loss.
Pair = tuple[int, int]


@dataclass(frozen=True)
class Reference:
    """What ms-swift made of a dataset. What it did not reach before it failed is 0 or empty."""

    #: the exception's first line, and those of its causes, when the run ends before it trains
    failed: str | None = None
    stage: Stage | Literal[""] = ""
    loaded: int = 0  #: rows after the preprocessors, before sampling and split
    train: int = 0  #: rows after the split
    validation: int = 0
    train_rows: tuple[Pair, ...] = ()  #: after encoding, as they will train, sorted
    validation_rows: tuple[Pair, ...] = ()
    steps: int = 0  #: optimizer steps

    @property
    def train_lengths(self) -> list[int]:
        """Sorted."""
        return [length for length, _ in self.train_rows]

    @property
    def validation_lengths(self) -> list[int]:
        """Sorted."""
        return [length for length, _ in self.validation_rows]


def by_swift(
    model: Path, model_type: str, template: str, train: Sequence[str], validation: Sequence[str] = (),
    split_dataset_ratio: float = 0.0, seed: int = 42, max_length: int = 2048,
    truncation_strategy: Strategy = "delete", system: str | None = None,
    columns: Mapping[str, str] | None = None, agent_template: str | None = None,
) -> Reference:  # fmt: skip
    """ms-swift's own answer for one dataset and one config."""
    loaded = Loaded(
        model, model_type, template, train, validation, split_dataset_ratio, seed, max_length,
        system, columns, agent_template,
    )  # fmt: skip
    return loaded.encoded(truncation_strategy)


class Loaded:
    """A dataset loaded and split by ms-swift once, to be encoded in several ways.

    ``num_proc`` is ms-swift's ``dataset_num_proc``. Its default, 1, maps in one
    process of its own; None does the same in this one, which is much quicker for
    a few rows.
    """

    def __init__(
        self, model: Path, model_type: str, template: str, train: Sequence[str],
        validation: Sequence[str] = (), split_dataset_ratio: float = 0.0, seed: int = 42,
        max_length: int = 2048, system: str | None = None,
        columns: Mapping[str, str] | None = None, agent_template: str | None = None,
        num_proc: int | None = None,
    ) -> None:  # fmt: skip
        config = config_of(
            model, model_type, template, train, validation, split_dataset_ratio, seed, max_length,
            system, columns, agent_template,
        )  # fmt: skip
        stage: Stage = "arguments"
        with tempfile.TemporaryDirectory() as output:
            try:
                self._pipeline = _pipeline(config.replace(output_dir=output, add_version=False))
                self._pipeline.args.dataset_num_proc = num_proc
                stage = "load"
                with _counting(train) as loaded:
                    self._sides = self._pipeline._get_dataset()
                self._pipeline._save_val_dataset(self._sides[1])
            except Exception as error:  # whatever ms-swift raises: the run would end here
                self.found = _failed(Reference(), stage, error)
            else:
                self.found = Reference(
                    loaded=sum(loaded),
                    train=_rows(self._sides[0]),
                    validation=_rows(self._sides[1]),
                )

    def encoded(self, strategy: Strategy) -> Reference:
        """What trains with this ``truncation_strategy``."""
        if self.found.failed:
            return self.found
        stage: Stage = "encode"
        pipeline = self._pipeline
        try:
            pipeline.args.truncation_strategy = strategy
            pipeline._prepare_template()
            pipeline.sides = self._sides
            train, validation = pipeline._prepare_dataset()
            stage = "train"
            return dataclasses.replace(
                self.found,
                train_rows=_pairs(train),
                validation_rows=_pairs(validation),
                steps=_steps(pipeline, train),
            )
        except Exception as error:  # as above
            return _failed(self.found, stage, error)


def config_of(
    model: Path, model_type: str, template: str, train: Sequence[str], validation: Sequence[str],
    split_dataset_ratio: float, seed: int, max_length: int, system: str | None,
    columns: Mapping[str, str] | None, agent_template: str | None,
) -> TuningConfig:  # fmt: skip
    """The config that the app writes for this dataset."""
    known = ModelInfo(
        ref=str(model), path=str(model), model_type=model_type, template=template, parameters=10**6
    )
    data = DatasetRef(
        tuple(train), tuple(validation), split_dataset_ratio, columns=columns or {},
        agent_template=agent_template,
    )  # fmt: skip
    values = {
        "num_train_epochs": EPOCHS, "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": ACCUMULATION, "max_length": max_length, "seed": seed,
        "system": system,
    }  # fmt: skip
    evaluates = bool(validation or split_dataset_ratio)
    config = recommend.config(known, str(model), data, MACHINE, values, int(evaluates))
    return config.replace(data_seed=seed)


@functools.cache
def _pipeline_class() -> Any:
    from swift.pipelines.train.sft import SwiftSft

    class UntilTraining(SwiftSft):  # type: ignore[misc]
        """``swift sft`` without the model's weights, handed a dataset that is loaded already."""

        sides: Any = None

        def _prepare_model_tokenizer(self) -> None:
            super()._prepare_model_tokenizer(load_model=False)

        def _get_dataset(self) -> Any:
            return self.sides or super()._get_dataset()

        def _save_val_dataset(self, val_dataset: Any) -> None:
            if self.sides is None:
                super()._save_val_dataset(val_dataset)

    return UntilTraining


def _pipeline(config: TuningConfig) -> Any:
    """The pipeline as ``swift sft`` makes it of these arguments."""
    return _pipeline_class()(config.to_argv())


@contextlib.contextmanager
def _counting(train: Sequence[str]) -> Iterator[list[int]]:
    """Rows of each training dataset as the loader gives them, before sampling and split."""
    from swift.dataset.loader import DatasetLoader

    found: list[int] = []
    original = DatasetLoader.load

    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
        rows = original(self, *args, **kwargs)
        if len(found) < len(train):  # validation datasets come after them
            found.append(len(rows))
        return rows

    DatasetLoader.load = load
    try:
        yield found
    finally:
        DatasetLoader.load = original


def _failed(found: Reference, stage: Stage, error: Exception) -> Reference:
    return dataclasses.replace(found, failed=_said(error), stage=stage)


def _said(error: BaseException) -> str:
    """The first line of an exception, and of what caused it."""
    line = next(iter(str(error).strip().splitlines()), "")
    said = f"{type(error).__name__}: {line}"
    return f"{said} <- {_said(error.__cause__)}" if error.__cause__ else said


def _rows(side: Any) -> int:
    return 0 if side is None else len(side)


def _pairs(side: Any) -> tuple[Pair, ...]:
    """Length and trained tokens of the rows of a side as training reads them.

    ms-swift encodes each row once to see what fits, keeps the row and not its
    tokens, and encodes it again while it trains.

    Raises:
        AssertionError: the second time gives another length.
    """
    found = []
    for row in () if side is None else side.dataset:
        encoded = side.encode_func(row, return_length=True)
        assert encoded["lengths"] == row["lengths"], (encoded["lengths"], row["lengths"])
        labels = encoded["labels"]
        found.append((max(encoded["lengths"]), sum(label != -100 for label in labels[1:])))
    return tuple(sorted(found))


def _steps(pipeline: Any, train: Any) -> int:
    """Optimizer steps, by ms-swift's own loader of batches and transformers' own arithmetic."""
    from swift.trainers import TrainerFactory

    kind = TrainerFactory.get_trainer_cls(pipeline.args)
    trainer = object.__new__(kind)  # made without a model
    trainer.model, trainer.is_deepspeed_enabled = None, False
    trainer.args = pipeline.args.training_args
    trainer.template = pipeline.template
    trainer.train_dataset = train
    trainer.data_collator = None
    trainer._train_batch_size = trainer.args.train_batch_size
    trainer.accelerator = SimpleNamespace(device="cpu", parallelism_config=None)
    batches = trainer.get_train_dataloader()
    return int(trainer.set_initial_training_values(trainer.args, batches)[-1])
