"""Fuse slices with a network: quickly, in threads and batches, within the memory there is."""
