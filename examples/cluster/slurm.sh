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
export RAY_AUTH_MODE=token # Other users of the nodes cannot use the cluster.
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")
export RAY_AUTH_TOKEN
port=6379

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_address=$(srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --ip-address | cut -d ' ' -f 1)

start() { # Runs Ray on a node until the job ends.
    srun --nodes=1 --ntasks=1 --nodelist="$1" \
        ray start --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats --block "${@:2}" &
}

start "${nodes[0]}" --head --node-ip-address="$head_address" --port="$port"
until ray health-check --address "$head_address:$port" 2>/dev/null; do sleep 2; done
for node in "${nodes[@]:1}"; do start "$node" --address="$head_address:$port"; done
until [ "$(ray list nodes --address "$head_address:$port" 2>/dev/null | grep -c ALIVE)" -ge "${#nodes[@]}" ]; do sleep 2; done

headstart "$@" --cluster "$head_address:$port"
