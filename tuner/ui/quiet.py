"""Gradio's page without what it asks of other hosts.

Before 6.17 Gradio's own ``index.html`` loads a script from another host and
links two font hosts. Many users have no route to them, and no visitor was
asked: the elements are taken out of the template as it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from gradio import routes
from jinja2 import BaseLoader, Environment

_OUTSIDE: Final = re.compile(
    r"""<script[^>]*\bsrc="https?://[^>]*>\s*</script>|<link[^>]*\bhref="https?://[^>]*>""",
    re.DOTALL,
)


def without_strangers(page: str) -> str:
    """The page without scripts and links that lead to another host."""
    return _OUTSIDE.sub("", page)


class _QuietLoader(BaseLoader):
    def __init__(self, inner: BaseLoader) -> None:
        self._inner = inner

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        text, name, fresh = self._inner.get_source(environment, template)
        return without_strangers(text), name, fresh


def quiet() -> None:
    """From now on Gradio's templates are read through :func:`without_strangers`."""
    environment: Any = routes.templates.env
    if environment.loader is not None and not isinstance(environment.loader, _QuietLoader):
        environment.loader = _QuietLoader(environment.loader)
