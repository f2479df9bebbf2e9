"""Files with foreign classes give their tensors and run nothing; files that lie about tensors are errors."""

import collections
import enum
import functools
import io
import operator
import os
import pathlib
import pickle
import sys
import types
import zipfile

import pytest
import torch
from torch import nn

from peclr_utils import weights
from peclr_utils.weights import read

GONE = "lightning_that_is_gone"
FOREIGN = pathlib.PurePosixPath("/a")
STATE = {"a": torch.arange(6.0), "b": torch.arange(3)}


@pytest.fixture(params=["zip", "before PyTorch 1.6"])
def write(request, tmp_path):
    """Write a file in today's form or in the one before PyTorch 1.6."""

    def write_file(value, protocol=2):
        path, zipped = tmp_path / "file.ckpt", request.param == "zip"
        torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        return path

    return write_file


def gives_the_tensors(path):
    found = weights.read_checkpoint(path)
    state = found.pop("state_dict")
    return not found and state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)


@pytest.fixture
def marker(tmp_path):
    """A file that exists once something in a pickle has run."""
    return tmp_path / "marker"


@pytest.fixture
def lightning(marker):
    """What PyTorch Lightning stores besides the weights, by classes that are gone when the file is read."""

    class EasyDict(dict):
        def __init__(self, **values):
            self.update(values)
            self.__dict__.update(values)

        def __setstate__(self, state):
            marker.touch()

    class Callback:
        def __setstate__(self, state):
            marker.touch()

        def __reduce__(self):
            return Callback, (), {"path": FOREIGN}

    Items, Stage = type("Items", (list,), {}), enum.Enum("Stage", "FIT")
    Point = collections.namedtuple("Point", "x y")
    module = sys.modules[GONE] = types.ModuleType(GONE)
    for made in (EasyDict, Items, Callback, Stage, Point):
        made.__module__, made.__qualname__ = GONE, made.__name__
        setattr(module, made.__name__, made)
    yield {
        "epoch": 99,
        "pytorch-lightning_version": "1.1.8",
        "callbacks": {Callback: {"best": torch.ones(3), "path": FOREIGN}},
        "hyper_parameters": EasyDict(lr=1e-4, config=EasyDict(batch_size=128)),
        "objects": [Callback(), Stage.FIT, Point(1, 2), Items([1, 2]), {Stage.FIT}, range(3), slice(1)],
        "optimizer_states": [collections.defaultdict(dict, state={0: {"exp_avg": torch.zeros(4)}})],
        "functions": [os.path.join, functools.partial(int, base=2), operator.attrgetter("x"), torch.relu],
        "torch": [torch.float16, torch.device("cuda:0"), torch.Size([3]), nn.Linear(2, 2)],
    }
    sys.modules.pop(GONE, None)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_lightning_file_gives_its_tensors_and_none_of_its_classes(
    marker, lightning, caplog, write, protocol
):
    with_metadata = collections.OrderedDict(STATE)
    with_metadata._metadata = {"": {"version": 1}}
    path = write({**lightning, "state_dict": with_metadata}, protocol)
    del sys.modules[GONE]
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert gives_the_tensors(path)
    assert GONE not in sys.modules and not marker.exists()
    assert "read the state_dict only. Neither imported nor run: " in caplog.text


def test_parameters_and_tensors_that_share_storage_are_read(lightning, write):
    numbers = torch.arange(12.0)
    mixed = {"a": numbers[2:6], "b": numbers.view(3, 4).T, "c": nn.Parameter(torch.ones(2)), "e": numbers[:0]}
    for dtype in "float64 float16 bfloat16 int64 int32 uint8 bool".split():
        mixed[dtype] = torch.ones(3).to(getattr(torch, dtype))
    found = weights.read_checkpoint(write({**lightning, "state_dict": mixed}))["state_dict"]
    assert found.keys() == mixed.keys()
    for key in mixed:
        assert type(found[key]) is torch.Tensor and found[key].dtype == mixed[key].dtype
        assert torch.equal(found[key], mixed[key].detach())
    assert found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "content",
    [{"state_dict": {**STATE, "c": FOREIGN}}, {"state_dict": {"c": 3}, "path": FOREIGN}, nn.Linear(2, 2)],
)
def test_anything_but_a_state_dict_of_tensors_is_an_error(write, content):
    with pytest.raises(ValueError, match="file.ckpt: cannot be read as .*save a state dict"):
        weights.read_checkpoint(write(content))


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_an_error_and_is_not_run(tmp_path, monkeypatch):
    path = tmp_path / "script.pt"
    torch.jit.script(nn.Linear(2, 2)).save(path)
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("TorchScript was loaded"))
    with pytest.raises(ValueError, match="script.pt: cannot be read as .* of tensors") as caught:
        weights.load_encoder(path)
    assert "weights_only" not in str(caught.value)


