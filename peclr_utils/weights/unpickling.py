"""The tensors of a checkpoint whose pickle names foreign classes, without making or running any of them.

PyTorch Lightning's files hold settings, callbacks and paths beside the weights, and
`torch.load(weights_only=True)` refuses them whole. Here a pickle can name anything, and gets: a dict for an
`OrderedDict`, a record for a tensor, a data type for a storage, and for everything else a class whose
objects do nothing. No module is imported and none of torch's functions is called while a pickle is read;
`peclr_utils.weights.foreign` afterwards makes tensors from the records.

No chapter shows it: the loaders use it where a file needs it.
"""

import pickle
from typing import Any, BinaryIO

import torch

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Inert:
    """Stands for anything foreign: takes whatever a pickle hands it, keeps nothing and does nothing.

    So does each class below. As `__setstate__` is found on the classes as well as on their objects, a pickle
    cannot set attributes on either.
    """

    __slots__ = ()
    stands_for = ""

    def __new__(cls, *_: Any, **__: Any) -> "Inert":
        return object.__new__(cls)

    def __setstate__(*_: Any) -> None:
        """Leave the object as it is."""

    append = extend = add = __setitem__ = __call__ = __setstate__


class Dict(dict):
    """Stands for an `OrderedDict`, whose attributes are not wanted."""

    __slots__ = ()
    __setstate__ = Inert.__setstate__


class StorageType:
    """Stands for one of torch's storage classes."""

    __slots__ = ("dtype",)
    __setstate__ = Inert.__setstate__

    def __init__(self, dtype: torch.dtype):
        self.dtype = dtype


class Storage:
    """Where a tensor's numbers lie: the name of a record in the file, its type and length."""

    __slots__ = ("dtype", "key", "numel")
    __setstate__ = Inert.__setstate__

    def __init__(self, key: str, dtype: torch.dtype, numel: int):
        self.key, self.dtype, self.numel = key, dtype, numel

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


class TensorRecord:
    """What torch would build a tensor from. The tensor itself is made after the pickle is read, if at all."""

    __slots__ = ("offset", "shape", "storage", "stride")
    __setstate__ = Inert.__setstate__

    def __new__(cls, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> "TensorRecord":
        numbers = (offset, *shape, *stride)
        if type(storage) is not Storage or not all(type(each) is int and each >= 0 for each in numbers):
            raise pickle.UnpicklingError("a tensor is not described by a storage and whole numbers")
        record = object.__new__(cls)
        record.storage, record.offset, record.shape, record.stride = (
            storage,
            offset,
            tuple(shape),
            tuple(stride),
        )
        return record


class Parameter:
    """Stands for a parameter: its tensor alone."""

    __slots__ = ()
    __setstate__ = Inert.__setstate__

    def __new__(cls, data: Any, *_: Any) -> Any:
        return data


KNOWN = {
    ("collections", "OrderedDict"): Dict,
    ("torch._utils", "_rebuild_tensor"): TensorRecord,
    ("torch._utils", "_rebuild_tensor_v2"): TensorRecord,
    ("torch._utils", "_rebuild_parameter"): Parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): Parameter,
}


class RestrictedUnpickler(pickle.Unpickler):
    """Reads a pickle of torch's; see the module's text for what it makes of names.

    Args:
        file: positioned at the pickle's start; afterwards at its end.
    """

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")
        self.foreign: dict[str, type[Inert]] = {}
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for a name. Nothing is imported or looked up."""
        if module in ("torch", "torch.cuda") and name in STORAGES:
            return StorageType(STORAGES[name])
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        full = f"{module}.{name}"
        return self.foreign.setdefault(full, type("Inert", (Inert,), {"__slots__": (), "stands_for": full}))

    def persistent_load(self, saved_id: Any) -> Any:
        """Note where a tensor's numbers lie; of a network's class, only that there is one."""
        match saved_id:
            case ("module", type() as foreign, *_) if issubclass(foreign, Inert):
                return foreign
            case ("storage", StorageType() as kind, str(key), _, int(numel), *view) if view in ([], [None]):
                storage = self.storages.setdefault(key, Storage(key, kind.dtype, numel))
                if (storage.dtype, storage.numel) == (kind.dtype, numel) and numel >= 0:
                    return storage
        raise pickle.UnpicklingError("a tensor's numbers are not described as torch describes them")
