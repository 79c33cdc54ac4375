"""The same verbs from a terminal: ``python -m tuner inspect|plan|clean|train|runs|stop|demo|model``.

With ``--json`` standard output is exactly one JSON object; progress goes to
standard error. The fields are documented in the README.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tuner import presets
from tuner.config import TuningConfig
from tuner.data import cleaning, formats, lengths
from tuner.data.sources import absolute
from tuner.errors import InputError, StorageError, TunerError
from tuner.knobs import KNOBS
from tuner.records import DatasetRef, DatasetReport, ModelInfo, Run, Sentence, to_dict
from tuner.runs import folder, launch
from tuner.settings import Settings
from tuner.texts import LANGS, Lang, as_lang, say
from tuner.workbench import Workbench, estimate_in_words

#: Exit codes: 1 something failed, 2 the input was not usable.
FAILED, UNUSABLE = 1, 2


def main(argv: list[str] | None = None) -> int:
    """Run one verb; its exit code."""
    options = _parser().parse_args(argv)
    try:
        settings = Settings.load(lang=options.lang)
    except InputError as error:
        print(error.say(as_lang(options.lang)), file=sys.stderr)
        return UNUSABLE
    bench = Workbench(settings)
    try:
        result = options.verb(bench, options)
    except TunerError as error:
        print(error.say(settings.lang), file=sys.stderr)
        return UNUSABLE if isinstance(error, InputError) else FAILED
    except KeyboardInterrupt:
        print(say("cli.interrupted", settings.lang), file=sys.stderr)
        return FAILED
    finally:
        bench.close()
    if options.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        for name, value in result.items():
            text = (
                value
                if isinstance(value, str | int | float)
                else json.dumps(value, ensure_ascii=False, indent=1)
            )
            print(f"{name}: {text}")
    return FAILED if result.get("state") in ("failed", "lost") else 0


def inspect(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """Rows and token lengths of a dataset as ms-swift's template makes them."""
    lang = bench.settings.lang
    if options.estimate:
        model, data, _, system = _asked(bench, options)
        limit = options.max_length or model.context_length or 2048
        found = bench.estimate_data(model, data, system, limit)
        if found is not None:
            return {"model": to_dict(model), "exact": False, "interval": to_dict(found)}
    model, report, _ = _inspected(bench, options)
    limit = options.max_length or model.context_length
    measured = lengths.Lengths.load(report.folder)
    kept = measured.kept(limit)
    if options.lengths_out:
        _write(options.lengths_out, lengths.as_text(measured.rows))
    values = {advice.knob: advice.value for advice in bench.recommend(model, report).advice}
    return {
        "model": to_dict(model),
        "format": report.format,
        "rows": {
            "read": report.read, "valid": report.valid, "kept": kept.rows,
            "dropped": report.read - kept.rows,
        },
        "ledger": [to_dict(line) for line in bench.ledger(report, limit, values)],
        "validation_rows": report.eval_rows,
        "lengths": to_dict(report.lengths),
        "max_length": limit,
        "over_max_length": kept.over,
        "trained_tokens": report.trained_tokens,
        "tokens": kept.tokens,
        "untrained_rows": report.untrained,
        "channels": dict(report.channels),
        "exact": report.exact,
        "interval": to_dict(report.estimate) if report.estimate else None,
        "path": report.path,
        "checked": report.checked,
        "seconds": report.seconds,
        "rows_per_second": round(report.read / report.seconds) if report.seconds else None,
        "problems": [
            {
                "row": problem.row, "reason": problem.reason.say(lang), "data": problem.data,
                "stage": problem.stage, "text": problem.text,
            }
            for problem in report.problems
        ],
        "problem_count": report.problem_count,
        "findings": [
            to_dict(finding) | {"what": finding.what.say(lang), "advice": finding.advice.say(lang)}
            for finding in ([] if options.no_findings else bench.findings(report))
        ],
    }  # fmt: skip


