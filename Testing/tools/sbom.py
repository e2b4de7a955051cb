"""``make sbom``: complete the bill of materials that CycloneDX's tool has written by the libraries inside SimpleITK's wheel.

CycloneDX sees Python packages alone. SimpleITK's wheel is one binary with ITK and the C libraries that parse files; their
versions are read from the texts in that binary, where they have any.
"""

from __future__ import annotations

import argparse
import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple


class Library(NamedTuple):
    """A library inside SimpleITK.

    Attributes:
        name: in the bill of materials.
        purpose: what it does there.
        pattern: of a text in the binary that holds its version; None if it has none.
    """

    name: str
    purpose: str
    pattern: bytes | None = None


LIBRARIES = (  # of ITK's folders Modules/ThirdParty and Modules/IO
    Library("ITK", "image processing and readers", rb"ITK version (\d+\.\d+[.\d]*)"),
    Library("GDCM", "voxels of DICOM files", rb"GDCM (\d+\.\d+\.\d+)"),
    Library("CharLS", "JPEG-LS in DICOM files"),
    Library("OpenJPEG", "JPEG 2000 in DICOM files"),
    Library("libjpeg-turbo", "JPEG; no format of this program"),
    Library("libjpeg in GDCM", "JPEG of 8, 12 and 16 bits in DICOM files"),
    Library("NrrdIO", "NRRD headers and voxels"),
    Library("MetaIO", "MetaImage headers and voxels"),
    Library("niftilib", "NIfTI headers and voxels"),
    Library("libpng", "PNG pictures", rb"libpng version (\d+\.\d+\.\d+)"),
    Library("zlib-ng", "compressed voxels", rb"zlib-ng (\d+\.\d+\.\d+)"),
    Library("expat", "XML; no format of this program", rb"expat_(\d+\.\d+\.\d+)"),
    Library("HDF5", "HDF5; no format of this program", rb"HDF5 library version: (\d+\.\d+\.\d+)"),
    Library("libtiff", "TIFF; no format of this program", rb"LIBTIFF, Version (\d+\.\d+\.\d+)"),
    Library("VNL", "linear algebra"),
    Library("Eigen", "linear algebra"),
    Library("double-conversion", "numbers in headers"),
)
_OWNER = "SimpleITK"
_AHEAD, _OVERLAP = 2**24, 200  # bytes that are searched at a time, and again


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bill", type=Path, help="JSON of cyclonedx-py; it is completed in place")
    options = parser.parse_args()
    bill = json.loads(options.bill.read_text(encoding="utf-8"))
    completed = complete(bill, versions_in(_binary()))
    options.bill.write_text(json.dumps(completed, indent=2) + "\n", encoding="utf-8")
    print(f"{options.bill}: {len(completed['components'])} packages, {len(LIBRARIES)} libraries inside {_OWNER}")


def _binary() -> Path:
    """Return the compiled part of the installed SimpleITK."""
    files = (file for file in metadata.files(_OWNER) or [] if file.name.startswith("_SimpleITK"))
    return next(Path(str(file.locate())) for file in files if file.suffix in (".so", ".pyd"))


def versions_in(binary: Path) -> dict[str, str]:
    """Return the versions of libraries by their names, as far as texts in a binary tell them."""
    found: dict[str, str] = {}
    wanted = {each.name: re.compile(each.pattern) for each in LIBRARIES if each.pattern}
    with binary.open("rb") as file:
        kept = b""
        while chunk := file.read(_AHEAD):
            kept = kept[-_OVERLAP:] + chunk
            for name, pattern in wanted.items():
                if name not in found and (match := pattern.search(kept)):
                    found[name] = match[1].decode()
    return found


def complete(bill: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """Return a bill of materials in which SimpleITK contains its libraries.

    Raises:
        ValueError: SimpleITK is not in it.
    """
    owners = [each for each in bill["components"] if each["name"].lower() == _OWNER.lower()]
    if len(owners) != 1:
        raise ValueError(f"The bill of materials does not list {_OWNER} once.")
    inside = [_component(each, versions.get(each.name)) for each in LIBRARIES]
    others = [each for each in bill["components"] if each is not owners[0]]
    return {**bill, "components": [*others, {**owners[0], "components": inside}]}


def _component(library: Library, version: str | None) -> dict[str, str]:
    named = {"type": "library", "name": library.name, "description": library.purpose, "bom-ref": f"{_OWNER}:{library.name}"}
    return named if version is None else {**named, "version": version}


if __name__ == "__main__":
    main()
