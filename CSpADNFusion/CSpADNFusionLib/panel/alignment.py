"""Alignment of the selected pair in the panel: measured in a process beside Slicer, as often as the pair changes."""

import importlib.util

from cspadn.errors import FusionError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.node_references import ALIGNMENT_DEGREES, ALIGNMENT_MM


class AlignmentView:
    """Measure how far the selected PET and MRI are apart, and say it in a sentence.

    :param logic: the ``CSpADNFusionLogic``.
    :param onChanged: called with the sentence, whenever it changes.
    """

    def __init__(self, logic, onChanged):
        self._logic, self._onChanged = logic, onChanged
        self._pair = None  # what the sentence describes
        self._text = ""
        self._isWaiting = False  # for a check

    def reset(self):
        """Forget the result, because a volume has changed."""
        self._logic.stopAlignmentCheck()
        self._pair, self._isWaiting = None, False

    def show(self, nodes, skipped):
        """Start to measure a pair, unless this is the pair that was measured last.

        :param nodes: PET and MRI node, or None if they cannot be fused.
        :param skipped: whether the user wants no check.
        """
        if self._isWaiting and not self._logic.isCheckingAlignment():  # a run has stopped it
            self.reset()
            self._say("")
        pair = _identityOf(nodes) if nodes and not skipped else None
        if pair and (pair == self._pair or self._logic.isBusy()):
            return
        self.reset()
        self._say("")
        if pair and importlib.util.find_spec("filelock"):  # of which the worker's folder needs the locks
            self._pair = pair
            self._start(nodes)

    def tellFused(self, nodes, fusedNode):
        """Say what a fusion of a pair has measured, if it has.

        :param nodes: PET and MRI node.
        :param fusedNode: the fused volume node.
        """
        values = [fusedNode.GetAttribute(name) for name in (ALIGNMENT_MM, ALIGNMENT_DEGREES)]
        if not all(values):
            return
        from cspadn.registration import Alignment
        from CSpADNFusionLib.worker.registration import AlignmentOutput

        alignment = Alignment(*map(float, values))
        self._logic.stopAlignmentCheck()
        self._pair = _identityOf(nodes)
        self._onChecked(AlignmentOutput(alignment.displacement_mm, alignment.rotation_degrees, alignment.is_suspect))

    def _start(self, nodes):
        try:
            self._logic.startAlignmentCheck(*nodes, self._onChecked)
        except (FusionError, OSError):  # the fusion will say it
            self._say("")
        else:
            self._isWaiting = True
            self._say(message("panel-alignment-running"))

    def _onChecked(self, output):
        self._isWaiting = False
        if output is None or output.millimetres is None:
            self._say(message("panel-alignment-unknown"))
        else:
            self._say(_sentence(output))

    def _say(self, text):
        if text != self._text:
            self._text = text
            self._onChanged(text)


def _sentence(output):
    if output.suspect:
        return message("panel-misaligned", millimetres=output.millimetres, degrees=output.degrees)
    return message("panel-alignment", millimetres=output.millimetres, degrees=output.degrees)


def _identityOf(nodes):
    """Return what tells one position of one pair from another."""
    from CSpADNFusionLib.scene.transforms import relativePositions

    pet, mri = nodes
    return pet.GetID(), mri.GetID(), relativePositions(pet, mri, mri)
