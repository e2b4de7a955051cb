"""Worker processes beside Slicer, and the Python packages that they need."""
