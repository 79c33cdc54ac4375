"""The process that trains: ms-swift's own ``sft_main``, with word of its phases.

``swift sft config.yaml`` starts the same function in a child of its own; here
it runs in a process whose parent is the run's supervisor. What is trained is
the same. Added are: a line in ``phases.jsonl`` whenever the phase changes, and
a SIGTERM that saves a checkpoint and leaves (ms-swift's ``graceful_exit`` does
so too, but it also obeys any file named ``/tmp/stop``).

Started as ``python -m tuner.runs.trainer CONFIG.yaml PHASES.jsonl``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


class Phases:
    """Where the trainer is, one JSON object a line, appended by rank 0 only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.now = ""
        self.stop_requested = False

    def enter(self, phase: str, **facts: Any) -> None:
        """Write that ``phase`` begins. A phase that already is adds nothing."""
        if phase == self.now or int(os.environ.get("RANK", "0")) != 0:
            return
        self.now = phase
        line = json.dumps({"phase": phase, "time": time.time(), **facts}) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as sink:
                sink.write(line)
        except OSError as error:
            # Training is worth more than the word about it.
            print(f"phases: {error}", file=sys.stderr)

    def on_sigterm(self, *_: Any) -> None:
        """Stop after this step with a checkpoint; at once while there is nothing to save."""
        self.stop_requested = True
        if self.now in ("", "downloading", "preparing"):
            os._exit(128 + signal.SIGTERM)


def callback_class(phases: Phases) -> type[Any]:
    """A ms-swift trainer callback that reports phases and obeys a stop."""
    from swift.callbacks import TrainerCallback

    class Reporter(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            phases.enter("training", step=state.global_step, max_steps=state.max_steps)

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            phases.enter("training", step=state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if phases.stop_requested:
                control.should_save = True
                control.should_training_stop = True
                control.should_evaluate = False
            if control.should_save and not control.should_evaluate:
                phases.enter("saving", step=state.global_step)

        def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            phases.enter("evaluating", step=state.global_step)

        def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            phases.enter("saving" if control.should_save else "training", step=state.global_step)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            phases.enter("saved", step=state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            phases.enter(
                "ended", step=state.global_step, max_steps=state.max_steps,
                stopped=phases.stop_requested,
            )  # fmt: skip

    return Reporter


def main(config: str, phases_path: str) -> None:
    """Train by the config, as ``swift sft`` does."""
    phases = Phases(Path(phases_path))
    signal.signal(signal.SIGTERM, phases.on_sigterm)
    phases.enter("preparing")
    argv = [config]

    from swift.cli.main import parse_yaml_args

    parse_yaml_args(argv)

    import swift.callbacks.mapping
    from swift.pipelines import sft_main
    from swift.utils import safe_snapshot_download

    model = argv[argv.index("--model") + 1] if "--model" in argv else ""
    if model and not os.path.isdir(model):
        phases.enter("downloading")
        safe_snapshot_download(model)
        phases.enter("preparing")
    swift.callbacks.mapping.callbacks_map["tuner"] = callback_class(phases)
    if "--callbacks" in argv:
        argv.insert(argv.index("--callbacks") + 1, "tuner")
    else:
        argv += ["--callbacks", "tuner"]
    sft_main(argv)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
