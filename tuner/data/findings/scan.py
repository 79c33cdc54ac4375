"""The search itself: every row is read once, in order, and leaves what the detectors need.

:func:`serve` is the verb of a warm child; it needs neither torch nor ms-swift.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.data.findings.compare import compare
from tuner.data.findings.gather import Gathered, Limits
from tuner.data.findings.kept import keep, read_findings
from tuner.data.findings.reading import Source
from tuner.data.findings.report import report
from tuner.records import DataFinding, to_dict

if TYPE_CHECKING:
    from tuner.workers.child import Call


def find(
    folder: Path,
    progress: Callable[[int, int], None],
    check: Callable[[], None],
    limits: Limits | None = None,
) -> list[DataFinding]:
    """What a person should look at in the rows of the look in ``folder``, the worst first.

    Leaves the flags of each row and the findings there; where both are, they are
    only read. ``progress`` hears how many of all rows were read, ``check`` may
    raise to end the search, which then leaves nothing.

    Raises:
        OSError: there is no look in ``folder``, or it cannot be written to.
        NotFoundError: a file with rows is gone.
        InputError: a file with rows has changed since it was measured.
    """
    if (known := read_findings(folder)) is not None:
        return known
    source = Source.open(folder)
    gathered = Gathered(source, limits or Limits())
    done, total = 0, len(source)
    progress(done, total)
    for batch in source.batches():
        check()
        gathered.see(batch)
        done += len(batch)
        progress(done, total)
    findings = report(gathered, compare(gathered, check))
    check()
    keep(folder, gathered.flags[: len(source.train)], findings)
    return findings


def serve(call: Call, folder: str) -> dict[str, Any]:
    """The findings (:class:`tuner.records.DataFinding`) of the look in ``folder``, the worst first.

    Progress tells ``stage``, ``done`` and ``total`` rows. Raises as :func:`find`.
    """

    def progress(done: int, total: int) -> None:
        call.progress(stage="findings", done=done, total=total)

    return {"findings": to_dict(find(Path(folder), progress, call.check))}
