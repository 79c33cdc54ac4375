"""The verb ``measure``: read the rows as ms-swift does, and count their tokens with its template.

Rows are loaded by ms-swift's own loader and preprocessors, one by one where
some are lost, so that each lost row keeps its number and its reason. The
length of a row is what the template that a run's own arguments build gives for
it, with no limit set. Which rows train and which validate comes from ms-swift's
own loader, run over row numbers with the same seed. It refuses to repair anything.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tuner.errors import InputError, NotFoundError
from tuner.records import Sentence, to_dict

if TYPE_CHECKING:
    from tuner.workers.child import Call

#: As good as no limit: ms-swift raises above it.
NO_LIMIT: Final = 2**31 - 1
PREVIEW_ROWS: Final = 3
MOST_PROBLEMS: Final = 200
FIRST_ROWS: Final = 10
HUB_SECONDS: Final = 10


@dataclass
class Tally:
    """What one dataset lost while ms-swift read it. Row numbers count from 1 in the source."""

    read: int = 0
    problems: list[tuple[int, Sentence]] = field(default_factory=list)
    source_rows: list[int] = field(default_factory=list)  #: of each row that came through


def measure(
    call: Call,
    model: str,
    model_type: str,
    template: str,
    train: list[str],
    validation: list[str],
    split_ratio: float,
    system: str | None,
    seed: int,
    out: str,
) -> dict[str, Any]:
    """Lengths of every valid row of ``train``, and of the validation rows.

    Writes ``<out>.train.npy`` (int32, one a valid row, in file order),
    ``<out>.index.npy`` (which of those rows train after the split) and
    ``<out>.eval.npy``. Returns the counts of a :class:`tuner.records.DatasetReport`.

    Raises:
        NotFoundError: a dataset that the hub does not have, or no way to reach it.
        InputError: no row of a dataset came through, none has an answer to learn, or
            there are too few for the split or count.
    """
    call.progress(stage="load", done=0, total=0)
    encoder = _encoder(model, model_type, template, system)
    lengths: list[int] = []
    ok: list[int | None] = []  # of each row that was loaded: its place in lengths
    sizes: list[int] = []
    problems: list[tuple[int, Sentence]] = []
    preview: list[Any] = []
    untrained: list[int] = []  # row numbers
    read = lost = 0
    for name in train:
        rows, tally = _load(name)
        first = len(ok)
        read += tally.read
        lost += tally.read - len(rows)
        sizes.append(len(rows))
        for number, (length, trained, problem) in enumerate(_encode(call, encoder, rows)):
            if problem is None:
                ok.append(len(lengths))
                lengths.append(length)
                if trained == 0:
                    untrained.append(tally.source_rows[number])
            else:
                ok.append(None)
                lost += 1
                tally.problems.append((tally.source_rows[number], problem))
        problems += tally.problems
        preview += [_messages(rows[i]) for i in range(min(PREVIEW_ROWS - len(preview), len(rows)))]
        _require_rows(name, tally, any(place is not None for place in ok[first:]))
    if len(untrained) == len(lengths):
        raise InputError("data.no_answers", data=", ".join(train), rows=len(lengths))
    train_rows, eval_rows = _split(train, sizes, split_ratio, True, seed)
    index = [place for row in train_rows if (place := ok[row]) is not None]
    eval_lengths = [lengths[place] for row in eval_rows if (place := ok[row]) is not None]
    encoded: list[tuple[int, int, Sentence | None]] = []
    sizes = []
    for name in validation:
        rows, tally = _load(name)
        _require_rows(name, tally, len(rows) > 0)
        sizes.append(len(rows))
        encoded += _encode(call, encoder, rows)
    if validation:
        _, chosen = _split(validation, sizes, 1.0, False, seed)
        eval_lengths += [encoded[row][0] for row in chosen if encoded[row][2] is None]
    for part, values in (("train", lengths), ("index", index), ("eval", eval_lengths)):
        np.save(f"{out}.{part}.npy", np.asarray(values, dtype=np.int32))
    return {
        "read": read,
        "valid": len(lengths),
        "problem_count": lost,
        "problems": [
            (row, to_dict(reason))
            for row, reason in sorted(problems, key=lambda p: p[0])[:MOST_PROBLEMS]
        ],
        "untrained": len(untrained),
        "untrained_rows": untrained[:FIRST_ROWS],
        "eval_rows": len(eval_lengths),
        "preview": preview,
    }


def _encoder(model: str, model_type: str, template: str, system: str | None) -> Any:
    """The template as a run's own arguments build it.

    Hybrid-thinking models get a loss scale of their own there, which moves the
    places where text is cut into tokens.
    """
    from swift.arguments import BaseArguments

    arguments = BaseArguments(model=model, model_type=model_type, template=template, system=system)
    encoder = arguments.get_template()
    encoder.max_length = NO_LIMIT
    encoder.set_mode("train")
    return encoder


def _require_rows(name: str, tally: Tally, some: bool) -> None:
    """Raise ``InputError`` if no row of this dataset came through: ms-swift cannot go on either."""
    if not some:
        first = min(tally.problems, key=lambda problem: problem[0], default=None)
        reason = first[1] if first else Sentence("reason.empty")
        raise InputError("data.no_valid_rows", data=name, rows=tally.read, reason=reason)


def _load(name: str) -> tuple[Any, Tally]:
    """One dataset of ms-swift's syntax as its loader gives it, without sampling, in file order."""
    from swift.dataset.dataset_syntax import DatasetSyntax
    from swift.dataset.loader import load_dataset

    syntax = DatasetSyntax.parse(name)
    whole = name if syntax.dataset_sample is None else name.rpartition("#")[0]
    tally = Tally()
    if syntax.dataset_type == "repo" and not syntax.use_hf and not Path(syntax.dataset).is_dir():
        _ask_hub(syntax.dataset)
    try:
        with _counted(tally):
            # num_proc None stays in this process, where the count is kept; 1 would not.
            rows, _ = load_dataset(whole, shuffle=False, load_from_cache_file=False, num_proc=None)
    except Exception as error:
        if tally.read and not tally.source_rows:
            _require_rows(name, tally, False)  # ms-swift divides by the number of rows
        if (known := _load_error(name, syntax.dataset_type == "path", error)) is not None:
            raise known from error
        raise
    if len(tally.source_rows) != len(rows):
        # A preprocessor of a registered dataset may make several rows of one.
        tally.source_rows = list(range(1, len(rows) + 1))
    return rows, tally


