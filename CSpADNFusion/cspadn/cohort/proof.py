"""Proof that this user has made a result: results that came with the data have none (docs/adr/0029-proof-of-results.md)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from cspadn.errors import FusionError
from cspadn.io.atomic_output import commit
from cspadn.io.images import stage_bytes
from cspadn.io.regular_files import read_regular
from cspadn.runtime.private_folders import user_folder

PROOF = "CSpADNFusionProof"  # key in JSON files
_LENGTH = 32  # bytes of a key


def user_key() -> bytes:
    """Return the key of this user, made if necessary.

    It lies in a folder that only this user enters. Without such a folder, a new key is returned, which proves nothing later.
    """
    folder = user_folder()
    if folder is None:
        return secrets.token_bytes(_LENGTH)
    file = folder / "key"
    if (found := _read(file)) is not None:
        return found
    with suppress(FusionError, OSError):  # another run may make it at the same time
        commit([lambda: stage_bytes(file, secrets.token_bytes(_LENGTH))], overwrite=file.exists())
        file.chmod(0o600)
    return _read(file) or secrets.token_bytes(_LENGTH)


def _read(file: Path) -> bytes | None:
    with suppress(OSError):
        if len(key := read_regular(file, _LENGTH)) == _LENGTH:
            return key
    return None


def with_proof(description: dict[str, Any], place: str, key: bytes) -> dict[str, Any]:
    """Return the content of a JSON file with its proof.

    Args:
        description: the content, as JSON can hold it.
        place: of the file in the outputs, so that a file cannot stand for another one.
        key: of the user.
    """
    return {**description, PROOF: _proof_of(description, place, key)}


def is_proven(description: object, place: str, key: bytes) -> bool:
    """Return whether the content of a JSON file has been written by :func:`with_proof`, with this place and key."""
    if not isinstance(description, dict) or not isinstance(given := description.get(PROOF), str):
        return False
    content = {name: value for name, value in description.items() if name != PROOF}
    return hmac.compare_digest(given.encode(errors="replace"), _proof_of(content, place, key).encode())


def _proof_of(content: dict[str, Any], place: str, key: bytes) -> str:
    read = json.loads(json.dumps(content))  # as it is read from a file
    text = json.dumps([place, read], sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
