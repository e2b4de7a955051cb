"""Draw fused validation pairs during the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
import SimpleITK as sitk
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from cspadn.io.images import write_image
from training.data import Pair

Levels = NDArray[np.uint8]
_PAIRS = 3  # pairs that are drawn: the first ones


class PairPictures(lightning.Callback):
    """Draw PET, MRI and fused image of some pairs into a PNG file and into TensorBoard, after validation.

    Args:
        pairs: as in :class:`training.data.PairDataset`; the first three are drawn.
        folder: where ``epoch_N.png`` is written.
        every: epochs from one picture to the next; pictures are drawn only in epochs with validation; 0: none.
    """

    def __init__(self, pairs: Sequence[Pair], folder: Path, every: int) -> None:
        self.pairs, self.folder, self.every = pairs[:_PAIRS], folder, every

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Draw the pictures; Lightning calls this with the network in evaluation mode."""
        epochs = trainer.current_epoch + 1
        if not self.every or epochs % self.every or not trainer.is_global_zero:
            return
        picture = contact_sheet([_row(pair, pl_module) for pair in self.pairs])
        self.folder.mkdir(parents=True, exist_ok=True)
        write_image(sitk.GetImageFromArray(picture), self.folder / f"epoch_{epochs:05d}.png")
        for log in trainer.loggers:
            if isinstance(log, TensorBoardLogger):
                log.experiment.add_image("validation", picture, trainer.global_step, dataformats="HW")


def _row(pair: Pair, module: lightning.LightningModule) -> Levels:
    """Put PET, MRI and fused image side by side."""
    fused = module(torch.from_numpy(pair[np.newaxis, :2]).to(module.device))[0, 0].clamp(0, 1).cpu().numpy()
    levels: Levels = np.rint(np.hstack([pair[0], pair[1], fused]) * 255).astype(np.uint8)
    return levels


def contact_sheet(rows: Sequence[Levels]) -> Levels:
    """Stack rows of any size on a black background."""
    sheet = np.zeros((sum(len(row) for row in rows), max(row.shape[1] for row in rows)), np.uint8)
    top = 0
    for row in rows:
        sheet[top : top + len(row), : row.shape[1]] = row
        top += len(row)
    return sheet