def _ask_hub(ident: str) -> None:
    """Ask ModelScope once whether it has this dataset.

    ms-swift and ModelScope's client retry one inside the other, which takes 45
    seconds to say that there is no network.

    Raises:
        NotFoundError: it has not, or it cannot be reached.
    """
    import requests
    from modelscope_hub.config import HubConfig

    url = f"{HubConfig().endpoint}/openapi/v1/datasets/{ident}"
    try:
        answer = requests.get(url, timeout=HUB_SECONDS)
    except requests.RequestException as error:
        raise NotFoundError("data.hub_unreachable", data=ident) from error
    if answer.status_code == requests.codes.not_found:
        raise NotFoundError("data.unknown_id", data=ident)


def _load_error(name: str, is_file: bool, error: Exception) -> Exception | None:
    """What the user should hear of a loader's failure; None when it is not about the data."""
    text = str(error)
    chain = " ".join(str(e) for e in (error, error.__cause__, error.__context__) if e)
    if is_file:
        return InputError("data.unreadable", file=name, reason=_one_line(chain))
    if re.search(r"404|not exist|[Nn]ot found|not been found", chain):
        return NotFoundError("data.unknown_id", data=name)
    if re.search(
        r"[Cc]onnect|[Rr]esolve|[Tt]imed? ?out|unreachable|Max retries|proxy", chain, re.IGNORECASE
    ):
        return NotFoundError("data.hub_unreachable", data=name)
    if "does not exist" in text:
        return NotFoundError("file.missing", file=name)
    return None


