"""The nouns that cross rooms, frozen, on one screen.

A record is values only: it knows no file, no clock and no widget. ``to_dict``
and ``from_dict`` of this module turn any of them into plain JSON and back, so
a run's folder and the terminal's ``--json`` hold the same shapes.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from tuner.texts import Lang, say

T = TypeVar("T")

State = Literal[
    "waiting", "downloading", "preparing", "training", "evaluating", "saving",
    "stopping", "stopped", "finished", "failed", "lost",
]  # fmt: skip
#: States in which a process works on the run.
ACTIVE: frozenset[State] = frozenset(
    {"waiting", "downloading", "preparing", "training", "evaluating", "saving", "stopping"}
)


@dataclass(frozen=True)
class Sentence:
    """A sentence by key, so that it can be said in either language at any time."""

    key: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def say(self, lang: Lang) -> str:
        """The sentence, in ``lang``."""
        return say(self.key, lang, **self.params)


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without running any code of its repository."""

    ref: str  #: as the user gave it: a ModelScope id or a folder
    path: str | None = None  #: the local folder, when it is on this machine
    architecture: str | None = None
    model_type: str | None = None  #: ms-swift's model_type
    template: str | None = None  #: ms-swift's template
    #: templates that ms-swift could use for this architecture
    candidates: tuple[str, ...] = ()
    #: "equal": the template's tokens equal the model's own chat template on every probe
    template_check: Literal["equal", "differs", "unchecked"] = "unchecked"
    default_system: str | None = None  #: what the model's own template says when nobody does
    parameters: int | None = None
    parameters_source: str | None = None
    context_length: int | None = None
    hidden_size: int | None = None
    vocab_size: int | None = None
    licence: str | None = None
    needs_code: bool = False  #: the repository ships Python that loading would run


@dataclass(frozen=True)
class DatasetRef:
    """Datasets in ms-swift's own syntax, and where validation rows come from."""

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    split_ratio: float = 0.0
    #: what the user chose, before embedded sets became files
    chosen: tuple[str, ...] = ()
    chosen_validation: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)  #: what placeholders were filled with
    columns: Mapping[str, str] = field(default_factory=dict)  #: a column's name -> ms-swift's name
    agent_template: str | None = None  #: how tools are told to a model whose template has no way


@dataclass(frozen=True)
class RowProblem:
    """A row that ms-swift will not train on. ``row`` counts from 1."""

    row: int
    reason: Sentence
    text: str = ""  #: the beginning of the row as it was read
    data: str = ""  #: the dataset it is from
    stage: str = ""  #: "valid": its preprocessors lose it; "encode": its template refuses it


@dataclass(frozen=True)
class LedgerLine:
    """What one stage leaves of the rows, in the order in which ms-swift works."""

    #: "read", "parsed", "valid", "sampled", "train", "validation", "fits", "steps"
    stage: str
    rows: int
    lost: int = 0  #: against the stage before
    strategy: str | None = None  #: the truncation strategy that this line is for


@dataclass(frozen=True)
class Example:
    """A row to look at. ``row`` counts from 1 in the dataset ``data``."""

    side: Literal["train", "eval"]
    data: str
    row: int
    text: str  #: a short piece of it, secrets and personal data masked


