"""Fuse many pairs: one engine, with sources of pairs, layouts of outputs and runners (docs/adr/0016)."""
