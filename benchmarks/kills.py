"""Kill a training at random moments; the next one must end as an undisturbed one does.

    python -m benchmarks.kills [extract|tune|boxes] [KILLS]

extract: killed while features are extracted; the next run must tell the same probabilities.
tune: killed while the last stage is fine-tuned, checkpoints every 5 steps; the resumed run must
    end with the same weights, to the bit.
boxes: a detector is killed again and again while it is trained and resumed each time; it must end
    with the same weights, to the bit.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import headstart as hs
from benchmarks.fashion import write_fashion
from benchmarks.machine import describe
from benchmarks.scenes import write_scenes
from headstart.backbones.backbone import load_backbone
from headstart.commands.demo import write_solar_cells
from headstart.engines.precision import has_bf16
from headstart.predictor.bundle import read_bundle
from headstart.record import Record
from headstart.tuning import workbench
from headstart.tuning.pacing.timing import Setting
from headstart.tuning.training import checkpoint

HEADSTART = str(Path(sys.executable).with_name("headstart"))


def command(table: Path, cache: Path, out: Path) -> list[str]:
    """Give the training's command line."""
    options = ["--json", "--cache", str(cache), "--out", str(out), "--head", "linear"]
    return [HEADSTART, "train", str(table), *options]


def train(table: Path, cache: Path, out: Path) -> float:
    """Run a training to its end; give its seconds."""
    start = time.perf_counter()
    subprocess.run(command(table, cache, out), check=True, capture_output=True)
    return time.perf_counter() - start


