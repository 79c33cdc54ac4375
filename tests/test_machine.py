"""What the machine has is read, and what cannot be read is left out."""

from __future__ import annotations

from pathlib import Path

from tuner.machine import look, parse_gpus


def test_gpus_are_read_from_nvidia_smi() -> None:
    table = "NVIDIA A100-SXM4-80GB, 81920, 80000, 8.0\nTesla V100-PCIE-16GB, 16160, 16000, 7.0\n"
    first, second = parse_gpus(table)
    assert (first.name, first.memory_total, first.compute_capability) == (
        "NVIDIA A100-SXM4-80GB",
        81920 << 20,
        8.0,
    )
    assert second.memory_free == 16000 << 20


def test_a_line_that_does_not_say_is_left_out() -> None:
    table = (
        "\n"
        "No devices were found\n"
        "NVIDIA Orin, [N/A], [N/A], 8.7\n"
        "one, two\n"
        "NVIDIA T4, 15360, 15000, 7.5, extra\n"
        "NVIDIA L4, 23034, 22000, 8.9\n"
    )
    assert [gpu.name for gpu in parse_gpus(table)] == ["NVIDIA L4"]
    assert parse_gpus("") == ()


def test_a_look_tells_of_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    machine = look(tmp_path / "not" / "yet")
    assert machine.cpu_count >= 1
    assert 0 < machine.memory_available <= machine.memory_total
    assert machine.disk_free > 0
