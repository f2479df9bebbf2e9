"""Settings of pre-training and fine-tuning, as values and as command lines.

Chapters 03 and 04 make theirs from their parameters; the command lines start from `laptop()`. The paper's
settings are `paper_rn50()` and `paper_rn152()`.

Every field is a plain literal with a comment: unit, range, reason. 0 or "" means "none" or "choose for me".
A configuration is saved as JSON beside what it made; `load` reads it back.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from peclr_utils.datasets import TURNED, UPRIGHT, find_data, find_set
from peclr_utils.settings import JSON, Settings

Arch = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

AUTHORS: dict[str, Any] = {
    "undo_shift": True,
    "random_frames": False,
    "pair_identities": False,
    "exchange_background": False,
    "grad_cache": False,
    "optimiser": "layerwise_adam",
    "precision": "fp16",
    "backend": "opencv",
}
"""What `PretrainConfig.as_authors` sets beside `authors_exact`; `training.authors` explains each."""


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """Fields that every training has: data folder, device, log, when to stop."""

    output: str = ""  # Run folder: config.json, log.jsonl, checkpoint.pt; "" keeps everything in memory.
    cache: str = ""  # Folder for packed crops that later runs reuse; "" for a temporary one.
    seed: int = 0  # Of weights, choice of labels, order and views; at least 0.

    # A torchvision ResNet; 50 is the paper's smaller one, 18 fits a laptop. Must match a given checkpoint.
    arch: Arch = "resnet18"
    encoder: str = ""  # Initial weights: "" random, "imagenet", or the path of a checkpoint.
    # Side of a view in pixels, at least 32; the paper's is 128 in pre-training, 224 in fine-tuning.
    image_size: int = 64
    # Half a view's side over the distance from the hand's centre to its farthest keypoint, positive.
    view_factor: float = 1.2
    # Fields of AugmentationConfig that differ from its preset ("peclr" in pre-training, "weak" in
    # fine-tuning).
    augmentation: JSON = field(default_factory=dict)

    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "mps"
    # "auto" is bf16 where the hardware has it, fp16 on older GPUs, else fp32. "tf32" is fp32 with rounded
    # convolutions on GPUs since Ampere. "fp16" on a CPU computes in fp32.
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    # What warps the views: "opencv" in the loader or "batch" on the device; "auto" is batch on CUDA.
    backend: Literal["auto", "opencv", "batch"] = "auto"
    workers: int = -1  # Loader processes; -1: none on a CPU, where the network needs the cores, else up to 4.
    compile: bool = False  # torch.compile the network: a slow start that pays off only in long runs.

    # Where the log goes beside log.jsonl: "tensorboard", "comet", "wandb".
    loggers: tuple[Literal["tensorboard", "comet", "wandb"], ...] = ()
    progress: bool = True  # Show the chosen settings and a progress bar.
    log_every: int = 1  # Steps between log lines.
    resume: bool = True  # Resume from the checkpoint in the output folder if there is one.
    # Also save at the first log line this long after the last checkpoint; 0: don't.
    save_every_minutes: float = 10.0
    time_limit_minutes: float = 0.0  # Stop and save after this long; 0: no limit.
    max_steps: int = 0  # Stop and save after this many steps, without changing the schedule; 0: no limit.


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunSettings):
    """Settings of `training.pretrain`."""

    # Unlabelled hands, see `datasets.open_source`; each source is sampled equally often.
    sources: tuple[str, ...] = ()
    # "peclr" undoes rotation and shift on the projection; "simclr" is the same loss without undoing.
    method: Literal["peclr", "simclr"] = "peclr"
    undo_shift: bool = True  # False: "peclr" undoes the rotation only, and the shift is one more invariance.
    # "peclr" undoes both views of a pair to one random angle instead of to 0, so that different hands don't
    # all point the same way when they are compared. Where they do, as upright hands do, the loss first
    # teaches only that direction; the paper has no such frames.
    random_frames: bool = False
    rotation_degrees: float = 45.0  # Views turn by up to this much either way, 0 to 180; the paper's is 45.
    temperature: float = 0.5  # Of NT-Xent, positive; the paper's.
    # The two views of a pair come from two images of one identity where there are several.
    pair_identities: bool = True
    # Give views new backgrounds where a mask is known; otherwise the background alone can identify a pair.
    exchange_background: bool = True
    # Do what the authors' published code does, mistakes included; set it with `as_authors()`.
    authors_exact: bool = False

    projector_hidden: int = 512  # Width of the projector's hidden layer; the paper's.
    # Width of the projection, even: half as many points in the plane; the paper's.
    projection_size: int = 128

    epochs: int = 10  # Passes over the images.
    # Pairs that the encoder sees at once, at least 2; without grad_cache the loss sees as many.
    batch_size: int = 128
    accumulate: int = 1  # Batches per optimiser step. More negatives come only with grad_cache.
    # One loss over all batch_size * accumulate pairs of a step, in the memory of batch_size pairs, at the
    # price of a second forward pass (`training.grad_cache`). Several processes require it.
    grad_cache: bool = False
    # Base rate, positive; the peak is this times sqrt(batch_size * accumulate), the paper's rule and rate.
    learning_rate: float = 1e-4
    warmup_epochs: float = 1.0  # Epochs of linear rise to the peak; then a cosine falls to zero.
    weight_decay: float = 1e-6  # Not on biases and norms; the paper's.
    # "adam" adds the decay to the gradient, "adamw" decouples it, "layerwise_adam" is the authors'.
    optimiser: Literal["adam", "adamw", "layerwise_adam"] = "adam"

    save_every_epochs: int = 1  # Epochs between checkpoints.

    @property
    def compared_pairs(self) -> int:
        """Pairs that one loss compares; a view has 2 (this - 1) negatives."""
        return self.batch_size * (self.accumulate if self.grad_cache else 1)

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate: base rate times the square root of the effective batch."""
        return self.learning_rate * (self.batch_size * self.accumulate) ** 0.5

    def validate(self) -> None:
        """Check every field, and rules across fields; errors as `Settings.validate`."""
        super().validate()
        self._require(self.rotation_degrees <= 180, "rotation_degrees", "0 to 180 degrees")
        even = self.projection_size % 2 == 0
        self._require(even, "projection_size", "an even number, read as points in the plane")
        self._require(self.warmup_epochs < self.epochs, "warmup_epochs", f"less than epochs ({self.epochs})")
        if self.authors_exact:
            for name, value in AUTHORS.items():
                if name != "precision":
                    fine = getattr(self, name) == value
                    self._require(fine, name, f"{value!r} with authors_exact; as_authors() sets it")
            self._require(not self.augmentation, "augmentation", "none with authors_exact, which has its own")

    def as_authors(self) -> Self:
        """Return these settings with everything set as in the authors' published code."""
        return self.replace(authors_exact=True, **AUTHORS)

    @classmethod
    def laptop(cls, **changes: Any) -> Self:
        """Two cores and a few minutes: ResNet-18 at 64 x 64 on rendered hands."""
        start = cls(
            sources=(f"synthetic:2048?seed=1&{UPRIGHT}",), output="runs/pretrain", cache="data/cache",
            epochs=8, temperature=0.1, rotation_degrees=180.0, learning_rate=3e-4,
            random_frames=True,
        )  # fmt: skip
        return start.replace(**changes)

    @classmethod
    def night(cls, **changes: Any) -> Self:
        """What made `data/weights/peclr_rn18_64.safetensors`: two cores and an hour or so, 300,000 views."""
        start = cls.laptop(sources=(f"synthetic:12288?seed=1&{UPRIGHT}",), epochs=12)
        return start.replace(**{"output": "runs/night/pretrain/peclr", **changes})

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The same code in seconds, for tests; it learns next to nothing."""
        start = cls(sources=("synthetic:128?seed=1",), output="runs/smoke/pretrain", epochs=2)
        return start.replace(**{"warmup_epochs": 0.5, "batch_size": 32, "image_size": 32, **changes})

    @classmethod
    def paper_rn50(cls, **changes: Any) -> Self:
        """The paper's setting with a ResNet-50; give `sources`, or call `with_data`.

        The loss compares the paper's 2,048 pairs, 128 at a time through the encoder. Images of one identity
        (FreiHAND's four versions of a photograph) are positives. The authors' code (`as_authors`) adds up 16
        losses over 128 pairs each, and treats the four versions as different hands.
        """
        start = cls(
            exchange_background=False, arch="resnet50", encoder="imagenet", image_size=128,
            epochs=100, warmup_epochs=10.0, accumulate=16, grad_cache=True,
            output="runs/paper_rn50/pretrain", cache="data/cache",
        )  # fmt: skip
        return start.replace(**changes)

    @classmethod
    def paper_rn152(cls, **changes: Any) -> Self:
        """`paper_rn50` with a ResNet-152."""
        return cls.paper_rn50(**{"arch": "resnet152", "output": "runs/paper_rn152/pretrain", **changes})

    @classmethod
    def authors_rn50(cls, **changes: Any) -> Self:
        """`paper_rn50` as the authors' published code does it."""
        return cls.paper_rn50(output="runs/authors_rn50/pretrain").as_authors().replace(**changes)

    def with_data(self, data: str | Path) -> Self:
        """Train on what `datasets.find_data` finds; of FreiHAND and YouTube3DHands on the training part."""
        splits = {"freihand": "training", "youtube": "train"}
        found = [s.replace(split=splits[s.kind]) if s.kind in splits else s for s in find_data(str(data))]
        return self.replace(sources=tuple(map(str, found)))


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(RunSettings):
    """Settings of `training.finetune`."""

    sources: tuple[str, ...] = ()  # Labelled hands, see `datasets.open_source`.
    labels: int = 0  # Labelled identities to use, drawn by the seed; fewer are a subset of more; 0: all.
    test_sources: tuple[str, ...] = ()  # Labelled hands to evaluate on at the end; none: no evaluation.

    network: str = ""  # Path of a pose network to continue from, head included; then no `encoder`.
    freeze_encoder: bool = False  # Train only the linear layer and the root refinement.
    freeze_batch_norm: bool = False  # Keep the encoder's running statistics as they are.

    steps: int = 1000  # Optimiser steps, equal for every method that is compared.
    batch_size: int = 32  # Images per batch, at least 2.
    accumulate: int = 1  # Batches per optimiser step.
    learning_rate: float = 1e-3  # Peak rate of the linear layer and the root refinement, positive.
    encoder_learning_rate: float = 1e-3  # Peak rate of the encoder, positive.
    warmup_steps: int = 50  # Steps of linear rise to the peak; then a cosine falls to zero.
    weight_decay: float = 1e-4  # Not on biases and norms.
    # "adam" adds the decay to the gradient, "adamw" decouples it.
    optimiser: Literal["adam", "adamw"] = "adamw"
    weight_2d: float = 5.0  # Weight of the 2D error as a fraction of the side: a crop is about 5 bones wide.
    weight_relative_depth: float = 1.0  # Weight of the relative depth's error in bone lengths.
    # Weight of the root depth's error in bone lengths, which one image determines poorly.
    weight_root_depth: float = 0.1
    # Share of the views that are moved away from their hands, 0 to 0.6, so that the network learns whether a
    # hand is in its place (`training.presence`); 0: it doesn't.
    absent: float = 0.0
    backgrounds: int = 512  # Painted backgrounds that the views' own are exchanged with.
    people: float = 0.0  # Share of the painted backgrounds that show a person, 0 to 1; for photographs.
    weight_presence: float = 0.5  # Weight of the presence's cross entropy.

    log_every: int = 10  # Steps between log lines.
    save_every_steps: int = 500  # Steps between checkpoints.

    def validate(self) -> None:
        """Check every field, and rules across fields; errors as `Settings.validate`."""
        super().validate()
        self._require(self.warmup_steps < self.steps, "warmup_steps", f"less than steps ({self.steps})")
        self._require(0 <= self.absent <= 0.6, "absent", "0 to 0.6")
        self._require(0 <= self.people <= 1, "people", "0 to 1")
        self._require(self.backgrounds >= 1, "backgrounds", "at least 1")
        alone = not (self.network and self.encoder)
        self._require(alone, "encoder", "none with a network to continue from, which has its own")

    @classmethod
    def laptop(cls, **changes: Any) -> Self:
        """Two cores and a few minutes: ResNet-18 at 64 x 64 on rendered hands."""
        start = cls(
            sources=(f"synthetic:512?seed=2&{TURNED}",), test_sources=(f"synthetic:512?seed=3&{TURNED}",)
        )
        return start.replace(**{"output": "runs/finetune", "cache": "data/cache", "steps": 400, **changes})

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The same code in seconds, for tests; it learns next to nothing."""
        start = cls(sources=("synthetic:64?seed=2",), test_sources=("synthetic:32?seed=3",), steps=20)
        small = {"output": "runs/smoke/finetune", "warmup_steps": 2, "batch_size": 16, "image_size": 32}
        return start.replace(**{**small, **changes})

    @classmethod
    def paper_rn50(cls, **changes: Any) -> Self:
        """Fine-tune a pre-trained ResNet-50 on FreiHAND at 224 x 224; give `encoder`, and call `with_data`.

        Schedule and losses are ours, because the authors publish neither: 59 passes over 130,240 images.
        """
        start = cls(
            arch="resnet50", image_size=224, steps=60_000, warmup_steps=1000, batch_size=128,
            encoder_learning_rate=3e-4, log_every=50, save_every_steps=1000,
            output="runs/paper_rn50/finetune", cache="data/cache",
        )  # fmt: skip
        return start.replace(**changes)

    @classmethod
    def paper_rn152(cls, **changes: Any) -> Self:
        """`paper_rn50` with a ResNet-152."""
        return cls.paper_rn50(**{"arch": "resnet152", "output": "runs/paper_rn152/finetune", **changes})

    def with_data(self, data: str | Path) -> Self:
        """Learn and evaluate on the FreiHAND that is this folder, or lies in it."""
        path = find_set("freihand", data)
        return self.replace(
            sources=(f"freihand:{path}?split=training",), test_sources=(f"freihand:{path}?split=evaluation",)
        )
