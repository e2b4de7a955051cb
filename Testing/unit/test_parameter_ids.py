"""Identifiers of parametrised tests, which must be the same in each process that collects them."""

from __future__ import annotations

import gzip

import pytest


@pytest.mark.parametrize("content", [gzip.compress(b"holds the time of its compression"), bytearray(3)])
def test_bytes_are_named_by_their_number(content: bytes, request: pytest.FixtureRequest) -> None:
    assert request.node.name.endswith(f"[content-{len(content)}-bytes]")
