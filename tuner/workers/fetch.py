"""The verb ``fetch_small_files``: a ModelScope model's JSON and tokenizer, without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tuner.errors import NotFoundError

if TYPE_CHECKING:
    from tuner.workers.child import Call

#: No Python files: nothing of the repository can run.
PATTERNS: Final = ("*.json", "*.txt", "*.model", "*.jinja", "README.md")


def fetch_small_files(call: Call, ref: str) -> dict[str, Any]:
    """Download what describes the model ``ref`` and return its folder.

    Raises:
        NotFoundError: the hub does not have it, or cannot be reached.
    """
    import requests
    from modelscope import snapshot_download
    from modelscope_hub import HubApi

    call.progress(stage="fetch")
    try:
        names = [str(f.get("Path", f) if isinstance(f, dict) else getattr(f, "path", f))
                 for f in HubApi().list_repo_files(ref, "model")]  # fmt: skip
        folder = snapshot_download(ref, allow_patterns=list(PATTERNS))
    except requests.exceptions.RequestException as error:
        response = getattr(error, "response", None)
        if response is not None and response.status_code in (400, 404):
            raise NotFoundError("model.unknown_id", model=ref) from error
        raise NotFoundError("model.hub_unreachable", model=ref) from error
    except Exception as error:
        # The client has its own errors for a repository that is not there.
        text = f"{type(error).__name__} {error}"
        if "404" in text or "NotExist" in text or "NotFound" in text:
            raise NotFoundError("model.unknown_id", model=ref) from error
        raise NotFoundError("model.hub_unreachable", model=ref) from error
    # Recognised by name before anything is loaded; the Python itself stays away.
    if any(name.endswith(".py") for name in names):
        (Path(folder) / ".has_code").touch()
    return {"path": folder}
