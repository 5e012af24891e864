"""Run the script for Slurm on this machine, with stand-ins for Slurm's commands.

    python -m benchmarks.slurm

Two "nodes" are two addresses of this machine. `srun` runs what follows its options here, and
`scontrol` lists the nodes; `ray` and `headstart` are real. The script is also read by
`bash -n`, and by shellcheck if it is installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fashion import write_fashion
from benchmarks.machine import describe

SCRIPT = Path(__file__).parents[1] / "examples" / "cluster" / "slurm.sh"
_WITHIN = 300.0
_SRUN = """#!/bin/bash
for node in "$@"; do case $node in --nodelist=*) node=${node#--nodelist=}; break;; esac; done
while [[ $1 == --* ]]; do shift; done
case "$*" in
    hostname*) echo 127.0.0.1; exit;;
    "ray start"*--head*) set -- "$@" --temp-dir="$PWD/ray" --include-dashboard=true;;
    "ray start"*) set -- "$@" --node-ip-address="127.0.0.${node#node-}";;
esac
exec "$@"
"""
_SCONTROL = "#!/bin/bash\nprintf 'node-1\\nnode-2\\n'\n"


def main() -> None:
    """Print whether the script brings up a cluster of two nodes, trains there, and ends."""
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", SCRIPT], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fashion(folder / "photos", train=200, test=60)
        _write(folder / "bin" / "srun", _SRUN)
        _write(folder / "bin" / "scontrol", _SCONTROL)
        paths = f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        _write(folder / ".venv" / "bin" / "activate", f'export PATH="{paths}"\n')
        job = {"SLURM_JOB_NODELIST": "node-[1-2]", "SLURM_CPUS_PER_TASK": "1"}
        begin = time.perf_counter()
        # A session of its own, all of which ends with the job, as Slurm does it.
        process = subprocess.Popen(
            ["bash", SCRIPT, "train", "photos/fashion.csv", "--out", "run"],
            cwd=folder,
            env=os.environ | job,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=_WITHIN)
        except subprocess.TimeoutExpired:
            said = "it did not end"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
        nodes = [line for line in said.splitlines() if "Cluster:" in line]
        print(f"- {SCRIPT.name}: exit {process.returncode}, {time.perf_counter() - begin:.0f} s")
        print(f"- {nodes[-1] if nodes else said[-2000:]}")
        print(f"- a run was written: {(folder / 'run' / 'report.html').exists()}")


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)


if __name__ == "__main__":
    print(describe())
    main()
