"""Logistic regression on frozen features with the class of every patch: the ceiling of interactive annotation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import FilePath

from benchmark.errors import BlankSlideError, DataError
from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.method import Embeddings, Method, MethodCard, Params, Prediction, param
from benchmark.slides import ScoreMap
from benchmark.supervision import Labels, Supervision, View

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.features import Features
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.slides import Slide

Floats = NDArray[np.float64]


class LinearProbeParams(Params):
    """The encoder, and the strength of the penalty."""

    encoder: EncoderName = param(
        "resnet18", "frozen encoder: one of the catalogue (bench list encoders), or a timm model", source="paper"
    )
    encoder_weights: FilePath | None = param(None, "local weight file of the encoder")
    encoder_pretrained: bool = param(True, "start from its weights; false: random weights", source="paper", given=True)
    input_side: int = param(224, "side to which a patch is resized for the encoder", unit="px", source="paper", ge=16)
    inverse_penalty: float = param(
        1.0, "inverse of the strength of the L2 penalty, on standardised features", symbol="C", gt=0.0
    )
    iterations: int = param(1000, "steps of L-BFGS at most", ge=1)
    embeddings: bool = param(True, "give the features as embeddings, so that retrieval is measured")


class LinearProbe(Method[LinearProbeParams]):
    """Multinomial logistic regression on the frozen features of all training patches.

    Full supervision on the features that interactive methods start from: what they could reach at most without
    training the encoder. The class of a patch is what lies under its centre, as the dataset's annotation has it.
    """

    name = "linear-probe"
    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.FULL})
    card = MethodCard(
        title="Linear probe (full supervision on frozen features)",
        citation="Interactive Learning for Assisting Whole Slide Image Annotation, ACPR 2021 (the reference 'full "
        "supervision', there on trained features)",
        paper="ACPR 2021, LNCS 13189",
        notes="Patches are those of the dataset's patch grid; its scores are the probability of the positive classes.",
    )
    Params = LinearProbeParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"encoder": "imagenet-lite0"},
        "smoke": {"encoder": "resnet10t", "encoder_pretrained": False, "input_side": 32, "iterations": 50},
    }
    multiclass = True

    def __init__(self, params: LinearProbeParams) -> None:
        super().__init__(params)
        self._encoder: FrozenEncoder | None = None
        self._model: dict[str, Any] = {}

    def encoders(self) -> Sequence[str]:
        """The one encoder."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        return (seen_by(params.encoder, pretrained=params.encoder_pretrained, weights=params.encoder_weights),)

    def refits(self) -> bool:
        """Nothing is selected on validation slides."""
        return True

    def fit(self, train: View, validation: View, context: Context) -> None:
        """Features of every training patch, and one logistic regression."""
        uses = (*_ENCODER, "inverse_penalty", "iterations")
        self._model = context.stage("probe", lambda: self._learnt(train, context), uses=uses)

    def _learnt(self, train: View, context: Context) -> dict[str, Any]:
        rows, labels = [], []
        for slide in train:
            if not train.labels.drawn(slide):
                continue
            try:
                features = self._features(slide, context)
            except BlankSlideError:
                continue
            truth, grid = train.labels.full(slide), context.geometry.patch_grid(slide)
            known = ~truth.ignored(grid)[features.rows, features.cols]
            rows.append(np.asarray(features.values, np.float64)[known])
            labels.append(truth.labels(grid)[features.rows, features.cols][known])
        if not rows or not sum(map(len, rows)):
            raise DataError("no training patch has a known class", fix="bench data verify DATASET")
        model = _regression(np.concatenate(rows), np.concatenate(labels), self.params)
        if model["steps"] >= self.params.iterations:
            context.reporter.say(f"L-BFGS had not converged after {model['steps']} steps: raise iterations")
        return model

    def _features(self, slide: Slide, context: Context) -> Features:
        grid = context.geometry.patch_grid(slide)
        where = context.geometry.tissue(slide, grid)
        return context.features.of(slide, grid, where, self._frozen(context), track=context.track)

    def _frozen(self, context: Context) -> FrozenEncoder:
        if self._encoder is None:
            from benchmark.learning.encoders.frozen import create_encoder

            params = self.params
            self._encoder = create_encoder(
                params.encoder,
                pretrained=params.encoder_pretrained,
                weights=params.encoder_weights,
                side=params.input_side,
                device=context.device,
            )
        return self._encoder

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """Probability of the positive classes, the likeliest class, and the features, of every patch."""
        features, grid = self._features(slide, context), context.geometry.patch_grid(slide)
        probabilities = np.zeros((len(features), len(context.classes)))
        probabilities[:, self._model["classes"]] = _probabilities(np.asarray(features.values, np.float64), self._model)
        scores = np.full(grid.shape, np.nan, np.float32)
        scores[features.rows, features.cols] = probabilities[:, sorted(context.positive)].sum(axis=1).clip(0, 1)
        classes = np.zeros(grid.shape, np.int8)
        classes[features.rows, features.cols] = probabilities.argmax(axis=1)
        unseen = [name for index, name in enumerate(context.classes) if index not in self._model["classes"]]
        return Prediction(
            ScoreMap(grid, scores),
            classes=classes,
            embeddings=Embeddings(features.values, features.rows, features.cols) if self.params.embeddings else None,
            notes=(f"no training patch of {', '.join(unseen)}",) if unseen else (),
        )

    def state(self) -> dict[str, Any]:
        """Means and deviations of the features, weights and biases, and the classes that were seen."""
        return dict(self._model)

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Take them over."""
        self._model = dict(state)


_ENCODER = ("encoder", "encoder_weights", "encoder_pretrained", "input_side")


def _regression(rows: Floats, labels: NDArray[np.int8], params: LinearProbeParams) -> dict[str, Any]:
    """Weights (classes × d) and biases of a multinomial logistic regression on standardised features (n × d)."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    deviation[deviation == 0] = 1.0
    classes = np.unique(labels).astype(np.int64)
    model = {"mean": mean, "deviation": deviation, "classes": classes}
    if classes.size == 1:
        return {**model, "weights": np.zeros((1, rows.shape[1])), "biases": np.zeros(1), "steps": 0}
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=params.inverse_penalty, max_iter=params.iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by the caller, with the option that helps
        fitted.fit((rows - mean) / deviation, labels)
    weights, biases = fitted.coef_, fitted.intercept_
    if classes.size == 2:  # scikit-learn keeps the difference of the two alone
        weights, biases = np.concatenate([0 * weights, weights]), np.concatenate([0 * biases, biases])
    return {**model, "weights": weights, "biases": biases, "steps": int(fitted.n_iter_.max())}


def _probabilities(rows: Floats, model: Mapping[str, Any]) -> Floats:
    """Softmax of the logits, n × the classes that were seen."""
    logits = (rows - model["mean"]) / model["deviation"] @ model["weights"].T + model["biases"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
