"""The environment, and how to repeat a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from attnbench.report.sections.environment import environment
from tests.report.fake_run import HOST, attention, write_fake_run

if TYPE_CHECKING:
    from pathlib import Path

    from attnbench.report.context import PageContext


class TestTheEnvironment:
    def test_and_the_command_are_there(self, context: PageContext) -> None:
        facts = {fact.name: fact.value for fact in context.environment}

        assert context.command == "attnbench run --suite scaling --budget 60s --seed 7"
        assert facts["Processor"] == "AMD EPYC 7B13, 16 cores"
        assert facts["Caches"] == "L1d 32 KiB, L2 512 KiB, L3 32 MiB"
        assert facts["Memory"] == "64 GiB"
        assert facts["Load at the start"] == "0.31, 0.4, 0.38"
        assert facts["Reading the clock"] == "46.0 ns"
        assert (facts["Threads"], facts["PyTorch"], facts["Seed"]) == ("1 thread", "2.15.0", "7")
        assert "Plugins" not in facts
        assert not {"Turbo", "Frequency governor", "Accelerators", "Container’s limits"} & set(facts)

    def test_says_what_the_machine_told_of_its_cores_and_limits(self, tmp_path: Path) -> None:
        host = replace(
            HOST,
            logical_cores=16,
            physical_cores=8,
            frequency_mhz=2450.4,
            governor="powersave",
            turbo=False,
            steal=0.0123,
            cpu_limit=1.5,
            memory_limit_bytes=2 * 1024**3,
            thread_settings={"torch": "8", "OMP_NUM_THREADS": "2"},
            accelerators=("NVIDIA T4, 15 GiB, driver 550.54.15",),
        )
        run = write_fake_run(tmp_path / "run", (attention(),), host=host)

        facts = {fact.name: fact.value for fact in environment(run)}

        assert facts["Cores of the machine"] == "16 logical, 8 physical"
        assert facts["Frequency at the start"] == "2450 MHz"
        assert (facts["Frequency governor"], facts["Turbo"]) == ("powersave", "off")
        assert facts["Stolen by other machines"] == "1.2 % of the time since boot"
        assert facts["Container’s limits"] == "1.50 cores, 2 GiB"
        assert facts["Thread settings"] == "torch 8, OMP_NUM_THREADS 2"
        assert facts["Accelerators"] == "NVIDIA T4, 15 GiB, driver 550.54.15"
