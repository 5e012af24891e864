"""DICOM files are decoded to the pixels that pydicom reads, or refused with a reason."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import JPEG2000Lossless

from headstart.data.checks import check_image
from headstart.data.contract import PixelContract
from headstart.data.decoding import decode
from headstart.data.formats import is_dicom_file
from headstart.data.medical.dicom import DicomImages
from headstart.data.medical.workers import DecoderWorkers
from headstart.errors import UnreadableImage
from headstart.options import DecodeLimits
from tests.data.medical.files import WHEEL, dataset_of, dicom_of, noise, written

FILES = sorted(file for file in WHEEL.rglob("*") if is_dicom_file(file))
# pydicom has no decoder for these, or they are damaged.
REFUSED = {
    "JPEG-lossy.dcm",
    "JPGExtended.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "MR_truncated.dcm",
    "badVR.dcm",
    "meta_missing_tsyntax.dcm",
    "nested_priv_SQ.dcm",
}


def by_pydicom(dataset: pydicom.Dataset) -> NDArray[Any]:
    """Return the first frame as pydicom's own functions show it, from 0 to 255."""
    stored = pixel_array(dataset, index=0)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(stored, dataset) / 257
    if stored.ndim == 3:
        return stored / (1 if stored.dtype == np.uint8 else (2.0**dataset.BitsStored - 1) / 255)
    real = apply_modality_lut(stored, dataset)
    shown = apply_voi_lut(real, dataset).astype(float)
    low, high = float(real.min()), float(real.max())
    if dataset.get("VOILUTSequence"):
        low, high = 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif dataset.get("WindowWidth") is not None:
        bits, signed = dataset.BitsStored, dataset.PixelRepresentation
        low, high = -(2 ** (bits - 1)) * signed, 2 ** (bits - signed) - 1
        slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
        low, high = low * slope + intercept, high * slope + intercept
    elif stored.dtype == np.uint8 and dataset.BitsStored == 8:
        low, high = 0, 255
    levels = (shown - low) / max(high - low, 1e-9) * 255
    return 255 - levels if dataset.PhotometricInterpretation == "MONOCHROME1" else levels


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(WHEEL).as_posix())
def test_files_of_pydicom_are_read_as_it_reads_them(file: Path) -> None:
    """Each is within a level of pydicom's pixels, or refused where pydicom has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(file, force=True)
        try:
            expected = by_pydicom(dataset)
        except Exception:  # pydicom raises nearly anything.
            expected = None
    data = file.read_bytes()
    if expected is None:
        with pytest.raises(UnreadableImage):
            DicomImages.open(data).decode(0)
        assert "PixelData" not in dataset or file.name in REFUSED
        return
    assert np.abs(np.asarray(DicomImages.open(data).decode(0)) - expected).max() <= 0.51


def test_a_dicom_file_is_an_image_like_others() -> None:
    """It is decoded to three channels, and checked, by its window."""
    pixels = noise(1, (20, 30))
    data = dicom_of(pixels, WindowCenter=2048, WindowWidth=4096)
    decoded = decode(data)
    assert decoded.shape == (20, 30, 3)
    assert np.abs(decoded[:, :, 0] - pixels / 4095 * 255).max() < 1
    narrow = decode(data, contract=PixelContract(window="100,200"))
    assert (narrow == 255).mean() > 0.9
    info, _ = check_image(data, path="x", limits=DecodeLimits())
    assert (info.width, info.height, info.mode, info.has_more) == (30, 20, "L", False)


def test_enhanced_files_have_transforms_for_each_frame() -> None:
    """Windows in the functional groups are those of their frame, rescaling that of all frames."""
    pixels = np.stack([noise(1), noise(1)])
    dataset = dataset_of(pixels)
    shared, frames = pydicom.Dataset(), [pydicom.Dataset(), pydicom.Dataset()]
    shared.PixelValueTransformationSequence = [pydicom.Dataset()]
    transformation = shared.PixelValueTransformationSequence[0]
    transformation.RescaleSlope, transformation.RescaleIntercept = 2, -10
    for frame, width in zip(frames, (8190, 819), strict=True):
        frame.FrameVOILUTSequence = [pydicom.Dataset()]
        window = frame.FrameVOILUTSequence[0]
        window.WindowCenter, window.WindowWidth = width / 2 - 10, width
        window.VOILUTFunction = "LINEAR_EXACT"
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = frames
    images = DicomImages.open(written(dataset))
    assert images.count == 2
    whole, narrow = (np.asarray(images.decode(number)).astype(int) for number in range(2))
    assert np.abs(whole - pixels[0] / 4095 * 255).max() <= 0.5
    assert np.abs(narrow - np.clip(pixels[1] / 409.5 * 255, 0, 255)).max() <= 0.5


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"PixelData": None}, r"without pixels \(Digital X-Ray Image Storage"),
        ({"NumberOfFrames": 0}, "it has no frames"),
        ({"NumberOfFrames": 3}, "3 frames, where one image is expected"),
        ({"Rows": 0}, "do not say how large"),
        ({"Rows": 40_000, "Columns": 40_000}, r"1,600,000,000 pixels \(40,000 x 40,000\)"),
        ({"Rows": 64}, "incomplete"),
        ({"PixelData": None, "Rows": None, "EncryptedAttributesSequence": [pydicom.Dataset()]},
         "it is encrypted"),
    ],
)  # fmt: skip
def test_files_without_an_image_are_refused(elements: dict[str, Any], reason: str) -> None:
    """The reason names what is missing."""
    with pytest.raises(UnreadableImage, match=reason):
        decode(dicom_of(noise(0), **elements))


def test_a_compression_without_decoder_is_named() -> None:
    """It says which one, and that pixels in JPEG 2000 are of another size than the elements say."""
    dataset = dataset_of(noise(0), PixelData=encapsulate([b"\0" * 8]))
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    with pytest.raises(UnreadableImage, match="MPEG2"):
        decode(written(dataset))
    bomb = b"\xff\x4f\xff\x51\0\x2f\0\0" + (60_000).to_bytes(4, "big") * 2 + bytes(40)
    dataset.PixelData = encapsulate([bomb])
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    with pytest.raises(UnreadableImage, match="another size than its elements say"):
        decode(written(dataset))


def test_errors_do_not_quote_elements(caplog: pytest.LogCaptureFixture) -> None:
    """A damaged value is neither in the error nor in a log."""
    data = dicom_of(noise(0), PatientName="Zebra^Quagga").replace(b"MONOCHROME2 ", b"ZebraQuagga ")
    with warnings.catch_warnings(record=True) as caught, pytest.raises(UnreadableImage) as error:
        decode(data)
    assert "Zebra" not in str(error.value) + caplog.text + "".join(str(w.message) for w in caught)


@pytest.mark.parametrize("honest", [True, False])
def test_a_deflated_bomb_is_refused(honest: bool) -> None:
    """It is inflated piece by piece, up to the limit, whatever length it says its header has."""
    dataset = dataset_of(np.zeros((512, 512), np.uint16))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data = written(dataset)
    assert decode(data).shape == (512, 512, 3)
    if not honest:
        data = data[:140] + (2**31 - 1).to_bytes(4, "little") + data[144:]
    with pytest.raises(UnreadableImage, match="inflates to more than the limit"):
        decode(data, limits=DecodeLimits(max_bytes=10_000, max_pixels=10_000))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_palette_is_read_in_the_order_of_its_file(order: str) -> None:
    """Its 16-bit entries are those that were written."""
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    dataset = dataset_of(stored, bits=8, PhotometricInterpretation="PALETTE COLOR")
    entries = {"Red": np.arange(256) * 257, "Green": np.zeros(256), "Blue": np.arange(256)[::-1]}
    for colour, values in entries.items():
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        name = f"{colour}PaletteColorLookupTableData"
        setattr(dataset, name, values.astype(f"{order}u2").tobytes())
    if order == ">":
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    pixels = decode(written(dataset))
    assert np.array_equal(pixels[:, :, 0], stored)
    assert not pixels[:, :, 1].any()
    assert pixels[:, :, 2].max() <= 1


def test_a_worker_that_ends_is_replaced() -> None:
    """Its image is refused, and the next one decoded."""
    workers = DecoderWorkers(seconds=5)
    assert workers.decode("1.2.840.10008.1.2.4.90", {"rows": 1, "columns": 1}, b"") is None
    jpeg = pydicom.dcmread(WHEEL / "SC_rgb_jpeg_dcmtk.dcm")
    options = as_pixel_options(jpeg)
    syntax = str(jpeg.file_meta.TransferSyntaxUID)
    for ended in (False, True):
        if ended:
            worker = workers._free.get()
            assert worker is not None
            worker.kill()
            workers._free.put(worker)
        stored = workers.decode(syntax, options, jpeg.PixelData)
        assert stored is not None
        assert stored.shape == (100, 100, 3)
    workers.close()
    hanging = DecoderWorkers(seconds=0.0)
    assert hanging.decode(syntax, options, jpeg.PixelData) is None
    hanging.close()


@pytest.mark.parametrize("extended", [False, True])
def test_frames_are_found_by_their_offsets(extended: bool) -> None:
    """Each compressed frame is decoded by itself, also where an extended table has its place."""
    from pydicom.encaps import encapsulate_extended

    dataset = pydicom.dcmread(WHEEL / "SC_rgb_rle_2frame.dcm")
    frames = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=2))
    expected = [pixel_array(dataset, index=number) for number in range(2)]
    if extended:
        data, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = (
            encapsulate_extended(frames)
        )
        dataset.PixelData = data
    images = DicomImages.open(written(dataset))
    for number, pixels in enumerate(expected):
        assert np.array_equal(np.asarray(images.decode(number)), pixels)


def test_a_file_without_a_preamble_is_recognised(tmp_path: Path) -> None:
    """It begins with any of the first elements of group 8, and its suffix may be unusual."""
    dataset = dataset_of(noise(0), WindowCenter=2048, WindowWidth=4096)
    expected = decode(written(dataset))
    del dataset.file_meta
    file = tmp_path / "scan.IMA"
    dataset.save_as(file, implicit_vr=True, little_endian=True)
    assert is_dicom_file(file)
    assert np.array_equal(decode(file.read_bytes()), expected)


def test_without_pydicom_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not a damaged file."""
    monkeypatch.setattr("headstart.data.medical.elements.find_spec", lambda name: None)
    with pytest.raises(UnreadableImage, match=r"pip install 'headstart\[medical\]'"):
        decode(dicom_of(noise(0)))
