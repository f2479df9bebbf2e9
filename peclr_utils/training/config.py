"""Settings of pre-training and fine-tuning, as values.

Chapters 03 and 04 make theirs from their parameters; the command lines start from `laptop()`. The paper's
setting is `paper_rn50()` and `paper_rn152()`.

Every field is a plain literal with a comment: its unit, its range, and why. 0 or "" stands for "none" or
"choose for me". A configuration is saved as JSON beside what it made, and `load` reads it back.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from peclr_utils.training.raw_data import find_set, find_sets
from peclr_utils.training.settings import HOLDING, RunSettings

METHODS = ("peclr", "simclr")

AUTHORS_EXACT: dict[str, Any] = {
    "undo_shift": True,
    "pair_identities": False,
    "exchange_background": False,
    "grad_cache": False,
    "optimiser": "layerwise_adam",
}
"""What `authors_exact` sets, whatever was asked for."""

AUTHORS_CHOICES = {"precision": "fp16", "executor": "opencv"}
"""What "auto" means with `authors_exact`."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunSettings):
    """Settings of `training.pretrain`; `RunSettings` has the rest."""

    sources: tuple[str, ...] = ()  # unlabelled hands, see datasets.open_source; sampled evenly by source

    # "peclr" undoes rotation and shift on the projection; "simclr" is the same loss on the same views without
    method: str = "peclr"
    undo_shift: bool = True  # False: "peclr" undoes the rotation alone, and the shift is one more invariance
    rotation_degrees: float = 45.0  # views turn by up to this much either way, 0 to 180; the paper's is 45
    temperature: float = 0.5  # of NT-Xent, positive; the paper's
    # AugmentationConfig's fields that differ from its preset "peclr"
    augmentation: dict[str, Any] = field(default_factory=dict)
    # the two views of a pair come from two pictures of one identity where there are several
    pair_identities: bool = True
    # views get new backgrounds where a mask is known: else a pair could be told by its background alone
    exchange_background: bool = True
    # do what the authors' published code does, mistakes included (`training.authors` lists them): sets
    # pair_identities, exchange_background and grad_cache off, undo_shift on, and optimiser, precision and
    # executor to theirs;
    # network, batches, size and temperature are theirs in the presets paper_rn50 and paper_rn152
    authors_exact: bool = False

    arch: str = "resnet18"  # a torchvision ResNet; 50 is the paper's smaller one, 18 fits a laptop
    encoder: str = ""  # initial weights: "" random, "imagenet", or a checkpoint's path
    projector_hidden: int = 512  # width of the projector's hidden layer; the paper's
    projection_size: int = 128  # width of the projection, even: half as many points in the plane; the paper's
    image_size: int = 64  # side of a view in pixels, at least 32; the paper's is 128
    # half a view's side over the distance from the hand's centre to its farthest keypoint, positive
    view_factor: float = 1.2

    epochs: int = 10  # passes over the pictures
    batch_size: int = 128  # pairs that the encoder sees at once, at least 2; without grad_cache the loss, too
    accumulate: int = 1  # batches added up to one step; more negatives it adds only with grad_cache
    # the loss compares all batch_size * accumulate pairs of a step: a true batch in the memory of batch_size
    # pairs, for a second forward pass (`training.grad_cache`)
    grad_cache: bool = False
    # with grad_cache: "never" encodes every batch twice and holds the activations of one at a time; "always"
    # encodes once and holds those of the whole step; "auto" holds them where a GPU has the memory to spare
    hold_activations: str = "auto"
    # with several processes: batch norm over the pairs of all that share a batch, on CUDA
    # (`training.distributed`)
    sync_batch_norm: bool = False
    # base rate; the peak is this times sqrt(batch_size * accumulate), the paper's rule and rate
    learning_rate: float = 1e-4
    warmup_epochs: float = 1.0  # epochs of linear rise to the peak; then a cosine falls to zero
    weight_decay: float = 1e-6  # not on biases and norms; the paper's
    # "adam" (decay added to the gradient), "adamw" (decoupled), or "layerwise_adam": the authors', see
    # `training.layerwise`
    optimiser: str = "adam"

    # identities kept out of training, one picture each, on which the equivariance error is logged every epoch
    equivariance_pictures: int = 0
    log_every: int = 1  # steps between log lines
    save_every_epochs: int = 1  # epochs between checkpoints

    def __post_init__(self) -> None:
        if self.authors_exact:
            free = {name: v for name, v in AUTHORS_CHOICES.items() if getattr(self, name) == "auto"}
            for name, value in {**AUTHORS_EXACT, **free}.items():
                object.__setattr__(self, name, value)

    @property
    def compared_pairs(self) -> int:
        """How many pairs the loss compares with each other; a view has 2 (this - 1) negatives."""
        return self.batch_size * (self.accumulate if self.grad_cache else 1)

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate: base rate times the root of the effective batch."""
        return self.learning_rate * (self.batch_size * self.accumulate) ** 0.5

    def validate(self) -> None:
        """Check every field.

        Raises:
            ValueError: naming the first field that is wrong, what was expected and what was found.
        """
        self._validate_run()
        self._require_sources("sources")
        self._require_choices(method=METHODS, hold_activations=HOLDING)
        self._require_whole("epochs", "projector_hidden", "projection_size", "save_every_epochs")
        self._require_whole("equivariance_pictures")
        self._require_at_least(1, "epochs", "projector_hidden", "save_every_epochs")
        self._require_at_least(0, "warmup_epochs", "equivariance_pictures", "rotation_degrees")
        self._require(self.rotation_degrees <= 180, "rotation_degrees", "0 to 180 degrees")
        self._require_positive("temperature", "projection_size")
        even = self.projection_size % 2 == 0
        self._require(even, "projection_size", "an even number, read as points in the plane")
        self._require(self.warmup_epochs < self.epochs, "warmup_epochs", f"less than epochs ({self.epochs})")
        if self.authors_exact:
            self._require(self.executor == "opencv", "executor", "'opencv' with authors_exact")
            self._require(not self.augmentation, "augmentation", "none: authors_exact has its own")
            # It is measured on packed crops, and the authors' views are cut from whole pictures.
            self._require(self.equivariance_pictures == 0, "equivariance_pictures", "0 with authors_exact")

    @classmethod
    def laptop(cls, **changes: Any) -> Self:
        """Two cores and some minutes: ResNet-18 at 64 x 64 on rendered hands."""
        start = cls(sources=("synthetic:2048?seed=1",), output="runs/pretrain", cache="data/cache")
        return start.replace(**{"epochs": 8, "temperature": 0.2, **changes})

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The same code in seconds, for tests; it learns next to nothing."""
        start = cls(sources=("synthetic:128?seed=1",), output="runs/smoke/pretrain", epochs=2)
        return start.replace(**{"warmup_epochs": 0.5, "batch_size": 32, "image_size": 32, **changes})

    @classmethod
    def paper_rn50(cls, **changes: Any) -> Self:
        """The paper's setting with a ResNet-50; give `sources`, or `with_data`.

        The paper's batch is 2,048 pairs, and so is this one: the loss compares all of them, while the encoder
        sees 128 at a time (`training.grad_cache`), twice where the memory does not hold the whole step. The
        authors' code, and so `authors_exact`, adds up the gradients of 16 losses over 128 pairs each.

        Pictures of one identity (FreiHAND's four versions of a photograph) are positives here. The authors'
        code takes them for different hands; with `authors_exact` so does this.
        """
        return cls._paper("resnet50", "runs/paper_rn50/pretrain", changes)

    @classmethod
    def paper_rn152(cls, **changes: Any) -> Self:
        """`paper_rn50` with a ResNet-152."""
        return cls._paper("resnet152", "runs/paper_rn152/pretrain", changes)

    @classmethod
    def _paper(cls, arch: str, output: str, changes: dict[str, Any]) -> Self:
        start = cls(
            method="peclr", rotation_degrees=45.0, temperature=0.5, exchange_background=False,
            arch=arch, encoder="imagenet", projector_hidden=512, projection_size=128, image_size=128,
            epochs=100, warmup_epochs=10.0, batch_size=128, accumulate=16, grad_cache=True,
            learning_rate=1e-4, weight_decay=1e-6, output=output, cache="data/cache",
        )  # fmt: skip
        return start.replace(**changes)

    def with_data(self, root: str | Path) -> Self:
        """Train on FreiHAND and YouTube3DHands, both or the one there is, in the folder that holds them."""
        found = find_sets(root)
        splits = {"freihand": "training", "youtube": "train"}
        return self.replace(
            sources=tuple(f"{kind}:{path}?split={splits[kind]}" for kind, path in found.items())
        )


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(RunSettings):
    """Settings of `training.finetune`; `RunSettings` has the rest."""

    sources: tuple[str, ...] = ()  # labelled hands, see datasets.open_source
    labels: int = 0  # labelled identities to use, drawn by the seed, fewer within more; 0: all
    test_sources: tuple[str, ...] = ()  # labelled hands to evaluate on at the end; (): no evaluation

    encoder: str = ""  # where the encoder starts: "" random, "imagenet", or a checkpoint's path
    freeze_encoder: bool = False  # train the linear layer and root refinement only
    freeze_batch_norm: bool = False  # keep the encoder's running statistics as they are
    arch: str = "resnet18"  # a torchvision ResNet; must be the checkpoint's
    image_size: int = 64  # side of a view in pixels, at least 32; the paper's is 224
    # half a view's side over the distance from the hand's centre to its farthest keypoint, positive
    view_factor: float = 1.2
    # AugmentationConfig's fields that differ from its preset "weak"
    augmentation: dict[str, Any] = field(default_factory=dict)

    steps: int = 1000  # optimiser steps, equal for every method that is compared
    batch_size: int = 32  # pictures, at least 2
    accumulate: int = 1  # batches added up to one step
    learning_rate: float = 1e-3  # peak rate of the linear layer and root refinement
    encoder_learning_rate: float = 1e-3  # peak rate of the encoder
    warmup_steps: int = 50  # steps of linear rise to the peak; then a cosine falls to zero
    weight_decay: float = 1e-4  # not on biases and norms
    optimiser: str = "adamw"  # "adam" (decay added to the gradient) or "adamw" (decoupled)
    weight_2d: float = 5.0  # weight of the 2D error as a fraction of the side: a crop is some 5 bones wide
    weight_relative_depth: float = 1.0  # weight of the relative depth's error in bone lengths
    # weight of the root depth's error in bone lengths, which one picture tells poorly
    weight_root_depth: float = 0.1

    log_every: int = 10  # steps between log lines
    save_every_steps: int = 500  # steps between checkpoints

    def validate(self) -> None:
        """Check every field.

        Raises:
            ValueError: naming the first field that is wrong, what was expected and what was found.
        """
        self._validate_run()
        self._require_sources("sources", "test_sources")
        self._require_whole("labels", "steps", "warmup_steps", "save_every_steps")
        self._require_at_least(1, "steps", "save_every_steps")
        self._require_at_least(0, "labels", "warmup_steps")
        self._require_at_least(0, "weight_2d", "weight_relative_depth", "weight_root_depth")
        self._require_positive("encoder_learning_rate")
        self._require(self.warmup_steps < self.steps, "warmup_steps", f"less than steps ({self.steps})")

    @classmethod
    def laptop(cls, **changes: Any) -> Self:
        """Two cores and a few minutes: ResNet-18 at 64 x 64 on rendered hands."""
        start = cls(sources=("synthetic:512?seed=2",), test_sources=("synthetic:512?seed=3",))
        return start.replace(**{"output": "runs/finetune", "cache": "data/cache", "steps": 400, **changes})

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The same code in seconds, for tests; it learns next to nothing."""
        start = cls(sources=("synthetic:64?seed=2",), test_sources=("synthetic:32?seed=3",), steps=20)
        small = {"output": "runs/smoke/finetune", "warmup_steps": 2, "batch_size": 16, "image_size": 32}
        return start.replace(**{**small, **changes})

    @classmethod
    def paper_rn50(cls, **changes: Any) -> Self:
        """Fine-tuning of a pre-trained ResNet-50 on FreiHAND at 224 x 224; give `encoder`, and `with_data`.

        The authors publish the size of the pictures and the network, but neither schedule nor losses. Those
        are ours: some 59 passes over FreiHAND's 130,240 pictures, and L1 on the 2D keypoints, the relative
        depths and the refined root depth.
        """
        return cls._paper("resnet50", "runs/paper_rn50/finetune", changes)

    @classmethod
    def paper_rn152(cls, **changes: Any) -> Self:
        """`paper_rn50` with a ResNet-152."""
        return cls._paper("resnet152", "runs/paper_rn152/finetune", changes)

    @classmethod
    def _paper(cls, arch: str, output: str, changes: dict[str, Any]) -> Self:
        start = cls(
            arch=arch, image_size=224, steps=60_000, warmup_steps=1000, batch_size=128,
            learning_rate=1e-3, encoder_learning_rate=3e-4, log_every=50, save_every_steps=1000,
            output=output, cache="data/cache",
        )  # fmt: skip
        return start.replace(**changes)

    def with_data(self, root: str | Path) -> Self:
        """Learn and evaluate on the FreiHAND that is this folder, or lies in it."""
        path = find_set("freihand", root)
        return self.replace(
            sources=(f"freihand:{path}?split=training",), test_sources=(f"freihand:{path}?split=evaluation",)
        )
