"""The verb ``findings``: search the rows of a look for what a person should look at."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.records import to_dict

if TYPE_CHECKING:
    from tuner.workers.child import Call


def findings(call: Call, folder: str) -> dict[str, Any]:
    """The findings (:class:`tuner.records.DataFinding`) of the look in ``folder``, the worst first.

    Progress tells ``stage``, ``done`` and ``total`` rows. Needs neither torch nor ms-swift.

    Raises:
        NotFoundError: a file with rows is gone.
        InputError: a file with rows has changed since it was measured.
    """

    def progress(done: int, total: int) -> None:
        call.progress(stage="findings", done=done, total=total)

    # The search stands a floor above the workers; it is named, as the child names its verbs.
    search = import_module("tuner.data.findings.scan")
    return {"findings": to_dict(search.find(Path(folder), progress, call.check))}
