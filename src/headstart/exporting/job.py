"""Export a model: write the file, its script and its README, and check them."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headstart.arrays import Pixels
from headstart.data.contract import PixelContract
from headstart.data.images import Images, ImageSet
from headstart.errors import ExportError, OptionError, UnreadableImage
from headstart.exporting.formats import FORMATS, Format, Layer, Model, convert
from headstart.exporting.graph import AnsweringNetwork, ExportedNetwork, FeaturesNetwork
from headstart.exporting.int8 import (
    CALIBRATION_IMAGES,
    WAYS,
    Way,
    check_installed,
    has_attention,
    judge,
    quantise,
)
from headstart.exporting.metadata import metadata_of
from headstart.exporting.output import README, file_sizes, new_export
from headstart.exporting.parity import (
    Answers,
    CheckFiles,
    answers_of_export,
    answers_with_copies,
    check_files,
    check_parity,
    compare_half,
    count_changed,
    probabilities_of,
)
from headstart.exporting.readme import readme
from headstart.exporting.script import SCRIPT, script
from headstart.options import ExportOptions
from headstart.predictor.decoding import decode_ahead
from headstart.predictor.predictor import Predictor
from headstart.record.export import ExportRecord, HalfResult, QuantisationResult
from headstart.watching import Watcher


@dataclass(frozen=True)
class ExportJob:
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
        with new_export(self.options) as (folder, work):
            if self.options.int8:
                self._labelled()  # It is slow to find out later, and so is the next.
                check_installed()
            begin = time.perf_counter()
            files = check_files(self.files, self._contract, work / "hard", self.watcher.warn)
            return self._write(folder, work, files, begin)

    def _write(self, folder: Path, work: Path, files: CheckFiles, begin: float) -> ExportRecord:
        """Write all files into a folder, each checked."""
        network, kind = self._network(), FORMATS[self.options.format]()
        metadata = metadata_of(self.model, network.outputs)

        def write(model: Model) -> None:
            kind.write(model, metadata, folder / kind.file)

        with self.watcher.stage("Writing the model"):
            model = self._convert(kind, network)
            layers = kind.layers(model)  # Their names are not written.
            write(model)
            self._write_script(folder, kind, network.outputs)
        with self.watcher.stage("Checking its answers"):
            parity, files = check_parity(
                folder,
                files,
                (self.model, self.measured),
                work / "copies",
                features=self.options.only_features,
            )
        half = quantisation = None
        if self.options.half:
            with self.watcher.stage("Checking half precision"):
                paths, before = self._readable(folder, self._half_files(files), work / "half")
                write(self._convert(kind, network, half=True))
                half = self._checked_half(before, self._answers(folder, paths))
        if self.options.int8:
            quantisation = self._quantise(model, layers, write, folder, work)
        int8 = quantisation is not None and quantisation.accepted
        record = ExportRecord(
            folder=str(self.options.out),
            format=self.options.format,
            weights="float16" if half else "int8" if int8 else "float32",
            files=(),
            parity=parity,
            only_features=self.options.only_features,
            half=half,
            quantisation=quantisation,
            seconds=time.perf_counter() - begin,
        )
        title = self.model.task.describe(self.model.classes)
        text = readme(record, metadata, kind.file, kind.runtime, title)
        (folder / README).write_text(text, encoding="utf-8")
        return replace(record, files=file_sizes(folder))

    @property
    def _contract(self) -> PixelContract:
        return self.model.extractor.preprocess.contract

    @property
    def _size(self) -> int:
        return self.model.extractor.preprocess.size

    def _answers(self, folder: Path, files: Sequence[Path]) -> Answers:
        return answers_of_export(folder, files, self.model.classes)

    def _network(self) -> ExportedNetwork:
        """Return what is exported.

        Raises:
            ExportError: The head is of the user's own class.
        """
        if self.options.only_features:
            return FeaturesNetwork(self.model.extractor.pooling)
        try:
            module = self.model.module()
        except TypeError:
            raise ExportError(
                f"A head of kind '{self.model.head.kind}' cannot be exported, as only Headstart's "
                "own heads can. Export the network alone with --only-features."
            ) from None
        return AnsweringNetwork(module, self.model)

    def _convert(self, kind: Format, network: ExportedNetwork, *, half: bool = False) -> Model:
        name = self.model.extractor.source.name
        return convert(kind, network, self._size, name=name, half=half)

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

    def _half_files(self, files: CheckFiles) -> Sequence[Path]:
        """Return the files whose labels half precision may change: all test images, if possible."""
        if self.images is None or self.options.only_features:
            return files.real
        test = [path for path in _paths(self.images.test) if path.is_file()]
        return test if len(test) > len(files.real) else files.real

    def _checked_half(self, before: Answers, after: Answers) -> HalfResult:
        """Compare weights in half precision with float32.

        Raises:
            ExportError: More answers change than `max_drop` allows.
        """
        result = compare_half(before, after, features=self.options.only_features)
        if 100 * result.changed > self.options.max_drop * len(before):
            raise ExportError(
                f"In half precision, {result.changed:,} of {len(before):,} answers change; "
                f"{self.options.max_drop:g}% are allowed. Omit --half, or raise --max-drop."
            )
        return result

    def _quantise(
        self,
        model: Model,
        layers: Sequence[Layer],
        write: Callable[[Model], None],
        folder: Path,
        work: Path,
    ) -> QuantisationResult:
        """Quantise the model in a way that training images choose, and let test images judge it.

        The file in float32 stays if it loses too much.
        """
        test, train = self._labelled()
        checked = shutil.copytree(folder, work / "float32")
        files, exact = self._readable(folder, _paths(test), work / "test")
        way = self._chosen_way(model, layers, write, folder, train, work)
        with self.watcher.stage("Checking 8-bit integers"):
            answers = self._answers(folder, files)
        result = judge(
            self.model,
            test,
            probabilities_of(exact),
            probabilities_of(answers),
            way.name,
            changed=count_changed(exact, answers),
            max_drop=self.options.max_drop,
        )
        if not result.accepted:
            shutil.copytree(checked, folder, dirs_exist_ok=True)
            self.watcher.warn(
                "8-bit integers lose more than --max-drop allows, so weights stayed in float32."
            )
        return result

    def _chosen_way(
        self,
        model: Model,
        layers: Sequence[Layer],
        write: Callable[[Model], None],
        folder: Path,
        train: ImageSet,
        work: Path,
    ) -> Way:
        """Write the first way that changes few labels of training images, or else the last one."""
        rng = np.random.default_rng(self.model.specification.seed)
        sample = rng.permutation(len(train))[: 2 * CALIBRATION_IMAGES]
        half = len(sample) // 2
        calibration = self._pixels(train.take(sample[:half]))
        others = _paths(train.take(sample[half:]))
        files, exact = self._readable(folder, others, work / "others")
        attention = has_attention(self.model.extractor.pooling)
        for way in WAYS:
            with self.watcher.stage(f"Quantising: {way.name}"):
                write(quantise(model, layers, calibration, way, attention=attention))
                changed = count_changed(exact, self._answers(folder, files))
            if 100 * changed <= self.options.max_drop * len(files):
                break
        return way

    def _readable(
        self, folder: Path, paths: Sequence[Path], work: Path
    ) -> tuple[tuple[Path, ...], Answers]:
        """Return files, as PNG where the script refuses them, and their answers."""
        answers, files = answers_with_copies(folder, CheckFiles(tuple(paths), ()), self.model, work)
        return files.real, answers

    def _labelled(self) -> tuple[ImageSet, ImageSet]:
        """Return test and training images whose files the script reads.

        Raises:
            OptionError: There are none.
        """
        if self.images is None or not len(self.images.test):
            raise OptionError(
                "8-bit integers are accepted by their accuracy on test images, and this model has "
                "none. Export a run with a test part, or omit --int8."
            )
        parts = self.images.test, self.images.train
        missing = [path for part in parts for path in part.paths if not Path(path).is_file()]
        if missing:
            raise OptionError(
                f"{len(missing):,} images of the run are gone ('{missing[0]}'), which --int8 is "
                "checked with."
            )
        return parts

    def _pixels(self, images: ImageSet) -> list[Pixels]:
        decoded = decode_ahead(images, self.model.extractor.preprocess)
        return [pixels for _, pixels in decoded if not isinstance(pixels, UnreadableImage)]


def _paths(images: ImageSet) -> list[Path]:
    return [Path(path) for path in images.paths]
