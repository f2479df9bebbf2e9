"""Files that would run something run nothing, and files that lie about their tensors are errors."""

import collections
import functools
import io
import operator
import os
import pathlib
import pickle
import zipfile

import pytest
import torch

from peclr_utils import weights
from peclr_utils.weights import foreign, unpickling


def archive(path, program, **records):
    """A zip as torch writes it, with this pickle in it."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/version", "3\n")
        for name, data in records.items():
            file.writestr(f"archive/data/{name}", data)
    return path


class Runs:
    """Pickled as the call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class RunsLater:
    """Pickled as an object whose state is set by a function of the attacker's choice."""

    def __init__(self, function, argument):
        self.call = (collections.OrderedDict, (), argument, None, None, function)

    def __reduce__(self):
        return self.call


def _attacks(marker):
    touch = f"open({str(marker)!r}, 'w').close()"
    nested = Runs(getattr, Runs(__import__, "os"), "system")
    return {
        "os.system": Runs(os.system, f"touch '{marker}'"),
        "eval": Runs(eval, touch),
        "exec": Runs(exec, touch),
        "open": Runs(open, str(marker), "w"),
        "a chain of getattr": Runs(functools.partial, nested),
        "apply": Runs(operator.methodcaller("touch"), marker),
        "map": Runs(list, Runs(map, os.mkdir, [str(marker)])),
        "mkdir": Runs(os.mkdir, str(marker)),
        "torch's shell": Runs(torch.utils.collect_env.run, f"touch '{marker}'"),
        "torch.save": Runs(torch.save, torch.ones(1), str(marker)),
        "torch.storage": Runs(torch.UntypedStorage.from_file, str(marker), True, 8),
        "state": RunsLater(os.mkdir, str(marker)),
    }


# Those that run by themselves.
ATTACKS = "os.system,eval,exec,open,apply,map,mkdir,torch's shell,torch.save,torch.storage".split(",")


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.mark.parametrize("name", ATTACKS)
def test_the_pickles_below_would_run_something(marker, name):
    result = pickle.loads(pickle.dumps(_attacks(marker)[name], protocol=2))
    del result
    assert marker.exists()


class Holder:
    def __init__(self, inside):
        self.inside = inside

    def __setstate__(self, state):
        raise AssertionError("an object of the file was made")


PLACES = {
    "alone": lambda attack, state: attack,
    "as the state dict": lambda attack, state: {"state_dict": attack},
    "as a tensor": lambda attack, state: {"state_dict": {**state, "bn1.weight": attack}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [*ATTACKS, "a chain of getattr", "state"])
def test_a_file_that_would_run_something_is_an_error_and_runs_nothing(
    tmp_path, marker, state, write, name, place, form
):
    path = write(tmp_path / "evil.pt", PLACES[place](_attacks(marker)[name], state), form)
    with pytest.raises(ValueError, match="evil.pt: .* of tensors") as caught:
        weights.load_encoder(path)
    assert not marker.exists()
    assert "weights_only" not in str(caught.value)


def test_what_would_run_beside_the_tensors_runs_nothing_and_is_named(
    tmp_path, marker, caplog, state, write, loads, form
):
    attacks = list(_attacks(marker).values())
    beside = {"hyper_parameters": Holder(attacks), "callbacks": attacks, "more": {Holder: attacks[0]}}
    path = write(tmp_path / "evil.ckpt", {**beside, "state_dict": state, "after": Holder(attacks[1])}, form)
    assert loads(path)
    assert not marker.exists()
    assert "also names '__builtin__.__import__', '__builtin__.eval', " in caplog.text


@pytest.mark.parametrize("write_it", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_neither_torch_files_nor_bare_pickles_run(tmp_path, marker, write_it):
    path = tmp_path / "evil.pt"
    write_it({"state_dict": Runs(open, str(marker), "w")}, path)
    with pytest.raises(ValueError, match="cannot be read as a checkpoint of tensors and plain values"):
        weights.load_encoder(path)
    assert not marker.exists()


def _text(value):
    return pickle.BINUNICODE + len(value.encode()).to_bytes(4, "little") + value.encode()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("posixpath", "os.system"), ("torch", "os.system"), ("posix", "system")],
)
def test_names_with_dots_reach_nothing(tmp_path, marker, module, name):
    call = _text(module) + _text(name) + pickle.STACK_GLOBAL + _text(f"touch '{marker}'") + pickle.TUPLE1
    program = pickle.PROTO + b"\x04" + call + pickle.REDUCE + pickle.STOP
    with pytest.raises(ValueError, match="cannot be read"):
        weights.load_encoder(archive(tmp_path / "evil.pt", program))
    assert not marker.exists()
    pickle.loads(program)
    assert marker.exists()


