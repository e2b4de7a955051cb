"""The process that reads volumes for :class:`cspadn.io.reader.VolumeReader`.

It takes requests on its input, one JSON object a line, and answers on its output: the length of a JSON text in eight bytes,
the text, and the voxels. What image libraries print goes nowhere.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, BinaryIO

READY = b"R"  # written when all is imported
LENGTH = 8  # bytes of the length of an answer


def main() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the other one ends this one
    requests, answers = _own_streams()
    from cspadn.io.images import read_in_process
    from cspadn.runtime.limits import confine
    from cspadn.runtime.terminal import silence_libraries

    silence_libraries()
    answers.write(READY)
    answers.flush()
    confine()
    for line in requests:
        answer, voxels = _answer(json.loads(line), read_in_process)
        text = json.dumps(answer).encode()
        answers.write(len(text).to_bytes(LENGTH, "little") + text)
        answers.write(voxels)
        answers.flush()


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes for this module alone."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, answers


def _answer(request: dict[str, Any], read: Any) -> tuple[dict[str, Any], Any]:
    """Return the answer to a request, and the voxels."""
    from cspadn.errors import FusionError, MemoryExhaustedError
    from cspadn.messages import message
    from cspadn.runtime.terminal import explained

    files = request["files"] and [Path(file) for file in request["files"]]
    try:
        return _described(read(Path(request["path"]), request["name"], files=files, **request["options"]))
    except FusionError as error:
        return _told(error), b""
    except MemoryError:
        return _told(MemoryExhaustedError(message("memory-to-read", path=request["path"]))), b""
    except Exception as error:
        return _told(explained(error)), b""


def _told(error: Any) -> dict[str, Any]:
    fields = {name: _plain(value) for name, value in error.fields.items()}
    return {"error": type(error).__name__, "text": str(error), "identifier": error.identifier, "fields": fields}


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return str(value) if isinstance(value, str) else value
    return value.item() if hasattr(value, "item") else str(value)


def _described(image: Any) -> tuple[dict[str, Any], Any]:
    import SimpleITK as sitk

    voxels = sitk.GetArrayFromImage(image)  # a view would not keep the image
    return {
        "dtype": voxels.dtype.str,
        "shape": voxels.shape,
        "vector": image.GetNumberOfComponentsPerPixel() > 1,
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
        "metadata": {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()},
    }, voxels.data.cast("B")


if __name__ == "__main__":
    main()
