"""Inputs: every kind of image gives the same pixels, and anything else says what to pass."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import headstart as hs
from headstart.data.inputs import ImageInput, as_image, each_image, image_name, is_image
from headstart.errors import HeadstartError, NotAnImage, UnreadableImage
from tests.conftest import picture
from tests.data.test_decoding import encoded

PHOTO = picture(5)
PIXELS = np.asarray(PHOTO)
PNG = encoded(PHOTO, "PNG")
CHW = torch.from_numpy(PIXELS.transpose(2, 0, 1).copy())
GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
ALPHA = np.dstack([PIXELS, np.full((64, 64), 255, np.uint8)])
EXPECTED = (
    "pass a path, the contents of a file as bytes, a file open in binary mode, a Pillow image, "
    "a NumPy array or a PyTorch tensor"
)


def at_end(data: bytes) -> io.BytesIO:
    """Return a buffer as it is after writing."""
    buffer = io.BytesIO()
    buffer.write(data)
    return buffer


@pytest.mark.parametrize(
    "image",
    [
        PNG,
        bytearray(PNG),
        memoryview(PNG),
        io.BytesIO(PNG),
        at_end(PNG),
        PHOTO,
        PIXELS,
        PIXELS[:, ::-1][:, ::-1],
        ALPHA,
        PIXELS / 255,
        (PIXELS / 255).astype(np.float16),
        (PIXELS / 255).astype(np.float32) * np.float32(1.0001),
        CHW,
        CHW / 255,
        (CHW / 255).double(),
        (CHW / 255).requires_grad_(),
        torch.nn.Parameter(CHW / 255),
    ],
)
def test_every_kind_of_image_gives_the_same_pixels(image: object) -> None:
    """Contents, files, Pillow images, arrays and tensors: RGB, as it was."""
    decoded = as_image(image)
    assert decoded.mode == "RGB"
    assert np.array_equal(np.asarray(decoded), PIXELS)


def test_paths_and_open_files_give_the_same_pixels(tmp_path: Path) -> None:
    """A path may be of any type, and the name of an image is its path."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        for image in (path, str(path), np.str_(path), file):
            assert image_name(image) == str(path)
            assert np.array_equal(np.asarray(as_image(image)), PIXELS)


@pytest.mark.parametrize(
    "image",
    [GREY, GREY[:, :, None], GREY / 255, torch.from_numpy(GREY), torch.from_numpy(GREY)[None]],
)
def test_grey_arrays_and_tensors_stay_grey(image: object) -> None:
    """One channel may have an axis or not."""
    decoded = as_image(image)
    assert decoded.mode == "L"
    assert np.array_equal(np.asarray(decoded), GREY)


def test_bfloat16_is_taken() -> None:
    """NumPy has no bfloat16, but PyTorch does."""
    assert (
        np.asarray(as_image(torch.ones(3, 2, 2, dtype=torch.bfloat16))).tolist()
        == [[[255, 255, 255]] * 2] * 2
    )


def test_transparent_pixels_of_an_array_are_white() -> None:
    """A fourth channel is the opacity, as in a file."""
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0, 3] = 255
    assert np.asarray(as_image(pixels))[:, :, 0].tolist() == [[0, 255], [255, 255]]


@pytest.mark.parametrize(
    ("images", "count"),
    [
        ("a.png", 1),
        (PIXELS, 1),
        (CHW, 1),
        (io.BytesIO(PNG), 1),
        (["a.png", PNG, PIXELS], 3),
        ((path for path in ("a.png", "b.png")), 2),
        (np.array(["a.png", "b.png"]), 2),
        (np.array([Path("a.png")], dtype=object), 1),
        (np.stack([PIXELS] * 3), 3),
        (torch.stack([CHW] * 2), 2),
        (np.zeros((0, 4, 4, 3), np.uint8), 0),
        ([], 0),
        ({"a.png"}, 1),
    ],
)
def test_collections_and_batches_have_several_images(images: object, count: int) -> None:
    """A string is one path and a file one image; arrays and tensors with 4 axes are batches."""
    assert len(list(each_image(images))) == count


