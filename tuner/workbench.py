"""The stages composed, one method a cell of the notebook.

The page and the terminal both stand on this. It holds what lives as long as
the app: settings, warm children, the follower. It decides nothing that a stage
can decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tuner import chat, machine, presets
from tuner.config import TuningConfig
from tuner.data import inspection, ledger, sources
from tuner.data.lengths import Lengths
from tuner.errors import NotFoundError
from tuner.files import write_json
from tuner.hub import embedded, models
from tuner.plan import recommend
from tuner.records import (
    Advice,
    DataFinding,
    DatasetRef,
    DatasetReport,
    Estimate,
    LedgerLine,
    Machine,
    ModelInfo,
    Plan,
    Run,
    Sentence,
    from_dict,
    to_dict,
)
from tuner.runs import folder, launch
from tuner.settings import Settings
from tuner.workers.pool import Pool

#: What the identity set is filled with when nobody says otherwise.
DEFAULT_NAMES: Final = {"NAME": "Tuna", "AUTHOR": "Ocean Lab"}
DEMO_DATASET: Final = "embedded/identity"


class Workbench:
    """Everything that a page or a command does, without saying how it looks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = Pool(settings.logs)

    def close(self) -> None:
        """End the warm children. Runs go on."""
        self.pool.close()

    def machine(self) -> Machine:
        """This machine now."""
        return machine.look(self.settings.home)

    def inspect_model(
        self, ref: str, model_type: str | None = None, template: str | None = None,
        progress: embedded.Progress = lambda *_: None,
    ) -> ModelInfo:  # fmt: skip
        """Cell 1. Raises as :func:`tuner.hub.models.inspect`."""
        return models.inspect(self.settings, self.pool, ref, model_type, template, progress)

    def resolve_data(
        self, train: Sequence[str], validation: Sequence[str] = (), split_ratio: float = 0.0,
        values: Mapping[str, str] | None = None, columns: Mapping[str, str] | None = None,
        agent_template: str | None = None,
    ) -> tuple[DatasetRef, str]:  # fmt: skip
        """Cell 2, the quick half. Raises as :func:`tuner.data.sources.resolve`."""
        return sources.resolve(
            self.settings, train, validation, split_ratio, DEFAULT_NAMES | dict(values or {}),
            columns, agent_template,
        )  # fmt: skip

    def inspect_data(
        self, model: ModelInfo, data: DatasetRef, shape: str = "", system: str | None = None,
        seed: int = 42, progress: inspection.Tell = lambda _: None, max_length: int = 2048,
    ) -> DatasetReport:  # fmt: skip
        """Cells 2 and 3. Raises as :func:`tuner.data.inspection.inspect`."""
        return inspection.inspect(
            self.settings, self.pool, model, data, shape, system, seed, progress, max_length
        )

    def estimate_data(
        self, model: ModelInfo, data: DatasetRef, system: str | None = None, max_length: int = 2048
    ) -> Estimate | None:
        """What a random sample says of a large file. Raises as :func:`tuner.data.inspection.estimated`."""
        return inspection.estimated(self.settings, self.pool, model, data, system, max_length)

    def ledger(
        self, report: DatasetReport, max_length: int | None, values: Mapping[str, Any]
    ) -> tuple[LedgerLine, ...]:
        """As :func:`ledger_of`. Raises ``OSError`` when the report's columns are gone."""
        return ledger_of(report, Lengths.load(report.folder), max_length, values)

    def findings(
        self, report: DatasetReport, progress: inspection.Tell = lambda _: None
    ) -> list[DataFinding]:
        """What a person should look at in the rows. Raises ``WorkerError`` and as the pool does."""
        found = self.pool.call("text", "findings", progress, folder=report.folder)
        return [from_dict(DataFinding, finding) for finding in found["findings"]]

    def clean(
        self, report: DatasetReport, out: Path, drop: Sequence[str], max_length: int | None = None,
        progress: inspection.Tell = lambda _: None,
    ) -> dict[str, Any]:  # fmt: skip
        """A cleaned dataset and the list of what was removed. Raises as :mod:`tuner.data.cleaning`."""
        return self.pool.call(
            "text", "clean", progress, folder=report.folder, out=str(out), drop=list(drop),
            max_length=max_length,
        )  # fmt: skip

    def recommend(self, model: ModelInfo, report: DatasetReport) -> Plan:
        """Cell 4."""
        return recommend.recommend(model, report, self.machine(), Lengths.load(report.folder).kept)

    def config(
        self, model: ModelInfo, data: DatasetRef, report: DatasetReport, values: Mapping[str, Any]
    ) -> TuningConfig:
        """The plan's values as ms-swift's flags. Raises ``InputError`` on a bad value."""
        weights = models.weights(self.settings, model)
        return recommend.config(model, weights, data, self.machine(), values, report.eval_rows)

    def demo_values(self) -> dict[str, Any]:
        """The demo's own plan, from ``presets/plans/demo.yaml``."""
        return dict(presets.starting_plan("demo"))

    def start(
        self, config: TuningConfig, documents: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Run:  # fmt: skip
        """Cell 5. Idle children give way first. Raises as :func:`tuner.runs.launch.start`."""
        self.pool.release()
        return launch.start(self.settings.runs, config, documents, facts)

    def stop(self, ident: str, now: bool = False) -> Path:
        """Ask a run to stop; its folder. Raises ``NotFoundError``."""
        place = folder.find(self.settings.runs, ident)
        launch.request_stop(place, now)
        return place

    def run_config(self, ident: str) -> TuningConfig:
        """The config that a run was started with."""
        return TuningConfig.read(folder.find(self.settings.runs, ident) / "config.yaml")

    def latest_checkpoint(self, ident: str) -> str:
        """The run's newest complete checkpoint. Raises ``NotFoundError`` when it has none."""
        found = folder.checkpoints(folder.find(self.settings.runs, ident))
        if not found:
            raise NotFoundError("run.no_checkpoint", run=ident)
        return found[-1]

    def demo_answers(self, ident: str) -> dict[str, Any]:
        """The demo's probes answered by base and tuned model, kept in the run's folder."""
        place = folder.find(self.settings.runs, ident)
        if (kept := folder.document(place, "answers")) is not None:
            return kept
        prompts = list(folder.status(place).get("probes") or ())
        answers = chat.ask_all(
            self.pool, self.run_config(ident), self.latest_checkpoint(ident), prompts
        )
        kept = {
            "prompts": prompts,
            "base": [answer.base for answer in answers],
            "tuned": [answer.tuned for answer in answers],
        }
        write_json(place / "answers.json", kept)
        return kept

    def prepare_demo(
        self,
        values: Mapping[str, str] | None = None,
        steps: int | None = None,
        progress: embedded.Progress = lambda *_: None,
    ) -> tuple[ModelInfo, DatasetRef, DatasetReport, Plan, TuningConfig]:
        """Cells 1 to 4 on the embedded model and the identity set."""
        model = self.inspect_model(presets.EMBEDDED_MODEL, progress=progress)
        data, shape = self.resolve_data([DEMO_DATASET], values=values)
        chosen = self.demo_values()
        report = self.inspect_data(model, data, shape, system=chosen.get("system"))
        plan = _as_chosen(self.recommend(model, report), chosen)
        config = self.config(model, data, report, chosen)
        if steps is not None:
            config = config.replace(max_steps=steps)
        return model, data, report, plan, config

    def start_demo(
        self, model: ModelInfo, data: DatasetRef, report: DatasetReport, plan: Plan, config: TuningConfig
    ) -> Run:  # fmt: skip
        """Start the demo's run; whoever sees it finish asks for :meth:`demo_answers`."""
        probes = list(presets.embedded()["identity"].probes)
        return self.start(
            config, documents_of(model, data, report, plan), {"demo": True, "probes": probes}
        )


def ledger_of(
    report: DatasetReport, lengths: Lengths, max_length: int | None, values: Mapping[str, Any]
) -> tuple[LedgerLine, ...]:
    """What each stage leaves of the rows, down to optimizer steps with these knob values."""
    steps = tuple(
        LedgerLine(
            "steps",
            recommend.steps_of(values, lengths.kept(max_length, strategy)).steps,
            strategy=strategy,
        )
        for strategy in ledger.STRATEGIES
    )
    return (*report.ledger, *ledger.after_split(report.ledger, lengths, max_length), *steps)


def estimate_in_words(values: Mapping[str, Any]) -> Sentence:
    """What a sample says of a large file, with its intervals."""
    found = from_dict(Estimate, values)
    return Sentence(
        "data.estimate",
        {
            "rows": round(found.rows.value), "mean": round(found.mean.value, 1),
            "low": round(found.mean.low, 1), "high": round(found.mean.high, 1),
            "tokens": round(found.tokens.value / 1e6, 2), "max_length": found.max_length,
            "least": f"{found.over.low:.2%}", "most": f"{found.over.high:.2%}",
            "sampled": found.sampled,
        },
    )  # fmt: skip


def _as_chosen(plan: Plan, chosen: Mapping[str, Any]) -> Plan:
    """The plan with a starting plan's values, each saying where it comes from."""
    why, source = Sentence("why.demo"), Sentence("source.demo")
    advice = tuple(
        advice
        if chosen.get(advice.knob) in (advice.value, None)
        else Advice(advice.knob, chosen[advice.knob], why, source)
        for advice in plan.advice
        if advice.knob != "system" or "system" in chosen
    )
    return dataclasses.replace(plan, advice=advice)


def documents_of(
    model: ModelInfo, data: DatasetRef, report: DatasetReport, plan: Plan
) -> dict[str, Any]:
    """What a run's folder keeps of the cells before it."""
    return {
        "model": to_dict(model), "data": to_dict(data),
        "report": to_dict(report), "plan": to_dict(plan),
    }  # fmt: skip


def restore(place: Path) -> tuple[ModelInfo, DatasetRef, DatasetReport, Plan] | None:
    """The records behind a run; None for a run that was started without them."""
    found = {name: folder.document(place, name) for name in ("model", "data", "report", "plan")}
    if any(value is None for value in found.values()):
        return None
    try:
        return (
            from_dict(ModelInfo, found["model"] or {}),
            from_dict(DatasetRef, found["data"] or {}),
            from_dict(DatasetReport, found["report"] or {}),
            from_dict(Plan, found["plan"] or {}),
        )
    except (TypeError, KeyError):
        return None
