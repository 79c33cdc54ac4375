"""Rows as ms-swift's own loader and preprocessors give them, with nothing lost in silence.

Where rows are lost they are taken again one by one, strictly, so that each
lost row keeps its number and its reason. Which rows train and which validate
comes from ms-swift's own loader too, run over row numbers with the same seed.
It refuses to repair anything.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuner.errors import InputError, NotFoundError
from tuner.records import Sentence

HUB_SECONDS: Final = 10


@dataclass
class Tally:
    """What one dataset lost while ms-swift read it. Row numbers count from 1 in the source."""

    read: int = 0
    problems: list[tuple[int, Sentence, str]] = field(default_factory=list)  #: row, reason, text
    source_rows: list[int] = field(default_factory=list)  #: of each row that came through


def require_rows(name: str, tally: Tally, some: bool) -> None:
    """Raise ``InputError`` if no row of this dataset came through: ms-swift cannot go on either."""
    if not some:
        first = min(tally.problems, key=lambda problem: problem[0], default=None)
        reason = first[1] if first else Sentence("reason.empty")
        raise InputError("data.no_valid_rows", data=name, rows=tally.read, reason=reason)


def is_plain(name: str, columns: Mapping[str, str]) -> bool:
    """Whether ms-swift would read this file with its ordinary preprocessors, columns as they are."""
    from swift.dataset.dataset_meta import DatasetMeta
    from swift.dataset.dataset_syntax import DatasetSyntax
    from swift.dataset.preprocessor.core import AutoPreprocessor

    syntax = DatasetSyntax.parse(name)
    if columns or syntax.dataset_type != "path" or Path(syntax.dataset).suffix != ".jsonl":
        return False
    meta = syntax.get_dataset_meta(False)
    return type(meta) is DatasetMeta and type(meta.preprocess_func) is AutoPreprocessor


def prepared(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any] | None:
    """One row of a file with these columns as ms-swift's preprocessors leave it; None: it is lost.

    Raises whatever they raise: that is the reason.
    """
    from swift.dataset.preprocessor.core import MessagesPreprocessor, RowPreprocessor

    batch = {key: [_copy(row.get(key))] for key in dict.fromkeys((*columns, "messages"))}
    done = MessagesPreprocessor().batched_preprocess(
        batch, strict=True, ignore_max_length_error=True
    )
    if not _height(done):
        return None
    return {key: done[key][0] for key in RowPreprocessor.standard_keys if done.get(key)}


def load(name: str, columns: Mapping[str, str]) -> tuple[Any, Tally]:
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
            rows, _ = load_dataset(
                whole, shuffle=False, load_from_cache_file=False, num_proc=None,
                columns=dict(columns) or None,
            )  # fmt: skip
    except Exception as error:
        if tally.read and not tally.source_rows:
            require_rows(name, tally, False)  # ms-swift divides by the number of rows
        if (known := _load_error(name, Path(syntax.dataset).exists(), error)) is not None:
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


def _load_error(name: str, is_here: bool, error: Exception) -> Exception | None:
    """What the user should hear of a loader's failure; None when it is not about the data."""
    text = str(error)
    chain = " ".join(str(e) for e in (error, error.__cause__, error.__context__) if e)
    if is_here:
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
                tally.problems.append((first + i, reason_of(error), _shown(one)))
                continue
            if not kept:  # given up without an exception: no messages at all
                tally.problems.append((first + i, Sentence("reason.no_messages"), _shown(one)))
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


def split(
    names: Sequence[str], sizes: Sequence[int], ratio: float, shuffle: bool, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows train and which validate, numbered through all datasets.

    It is ms-swift's own loader that says so, handed row numbers in place of
    rows: it draws the same random numbers as it will when the run starts.
    """
    from datasets import Dataset
    from swift.dataset import loader

    starts = itertools.accumulate(sizes, initial=0)
    waiting = iter(
        [Dataset.from_dict({"n": np.arange(s, s + n)}) for s, n in zip(starts, sizes, strict=False)]
    )
    original, tag = loader.DatasetLoader.load, loader._inject_dataset_routing_tag
    loader.DatasetLoader.load = lambda *_, **__: next(waiting)
    # A column of the dataset's name in every row: it draws nothing, and costs 500 bytes a row.
    loader._inject_dataset_routing_tag = lambda rows, _: rows
    try:
        parts = loader.load_dataset(
            list(names), split_dataset_ratio=ratio, shuffle=shuffle, seed=seed
        )
    except AssertionError as error:
        raise InputError("data.too_few_rows", data=", ".join(names), rows=sum(sizes)) from error
    finally:
        loader.DatasetLoader.load, loader._inject_dataset_routing_tag = original, tag
    train, held_out = (np.empty(0, np.int64) if part is None else _column(part) for part in parts)
    return train, held_out


def _column(part: Any) -> NDArray[np.int64]:
    """The numbers in a part, in its order, without an object for each."""
    numbers = np.asarray(part.data.column("n").to_numpy(), np.int64)
    chosen = part._indices
    return numbers if chosen is None else numbers[chosen.column(0).to_numpy()]


def reason_of(error: Exception) -> Sentence:
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
    if "agent_template" in text and isinstance(error, ValueError):
        return Sentence("reason.no_agent_template")
    return Sentence("reason.other", {"text": text or type(error).__name__})


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:200]


def _shown(batch: Mapping[str, Any]) -> str:
    """A lost row for a person to read."""
    return shown({key: values[0] for key, values in batch.items() if values})


def shown(row: Any) -> str:
    """A row as short text for a person to read."""
    return repr(row)[:500]


def messages_of(row: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row's conversation for showing: role and text, long text cut."""
    return [
        {"role": str(m.get("role", "")), "content": str(m.get("content", ""))[:2000]}
        for m in row.get("messages") or []
    ]