def killed(table: Path, cache: Path, out: Path, after: float) -> bool:
    """Start a training and kill it; tell whether it was still running."""
    process = subprocess.Popen(
        command(table, cache, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def predictions(run: Path, images: Path) -> str:
    """Give every probability that a run's model tells for a folder."""
    done = subprocess.run(
        [HEADSTART, "predict", str(run), str(images), "--json"], check=True, capture_output=True
    )
    return json.dumps(json.loads(done.stdout))


def tune_once(table: str, cache: str, checkpoints: str, resume: str) -> None:
    """Fine-tune in this process and print what the weights are; run in a process of its own."""
    checkpoint.SAVE_EVERY = 5
    # What timing finds fastest may differ between runs.
    way = Setting(bf16=has_bf16("cpu"), threads=2)
    workbench.candidate_settings = lambda **options: [way]
    data = hs.open_images(table, cache=cache)
    model = hs.Classifier(load_backbone(), hs.LinearHead(), classes=data.classes, cache=cache)
    model.fit(data.train)
    print("ready", flush=True)
    options = {"epochs": 3, "views": 2, "augment": "flip"}
    model.fine_tune(
        data.train,
        val=data.test,  # One round is enough to kill; nothing is measured on these images.
        keep="always",
        checkpoints=Path(checkpoints),
        resume=resume == "resume",
        **options,
    )
    print(model.backbone.weights_sha256(), flush=True)


def tuning(table: Path, cache: Path, state: Path, *, resume: bool) -> subprocess.Popen[str]:
    """Start `tune_once` and wait until it begins to fine-tune."""
    arguments = ["once", str(table), str(cache), str(state), "resume" if resume else "anew"]
    command = [sys.executable, "-m", "benchmarks.kills", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill_tuning(kills: int) -> None:
    """Kill fine-tuning, resume it, and compare the weights."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table, cache = write_fashion(root / "data", train=320, test=80), root / "cache"
        first = tuning(table, cache, root / "filled", resume=False)
        first.communicate()
        begin = time.perf_counter()
        calm = tuning(table, cache, root / "calm", resume=False)
        ready = time.perf_counter() - begin
        expected = calm.communicate()[0].strip()
        whole = time.perf_counter() - begin - ready
        print("| kill | after s of tuning | was running | step kept | same weights |")
        print("| --- | --- | --- | --- | --- |")
        same = missed = 0
        for number in range(1, kills + 1):
            state, after = root / f"state-{number}", draw.uniform(0, 1) * whole
            process = tuning(table, cache, state, resume=False)
            time.sleep(after)
            running = process.poll() is None
            whole = whole if running else min(whole, after)  # The next kill aims better.
            process.kill()
            process.communicate()
            found = [json.loads(path.read_text()) for path in state.rglob("checkpoint.json")]
            steps = ", ".join(str(one["step"]) for one in found) or "none"
            resumed = tuning(table, cache, state, resume=True).communicate()[0].strip()
            same += resumed == expected
            missed += not running
            print(
                f"| {number} | {after:.1f} | {running} | {steps} | {resumed == expected} |",
                flush=True,
            )
    print(
        f"\n{same} of {kills} resumed runs ended with the weights of the undisturbed run; "
        f"{missed} had ended before they were killed."
    )


def kill_detection(kills: int) -> None:
    """Kill the training of a detector, resume it, kill it again, and compare the weights."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data, cache = write_scenes(root / "data", 100), root / "cache"
        options = ["--cache", str(cache), "--deterministic", "--epochs", "24", "--views", "4"]

        def train(out: Path, *more: str) -> subprocess.Popen[str]:
            command = [HEADSTART, "train", str(data), "--out", str(out), *options, *more]
            return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

        train(root / "filled").communicate()  # The maps are stored.
        begin, calm = time.perf_counter(), train(root / "calm")
        wait_for(calm, "Training the detector")
        ready = time.perf_counter() - begin
        calm.communicate()
        course = Record.read(root / "calm").detection
        whole = sum(epoch.seconds for epoch in (*course.history, *course.refit))
        print(f"Until training begins: {ready:.0f} s; training: {whole:.0f} s.\n")
        print("| kill | after s of training | was running | checkpoints of |")
        print("| --- | --- | --- | --- |")
        for number in range(1, kills + 1):
            after = draw.uniform(0.5, 1.5) * whole / (kills + 1)
            process = train(root / "run", *(["--resume"] if number > 1 else []))
            wait_for(process, "Training the detector")
            time.sleep(after)
            running = process.poll() is None
            process.kill()
            process.communicate()
            heads = sorted(path.parent.name for path in (cache / "tuning").rglob("checkpoint.json"))
            print(
                f"| {number} | {after:.1f} | {running} | {', '.join(heads) or 'none'} |", flush=True
            )
        train(root / "run", "--resume").communicate()
        first, second = (read_bundle(root / name).tensors for name in ("calm", "run"))
        same = all(np.array_equal(value, second[name]) for name, value in first.items())
    print(f"\nAfter {kills} kills, the weights are {'identical' if same else 'DIFFERENT'}.")


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read what a training prints up to a text, or to its end."""
    for line in process.stderr or ():
        if text in line:
            return


def main() -> None:
    """Kill as often as asked, 20 times by default."""
    given = sys.argv[1:]
    if given[:1] == ["once"]:
        tune_once(*given[1:])
        return
    kills = next((int(one) for one in given if one.isdigit()), 20)
    print(f"machine: {describe()}\n")
    if "boxes" in given:
        kill_detection(kills)
    elif "tune" in given:
        kill_tuning(kills)
    else:
        kill_extraction(kills)


def kill_extraction(kills: int) -> None:
    """Kill extraction, run again, and compare the probabilities."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = write_solar_cells(root / "data")
        photos = root / "photos"
        photos.mkdir()
        with table.open() as file:
            for line in list(file)[1:101]:
                source = Path(line.split(",")[0])
                (photos / source.name).symlink_to(source)
        whole = train(table, root / "calm", root / "run-calm")
        expected = predictions(root / "run-calm", photos)
        same = 0
        print("| kill | after s | was running | features kept | next run s | same predictions |")
        print("| --- | --- | --- | --- | --- | --- |")
        for number in range(1, kills + 1):
            cache, out = root / f"cache-{number}", root / f"run-{number}"
            after = draw.uniform(0.3, 0.85) * whole
            running = killed(table, cache, out, after)
            stored = kept(cache)
            seconds = train(table, cache, out.with_name(f"{out.name}-next"))
            identical = predictions(out.with_name(f"{out.name}-next"), photos) == expected
            same += identical
            print(
                f"| {number} | {after:.1f} | {running} | {stored} | {seconds:.1f} | {identical} |",
                flush=True,
            )
    print(f"\n{same} of {kills} runs after a kill told exactly what the undisturbed run tells.")


def kept(cache: Path) -> int:
    """Count the images that have features in a cache."""
    done = subprocess.run(
        [HEADSTART, "cache", "info", "--json", "--cache", str(cache)],
        check=True,
        capture_output=True,
    )
    return sum(table["images"] for table in json.loads(done.stdout)["tables"])


if __name__ == "__main__":
    main()