def clean(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """Write the rows that are worth training on, and a list of what was removed and why."""
    model, report, _ = _inspected(bench, options)
    bench.findings(report)
    drop = [name.strip() for name in options.drop.split(",") if name.strip()]
    limit = options.max_length or model.context_length
    return bench.clean(report, options.out.resolve(), drop, limit)


def plan(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """Recommended values, each with its reason and source, and the config they make."""
    model, report, data = _inspected(bench, options)
    made = bench.recommend(model, report)
    values = {advice.knob: advice.value for advice in made.advice}
    if options.max_length:
        values["max_length"] = options.max_length
    if options.system is not None:
        values["system"] = options.system
    config = bench.config(model, data, report, values)
    if options.out:
        _write(options.out, config.to_yaml())
    lang: Lang = bench.settings.lang
    return {
        "advice": [
            {"knob": a.knob, "value": a.value, "why": a.why.say(lang), "source": a.source.say(lang)}
            for a in made.advice
        ],
        "steps": made.schedule.steps,
        "schedule": to_dict(made.schedule),
        "warnings": [warning.say(lang) for warning in made.warnings],
        "config": dict(config),
    }


def train(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """Start a run from a YAML in ms-swift's flags; follow it unless --detach."""
    config = TuningConfig.read(options.config)
    # The trainer runs elsewhere: what is named relative to here must still be found.
    places = {
        flag: [absolute(name) for name in value] if isinstance(value, list) else absolute(value)
        for flag, value in config
        if flag in ("model", "dataset", "val_dataset", "adapters", "resume_from_checkpoint")
    }
    run = bench.start(config.replace(**places))
    if not options.detach:
        run = launch.follow(run.folder, _teller(bench.settings.lang))
        if run.error:
            print(run.error.say(bench.settings.lang), file=sys.stderr)
    return {"id": run.id, "state": run.state, "folder": str(run.folder)}


def runs(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """All runs, newest first."""
    return {
        "runs": [
            {
                "id": run.id, "state": run.state, "pid": run.pid if run.active else None,
                "step": run.step, "max_steps": run.max_steps,
                "best_eval_loss": run.best_eval_loss, "folder": str(run.folder),
                "checkpoints": list(run.checkpoints),
            }
            for run in folder.listed(bench.settings.runs)
        ]
    }  # fmt: skip


def stop(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """Stop a run with a checkpoint and wait for its end."""
    run = launch.follow(bench.stop(options.id), _teller(bench.settings.lang))
    newest = run.checkpoints[-1] if run.checkpoints else None
    return {"id": run.id, "state": run.state, "checkpoint": newest}


def demo(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """The embedded model learns a name; base and tuned answers to three questions."""
    tell = _progress(bench.settings.lang)
    names = {"NAME": options.name, "AUTHOR": options.author}
    values = {key: value for key, value in names.items() if value}
    prepared = bench.prepare_demo(values, options.steps, tell)
    run = bench.start_demo(*prepared)
    run = launch.follow(run.folder, _teller(bench.settings.lang))
    if run.state != "finished":
        raise TunerError("run.not_finished", run=run.id, state=run.state)
    answers = bench.demo_answers(run.id)
    return {
        "run": run.id,
        "state": run.state,
        "folder": str(run.folder),
        "prompts": answers["prompts"],
        "answers": {"base": answers["base"], "tuned": answers["tuned"]},
    }


def model(bench: Workbench, options: argparse.Namespace) -> dict[str, Any]:
    """Make the embedded model ready (``make run`` does this)."""
    info = bench.inspect_model(presets.EMBEDDED_MODEL, progress=_progress(bench.settings.lang))
    return to_dict(info) | {"state": "ready"}  # type: ignore[no-any-return]


def _asked(
    bench: Workbench, options: argparse.Namespace
) -> tuple[ModelInfo, DatasetRef, str, str | None]:
    """The model, the data and its format, and the system prompt that the options ask for."""
    lang = bench.settings.lang
    info = bench.inspect_model(options.model, options.model_type, options.template, _progress(lang))
    data, shape = bench.resolve_data(
        options.dataset, options.val_dataset or (), options.split_dataset_ratio or 0.0,
        columns=formats.mapping(options.columns), agent_template=options.agent_template,
    )  # fmt: skip
    # As on the page: what the plan advises, unless a prompt is given; an empty one means none.
    system = info.default_system if options.system is None else options.system or None
    return info, data, shape, system


def _inspected(
    bench: Workbench, options: argparse.Namespace
) -> tuple[ModelInfo, DatasetReport, DatasetRef]:
    lang = bench.settings.lang
    info, data, shape, system = _asked(bench, options)

    def on_rows(said: Mapping[str, Any]) -> None:
        if said.get("estimate"):
            print(estimate_in_words(said["estimate"]).say(lang), file=sys.stderr)
        elif said.get("total"):
            line = say("cli.rows", lang, done=said["done"], total=said["total"])
            print(line, file=sys.stderr)

    limit = options.max_length or info.context_length or 2048
    report = bench.inspect_data(info, data, shape, system, progress=on_rows, max_length=limit)
    return info, report, data


def _progress(lang: Lang) -> Callable[[Sentence, float | None], None]:
    def tell(sentence: Sentence, share: float | None) -> None:
        percent = "" if share is None else f" {share:.0%}"
        print(sentence.say(lang) + percent, file=sys.stderr)

    return tell


def _teller(lang: Lang) -> Callable[[Run], None]:
    last: list[Any] = [None]

    def tell(run: Run) -> None:
        now = (run.state, run.step)
        if now != last[0]:
            last[0] = now
            state = say(f"state.{run.state}", lang)
            print(
                say("cli.step", lang, state=state, step=run.step, all=run.max_steps or "?"),
                file=sys.stderr,
            )

    return tell


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError("disk.cannot_write", folder=str(path), reason=reason) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuner", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, function: Callable[..., dict[str, Any]]) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=function.__doc__)
        sub.set_defaults(verb=function)
        sub.add_argument("--json", action="store_true", help="one JSON object on standard output")
        sub.add_argument("--lang", choices=LANGS, help="language of sentences")
        return sub

    for name, function in (("inspect", inspect), ("plan", plan), ("clean", clean)):
        sub = verb(name, function)
        sub.add_argument(
            "--model", required=True, help="ModelScope id, folder, or " + presets.EMBEDDED_MODEL
        )
        sub.add_argument(
            "--dataset",
            required=True,
            nargs="+",
            help="ms-swift's dataset syntax, file, or embedded/NAME",
        )
        sub.add_argument("--val-dataset", nargs="+", help="the same, for validation")
        sub.add_argument(
            "--split-dataset-ratio", type=float, help="share of rows held out for validation"
        )
        sub.add_argument(
            "--max-length", type=int, help=KNOBS["max_length"].help["en"].replace("%", "%%")
        )
        sub.add_argument("--model-type", help="ms-swift's model_type, when it is ambiguous")
        sub.add_argument("--template", help="ms-swift's template, when it is ambiguous")
        sub.add_argument("--system", help=KNOBS["system"].help["en"])
        sub.add_argument("--columns", help='JSON: a column\'s name to ms-swift\'s, {"q": "query"}')
        sub.add_argument("--agent-template", help="how tools are told to the model")
        if name == "inspect":
            sub.add_argument("--lengths-out", type=Path, help="file that gets one integer a row")
            sub.add_argument(
                "--estimate", action="store_true",
                help="of a large file, only what a random sample says, with its 95 %% interval",
            )  # fmt: skip
            sub.add_argument("--no-findings", action="store_true", help="lengths and ledger only")
        elif name == "plan":
            sub.add_argument("--out", type=Path, help="file that gets the YAML")
        else:
            sub.add_argument("--out", type=Path, required=True, help="JSON Lines file to be made")
            sub.add_argument(
                "--drop",
                default=",".join(cleaning.DEFAULT_DROP),
                help="reasons, with commas between",
            )
    sub = verb("train", train)
    sub.add_argument("config", type=Path, help="YAML in ms-swift's own flags")
    sub.add_argument("--detach", action="store_true", help="return at once; training goes on")
    verb("runs", runs)
    verb("stop", stop).add_argument("id", help="a run's id, from `runs`")
    sub = verb("demo", demo)
    sub.add_argument("--steps", type=int, help="train fewer steps than the demo's plan")
    sub.add_argument("--name", help="the name that the model learns")
    sub.add_argument("--author", help="its maker")
    verb("model", model)
    return parser


if __name__ == "__main__":
    sys.exit(main())
