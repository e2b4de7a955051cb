"""Read and write images, DICOM series, lists of pairs and outputs."""