@pytest.mark.parametrize("target", [f"{module}\n{name}" for module, name in unpickling.KNOWN] + ["a.b\nC"])
@pytest.mark.parametrize(
    "call", [b"", pickle.EMPTY_TUPLE + pickle.REDUCE, pickle.EMPTY_TUPLE + pickle.NEWOBJ]
)
@pytest.mark.parametrize("items", [None, {"x": 1}])
def test_a_pickle_changes_neither_our_classes_nor_their_objects(tmp_path, target, call, items):
    before = {made: dict(vars(made)) for made in (*unpickling.KNOWN.values(), unpickling.Inert)}
    attributes = pickle.dumps((items, {"__call__": 2, "keys": 3}), protocol=2)[2:-1]
    program = (
        pickle.PROTO
        + b"\x02"
        + b"c"
        + target.encode()
        + b"\n"
        + call
        + attributes
        + pickle.BUILD
        + pickle.STOP
    )
    with pytest.raises(ValueError, match="cannot be read"):
        weights.load_encoder(archive(tmp_path / "evil.pt", program))
    assert {made: dict(vars(made)) for made in before} == before


def _tensor_program(numel=4, offset=0, shape=(4,), stride=(1,), key="0"):
    """The pickle of {"path": foreign, "state_dict": {"a": tensor}}, described in these words."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.place if isinstance(value, Place) else None

    class Place:
        place = ("storage", torch.FloatStorage, key, "cpu", numel)

    rebuild = Runs(
        torch._utils._rebuild_tensor_v2, Place(), offset, shape, stride, False, collections.OrderedDict()
    )
    out = io.BytesIO()
    Pickler(out, protocol=2).dump({"path": pathlib.PurePosixPath("/"), "state_dict": {"a": rebuild}})
    return out.getvalue()


def test_a_tensor_described_by_hand_is_read(tmp_path):
    path = archive(tmp_path / "good.pt", _tensor_program(), **{"0": torch.arange(4.0).numpy().tobytes()})
    assert torch.equal(weights.read_checkpoint(path)["state_dict"]["a"], torch.arange(4.0))


@pytest.mark.parametrize(
    "words",
    [
        {"shape": (5,)},
        {"offset": 1},
        {"stride": (2,)},
        {"offset": -1},
        {"stride": (-1,)},
        {"shape": (2**62,)},
        {"shape": (2**70,)},
        {"shape": (2, 2)},
        {"numel": 5},
        {"numel": -4},
        {"numel": 10**15},
        {"key": "1"},
        {"key": "../0"},
        {"shape": ("4",)},
    ],
    ids=str,
)
def test_a_tensor_that_reaches_beyond_its_numbers_is_an_error(tmp_path, words):
    path = archive(tmp_path / "evil.pt", _tensor_program(**words), **{"0": bytes(16)})
    with pytest.raises(ValueError, match="evil.pt: cannot be read"):
        weights.read_checkpoint(path)


def test_a_compressed_record_is_an_error_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", _tensor_program(numel=10**6, shape=(10**6,)))
        file.writestr("archive/data/0", bytes(4 * 10**6))
    with pytest.raises(ValueError, match="not compressed"):
        foreign.read_foreign(tmp_path / "bomb.pt")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95, 0.999])
def test_a_file_that_is_cut_anywhere_is_an_error(tmp_path, write, form, share):
    tensors = {"a": torch.ones(500), "b": torch.ones(500, dtype=torch.int64)}
    path = write(tmp_path / "cut.ckpt", {"path": pathlib.PurePosixPath("/"), "state_dict": tensors}, form)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ValueError, match="cut.ckpt: cannot be read"):
        weights.read_checkpoint(path)
