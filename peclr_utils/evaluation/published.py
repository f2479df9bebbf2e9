"""Published results on FreiHAND's evaluation set, to print beside one's own.

Chapter 05 prints them next to what it measures.

The networks' numbers come from the authors' page (github.com/dahiyaaneesh/peclr), the zero predictor's from
FreiHAND's page (github.com/lmb-freiburg/freihand) for FreiHAND_pub_v2; for the release before it, that page
gave 4.87 cm aligned. All are over 3,960 hands, with mirroring allowed in the alignment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from peclr_utils.evaluation.metrics import Evaluation
from peclr_utils.evaluation.report import Value, format_table


@dataclass(frozen=True)
class Published:
    """One published result, as printed; `pa_` is aligned, `auc` the area under PCK from 0 to 5 cm."""

    name: str
    epe_cm: float
    pa_epe_cm: float
    auc: float | None = None
    pa_auc: float | None = None

    def agrees(self, found: Evaluation) -> bool:
        """Whether an evaluation rounds to every number published."""
        pairs = (
            (self.epe_cm, found.epe_mm / 10, 0.005),
            (self.pa_epe_cm, found.pa_epe_mm / 10, 0.005),
            (self.auc, found.auc, 0.0005),
            (self.pa_auc, found.pa_auc, 0.0005),
        )
        return all(theirs is None or abs(theirs - ours) <= half + 1e-9 for theirs, ours, half in pairs)


PUBLISHED: dict[str, Published] = {
    "rn50": Published("PeCLR ResNet-50", epe_cm=4.71, pa_epe_cm=0.71, auc=0.357, pa_auc=0.860),
    "rn152": Published("PeCLR ResNet-152", epe_cm=4.56, pa_epe_cm=0.66, auc=0.360, pa_auc=0.868),
}
"""The authors' fine-tuned networks."""

ZERO_PREDICTOR = Published("all zeros", epe_cm=70.79, pa_epe_cm=4.73)
"""The score of predicting (0, 0, 0) for every keypoint: checks labels and protocol without a network."""

EVALUATION_HANDS = 3960
"""Hands in FreiHAND's evaluation set."""


def published_table(results: Mapping[str, Evaluation | Sequence[Evaluation]]) -> str:
    """Tabulate published numbers and one's own in centimetres, as the official evaluator prints them.

    Args:
        results: by name. A key of `PUBLISHED` ("rn50", "rn152") appears below the published row of that
            network, "zeros" below the zero predictor's, which is shown only then; others follow. Several
            evaluations of one name (seeds) give mean ± deviation.

    Returns:
        The table in Markdown, without a line break at the end.
    """
    ours = dict(results)
    rows: list[dict[str, Value]] = []
    for key, published in (PUBLISHED | ({"zeros": ZERO_PREDICTOR} if "zeros" in ours else {})).items():
        numbers = (published.epe_cm, published.auc, published.pa_epe_cm, published.pa_auc)
        rows.append(_row(published.name, "published", *numbers))
        if key in ours:
            rows.append(_our_row(published.name, ours.pop(key)))
    rows += [_our_row(name, result) for name, result in ours.items()]
    return format_table(rows, {"AUC": 3, "aligned AUC": 3})


def _our_row(name: str, result: Evaluation | Sequence[Evaluation]) -> dict[str, Value]:
    runs = [result] if isinstance(result, Evaluation) else list(result)
    if any(run.proper_rotation for run in runs):
        name += ", no mirroring"
    epe, pa_epe = [run.epe_mm / 10 for run in runs], [run.pa_epe_mm / 10 for run in runs]
    return _row(name, "measured here", epe, [run.auc for run in runs], pa_epe, [run.pa_auc for run in runs])


def _row(name: str, origin: str, *numbers: Value) -> dict[str, Value]:
    headings = ("prediction", "numbers", "EPE (cm)", "AUC", "aligned EPE (cm)", "aligned AUC")
    return dict(zip(headings, (name, origin, *numbers), strict=True))
