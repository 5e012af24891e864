"""Export a detector: write the file, its script and its README, and check them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from headstart.engines.slot import EngineSlot
from headstart.errors import OptionError
from headstart.exporting.detector_graph import DetectingNetwork
from headstart.exporting.detector_parity import check_detector_parity
from headstart.exporting.formats import FORMATS, Format, convert
from headstart.exporting.metadata import metadata_of_detector
from headstart.exporting.output import README, file_sizes, new_export
from headstart.exporting.parity import CheckFiles, check_files
from headstart.exporting.readme import detector_readme
from headstart.exporting.script import SCRIPT, detecting_script
from headstart.options import ExportOptions
from headstart.predictor.detector import Detector
from headstart.record.export import ExportRecord
from headstart.watching import Watcher


@dataclass(frozen=True)
class DetectorExportJob:
    """An export of a detector.

    Attributes:
        measured: The detector as it was measured.
        files: Image files to check with.
        options: What was asked for.
        watcher: Receives progress and notes.
    """

    measured: Detector
    files: Sequence[Path]
    options: ExportOptions
    watcher: Watcher

    def run(self) -> ExportRecord:
        """Write a folder completely or not at all.

        Raises:
            ExportError: The exported file finds other boxes.
            OptionError: A package is missing, no image can be read, or the detector cuts images
                into tiles.
            OutputError: The folder exists, or it cannot be written.
        """
        begin = time.perf_counter()
        if self.measured.tiles:
            raise OptionError(
                "This detector cuts images into tiles, which an exported network does not do. Use "
                "headstart serve or headstart predict, which do."
            )
        with new_export(self.options) as (folder, work):
            contract = self.measured.contract
            files = check_files(self.files, contract, work / "hard", self.watcher.warn)
            return self._write(folder, work, files, begin)

    def _write(self, folder: Path, work: Path, files: CheckFiles, begin: float) -> ExportRecord:
        """Write all files into a folder, and check them."""
        kind, exact = FORMATS[self.options.format](), in_float32(self.measured)
        metadata = metadata_of_detector(exact, DetectingNetwork.outputs)
        with self.watcher.stage("Writing the model"):
            self._write_model(kind, metadata, folder)
        with self.watcher.stage("Checking its boxes"):
            parity = check_detector_parity(folder, files, (exact, self.measured), work)
        if not parity.boxes:
            self.watcher.warn(
                "No box in the images that check the export reaches its threshold, so only the "
                "outputs of the network were compared. Name other images with --images."
            )
        record = ExportRecord(
            folder=str(self.options.out),
            format=self.options.format,
            weights="float32",
            files=(),
            parity=parity,
            seconds=time.perf_counter() - begin,
        )
        title = exact.task.describe(exact.classes)
        text = detector_readme(record, metadata, kind, title, points=len(exact.points))
        (folder / README).write_text(text, encoding="utf-8")
        return replace(record, files=file_sizes(folder))

    def _write_model(self, kind: Format, metadata: dict[str, JsonValue], folder: Path) -> None:
        """Write the model and its script."""
        preprocess, name = self.measured.preprocess, self.measured.backbone.name
        network = DetectingNetwork.of(self.measured)
        model = convert(kind, network, preprocess.size, name=name)
        kind.write(model, metadata, folder / kind.file)
        text = detecting_script(
            {
                "format": self.options.format,
                "runtime": kind.runtime,
                "contract": preprocess.contract.version,
                "resize": preprocess.resize,
            }
        )
        (folder / SCRIPT).write_text(text, encoding="utf-8")


def check_detector_options(options: ExportOptions) -> None:
    """Reject options that are for models of labels.

    Raises:
        OptionError: An option cannot be used with a detector.
    """
    for name in ("half", "int8", "only_features"):
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise OptionError(
                f"{flag} is for classifiers, and this model is a detector: "
                "it is exported whole and in float32. Remove it."
            )


def in_float32(detector: Detector) -> Detector:
    """Return a detector that computes in float32 on the CPU."""
    return replace(detector, device="cpu", precision="float32", _engine=EngineSlot())