@dataclass(frozen=True)
class DataFinding:
    """Something about the quality of the rows that a person should look at."""

    name: str
    severity: Literal["note", "warning", "serious"]
    count: int  #: rows concerned
    what: Sentence
    advice: Sentence
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What a random sample says about all rows before all of them were read."""

    sampled: int  #: rows in the sample
    rows: Interval  #: rows in all; low == high when they were counted
    mean: Interval  #: tokens a row
    tokens: Interval  #: tokens in all rows
    over: Interval  #: share of rows longer than max_length, 0 to 1
    max_length: int
    p50: Interval
    p95: Interval


@dataclass(frozen=True)
class LengthStats:
    """Token lengths over all valid rows, before ``max_length`` applies."""

    min: int
    mean: float
    p50: int
    p90: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True)
class DatasetReport:
    """What was found in the rows. What there is one of a row lies in ``folder``."""

    format: str
    read: int
    valid: int
    lengths: LengthStats
    folder: str  #: columns on disk, see ``tuner/data/rows.py``
    eval_rows: int  #: validation rows, before max_length
    exact: bool
    ledger: tuple[
        LedgerLine, ...
    ] = ()  #: up to the split; what fits is counted for each max_length
    problems: tuple[RowProblem, ...] = ()  #: the first of them
    problem_count: int = 0
    trained_tokens: int = 0  #: over all valid rows, before max_length
    untrained: int = 0  #: rows in which no token counts in the loss
    untrained_rows: tuple[int, ...] = ()  #: the first of them, counted from 1
    channels: Mapping[str, int] = field(default_factory=dict)
    path: str = ""  #: the encoder that counted
    checked: int = 0  #: rows that ms-swift's own code counted again, all equal
    seconds: float = 0.0
    estimate: Estimate | None = None
    preview: tuple[tuple[Mapping[str, str], ...], ...] = ()  #: the first conversations


@dataclass(frozen=True)
class Kept:
    """What one ``max_length`` leaves of a dataset. Tokens without padding."""

    rows: int  #: valid rows that stay
    over: int  #: valid rows longer than max_length
    tokens_lost: int
    tokens: int  #: in all valid rows
    train_rows: int  #: after the split and after max_length
    train_tokens: int  #: in one epoch
    eval_rows: int


@dataclass(frozen=True)
class Gpu:
    """A graphics card, as ``nvidia-smi`` tells."""

    name: str
    memory_total: int  #: bytes
    memory_free: int  #: bytes
    compute_capability: float


@dataclass(frozen=True)
class Machine:
    """This machine. Memory and disk in bytes."""

    cpu_count: int
    memory_total: int
    memory_available: int
    disk_free: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Advice:
    """One recommended value. ``knob`` is its ms-swift flag."""

    knob: str
    value: Any
    why: Sentence
    source: Sentence


@dataclass(frozen=True)
class Schedule:
    """How the rows become optimizer steps, by ms-swift's own arithmetic."""

    train_rows: int
    eval_rows: int
    steps_per_epoch: int
    steps: int
    evaluations: int
    tokens: int  #: tokens seen in the whole run, padding not counted


@dataclass(frozen=True)
class Plan:
    """Advice for one case: this dataset, this model, this machine."""

    advice: tuple[Advice, ...]
    schedule: Schedule
    warnings: tuple[Sentence, ...] = ()


@dataclass(frozen=True)
class Event:
    """One row of ms-swift's ``logging.jsonl``. What is missing is None; NaN stays NaN."""

    step: int
    max_steps: int | None = None
    epoch: float | None = None
    loss: float | None = None
    eval_loss: float | None = None
    grad_norm: float | None = None
    learning_rate: float | None = None
    token_acc: float | None = None
    eval_token_acc: float | None = None
    seconds_per_step: float | None = None
    elapsed: float | None = None  #: seconds since training began
    memory_gib: float | None = None


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it."""

    id: str
    state: State
    folder: Path
    created: float
    updated: float
    step: int = 0
    max_steps: int | None = None
    pid: int | None = None
    best_eval_loss: float | None = None
    checkpoints: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: str | None = None
    error: Sentence | None = None
    demo: bool = False
    model: str = ""
    data: str = ""

    @property
    def active(self) -> bool:
        """A process works on it, or will."""
        return self.state in ACTIVE


def to_dict(record: Any) -> Any:
    """A record as plain JSON values."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_dict(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): to_dict(value) for key, value in record.items()}
    if isinstance(record, tuple | list):
        return [to_dict(value) for value in record]
    return str(record) if isinstance(record, Path) else record


def from_dict(kind: type[T], values: Mapping[str, Any]) -> T:
    """The record of ``kind`` from what :func:`to_dict` gave.

    Fields that this version does not know are ignored, fields that are missing
    take their defaults: older and newer runs both open.

    Raises:
        TypeError: a field without default is missing.
    """
    return kind(**dict(_fields(kind, values)))


def _fields(kind: type[Any], values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(kind)
    for f in dataclasses.fields(kind):
        if f.name in values:
            yield f.name, _value(hints[f.name], values[f.name])


def _value(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _value(next(a for a in arguments if a is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast("type[Any]", hint), value)
    if origin is tuple:
        return tuple(_value(arguments[0], item) for item in value)
    return Path(value) if hint is Path else value
