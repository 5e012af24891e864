"""No data is sent over the network."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import TINY
from tests.integration.kill_and_resume import make_photos

PROGRAM = """
import json, socket, sys

attempts = []
def block(*arguments, **named):
    attempts.append(repr(arguments))
    raise OSError("the network is blocked")
for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, block)
for name in ("create_connection", "getaddrinfo"):
    setattr(socket, name, block)

import headstart as hs
from headstart.tuning import held_out

held_out.CROSS_VALIDATE_UP_TO = 0  # One round of fine-tuning is enough here.
photos, out, cache, backbone = sys.argv[1:]
options = {"weights": "random", "image_size": 64, "epochs": 1, "tune": "stages:1"}
run = hs.train(photos, out=out, cache=cache, backbone=backbone, **options).run
predicted = hs.predict(run, [photos], cache=cache)
reporting = [name for name in sys.modules if name.startswith("openvino_telemetry")]
print(json.dumps([len(predicted), attempts, reporting]))
"""


def test_training_and_predicting_use_no_network(tmp_path: Path) -> None:
    """Training, fine-tuning and predicting open no connections and import no telemetry."""
    photos = make_photos(tmp_path / "photos", 30)
    arguments = (photos, tmp_path / "run", tmp_path / "cache", TINY)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [30, [], []]
