"""Questions to the user: Enter and Escape decline, so that nothing is replaced or installed by accident."""

import logging

import slicer


def confirm(text):
    """Ask a question with Yes and No, and return whether the user chooses Yes. No is the default.

    Slicer's own functions let Enter accept. As they do, this returns True without asking while Slicer is tested.
    """
    import qt

    logging.info(text)
    if slicer.app.testingEnabled():
        return True
    box, title = qt.QMessageBox, f"{slicer.app.applicationName} confirmation"
    return box.question(slicer.util.mainWindow(), title, text, box.Yes | box.No, box.No) == box.Yes
