"""Logic of the module: fusion of volume nodes, without any window."""

import logging
import traceback
from dataclasses import replace

from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from cspadn.errors import FusionError, InputError, MissingPackageError, UsageError
from cspadn.palettes import DEFAULT_PALETTE
from cspadn.settings import NO_REGISTRATION, FusionSettings
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.parameters import CSpADNFusionParameterNode
from CSpADNFusionLib.scene.node_contents import holdsData

_LIBRARIES = ("filelock", "highdicom", "matplotlib", "PIL")  # that log each of their steps


def quietLibraries():
    """Keep the debug lines of libraries out of Slicer's log, which shows all levels; a level that somebody set stays."""
    for name in _LIBRARIES:
        if (logger := logging.getLogger(name)).level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


class CSpADNFusionLogic(ScriptedLoadableModuleLogic):
    """Fuse volume nodes, from the panel, the console or scripts. The logic needs no window.

    ``petNode`` and ``mriNode`` are two scalar volume nodes of the same head:

    >>> logic = CSpADNFusionLogic()
    >>> fusedNode = logic.fuse(petNode, mriNode, palette="PET-Heat", metrics=True)
    >>> fusedNode.GetName()
    'Fused MRI-PET'
    >>> fusedNode.GetAttribute("CSpADNFusion.model")
    'cspadn'
    >>> fusedNode.GetNodeReference("CSpADNFusionColor").GetName()
    'Fused MRI-PET color'
    >>> fusedNode.GetNodeReference("CSpADNFusionMetrics").GetName()
    'Fused MRI-PET metrics'
    >>> logic.fuse(petNode, petNode)
    Traceback (most recent call last):
    cspadn.errors.InputError: Select two different volumes.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        quietLibraries()
        self._worker = self._alignmentWorker = None
        self._task = ""  # "fusion" or "registration" while a worker is running

    def getParameterNode(self):
        """Return the typed parameter node of the scene."""
        parameters = CSpADNFusionParameterNode(super().getParameterNode())
        parameters.repair()
        return parameters

    def missingPackages(self, task="fusion"):
        """Return the names of the packages that a task, "fusion" or "registration", needs and that cannot be imported here."""
        from CSpADNFusionLib.worker.torch_setup import missingPackages

        return missingPackages(task)

    def obstacle(self, petNode, mriNode, outputNode=None, colorOutputNode=None, metricsTableNode=None):
        """Return why these inputs cannot be fused into these outputs, as a sentence, or None if nothing prevents it."""
        return self._inputObstacle(petNode, mriNode) or self._outputObstacle(
            (petNode, mriNode), outputNode, colorOutputNode, metricsTableNode
        )

    def _inputObstacle(self, petNode, mriNode):
        if not petNode or not mriNode:
            return message("select-pet-and-mri")
        if petNode is mriNode:
            return message("select-two-volumes")
        for node in (petNode, mriNode):
            if not holdsData(node):
                return message("node-without-voxels", name=node.GetName())
        return None

    def _outputObstacle(self, inputs, outputNode, colorOutputNode, metricsTableNode):
        if outputNode and outputNode in inputs:
            return message("output-node-is-input")
        if colorOutputNode and not colorOutputNode.IsA("vtkMRMLVectorVolumeNode"):
            return message("colour-node-not-a-vector-volume")
        if colorOutputNode and colorOutputNode in (*inputs, outputNode):
            return message("colour-node-is-used")
        if metricsTableNode and not metricsTableNode.IsA("vtkMRMLTableNode"):
            return message("metrics-node-not-a-table")
        return None

    def fuse(
        self, petNode, mriNode, outputNode=None, colorOutputNode=None, *, metricsTableNode=None, metrics=False,
        progress=None, cancelled=None, warned=None, **settings,
    ):  # fmt: skip
        """Fuse in this process and return the fused volume node.

        The result has values from 0 to 4095, and takes the grid and the parent transform of the MRI, or with ``grid="pet"``
        those of the PET. It refers to its colour volume as "CSpADNFusionColor" and to its table as "CSpADNFusionMetrics".

        :param petNode, mriNode: scalar volume nodes, registered to each other, under any linear or non-linear transforms.
        :param outputNode: receives the result; default: a new node, named "Fused <MRI>-<PET>".
        :param colorOutputNode: vector volume node that receives the fused volume in the hues of a PET palette; default: a new
            node with the setting ``palette``, else none.
        :param metricsTableNode: table node that receives the metrics of each slice; default: a new one with ``metrics``.
        :param metrics: whether to compute the metrics.
        :param progress: called with the number of slices done and the total, during the fusion and again during the metrics.
        :param cancelled: called before each slice; returning True stops the run.
        :param warned: called with each warning, a sentence; default: warnings are logged.
        :param settings: fields of :class:`cspadn.FusionSettings`, such as model, device, grid and palette. With
            ``register="rigid"``, the PET is put under a transform node first, as by :meth:`register`.
        :raises cspadn.errors.FusionError: with a sentence that explains the error; the scene is unchanged, but for the
            transform of a registration. Subclasses:
            InputError (a volume), UsageError (a setting), ModelError (the weights), MissingPackageError (torch or safetensors
            is not installed), MemoryExhaustedError, CancelledError.
        """
        self._checkNodes(petNode, mriNode, outputNode, colorOutputNode, metricsTableNode)
        self._checkPackages()
        import cspadn
        from CSpADNFusionLib.scene import volumes
        from CSpADNFusionLib.worker.fusion import FusionOutput

        chosen = self._settings(colorOutputNode, settings)
        if chosen.register != NO_REGISTRATION:
            self.register(petNode, mriNode, cancelled=cancelled)
            chosen = replace(chosen, register=NO_REGISTRATION)
        placement = volumes.placementOf(petNode, mriNode, chosen.grid)
        images = volumes.imagesFromVolumeNodes(petNode, mriNode, chosen.grid, chosen.frames)
        result = cspadn.fuse(*images, chosen, progress=progress, cancelled=cancelled)
        rows = None
        if metrics or metricsTableNode:
            from cspadn.metrics import measure_fusion

            rows = measure_fusion(*images, result, progress=progress, cancelled=cancelled).to_rows()
        for warning in result.warnings:
            warned(warning) if warned else logging.warning(f"CSpADNFusion: {warning}")
        provenance = {**result.provenance, **placement.registration}
        output = FusionOutput(result.image, result.color, rows, provenance, result.warnings)
        return self._store(output, placement, outputNode, colorOutputNode, metricsTableNode)

    def startFusion(
        self, petNode, mriNode, outputNode=None, colorOutputNode=None, *, metricsTableNode=None, metrics=False,
        onProgress, onFinished, onFailed, onLog=None, **settings,
    ):  # fmt: skip
        """Start a fusion in a worker process and return at once. The result is the same as that of :meth:`fuse`.

        The first parameters and the settings are those of :meth:`fuse`.

        :param onProgress: called with the number of slices done, the total, and the step ("Preparing", "Fusing" or
            "Measuring").
        :param onFinished: called with the fused volume node and a list of warnings.
        :param onFailed: called with a message for the user ("" after a cancel) and the last lines of the worker's log. The
            scene is unchanged.
        :param onLog: called with each line that the worker prints besides its progress.
        """
        outputNodes = outputNode, colorOutputNode, metricsTableNode
        self._checkIdle()
        self._checkNodes(petNode, mriNode, *outputNodes)
        self._checkPackages()
        chosen, measured = self._settings(colorOutputNode, settings), bool(metrics or metricsTableNode)
        callbacks = onProgress, onFinished, onFailed, onLog or logging.info
        if chosen.register == NO_REGISTRATION:
            self._startFusion((petNode, mriNode), outputNodes, chosen, measured, callbacks)
            return

        def registered(_node, _output):
            try:
                settled = replace(chosen, register=NO_REGISTRATION)
                self._startFusion((petNode, mriNode), outputNodes, settled, measured, callbacks)
            except FusionError as error:
                onFailed(str(error), "")

        self._startRegistration("fusion", petNode, mriNode, (onProgress, registered, onFailed, onLog or logging.info))

    def _startFusion(self, inputs, outputNodes, chosen, measured, callbacks):
        from CSpADNFusionLib.scene import volumes
        from CSpADNFusionLib.worker.fusion import FusionWorker
        from CSpADNFusionLib.worker.pair_worker import Callbacks
        from CSpADNFusionLib.worker.preparation import startPrepared

        onProgress, onFinished, onFailed, onLog = callbacks
        placement = volumes.placementOf(*inputs, chosen.grid)

        def finished(output):
            whole = output._replace(provenance={**output.provenance, **placement.registration})
            self._end(lambda: self._store(whole, placement, *outputNodes), output.warnings, onFinished, onFailed)

        steps = volumes.imageSteps(*inputs, chosen.grid, chosen.frames)
        callbacks = Callbacks(onProgress, finished, self._failed(onFailed), onLog)
        worker = startPrepared(steps, lambda *images: FusionWorker(*images, chosen, measured, callbacks), callbacks)
        self.stopAlignmentCheck()
        self._worker, self._task = worker, "fusion"

    def _end(self, store, result, onFinished, onFailed):
        """Store the result of a worker and report the end of its run."""
        self._worker = None
        try:
            node = store()
        except FusionError as error:
            onFailed(str(error), "")
        except Exception:
            logging.exception("CSpADNFusion: the result could not be stored")
            onFailed(message("result-not-stored"), traceback.format_exc())
        else:
            onFinished(node, result)

    def _failed(self, onFailed):
        def failed(text, log):
            self._worker = None
            onFailed(text, log)

        return failed

    def register(self, petNode, mriNode, *, progress=None, cancelled=None):
        """Register the PET to the MRI in this process, and return the linear transform node that the PET is now under.

        An earlier registration by this module is replaced; other transforms are kept. :meth:`undoRegistration` takes the PET
        out again.

        :param petNode, mriNode: scalar volume nodes of the same head, under linear transforms or none.
        :param progress: called with the number of steps done and the total.
        :param cancelled: called before each step; returning True stops the run.
        :raises cspadn.errors.FusionError: with a sentence that explains the error; the scene is unchanged.
        """
        self._checkNodes(petNode, mriNode)
        import cspadn
        from CSpADNFusionLib.scene import registration

        start = registration.startOf(petNode, mriNode)
        result = cspadn.register(*registration.imagesOf(start), progress=progress, cancelled=cancelled)
        provenance = result.provenance()
        return registration.store(start, provenance.pop("registration_matrix"), provenance)

    def startRegistration(self, petNode, mriNode, *, onProgress, onFinished, onFailed, onLog=None):
        """Start a registration in a worker process and return at once. The result is the same as that of :meth:`register`.

        :param onProgress: called with the number of steps done, the total, and "Registering".
        :param onFinished: called with the transform node and a
            :class:`CSpADNFusionLib.worker.registration.RegistrationOutput`.
        :param onFailed, onLog: as for :meth:`startFusion`.
        """
        self._checkIdle()
        self._checkNodes(petNode, mriNode)
        self._checkPackages("registration")
        self._startRegistration("registration", petNode, mriNode, (onProgress, onFinished, onFailed, onLog or logging.info))

    def _startRegistration(self, task, petNode, mriNode, callbacks):
        from CSpADNFusionLib.scene import registration
        from CSpADNFusionLib.worker.pair_worker import Callbacks
        from CSpADNFusionLib.worker.registration import RegistrationWorker

        onProgress, onFinished, onFailed, onLog = callbacks
        start = registration.startOf(petNode, mriNode)

        def finished(output):
            self._end(lambda: registration.store(start, output.matrix, output.provenance), output, onFinished, onFailed)

        images = registration.imagesOf(start)
        self.stopAlignmentCheck()
        callbacks = Callbacks(onProgress, finished, self._failed(onFailed), onLog)
        self._worker, self._task = RegistrationWorker(*images, callbacks), task

    def undoRegistration(self, petNode):
        """Take the PET out of the transform node of :meth:`register`, if it is under one."""
        from CSpADNFusionLib.scene import registration

        registration.undo(petNode)

    def startAlignmentCheck(self, petNode, mriNode, onChecked):
        """Start to measure, in a worker process, how far PET and MRI are apart; an earlier check is stopped.

        :param onChecked: called with a :class:`CSpADNFusionLib.worker.registration.AlignmentOutput`, or None if it failed.
        """
        self.stopAlignmentCheck()
        from CSpADNFusionLib.scene import volumes
        from CSpADNFusionLib.worker.pair_worker import Callbacks
        from CSpADNFusionLib.worker.preparation import startPrepared
        from CSpADNFusionLib.worker.registration import AlignmentWorker

        def finished(output):
            self._alignmentWorker = None
            onChecked(output)

        ignored = Callbacks(lambda *_: None, finished, lambda *_: finished(None), lambda _line: None)
        steps = volumes.imageSteps(petNode, mriNode)
        self._alignmentWorker = startPrepared(steps, lambda *images: AlignmentWorker(*images, ignored), ignored)

    def stopAlignmentCheck(self):
        """Stop a running check of the alignment, without further callbacks."""
        if self._alignmentWorker:
            self._alignmentWorker.close()
            self._alignmentWorker = None

    def _store(self, output, placement, *outputNodes):
        """Store the result, make it the last result of the panel, and return the fused volume node."""
        from CSpADNFusionLib.scene import results

        fusedNode = results.store(output, placement, *outputNodes)
        self.getParameterNode().lastFusedVolume = fusedNode
        return fusedNode

    def _settings(self, colorOutputNode, settings):
        if colorOutputNode and settings.get("palette") is None:
            settings = {**settings, "palette": DEFAULT_PALETTE}
        return FusionSettings(**settings)

    def exportStudy(self, fusedNode, folder):
        """Write a fused volume and its colour volume as a derived DICOM study, in the study of the MRI: docs/dicom.md.

        :param fusedNode: grayscale volume node, fused from an MRI that was loaded from Slicer's DICOM database.
        :param folder: path of the folder that receives the files: new, or empty.
        :returns: a :class:`CSpADNFusionLib.scene.dicom_export.Exported`, with the number of files.
        :raises cspadn.errors.FusionError: the study cannot be written; nothing is left in the folder.
        """
        from CSpADNFusionLib.scene import dicom_export

        return dicom_export.exportStudy(fusedNode, folder)

    def addStudyToDatabase(self, fusedNode):
        """Add the same study to Slicer's DICOM database, which keeps its own copies of the files. Each call adds a new copy.

        :param fusedNode: as for :meth:`exportStudy`.
        :returns: likewise.
        :raises cspadn.errors.FusionError: the study cannot be written, or the database is not open or does not take all of it.
            Then it keeps nothing of it.
        """
        from CSpADNFusionLib.scene import dicom_export

        return dicom_export.addToDatabase(fusedNode)

    def isCheckingAlignment(self):
        """Return whether a check of the alignment is running."""
        return self._alignmentWorker is not None

    def isBusy(self):
        """Return whether a worker is running a fusion or a registration."""
        return self._worker is not None

    def isFusing(self):
        """Return whether a worker is running a fusion, or the registration before it."""
        return self.isBusy() and self._task == "fusion"

    def isCancelling(self):
        """Return whether a running worker was asked to stop."""
        return self._worker is not None and self._worker.isCancelled()

    def cancel(self):
        """Ask a running worker to stop; ``onFailed("", ...)`` is called after it has stopped."""
        if self._worker:
            self._worker.cancel()

    def closeWorker(self):
        """Stop all running workers at once, without further callbacks."""
        self.stopAlignmentCheck()
        if self._worker:
            self._worker.close()
            self._worker = None

    def _checkIdle(self):
        if self._worker:
            raise UsageError(message("fusion-already-running"))

    def _checkNodes(self, *nodes):
        if obstacle := self.obstacle(*nodes):
            raise InputError(obstacle)

    def _checkPackages(self, task="fusion"):
        if missing := self.missingPackages(task):
            raise MissingPackageError(message("packages-missing", packages=", ".join(missing)))
