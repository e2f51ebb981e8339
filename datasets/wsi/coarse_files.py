"""Where the coarse annotation of a slide comes from: files of the authors, drawn files, or the truth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.annotations import Annotation, Bounds, ClassNames, Polygons, read_annotation, read_sav
from benchmark.errors import DataError

from .manifest_paths import nfc

if TYPE_CHECKING:
    from .wsi_options import WsiOptions

SUFFIXES = (".geojson", ".json", ".xml", ".annotations", ".png", ".tif", ".tiff", ".bmp")
"""Drawn annotations: QuPath, ASAP, ImageScope or HALO, label images."""

TOP = "top1"
"""The simulated annotation in the authors' files."""


class CoarseFiles:
    """Coarse annotations that lie in files: one `.sav` for all slides, or one drawn file per slide."""

    def __init__(self, options: WsiOptions) -> None:
        self._options = options
        self._path = Path(options.coarse_path or ".")

    @property
    def in_files(self) -> bool:
        """False where coarse annotations are made of the truth."""
        return self._options.coarse in ("published", "drawn")

    def lack(self, slide: str) -> str | None:
        """Why a slide has no coarse annotation; None when it has one, or when it is made of the truth."""
        if not self.in_files:
            return None
        if self._options.coarse == "drawn":
            missing = f"no coarse annotation {slide} ({', '.join(SUFFIXES)}) in {self._folder}"
            return None if self._drawn(slide) else missing
        versions = self._published.get(slide)
        if versions is None:
            return f"no coarse annotation in {self._path.name}"
        if self._version not in versions:
            return f"{self._path.name} has no version {self._version} of it, only {', '.join(sorted(versions))}"
        return None

    def read(self, slide: str, names: ClassNames, size: tuple[int, int], bounds: Bounds | None = None) -> Annotation:
        """The annotation of a slide of `size` (width, height) that has one; `bounds`: its scanned area.

        Raises `DataError`.
        """
        if why := self.lack(slide):
            raise DataError(f"slide {slide!r}: {why}", fix="name another coarse_path or coarse_version")
        if self._options.coarse == "published":
            return self._published[slide][self._version]
        file = self._drawn(slide)
        assert file is not None
        return read_annotation(file, names, size=size, bounds=bounds, origin=self._options.origin)

    @property
    def _version(self) -> str:
        return self._options.coarse_version or TOP

    @cached_property
    def _published(self) -> Mapping[str, Mapping[str, Polygons]]:
        """Slide → version → annotation. A file of one slide that does not name it is named after the slide."""
        slides = dict(read_sav(self._path))
        if "" in slides:
            slides[self._path.stem] = slides.pop("")
        return slides

    @cached_property
    def _folder(self) -> Path:
        folder = self._path / (self._options.coarse_version or "")
        if not folder.resolve().is_relative_to(self._path.resolve()) or not folder.is_dir():
            msg = f"coarse_version={self._options.coarse_version}: there is no such folder in {self._path}"
            raise DataError(msg, fix=f"ls {self._path}")
        return folder

    @cached_property
    def _files(self) -> Mapping[str, list[Path]]:
        files: dict[str, list[Path]] = {}
        for file in sorted(self._folder.iterdir()):
            if file.suffix.lower() in SUFFIXES:
                files.setdefault(nfc(file.stem), []).append(file)
        return files

    def _drawn(self, slide: str) -> Path | None:
        files = self._files.get(slide, [])
        if len(files) > 1:
            msg = f"slide {slide!r} has {len(files)} coarse annotations: {', '.join(file.name for file in files)}"
            raise DataError(f"{msg}", fix=f"leave one of them in {self._folder}")
        return files[0] if files else None


def nothing_drawn() -> Polygons:
    """The coarse annotation of a slide without a lesion."""
    return Polygons()
