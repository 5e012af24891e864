"""The models and galleries of a server: read from their folders, and again when these change."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from headstart.data.paths import list_names
from headstart.errors import BundleError, HeadstartError, ServerError, suggestion
from headstart.galleries.layout import TENSORS, is_gallery
from headstart.hub.names import HubModel, on_hub
from headstart.options import ComputeOptions
from headstart.predictor.bundle import bundle_folder
from headstart.server.answering import AnyServed, ServedModel
from headstart.server.gallery import GalleryAnswerer, ServedGallery
from headstart.server.refusals import Refusal
from headstart.tasks.loading import read_model

SECONDS = 2.0
"""Folders are looked at so often."""

_Served = TypeVar("_Served", bound=AnyServed)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# The files that change when a model, or a gallery, is replaced.
_FILES, _GALLERY_FILES = ("config.json", "model.safetensors"), (TENSORS,)

Stamp = tuple[tuple[str, int, int, int], ...]
"""What the system says about the files of a model; it changes when a file is replaced."""


@dataclass(frozen=True)
class Place:
    """Where a model or a gallery is, or those of a folder are.

    Attributes:
        path: A run, a bundle, a name on the hub, a gallery, or a folder of these.
        name: The name of the model or gallery; None for a folder, in which each has its own.
        optional: Whether the model may be trained later, so that none is there at first.
    """

    path: str
    name: str | None
    optional: bool = False

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read MODEL or NAME=MODEL.

        Raises:
            BundleError: There is no model.
            ServerError: The name is not one.
        """
        name, equals, path = text.partition("=")
        if equals and not Path(text).exists() and on_hub(text) is None:
            if not _NAME.fullmatch(name):
                raise ServerError(
                    f"'{name}' cannot be the name of a model: use letters, digits, dots, dashes "
                    "and underscores."
                )
            return cls(path, name)
        if on_hub(text):
            return cls(text, HubModel.parse(text).repository.partition("/")[2])
        if Path(text).is_dir() and not _is_served(Path(text)):
            return cls(text, None)
        folder = Path(text).resolve()
        return cls(text, folder.parent.name if folder.name == "bundle" else folder.name)

    @property
    def is_model(self) -> bool:
        """Whether there is a model, or a gallery, in this folder itself."""
        return _is_served(Path(self.path))

    def models(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the path of each model and gallery that is there now."""
        if self.name is not None:
            yield self.name, self.path
            return
        with suppress(OSError):
            for folder in sorted(Path(self.path).iterdir()):
                if not folder.name.startswith(".") and _is_served(folder):
                    yield folder.name, str(folder)


@dataclass(frozen=True)
class _Kept:
    """A model, and the files from which it was read last or could not be read."""

    path: str
    stamp: Stamp
    model: AnyServed | None
    problem: str | None = None


@dataclass(frozen=True)
class _Found:
    """Where a model is, and the place that it is found in."""

    path: str
    place: Place


class Models:
    """The models and galleries of a server, by name.

    Args:
        places: Where they are.
        load: Reads a model or a gallery of a name from a path.
        log: Gets a sentence about each change.
    """

    def __init__(
        self,
        places: Sequence[Place],
        load: Callable[[str, str], AnyServed],
        log: logging.Logger,
    ) -> None:
        self._places, self._load, self._log = places, load, log
        self._kept: dict[str, _Kept] = {}
        self._told = ""

    def load_all(self) -> None:
        """Load every model. In a folder of models, those that cannot be loaded are left out.

        Raises:
            HeadstartError: One that was named cannot be loaded.
            ServerError: Two have the same name, or there is none.
        """
        for name, found in self._found_at_start().items():
            stamp = _stamp(found.path)
            if self._is_awaited(found.path, stamp):
                continue
            try:
                self._kept[name] = _Kept(found.path, stamp, self._load(name, found.path))
            except HeadstartError as error:
                if found.place.name is not None:
                    raise
                self._kept[name] = _Kept(found.path, stamp, None, self._problem(name, error))
        if self._kept and not self.all:
            raise ServerError(next(iter(self.problems.values())))

    def check(self) -> None:
        """Check that each model that was named is whole, and that no two have one name.

        Raises:
            HeadstartError: As `load_all`.
        """
        for found in self._found_at_start().values():
            if found.place.name is not None:
                _check(found.path)

    @property
    def all(self) -> Mapping[str, AnyServed]:
        """The models and galleries that answer, by name."""
        return {name: kept.model for name, kept in self._kept.items() if kept.model}

    @property
    def served(self) -> Mapping[str, ServedModel]:
        """The models that answer, by name."""
        return {name: one for name, one in self.all.items() if not _searches(one)}

    @property
    def galleries(self) -> Mapping[str, ServedGallery]:
        """The galleries that answer, by name."""
        return {name: one for name, one in self.all.items() if _searches(one)}

    @property
    def problems(self) -> Mapping[str, str]:
        """Why the newest files of a model or gallery are not served, by name."""
        return {name: kept.problem for name, kept in self._kept.items() if kept.problem}

    def get(self, name: str | None) -> ServedModel:
        """Return a model; without a name, the only one.

        Raises:
            Refusal: There is no such model, or there are several and none was named.
        """
        return self._chosen(self.served, name, "model", "models")

    def gallery(self, name: str | None) -> ServedGallery:
        """Return a gallery; without a name, the only one.

        Raises:
            Refusal: There is no such gallery, or there are several and none was named.
        """
        return self._chosen(self.galleries, name, "gallery", "galleries")

    def _chosen(
        self, served: Mapping[str, _Served], name: str | None, kind: str, kinds: str
    ) -> _Served:
        if name is None and len(served) == 1:
            return next(iter(served.values()))
        if name is None and served:
            names = list_names(list(served))
            raise Refusal(422, f"Several {kinds} are served: {names}. Name one, with ?{kind}=NAME.")
        if name is None:
            other = next(iter(self.all.values()), None)
            ending = _way_to(other) if other else ""
            raise Refusal(404 if other else 503, f"No {kind} is served at the moment.{ending}")
        if name not in served and name in self.all:
            raise Refusal(404, f"'{name}' is not a {kind}.{_way_to(self.all[name])}")
        if name not in served and name in self.problems:
            raise Refusal(503, self.problems[name])
        if name not in served:
            hint = suggestion(name, served)
            raise Refusal(404, f"No {kind} '{name[:100]}' is served.{hint} See /{kinds}.")
        return served[name]

    async def watch(self) -> None:
        """Look at the folders now and then: load what is new or changed, drop what is gone."""
        while True:
            await asyncio.sleep(SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the folders once. Where a model cannot be loaded, the earlier one stays."""
        try:
            found = await asyncio.to_thread(self._found)
        except ServerError as error:
            self._tell_once(str(error))
            return
        for name, one in found.items():
            stamp = await asyncio.to_thread(_stamp, one.path)
            before = self._kept.get(name)
            if self._is_awaited(one.path, stamp):
                continue
            if before is None or stamp != before.stamp:
                await self._reload(name, one.path, stamp, before)
        for name in self._kept.keys() - found.keys():
            self._drop(name)

    def _is_awaited(self, path: str, stamp: Stamp) -> bool:
        """Return whether a model is not there yet, or is just being replaced by its training."""
        return not stamp and any(place.optional and place.path == path for place in self._places)

    async def _reload(self, name: str, path: str, stamp: Stamp, before: _Kept | None) -> None:
        earlier = before.model if before else None
        try:
            model = await asyncio.to_thread(self._load, name, path)
        except Exception as error:  # Whatever is wrong with the new one, the earlier one serves.
            problem = self._problem(
                name, error, " The earlier one is still served." if earlier else ""
            )
            # What is not wrong with the files, such as a full disk, may be over next time.
            known = stamp if isinstance(error, HeadstartError) else ()
            self._kept[name] = _Kept(path, known, earlier, problem)
            return
        self._kept[name] = _Kept(path, stamp, model)
        self._log.info(f"'{name}' was {'replaced' if earlier else 'added'}: {model.version}.")
        if earlier:
            earlier.retire()

    def _problem(self, name: str, error: Exception, ending: str = "") -> str:
        """Return why a model or gallery cannot be loaded, and tell it."""
        problem = f"'{name}' cannot be loaded: {error}{ending}"
        self._tell_once(problem)
        return problem

    def _tell_once(self, text: str) -> None:
        """Log what is wrong, unless it is the same as last time."""
        if text != self._told:
            self._told = text
            self._log.warning(text)

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name)
        self._log.info(f"'{name}' is gone, and is no longer served.")
        if kept.model:
            kept.model.retire()

    def _found_at_start(self) -> dict[str, _Found]:
        """Return each model by its name.

        Raises:
            ServerError: Two have the same name, or there is none.
        """
        found = self._found()
        if not found:
            folders = list_names([place.path for place in self._places])
            raise ServerError(f"There is no model in {folders}, and no gallery. Make one first.")
        return found

    def _found(self) -> dict[str, _Found]:
        """Return each model by its name.

        Raises:
            ServerError: Two have the same name.
        """
        found: dict[str, _Found] = {}
        for place in self._places:
            for name, path in place.models():
                if name in found and found[name].path == path:
                    raise ServerError(f"'{path}' is named twice. Remove one of the two.")
                if name in found:
                    raise ServerError(
                        f"Two models are named '{name}': '{found[name].path}' and '{path}'. Name "
                        f"one of them: {name}-2={path}"
                    )
                found[name] = _Found(path, place)
        return found


