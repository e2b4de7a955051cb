"""MRML nodes of the module."""
