"""A stand-in for the Slicer application, used by tests alone: real MRML from slicer-core, real Qt from PySide6."""