class Runs:
    """Pickled as the call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def attacks(marker):
    touch = f"open({str(marker)!r}, 'w').close()"
    later = Runs(None)  # sets an object's state by a function of the attacker's choice
    later.call = (collections.OrderedDict, (), str(marker), None, None, os.mkdir)
    return {
        "os.system": Runs(os.system, f"touch '{marker}'"),
        "eval": Runs(eval, touch),
        "open": Runs(open, str(marker), "w"),
        "apply": Runs(operator.methodcaller("touch"), marker),
        "torch's shell": Runs(torch.utils.collect_env.run, f"touch '{marker}'"),
        "torch.storage": Runs(torch.UntypedStorage.from_file, str(marker), True, 8),
        "a chain": Runs(list, Runs(map, Runs(getattr, Runs(__import__, "os"), "mkdir"), [str(marker)])),
        "state": later,
    }


NAMES = list(attacks(""))
PLACES = {
    "alone": lambda attack: attack,
    "as the state dict": lambda attack: {"state_dict": attack},
    "as a tensor": lambda attack: {"state_dict": {**STATE, "c": attack}},
}


@pytest.mark.parametrize("name", NAMES[:-1])
def test_the_attacks_would_run_something(marker, name):
    pickle.loads(pickle.dumps(attacks(marker)[name], protocol=2))
    assert marker.exists()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_would_run_something_is_an_error_and_runs_nothing(marker, write, name, place):
    evil = PLACES[place](attacks(marker)[name])
    path = write(evil)
    for _ in ("written by torch", "a bare pickle"):
        with pytest.raises(ValueError, match="file.ckpt: .* of tensors") as caught:
            weights.load_encoder(path)
        assert not marker.exists() and "weights_only" not in str(caught.value)
        path.write_bytes(pickle.dumps(evil))


def test_attacks_beside_the_tensors_run_nothing_and_are_named(marker, caplog, write):
    evil = attacks(marker)
    beside = {"hyper_parameters": list(evil.values()), "more": {Runs: evil["eval"]}}
    assert gives_the_tensors(write({**beside, "state_dict": STATE, "after": evil["open"]}))
    assert not marker.exists()
    assert "run: __builtin__.__import__, __builtin__.eval, " in caplog.text


def archive(path, program, **records):
    """A zip as torch writes it, with this pickle in it."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/version", "3\n")
        for name, data in records.items():
            file.writestr(f"archive/data/{name}", data)
    return path


REBUILD = torch._utils._rebuild_tensor_v2
TARGETS = "collections OrderedDict,torch._utils _rebuild_tensor_v2,torch._utils _rebuild_parameter,a.b C"


@pytest.mark.parametrize("target", TARGETS.split(","))
@pytest.mark.parametrize("call", [b"", b")R", b")\x81"], ids=["itself", "called", "made"])
@pytest.mark.parametrize("items", [None, {"x": 1}])
def test_a_pickle_changes_no_class_or_function_of_ours_or_torchs(tmp_path, target, call, items):
    def everything():
        return dict(vars(read._Inert)), dict(vars(REBUILD)), REBUILD.__defaults__

    before = everything()
    attributes = pickle.dumps((items, {"__call__": 2, "keys": 3, "__defaults__": (1,)}), protocol=2)[2:-1]
    name = b"c" + target.replace(" ", "\n").encode() + b"\n"
    program = b"\x80\x02" + b"cforeign\nThing\n0" + name + call + attributes + b"b."
    with pytest.raises(ValueError, match="cannot be read"):
        weights.load_encoder(archive(tmp_path / "evil.pt", program))
    assert everything() == before


def tensor_program(numel=4, offset=0, shape=(4,), stride=(1,), key="0"):
    """The pickle of {"path": foreign, "state_dict": {"a": tensor}}, with the tensor described by hand."""

    class Place:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, key, "cpu", numel) if isinstance(value, Place) else None

    rebuild = Runs(REBUILD, Place(), offset, shape, stride, False, collections.OrderedDict())
    out = io.BytesIO()
    Pickler(out, protocol=2).dump({"path": FOREIGN, "state_dict": {"a": rebuild}})
    return out.getvalue()


LIES = {
    "shape": [(5,), (2**62,), (2**70,), ("4",)],
    "offset": [1, -1],
    "stride": [(2,), (-1,)],
    "numel": [-4, 10**15],
    "key": ["1", "../0"],
}


@pytest.mark.parametrize("word", LIES)
def test_a_tensor_that_reaches_beyond_its_storage_is_an_error(tmp_path, word):
    numbers = torch.arange(4.0)
    path = archive(tmp_path / "good.pt", tensor_program(), **{"0": numbers.numpy().tobytes()})
    assert torch.equal(weights.read_checkpoint(path)["state_dict"]["a"], numbers)
    for lie in LIES[word]:
        path = archive(tmp_path / "evil.pt", tensor_program(**{word: lie}), **{"0": bytes(16)})
        with pytest.raises(ValueError, match="evil.pt: cannot be read"):
            weights.read_checkpoint(path)
