"""Files with foreign classes, as PyTorch Lightning writes them, give their tensors and nothing else."""

import collections
import enum
import functools
import operator
import os
import pathlib
import pickle
import sys
import types

import pytest
import torch
from torch import nn

from peclr_utils import weights
from peclr_utils.weights import unpickling


@pytest.fixture
def lightning(tmp_path):
    """What PyTorch Lightning keeps beside the weights, by classes that are gone when the file is read."""
    marker = tmp_path / "made"

    class AttributeDict(dict):
        def __setattr__(self, name, value):
            self[name] = value

    class EasyDict(dict):
        def __init__(self, **values):
            self.update(values)
            self.__dict__.update(values)

        def __setstate__(self, state):
            marker.touch()

    class Items(list):
        pass

    class Callback:
        def __init__(self):
            self.where = pathlib.PurePosixPath("/models")

        def __setstate__(self, state):
            marker.touch()

        def __reduce__(self):
            return Callback, (), self.__dict__

    class Stage(enum.Enum):
        FIT = "fit"

    Point = collections.namedtuple("Point", "x y")

    modules = {}
    for made in (AttributeDict, EasyDict, Items, Callback, Stage, Point):
        made.__module__, made.__qualname__ = f"lightning_that_is_gone.{made.__name__.lower()}", made.__name__
        modules[made.__module__] = types.ModuleType(made.__module__)
        setattr(modules[made.__module__], made.__name__, made)
    modules["lightning_that_is_gone"] = types.ModuleType("lightning_that_is_gone")
    sys.modules.update(modules)
    beside = {
        "epoch": 99,
        "pytorch-lightning_version": "1.1.8",
        "callbacks": {
            Callback: {"best": torch.ones(3), "path": pathlib.PurePosixPath("/models/epoch=3.ckpt")}
        },
        "hyper_parameters": AttributeDict(lr=1e-4, config=EasyDict(batch_size=128, nested=EasyDict(seed=5))),
        "objects": [Callback(), Stage.FIT, Point(1, 2), Items([1, 2]), {Stage.FIT}, range(3), slice(1)],
        "optimizer_states": [collections.defaultdict(dict, state={0: {"exp_avg": torch.zeros(4)}})],
        "functions": [os.path.join, functools.partial(int, base=2), operator.attrgetter("x"), torch.relu],
        "torch": [
            torch.float16,
            torch.device("cuda:0"),
            torch.Size([3]),
            nn.Linear(2, 2),
            nn.Parameter(torch.ones(2)),
        ],
    }
    yield beside
    for name in modules:
        sys.modules.pop(name, None)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch's own word, before it refuses
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_lightning_file_gives_its_tensors_and_none_of_its_classes(
    tmp_path, lightning, caplog, state, write, loads, form, protocol
):
    path = tmp_path / "epoch=99.ckpt"
    with_metadata = collections.OrderedDict(state)
    with_metadata._metadata = {"": {"version": 1}}
    write(path, {**lightning, "state_dict": with_metadata}, form, protocol)
    for name in [name for name in sys.modules if name.startswith("lightning_that_is_gone")]:
        del sys.modules[name]
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert loads(path)
    assert weights.read_checkpoint(path).keys() == {"state_dict"}
    assert not any(name.startswith("lightning_that_is_gone") for name in sys.modules)
    assert "read its state_dict only" in caplog.text and "nothing of that was imported or run" in caplog.text


def test_parameters_and_tensors_that_share_their_numbers_come_through(tmp_path, lightning, write, form):
    numbers = torch.arange(12.0)
    mixed = {
        "a": numbers[2:6],
        "b": numbers.view(3, 4).T,
        "c": nn.Parameter(torch.ones(2)),
        "e": torch.empty(0),
    }
    mixed |= {str(kind): torch.ones(3).to(kind) for kind in unpickling.STORAGES.values()}
    path = write(tmp_path / "mixed.ckpt", {**lightning, "state_dict": mixed}, form)
    found = weights.read_checkpoint(path)["state_dict"]
    assert found.keys() == mixed.keys()
    for key in mixed:
        assert type(found[key]) is torch.Tensor and found[key].dtype == mixed[key].dtype
        assert torch.equal(found[key], mixed[key].detach())
    assert found["a"].untyped_storage().data_ptr() == found["b"].untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"extra": pathlib.PurePosixPath("/a")}, "an object of 'pathlib.*PurePosixPath' at 'extra'"),
        ({"extra": 3}, "found int at 'extra'"),
        ({3: torch.ones(1)}, "found a tensor at 3"),
    ],
)
def test_a_state_dict_of_anything_but_tensors_is_an_error_that_names_it(
    tmp_path, state, write, more, message
):
    path = tmp_path / "odd.ckpt"
    write(path, {"state_dict": {**state, **more}, "path": pathlib.PurePosixPath("/")})
    with pytest.raises(ValueError, match=f"odd.ckpt: cannot be read as .*{message}"):
        weights.load_encoder(path)


def test_something_else_in_the_state_dicts_place_is_an_error_that_names_it(tmp_path, write):
    path = write(tmp_path / "odd.ckpt", {"state_dict": pathlib.PurePosixPath("/a")})
    with pytest.raises(ValueError, match="odd.ckpt: .*to be a dict of tensors, found an object of 'pathlib"):
        weights.load_encoder(path)


def test_a_whole_pickled_network_is_an_error_that_says_what_to_save(tmp_path, write):
    path = write(tmp_path / "network.pt", nn.Linear(2, 2))
    with pytest.raises(
        ValueError, match="found an object of 'torch.nn.modules.linear.Linear'.*save a state dict"
    ):
        weights.load_encoder(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_an_error_that_does_not_advise_to_run_it(tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.script(nn.Linear(2, 2)).save(path)
    with pytest.raises(ValueError, match="script.pt: cannot be read as .* of tensors") as caught:
        weights.load_encoder(path)
    assert "weights_only" not in str(caught.value)