def test_the_images_of_a_batch_are_its_images() -> None:
    """The first axis counts the images."""
    batch = np.stack([PIXELS, 255 - PIXELS])
    first, second = each_image(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy()))
    assert not is_image(batch) and is_image(first)
    assert np.array_equal(np.asarray(as_image(first)), PIXELS)
    assert np.array_equal(np.asarray(as_image(second)), 255 - PIXELS)


def test_an_image_set_is_a_collection_of_its_paths(make_folder: Callable[..., Path]) -> None:
    """The images of a data set can be passed as they are."""
    data = hs.open_images(make_folder(3), test=0.0)
    assert list(each_image(data.train)) == data.train.paths
    assert len(data.train.paths) == 6


def test_a_reused_array_does_not_change_an_input() -> None:
    """A camera may write each frame to the same array, while earlier frames are being decoded."""
    frame, buffer = np.zeros((2, 2), np.uint8), io.BytesIO(PNG)
    first, second = ImageInput.of(frame), ImageInput.of(buffer)
    frame[:] = 255
    buffer.seek(0)
    buffer.write(b"other")
    assert np.asarray(first.decode()).tolist() == [[0, 0], [0, 0]]
    assert np.array_equal(np.asarray(second.decode()), PIXELS)


def test_orientation_of_an_opened_pillow_image_is_applied() -> None:
    """A file and an opened Pillow image of it give the same pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(3).resize((64, 32)), "JPEG", exif=exif)
    opened = as_image(Image.open(io.BytesIO(data)))
    assert opened.size == (32, 64)
    assert np.array_equal(np.asarray(opened), np.asarray(as_image(data)))


def test_an_image_is_named_by_its_path_or_type(tmp_path: Path) -> None:
    """An image without a path is named by its type."""
    PHOTO.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert image_name(opened) == str(tmp_path / "a.png")
    named = {"a/b.jpg": Path("a/b.jpg"), "c.jpg": "c.jpg", "ndarray": GREY, "Image": PHOTO}
    named |= {"bytes": PNG, "BytesIO": io.BytesIO(PNG), "Tensor": CHW}
    assert {name: image_name(image) for name, image in named.items()} == {
        name: name for name in named
    }


_ARRAY = "its shape must be (height, width) or (height, width, channels), with 1, 3 or 4 channels; "
_TENSOR = _ARRAY.replace("(height, width, channels)", "(channels, height, width)")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((6, 6, 5), np.uint8), _ARRAY + "it is (6, 6, 5)"),
        (np.zeros((0, 4, 3), np.uint8), _ARRAY + "it is (0, 4, 3)"),
        (np.array(3, np.uint8), _ARRAY + "it is ()"),
        (
            np.zeros((3, 8, 9), np.uint8),
            _ARRAY + "it is (3, 8, 9); move the channels to the end with array.transpose(1, 2, 0)",
        ),
        (
            np.zeros(4, np.uint8),
            _ARRAY + "it is (4,); if it holds the contents of a file, pass array.tobytes()",
        ),
        (torch.zeros(7), _TENSOR + "it is (7,)"),
        (torch.zeros(3, 0, 9), _TENSOR + "it is (3, 0, 9)"),
        (
            torch.zeros(8, 9, 3),
            _TENSOR + "it is (8, 9, 3); move the channels to the front with "
            "tensor.permute(2, 0, 1)",
        ),
        (
            np.zeros((4, 4), np.int64),
            "its values must be uint8, or floats from 0 to 1; they are int64",
        ),
        (
            torch.zeros(4, 4, dtype=torch.bool),
            "its values must be uint8, or floats from 0 to 1; they are bool",
        ),
        (
            np.array([[0.0, 255.0]]),
            (
                "its floats must be from 0 to 1; they are from 0 to 255; divide them by 255, or "
                "convert them to uint8"
            ),
        ),
        (
            torch.tensor([[-2.1, 2.64]]),
            (
                "its floats must be from 0 to 1; they are from -2.1 to 2.64; pass the image as it "
                "was before normalisation, which the model does itself"
            ),
        ),
        (np.array([[0.0, np.nan]]), "it has values that are not finite"),
    ],
)
def test_an_array_that_is_not_an_image_says_why(array: np.ndarray, reason: str) -> None:
    """The message has the shape, the type or the range, and what to do."""
    with pytest.raises(UnreadableImage) as caught:
        as_image(array)
    assert caught.value.reason == reason
    assert caught.value.path == type(array).__name__


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            None,
            (
                "Cannot read image 'None': did cv2.imread fail to read the file? "
                f"Otherwise, {EXPECTED}."
            ),
        ),
        (
            5,
            f"Cannot read image 'int': a value of type int is not taken for an image; {EXPECTED}.",
        ),
        (
            {"a.png": 1},
            (
                "Cannot read image 'dict': a value of type dict is not taken for an image; "
                f"{EXPECTED}."
            ),
        ),
    ],
)
def test_any_other_value_is_an_error_of_both_kinds(value: object, message: str) -> None:
    """The message names the type and what is taken."""
    for function in (each_image, as_image):
        with pytest.raises(NotAnImage) as caught:
            function(value)
        assert isinstance(caught.value, TypeError) and isinstance(caught.value, HeadstartError)
        assert str(caught.value) == message


def test_a_list_in_a_list_is_not_an_image() -> None:
    """Only the outer list is a collection."""
    with pytest.raises(NotAnImage, match="a value of type list is not taken for an image"):
        as_image(next(each_image([["a.png"]])))


def test_a_file_open_in_text_mode_says_how_to_open_it(tmp_path: Path) -> None:
    """Text cannot be decoded."""
    (tmp_path / "a.png").write_text("text")
    with (
        (tmp_path / "a.png").open(encoding="utf-8") as file,
        pytest.raises(NotAnImage, match=r"it is open in text mode; open it with mode 'rb'\.$"),
    ):
        as_image(file)


@pytest.mark.parametrize(
    "url", ["https://example.org/a.jpg", "HTTP://example.org", "ftp://x.org/a", "https:/a.jpg"]
)
def test_a_url_says_to_download_it(url: str) -> None:
    """Nothing is fetched from the network."""
    with pytest.raises(UnreadableImage) as caught:
        as_image(url)
    assert str(caught.value) == f"Cannot read image '{url}': it is a URL; download the file first."


def test_a_folder_says_how_to_pass_its_files(tmp_path: Path) -> None:
    """A folder is not searched without being asked to."""
    with pytest.raises(UnreadableImage) as caught:
        as_image(tmp_path)
    assert caught.value.reason == (
        "it is a folder; pass the files in it, such as list(Path(folder).rglob('*.jpg'))"
    )


def test_a_damaged_pillow_image_is_refused() -> None:
    """A Pillow image whose pixels cannot be loaded raises `UnreadableImage`."""
    data = encoded(picture(1, side=256), "JPEG", quality=95)
    with pytest.raises(UnreadableImage, match="it is damaged"):
        as_image(Image.open(io.BytesIO(data[: len(data) // 2])))


def test_contents_that_are_damaged_are_named_by_their_type() -> None:
    """The name in the error is that of the prediction."""
    with pytest.raises(UnreadableImage, match="'bytearray'"):
        as_image(bytearray(b"no image"))


def test_pytorch_is_not_imported() -> None:
    """Arrays are decoded without importing PyTorch, which takes seconds."""
    program = (
        "import sys, numpy; from headstart.data.inputs import as_image;"
        "as_image(numpy.zeros((2, 2), 'uint8')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
