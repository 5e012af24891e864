"""The command: from a terminal to a process that serves, and its end."""

import http.client
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from headstart.cli.app import main
from headstart.errors import OptionError, ServerError
from headstart.server import running
from headstart.serving_options import ServeOptions
from tests.processes import start_command, wait_for
from tests.server.conftest import Client, Trained


@contextmanager
def process(trained: Trained, log: Path, *options: str) -> Iterator[tuple[Client, BaseProcess]]:
    """Run the command, until the block ends."""
    arguments = ("serve", trained.run, "--port", "0", "--cache", trained.cache, *options)
    child = start_command(*arguments, log=log)
    try:
        yield Client(_port(child, log)), child
    finally:
        child.kill()
        child.join()


def _port(child: BaseProcess, log: Path) -> int:
    wait_for(child, log, "http://localhost:")
    found = re.search(r"http://localhost:(\d+)", log.read_text())
    assert found
    for _ in range(600):
        try:
            if Client(int(found[1])).get("/readyz").status == 200:
                return int(found[1])
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def _terminate(child: BaseProcess) -> None:
    """Ask a process to end, and check that it does."""
    child.terminate()
    child.join(30)
    assert child.exitcode in (0, -signal.SIGTERM)


def test_requests_that_were_taken_are_answered_after_sigterm(
    trained: Trained, tmp_path: Path
) -> None:
    (data,) = trained.files(1).values()
    statuses: list[int] = []
    failed: list[OSError | http.client.HTTPException] = []
    with process(trained, tmp_path / "log") as (client, child):
        stopping = threading.Event()

        def ask() -> None:
            while not stopping.is_set():
                try:
                    statuses.append(client.post("/predict", data).status)
                except (OSError, http.client.HTTPException) as error:
                    failed.append(error)
                    return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(statuses) < 20:
            time.sleep(0.01)
        _terminate(child)
        stopping.set()
        for thread in threads:
            thread.join()
    log = (tmp_path / "log").read_text()
    assert statuses.count(200) == len(statuses) == log.count('"status": 200') - 1  # /readyz
    assert "Traceback" not in log


def test_several_workers_answer_and_stop_together(trained: Trained, tmp_path: Path) -> None:
    files = trained.files(6)
    right = [one.label for one in trained.predictor.predict(list(files.values()))]
    with process(trained, tmp_path / "log", "--workers", "2") as (client, child):
        for _ in range(10):
            answer = client.post_files("/predict", files)
            assert [one["label"] for one in answer.json] == right
        counted = re.search(
            r'headstart_images_total\{model="colours",result="answered"\} (\d+)',
            client.get("/metrics").body.decode(),
        )
        assert counted
        assert int(counted[1]) == 60  # Whichever worker is asked.
        _terminate(child)


def test_a_port_in_use_is_said_before_anything_is_loaded(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match="1"):
            main(["serve", str(trained.run), "--port", str(port)])
    assert f"Port {port} is in use." in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_is_not_there_is_an_error_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["serve", str(tmp_path / "none"), "--port", "0", "--workers", str(workers)])
    assert "none' does not exist" in capsys.readouterr().err


def test_an_address_of_another_machine_is_refused(trained: Trained) -> None:
    with pytest.raises(ServerError, match=r"'192\.0\.2\.1' cannot be used"):
        running.serve([str(trained.run)], ServeOptions.of(host="192.0.2.1", port=0), print)
    with pytest.raises(ServerError, match="cannot be used"):
        running.serve([str(trained.run)], ServeOptions.of(host="no such host"), print)


def test_a_key_must_be_readable_and_long(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        running.serve([], ServeOptions.of(api_key_file=tmp_path / "none"), print)
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(OptionError, match="at least 16"):
        running.serve([], ServeOptions.of(api_key_file=tmp_path / "key"), print)
    monkeypatch.setenv(running.KEY_VARIABLE, "")
    with pytest.raises(OptionError, match=running.KEY_VARIABLE):
        running.serve([], ServeOptions.of(), print)


@pytest.mark.skipif(os.name == "nt", reason="There is no Ctrl-C for child processes.")
def test_ctrl_c_ends_it(trained: Trained, tmp_path: Path) -> None:
    with process(trained, tmp_path / "log") as (_, child):
        os.kill(child.pid, signal.SIGINT)
        child.join(30)
        assert child.exitcode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in (tmp_path / "log").read_text()
