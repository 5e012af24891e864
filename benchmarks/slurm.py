"""Run the script for Slurm on this machine, with stand-ins for Slurm's commands.

    python -m benchmarks.slurm

The allocation has one node, which is this machine: `srun` runs what follows its options here, and
`scontrol` names it; `ray` and `headstart` are real. The script stops all of Ray on this machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fashion import write_fashion
from benchmarks.machine import describe

SCRIPT = Path(__file__).parents[1] / "examples" / "cluster" / "slurm.sh"
_SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
if [[ $1 == hostname ]]; then echo 127.0.0.1; else exec "$@"; fi
"""
_SCONTROL = "#!/bin/bash\necho node-1\n"


def main() -> None:
    """Print whether the script brings up a cluster, trains there, and ends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fashion(folder / "photos", train=200, test=60)
        _write(folder / "bin" / "srun", _SRUN)
        _write(folder / "bin" / "scontrol", _SCONTROL)
        paths = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        _write(folder / ".venv" / "bin" / "activate", f'export PATH="{paths}"\n')
        job = {
            "SLURM_JOB_NODELIST": "node-1",
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_CPUS_PER_TASK": "2",
        }
        begin = time.perf_counter()
        done = subprocess.run(
            ["bash", SCRIPT, "train", "photos/fashion.csv", "--out", "run"],
            cwd=folder,
            env=os.environ | job,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        seconds = time.perf_counter() - begin
        print(done.stdout + done.stderr)
        print(f"- {SCRIPT.name}: exit {done.returncode}, {seconds:.0f} s")
        print(f"- a run was written: {(folder / 'run' / 'report.html').exists()}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


if __name__ == "__main__":
    print(f"machine: {describe()}\n")
    main()
