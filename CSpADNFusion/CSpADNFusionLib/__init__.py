"""The Slicer side of CSpADNFusion: nodes to images and back, the worker process, torch set-up, sample data."""
