"""Measurements and drawings of ``python -m training.evaluate``: one module per table or figure of docs/results."""
