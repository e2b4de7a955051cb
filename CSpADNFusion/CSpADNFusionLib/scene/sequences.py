"""Frames of a PET in a sequence: the volume node that a sequence browser shows stands for all of them."""

from typing import Any, NamedTuple

import numpy as np
import slicer

from cspadn.errors import InputError
from cspadn.imaging.frames import chosen_frames, frame_weights, mark_frames, usable_seconds, weighted_mean
from cspadn.imaging.metadata import FRAMES, add_note
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.node_contents import dicomValue
from CSpADNFusionLib.scene.transforms import ijkToRas

_FRAME_DURATION = "0018,1242"  # milliseconds


class Selection(NamedTuple):
    """The chosen frames of a sequence.

    :ivar voxels: array of their mean, or None for the frame that is shown.
    :ivar chosen: range of their indices.
    :ivar count: number of frames of the sequence.
    :ivar seconds: durations of all frames, or None if they are not known.
    :ivar name: name of the volume node.
    """

    voxels: Any
    chosen: range
    count: int
    seconds: Any
    name: str

    def mark(self, image):
        """Store in an image of these frames which ones they are, and a warning if the user should know more."""
        if self.voxels is not None:
            mark_frames(image, self.chosen, self.count, self.seconds, f"'{self.name}'")
            return
        number = self.chosen[0] + 1
        image.SetMetaData(FRAMES, f"{number} of {self.count}")
        add_note(image, message("sequence-frame-shown", name=self.name, number=number, count=self.count))


def selectionOf(node, frames):
    """Return the :class:`Selection` of the frames of a volume node, or None if no sequence of several frames is behind it.

    :param frames: as in the settings, or None for the frame that is shown.
    :raises InputError: the sequence does not have these frames, or they cannot be averaged.
    """
    browser, sequence = _browserAndSequence(node)
    count = sequence.GetNumberOfDataNodes() if sequence else 0
    if count < 2:
        return None
    if frames is None:
        shown = max(0, browser.GetSelectedItemNumber())
        return Selection(None, range(shown, shown + 1), count, None, node.GetName())
    chosen = chosen_frames(frames, count, f"'{node.GetName()}'")
    nodes = [sequence.GetNthDataNode(index) for index in range(count)]
    arrays = [slicer.util.arrayFromVolume(nodes[index]) for index in chosen]
    if any(array.shape != arrays[0].shape for array in arrays) or not _haveOnePlace([nodes[index] for index in chosen], node):
        raise InputError(message("sequence-frames-differ", name=node.GetName()))
    seconds = _secondsOf(nodes)
    return Selection(weighted_mean(arrays, frame_weights(chosen, seconds)), chosen, count, seconds, node.GetName())


def _browserAndSequence(node):
    """Return the sequence browser that shows a volume node, and the sequence of its frames; (None, None) without."""
    scene = node.GetScene()
    count = scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") if scene else 0
    for index in range(count):
        browser = scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode")
        if sequence := browser.GetSequenceNode(node):
            return browser, sequence
    return None, None


def _haveOnePlace(nodes, shown):
    return all(np.allclose(ijkToRas(each), ijkToRas(shown), atol=1e-3) for each in nodes)


def _secondsOf(nodes):
    """Return the durations of frames from their DICOM series, or None if they are not known."""
    durations = [dicomValue(node, _FRAME_DURATION) for node in nodes]
    seconds = usable_seconds(durations, len(nodes))
    return [each / 1000 for each in seconds] if seconds else None
