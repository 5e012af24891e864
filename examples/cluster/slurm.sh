#!/bin/bash
# Run a headstart command on the nodes of a Slurm allocation:
#     sbatch slurm.sh train photos/ --out runs/photos
#SBATCH --job-name=headstart
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --exclusive
set -euo pipefail

source .venv/bin/activate # An environment on the shared file system.
export HEADSTART_CACHE="$PWD/cache"
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 # Seconds in which all nodes must have started.
export RAY_AUTH_MODE=token # Other users of the nodes cannot use the cluster.
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")
export RAY_AUTH_TOKEN

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | cut -d ' ' -f 1):6379

# Starts Ray on all nodes, runs the command on the first one, and stops Ray.
srun ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --disable-usage-stats -- \
    headstart "$@" --cluster "$address"
