"""The terminal answers with one JSON object, or with one sentence and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, chat, small_config, write_jsonl
from tuner.runs import folder
from tuner.settings import Settings


def tuner(home: Settings, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tuner", *argv], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"TUNER_HOME": str(home.home), "LANG": "C.UTF-8"} | env,
    )  # fmt: skip
    assert "Traceback" not in done.stderr + done.stdout
    return done


def test_runs_are_listed_as_one_json_object_newest_first(home: Settings) -> None:
    assert json.loads(tuner(home, "runs", "--json").stdout) == {"runs": []}
    made = folder.create(home.runs, small_config())
    status = folder.status(made) | {"state": "finished", "created": 1.0}
    (made / "status.json").write_text(json.dumps(status))
    newer = folder.create(home.runs, small_config())
    done = tuner(home, "runs", "--json")
    assert done.returncode == 0
    listed = json.loads(done.stdout)["runs"]
    assert [run["id"] for run in listed] == [newer.name, made.name]
    assert set(listed[1]) == {
        "id", "state", "pid", "step", "max_steps", "best_eval_loss", "folder", "checkpoints",
    }  # fmt: skip
    assert (listed[1]["state"], listed[1]["folder"]) == ("finished", str(made))


@pytest.mark.parametrize(
    ("argv", "code", "english", "chinese"),
    [
        (["stop", "no-such-run"], 1, "no run no-such-run", "没有名为 no-such-run"),
        (
            ["train", "no-such.yaml"],
            1,
            "no-such.yaml: there is no such file",
            "no-such.yaml：文件不存在",
        ),
        (["inspect", "--model", "/no/model", "--dataset", "a/b"], 1, "/no/model", "/no/model"),
    ],
)
def test_a_mistake_is_one_sentence_in_the_language_of_the_reader(
    home: Settings, argv: list[str], code: int, english: str, chinese: str
) -> None:
    for lang, words in (("en", english), ("zh", chinese)):
        done = tuner(home, *argv, "--lang", lang)
        assert done.returncode == code
        assert done.stdout == ""
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_config_with_a_refused_flag_starts_nothing(home: Settings, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("model: a/b\ndataset: c/d\nexternal_plugins: x.py\n")
    done = tuner(home, "train", str(path))
    assert done.returncode == 2
    assert "external_plugins" in done.stderr
    assert folder.listed(home.runs) == []


def test_nonsense_in_the_environment_is_named(home: Settings) -> None:
    done = tuner(home, "runs", PORT="http")
    assert done.returncode == 2
    assert "PORT" in done.stderr


def test_a_home_that_cannot_be_written_is_named(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "config.yaml"
    path.write_text("model: a/b\ndataset: c/d\n")
    done = tuner(Settings(home=tmp_path / "file"), "train", str(path))
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr


@pytest.mark.slow
def test_a_look_tells_its_ledger_and_a_cleaned_copy_leaves_the_file_as_it_was(
    home: Settings, tiny_model: Path, tmp_path: Path
) -> None:
    rows = [chat(f"How far is planet {i}?", f"{i} light minutes, more or less.") for i in range(40)]
    rows += [
        rows[7],
        {"messages": [{"role": "user", "content": "q"}, {"role": "robot", "content": "a"}]},
    ]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    before = file.read_bytes()
    given = ["--model", str(tiny_model), "--dataset", str(file)]
    done = tuner(home, "inspect", *given, "--max-length", "60", "--json")
    found = json.loads(done.stdout)
    ledger = {(line["stage"], line["strategy"]): line for line in found["ledger"]}
    assert (ledger["read", None]["rows"], ledger["valid", None]["lost"]) == (42, 1)
    assert ledger["fits", "delete"]["rows"] == found["rows"]["kept"]
    assert ledger["steps", "right"]["rows"] >= ledger["steps", "delete"]["rows"] > 0
    assert (found["problems"][0]["row"], found["problem_count"]) == (42, 1)
    assert 0 < found["trained_tokens"] < found["tokens"]
    assert "exact_duplicates" in {finding["name"] for finding in found["findings"]}
    assert (found["path"], found["exact"], found["interval"]) == ("tokenizers", True, None)
    assert found["checked"] > 0
    made = json.loads(
        tuner(home, "clean", *given, "--out", str(tmp_path / "clean.jsonl"), "--json").stdout
    )
    assert (made["kept"], made["removed"]) == (40, 2)
    assert (tmp_path / "clean.jsonl").read_text().count("\n") == 40
    assert file.read_bytes() == before
    again = tuner(home, "clean", *given, "--out", str(file))
    assert again.returncode == 2
    assert file.read_bytes() == before
