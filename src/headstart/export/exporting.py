"""Export a model: write the file, its script and its README, and check them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import JsonValue

from headstart.data.images import Images
from headstart.errors import ExportError, OutputError
from headstart.export.formats import FORMATS, Format
from headstart.export.graph import AnsweringNetwork, ExportedNetwork, FeaturesNetwork
from headstart.export.metadata import metadata_of
from headstart.export.parity import (
    CheckFiles,
    answers_of_export,
    check_files,
    check_parity,
    compare_half,
)
from headstart.export.readme import readme
from headstart.export.script import SCRIPT, script
from headstart.files import atomic_replace
from headstart.options import ExportOptions
from headstart.predictor.predictor import Predictor
from headstart.record.export import ExportRecord, HalfResult
from headstart.watching import Watcher

README = "README.md"


@dataclass(frozen=True)
class Exporting:
    """An export.

    Attributes:
        model: The model in float32.
        measured: The model as it was measured.
        files: Image files to check with.
        images: The images of the run, with labels; None without a run.
        options: What was asked for.
        watcher: Receives progress and notes.
    """

    model: Predictor
    measured: Predictor
    files: Sequence[Path]
    images: Images | None
    options: ExportOptions
    watcher: Watcher

    def run(self) -> ExportRecord:
        """Write a folder completely or not at all.

        Raises:
            ExportError: The exported file answers differently.
            OptionError: A package is missing, or no image can be read.
            OutputError: The folder exists, or it cannot be written.
        """
        out = self.options.out
        check_output(out, overwrite=self.options.overwrite)
        begin = time.perf_counter()
        try:
            with TemporaryDirectory() as work, atomic_replace(out) as partial:
                partial.mkdir()
                record = self._write(partial, Path(work), begin)
        except OSError as error:
            raise OutputError(f"Output '{out}' cannot be written: {error.strerror}.") from None
        return record

    def _write(self, folder: Path, work: Path, begin: float) -> ExportRecord:
        """Write all files into a folder, each checked."""
        kind, network = FORMATS[self.options.format], self._network()
        metadata = metadata_of(self.model, network.outputs)
        size = self.model.extractor.preprocess.size
        with self.watcher.stage("Writing the model"):
            kind.write(network, size, metadata, folder / kind.file, False)
            self._write_script(folder, kind, network.outputs)
        with self.watcher.stage("Checking its answers"):
            files = check_files(self.files, self.model, work / "hard")
            parity = check_parity(
                folder,
                files,
                (self.model, self.measured),
                work / "copies",
                features=self.options.only_features,
            )
        half, weights = None, "float32"
        if self.options.half:
            half, weights = self._store_as_half(network, metadata, folder, files), "float16"
        record = ExportRecord(
            str(self.options.out),
            self.options.format,
            weights,
            (),
            parity,
            self.options.only_features,
            half,
            seconds=time.perf_counter() - begin,
        )
        title = self.model.task.describe(self.model.classes)
        text = readme(record, metadata, kind.file, kind.runtime, title)
        (folder / README).write_text(text, encoding="utf-8")
        sizes = [(file.name, file.stat().st_size) for file in sorted(folder.iterdir())]
        return replace(record, files=tuple(sizes))

    def _network(self) -> ExportedNetwork:
        if self.options.only_features:
            return FeaturesNetwork(self.model.extractor.pooling)
        return AnsweringNetwork(self.model.module(), self.model)

    def _write_script(self, folder: Path, kind: Format, outputs: tuple[str, ...]) -> None:
        preprocess = self.model.extractor.preprocess
        text = script(
            {
                "format": self.options.format,
                "runtime": kind.runtime,
                "outputs": outputs,
                "many": self.model.task.activation == "sigmoid",
                "contract": preprocess.contract.version,
                "resize": preprocess.resize,
            }
        )
        (folder / SCRIPT).write_text(text, encoding="utf-8")

    def _store_as_half(
        self,
        network: ExportedNetwork,
        metadata: Mapping[str, JsonValue],
        folder: Path,
        files: CheckFiles,
    ) -> HalfResult:
        """Replace the model's file by one with weights in half precision.

        Raises:
            ExportError: More labels change than `max_drop` allows.
        """
        kind, classes = FORMATS[self.options.format], self.model.classes
        before = answers_of_export(folder, files.real, classes)
        with self.watcher.stage("Writing half precision"):
            size = self.model.extractor.preprocess.size
            kind.write(network, size, metadata, folder / kind.file, True)
            after = answers_of_export(folder, files.real, classes)
        result = compare_half(before, after, features=self.options.only_features)
        if 100 * result.changed > self.options.max_drop * len(before):
            raise ExportError(
                f"In half precision, {result.changed:,} of {len(before):,} labels change; "
                f"{self.options.max_drop:g}% are allowed. Omit --half, or raise --max-drop."
            )
        return result


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Check that an export may be written to a folder, before anything slow.

    Raises:
        OutputError: It exists and is not an earlier export, or `overwrite` is false.
    """
    if not folder.exists():
        return
    if not overwrite:
        raise OutputError(f"Output '{folder}' already exists. Pass --overwrite to replace it.")
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else {""}
    if names and not {SCRIPT, README} <= names:
        raise OutputError(
            f"Output '{folder}' is not an earlier export, so it was not replaced. "
            "Choose another folder."
        )
