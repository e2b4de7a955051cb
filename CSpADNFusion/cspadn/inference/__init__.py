"""Fuse slices with a network: threads, batches, memory, and a faster form of CSpA-DN (docs/inference.md)."""
