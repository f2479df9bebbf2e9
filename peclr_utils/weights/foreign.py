"""The `state_dict` of a file with foreign classes in it, read without torch's own unpickling.

Two forms: the zip archive that `torch.save` writes since PyTorch 1.6, and the row of pickles before it. The
tar archives of 2016 and TorchScript are neither. The bytes of a tensor are read only if it belongs to the
`state_dict`, and only as many as the file has.

No chapter shows it: the loaders use it where a file needs it.
"""

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from peclr_utils.weights.unpickling import Dict, Inert, RestrictedUnpickler, Storage, TensorRecord

ZIP_START = b"PK\x03\x04"

LEGACY_START = (0x1950A86A20F9469CFC6C, 1001)
"""Magic number and version at the start of files from before PyTorch 1.6."""


def read_foreign(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Read the `state_dict` of a file that `torch.load(weights_only=True)` refuses, running nothing in it.

    Args:
        path: a file of `torch.save`.

    Returns:
        The `state_dict`, on the CPU, and the names of the foreign classes and functions left out of the file.

    Raises:
        ValueError: if the file has no `state_dict`, or it does not consist of tensors only.
        Exception: of many kinds, if the file is damaged.
    """
    with path.open("rb") as file:
        is_zip = file.read(len(ZIP_START)) == ZIP_START
        file.seek(0)
        return _read_zip(file) if is_zip else _read_legacy(file)


def _read_zip(file: BinaryIO) -> tuple[dict[str, Tensor], list[str]]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        roots = [name.split("/")[0] for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError(f"expected one data.pkl in the archive, found {len(roots)}")

        def record(name: str) -> bytes:
            info = archive.getinfo(f"{roots[0]}/{name}")
            # Stored as it is, a record cannot be larger than the file.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise ValueError(f"{info.filename}: expected a record that is not compressed")
            return archive.read(info)

        if f"{roots[0]}/byteorder" in names and record("byteorder") != b"little":
            raise ValueError("expected little-endian numbers; save the file again on an ordinary machine")
        unpickler = RestrictedUnpickler(io.BytesIO(record("data.pkl")))
        records = _tensor_records(unpickler.load())
        state = _make_tensors(records, lambda storage: record(f"data/{storage.key}"))
    return state, sorted(unpickler.foreign)


def _read_legacy(file: BinaryIO) -> tuple[dict[str, Tensor], list[str]]:
    start = tuple(RestrictedUnpickler(file).load() for _ in LEGACY_START)
    if start != LEGACY_START:
        raise ValueError("it begins neither as a zip archive nor as a file from before PyTorch 1.6")
    machine = RestrictedUnpickler(file).load()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ValueError("expected little-endian numbers; save the file again on an ordinary machine")
    unpickler = RestrictedUnpickler(file)
    records = _tensor_records(unpickler.load())
    size, found = os.fstat(file.fileno()).st_size, {}
    for key in RestrictedUnpickler(file).load():
        storage = unpickler.storages[key]
        (numel,) = struct.unpack("<q", file.read(8))
        if numel != storage.numel or file.tell() + storage.nbytes > size:
            raise ValueError(
                f"tensor data {key!r}: expected {storage.numel} numbers, found {numel} or a cut file"
            )
        found[key] = file.tell()
        file.seek(storage.nbytes, os.SEEK_CUR)

    def numbers(storage: Storage) -> bytes:
        file.seek(found[storage.key])
        return file.read(storage.nbytes)

    return _make_tensors(records, numbers), sorted(unpickler.foreign)


def _name(value: Any) -> str:
    """What something in a pickle is, for a message."""
    if isinstance(value, Inert):
        return f"an object of {value.stands_for!r}"
    return "a tensor" if isinstance(value, TensorRecord) else type(value).__name__.lower()


def _tensor_records(checkpoint: Any) -> dict[str, TensorRecord]:
    """The `state_dict` of what was unpickled, once it is sure to hold tensors only."""
    if type(checkpoint) not in (dict, Dict) or "state_dict" not in checkpoint:
        raise ValueError(f"expected a dict with a 'state_dict', found {_name(checkpoint)}")
    state = checkpoint["state_dict"]
    if type(state) not in (dict, Dict):
        raise ValueError(f"expected 'state_dict' to be a dict of tensors, found {_name(state)}")
    for key, value in state.items():
        if type(key) is not str or type(value) is not TensorRecord:
            raise ValueError(f"expected 'state_dict' to hold tensors only, found {_name(value)} at {key!r}")
    return dict(state)


def _make_tensors(records: dict[str, TensorRecord], numbers: Callable[[Storage], bytes]) -> dict[str, Tensor]:
    """Make tensors; those that share their numbers in the file share them here."""
    flat: dict[str, Tensor] = {}
    for record in records.values():
        storage = record.storage
        if storage.key not in flat:
            data = bytearray(numbers(storage))
            if len(data) != storage.nbytes:
                raise ValueError(
                    f"tensor data {storage.key!r}: expected {storage.nbytes} bytes, found {len(data)}"
                )
            empty = torch.empty(0, dtype=storage.dtype)
            flat[storage.key] = torch.frombuffer(data, dtype=storage.dtype) if data else empty
    return {
        # Refuses what would lie outside of the numbers.
        key: torch.as_strided(flat[record.storage.key], record.shape, record.stride, record.offset)
        for key, record in records.items()
    }
