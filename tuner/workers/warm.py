"""The verb ``warm``: import what the next request will need, so that it answers at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.workers.child import Call


def warm(call: Call) -> dict[str, Any]:
    """Import ms-swift's template, dataset and model code. Takes some seconds, once."""
    import swift.dataset
    import swift.model
    import swift.template  # noqa: F401

    return {}
