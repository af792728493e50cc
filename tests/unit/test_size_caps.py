from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("size_caps", ROOT / "scripts" / "size_caps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


size_caps = _load()


def _write(root: Path, name: str, lines: int) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x = 1\n" * lines, encoding="utf-8")


def test_files_at_their_caps_pass(tmp_path):
    _write(tmp_path, "src/navicert/engine.py", 500)
    _write(tmp_path, "tests/unit/test_engine.py", 800)

    assert size_caps.main(tmp_path) == 0


@pytest.mark.parametrize(("name", "lines"), [("src/navicert/engine.py", 501), ("tests/unit/test_engine.py", 801)])
def test_one_line_more_is_a_violation_that_names_the_file(tmp_path, capsys, name, lines):
    _write(tmp_path, name, lines)

    assert size_caps.main(tmp_path) == 1
    assert f"{name}: {lines} lines, the cap is {lines - 1}" in capsys.readouterr().err


def test_model_and_core_together_have_a_cap(tmp_path):
    for number in range(6):
        _write(tmp_path, f"src/navicert/model/m{number}.py", 500)
        _write(tmp_path, f"src/navicert/core/deep/c{number}.py", 500)

    assert size_caps.violations(size_caps.measure(tmp_path)) == ["model and core: 6000 lines, the cap is 5000"]


def test_blank_lines_count_in_a_file_and_not_in_the_whole(tmp_path):
    path = tmp_path / "src" / "navicert" / "cli" / "v.py"
    path.parent.mkdir(parents=True)
    path.write_text("x = 1\n\n" * 10, encoding="utf-8")
    sizes = size_caps.measure(tmp_path)

    assert (sum(sizes.source.values()), sum(sizes.written.values())) == (20, 10)


def test_what_everything_rests_on_has_a_cap(tmp_path):
    for number in range(43):
        _write(tmp_path, f"src/navicert/{('engine', 'syntax', 'tlog', 'intent')[number % 4]}/v{number}.py", 500)

    found = size_caps.violations(size_caps.measure(tmp_path))
    assert found == ["what everything rests on: 21500 lines, the cap is 21000"]


def test_every_other_package_has_a_cap(tmp_path):
    for number in range(20):
        _write(tmp_path, f"src/navicert/conformance/v{number}.py", 500)
    for number in range(15):
        _write(tmp_path, f"src/navicert/cli/v{number}.py", 500)
    for number in range(14):
        _write(tmp_path, f"src/navicert/sdk/v{number}.py", 500)

    assert size_caps.violations(size_caps.measure(tmp_path)) == [
        "`cli`: 7500 lines, the cap is 7400",
        "`conformance`: 10000 lines, the cap is 9500",
        "`sdk`: 7000 lines, the cap is 6500",
    ]


def test_the_whole_source_has_a_cap(tmp_path):
    for number in range(105):
        _write(tmp_path, f"src/navicert/part{number}/v.py", 500)
    _write(tmp_path, "src/navicert/conformance/v.py", 500)  # nothing rests on it, and it has a cap of its own

    assert size_caps.violations(size_caps.measure(tmp_path)) == ["the whole source: 52500 lines, the cap is 52000"]


def test_a_median_above_the_aim_is_noted_and_does_not_fail(tmp_path, capsys):
    _write(tmp_path, "src/navicert/engine.py", 151)
    _write(tmp_path, "src/navicert/__init__.py", 0)

    assert size_caps.main(tmp_path) == 0
    assert "median 151 (note: above 150)" in capsys.readouterr().out


def test_a_root_without_code_passes(tmp_path):
    assert size_caps.main(tmp_path) == 0