def _check(path: str) -> None:
    """Check that a model or a gallery is whole.

    Raises:
        HeadstartError: It is not.
    """
    if not is_gallery(Path(path)):
        read_model(path)
        return
    from headstart.commands.embedding import open_gallery  # It needs PyTorch, a slow import.

    open_gallery(path, ComputeOptions())


def _searches(served: AnyServed) -> bool:
    return isinstance(served.answerer, GalleryAnswerer)


def _way_to(served: AnyServed) -> str:
    """Return a sentence about how a model or a gallery is asked, for a request of the other."""
    if _searches(served):
        return f" '{served.name}' is a gallery: POST /search?gallery={served.name}."
    return f" '{served.name}' is a model: POST /predict?model={served.name}."


def _is_served(folder: Path) -> bool:
    """Return whether a folder is a run, a bundle or a gallery."""
    if is_gallery(folder):
        return True
    try:
        bundle_folder(folder)
    except BundleError:
        return (folder / "bundle").is_dir()
    return True


def _stamp(path: str) -> Stamp:
    """Return what the system says about the files of a model; () for one that has none here.

    For a gallery, these are the files that do not change when images are added or removed.
    """
    if on_hub(path):
        return ()
    try:
        gallery = is_gallery(Path(path))
        folder = Path(path) if gallery else bundle_folder(Path(path))
        return tuple(
            (name, status.st_ino, status.st_size, status.st_mtime_ns)
            for name in (_GALLERY_FILES if gallery else _FILES)
            for status in [(folder / name).stat()]
        )
    except (HeadstartError, OSError):
        return ()
