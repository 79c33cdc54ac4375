"""``python -m bench [NAME ...]``: run measurements, print them, keep them in ``bench/results``."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Final

NAMES: Final = ("startup", "overhead", "interval", "duplicates", "lengths")
RESULTS: Final = Path(__file__).parent / "results"


def main(names: list[str]) -> int:
    """Run the named measurements (all when none is named); 1 when a bound is not kept."""
    kept = True
    for name in names or NAMES:
        result = importlib.import_module(f"bench.{name}").measure()
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\n{name}")
        for line in result["lines"]:
            print("  " + line)
        kept = kept and all(result["kept"].values())
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
