"""What a drill prints and how it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.drills import __main__ as runner
from tests.system.processes import ROOT, wait_until


def start(folder: Path, body: str, *args: str) -> "subprocess.Popen[str]":
    path = folder / "for_example.py"
    path.write_text(
        '"""Shows something."""\n'
        "import time\n"
        "from tests.drills._drill import Drill, program\n"
        "from tests.system.processes import Impossible\n"
        f"def play(drill):\n    {body}\n"
        "program(play)\n"
    )
    return subprocess.Popen(
        [sys.executable, path, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )


def play(folder: Path, body: str, *args: str) -> tuple[int, dict[str, Any]]:
    process = start(folder, body, *args)
    out, _ = process.communicate(timeout=30)
    return process.returncode, json.loads(out.splitlines()[-1])


def test_figures_within_bounds_are_ok(tmp_path: Path) -> None:
    status, result = play(tmp_path, "drill.figure('a_s', 1.5, at_most=2)", "--seed=7")
    assert status == 0
    assert result["drill"] == "for-example"
    assert (result["ok"], result["seed"], result["a_s"]) == (True, 7, 1.5)


@pytest.mark.parametrize(
    "figure",
    [
        "'x', 3, at_most=2",
        "'x', 1, at_least=2",
        "'x', 1, equals=0",
        "'x', None, at_most=2",
    ],
)
def test_a_broken_bound_fails_the_drill(tmp_path: Path, figure: str) -> None:
    status, result = play(tmp_path, f"drill.figure({figure})")
    assert status == 1
    assert (result["ok"], result["failed"]) == (False, ["x"])


def test_an_error_is_told_and_cleaned_up(tmp_path: Path) -> None:
    mark = tmp_path / "cleaned"
    body = f"drill.finally_(lambda: open('{mark}', 'w').close()); raise ValueError('oh')"
    status, result = play(tmp_path, body)
    assert status == 1
    assert result["error"] == "ValueError: oh"
    assert mark.exists()


def test_what_the_machine_cannot_do_is_skipped_with_the_reason(tmp_path: Path) -> None:
    status, result = play(tmp_path, "raise Impossible('it needs root')")
    assert status == 77
    assert (result["ok"], result["skipped"]) == (False, "it needs root")


def test_sigterm_cleans_up_and_fails(tmp_path: Path) -> None:
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    body = (
        f"drill.finally_(lambda: open('{cleaned}', 'w').close()); "
        f"open('{began}', 'w').close(); time.sleep(60)"
    )
    process = start(tmp_path, body)
    wait_until(began.exists, 20, "the drill began")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert json.loads(out.splitlines()[-1])["error"] == "ended by SIGTERM"
    assert cleaned.exists()


def test_counts_follow_the_scale(tmp_path: Path) -> None:
    body = "drill.figure('n', [drill.scaled(100, least=2), drill.scaled(10, least=2)])"
    assert play(tmp_path, body, "--scale=0.05")[1]["n"] == [5, 2]


def test_the_seed_repeats_a_run(tmp_path: Path) -> None:
    body = "drill.figure('n', drill.random.random())"
    first = play(tmp_path, body)[1]
    assert play(tmp_path, body, f"--seed={first['seed']}")[1]["n"] == first["n"]


def test_every_drill_says_what_it_shows() -> None:
    assert all(entry.purpose.endswith(".") for entry in runner.entries())


def test_a_drill_beyond_its_budget_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "endless.py"
    path.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(runner.Entry, "command", lambda *_: [sys.executable, str(path)])
    status, result = runner.run_one(runner.Entry("endless", "", "", 1), [], 0.2)
    assert status != 0
    assert result["error"] == "over its budget of 0.2 s"


def test_all_drills_are_summed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = {
        "good": (0, {"ok": True}),
        "bad": (1, {"ok": False, "failed": ["x"]}),
        "alien": (77, {"ok": False, "skipped": "it needs root"}),
    }
    for name, (status, result) in results.items():
        program = f"print({json.dumps(result)!r}); raise SystemExit({status})"
        (tmp_path / f"{name}.py").write_text(program)
    entries = [runner.Entry(name, name, "Shows.", 30) for name in results]
    monkeypatch.setattr(runner, "entries", lambda: entries)
    command = lambda entry, _: [sys.executable, str(tmp_path / f"{entry.name}.py")]  # noqa: E731
    monkeypatch.setattr(runner.Entry, "command", command)

    assert runner.run_all([], 0.05) == 1

    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    assert (summary["drills"], summary["ok"], summary["skipped"]) == (3, False, ["alien"])
    assert "FAILED: ['x']" in lines[-3]
    entries.remove(entries[1])
    assert runner.run_all([], 0.05) == 0