@contextlib.contextmanager
def _counted(tally: Tally) -> Iterator[None]:
    """Let ms-swift's preprocessors report the rows they would lose in silence.

    ms-swift has no hook for this: a batch with a bad row comes back shorter.
    Where that happens, the batch is taken again row by row, strictly, which
    names the row and the reason.
    """
    from swift.dataset.preprocessor.core import RowPreprocessor

    original = RowPreprocessor.batched_preprocess

    def counted(self: Any, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        batch = dict(batch)
        size = len(next(iter(batch.values())))
        first = tally.read + 1
        tally.read += size
        result: dict[str, Any] = original(self, _copy(batch), **kwargs)
        if _height(result) == size:
            tally.source_rows += range(first, first + size)
            return result
        for i in range(size):
            one = {key: [value] for key, value in ((k, v[i]) for k, v in _copy(batch).items())}
            try:
                kept = _height(original(self, one, **(kwargs | {"strict": True})))
            except Exception as error:  # whatever a preprocessor raises is the reason
                tally.problems.append((first + i, _reason(error)))
                continue
            if not kept:  # given up without an exception: no messages at all
                tally.problems.append((first + i, Sentence("reason.no_messages")))
            tally.source_rows += [first + i] * kept
        return result

    RowPreprocessor.batched_preprocess = counted
    try:
        yield
    finally:
        RowPreprocessor.batched_preprocess = original


def _copy(value: Any) -> Any:
    """A copy that the preprocessors may change: they edit messages in place."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _height(batch: dict[str, Any]) -> int:
    return len(next(iter(batch.values()))) if batch else 0


def _encode(call: Call, encoder: Any, rows: Any) -> Iterator[tuple[int, int, Sentence | None]]:
    """Length, number of tokens that count in the loss, and why the row is lost (None: it is not)."""
    total = len(rows)
    for number in range(total):
        if number % 200 == 0:
            call.progress(stage="encode", done=number, total=total)
        try:
            encoded = encoder.encode(dict(rows[number]), return_length=True)
        except Exception as error:  # ms-swift drops such a row in silence; here it is listed
            yield 0, 0, _reason(error)
            continue
        labels = encoded.get("labels") or []
        yield max(encoded["lengths"]), sum(label != -100 for label in labels[1:]), None
    call.progress(stage="encode", done=total, total=total)


def _split(
    names: list[str], sizes: list[int], ratio: float, shuffle: bool, seed: int
) -> tuple[list[int], list[int]]:
    """Which rows train and which validate, numbered through all datasets.

    It is ms-swift's own loader that says so, handed row numbers in place of
    rows: it draws the same random numbers as it will when the run starts.
    """
    from datasets import Dataset
    from swift.dataset.loader import DatasetLoader, load_dataset

    starts = itertools.accumulate(sizes, initial=0)
    numbers = [
        Dataset.from_dict({"n": range(s, s + n)}) for s, n in zip(starts, sizes, strict=False)
    ]
    waiting = iter(numbers)
    original = DatasetLoader.load
    DatasetLoader.load = lambda *_, **__: next(waiting)
    try:
        parts = load_dataset(names, split_dataset_ratio=ratio, shuffle=shuffle, seed=seed)
    except AssertionError as error:
        raise InputError("data.too_few_rows", data=", ".join(names), rows=sum(sizes)) from error
    finally:
        DatasetLoader.load = original
    train, held_out = ([] if part is None else list(part["n"]) for part in parts)
    return train, held_out


def _reason(error: Exception) -> Sentence:
    """Why a row is lost, in words where ms-swift's exception is a known one."""
    text = _one_line(str(error))
    if isinstance(error, KeyError):
        return Sentence("reason.missing_field", {"field": text.strip("'")})
    if isinstance(error, AssertionError) and "content': None" in text:
        return Sentence("reason.no_content")
    if isinstance(error, AssertionError) and (
        role := re.match(r"message: .*'role': '([^']*)'", text)
    ):
        return Sentence("reason.bad_role", {"role": role[1]})
    return Sentence("reason.other", {"text": text or type(error).__name__})


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:200]


def _messages(row: Any) -> list[dict[str, str]]:
    """A row's conversation for showing: role and text, long text cut."""
    return [
        {"role": str(m.get("role", "")), "content": str(m.get("content", ""))[:2000]}
        for m in row.get("messages") or []
    ]
