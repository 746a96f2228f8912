"""Learning curves: loss and accuracy of training and validation images, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from casebase.evaluate.drawing import DASHES, MARKERS, PREDICTED, QUIET, RIVAL, in_percent, name_axes, panels
from casebase.evaluations import Plot
from casebase.reading import percent
from casebase.trained import Epoch

_LINES = (("training", PREDICTED), ("validation", RIVAL))


def curves(epochs: Sequence[Epoch], kept: int) -> Plot:
    """Loss and accuracy side by side; a thin line marks the epoch whose weights were kept.

    The training line is the mean over an epoch in which the weights still changed, and over augmented images; the
    validation line is of the weights at its end. So the first may well lie below the second in accuracy.
    """

    def draw(axes: Sequence[Axes]) -> None:
        _draw(axes[0], "loss (cross-entropy, nats)", [e.loss for e in epochs], [e.val_loss for e in epochs], kept)
        accuracies = [e.accuracy for e in epochs], [e.val_accuracy for e in epochs]
        _draw(axes[1], "accuracy", *accuracies, kept)
        in_percent(axes[1].yaxis)
        axes[1].set_ylim(top=1.02)

    return panels("curves", "Learning curves", _in_words(epochs, kept), draw)


def _draw(axes: Axes, name: str, train: Sequence[float], val: Sequence[float | None], kept: int) -> None:
    name_axes(axes, across="epoch", up=name)
    axes.yaxis.grid(visible=True)
    axes.axvline(kept, color=QUIET, linewidth=1.0)
    axes.annotate(
        "kept", (kept, 1.0), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points", color=QUIET,
        fontsize=10.0, horizontalalignment="center", verticalalignment="bottom",
    )  # fmt: skip
    for number, ((called, colour), values) in enumerate(zip(_LINES, (train, val), strict=True)):
        points = [(place, value) for place, value in enumerate(values, start=1) if value is not None]
        if points:
            across, up = zip(*points, strict=True)
            axes.plot(across, up, color=colour, marker=MARKERS[number], linestyle=DASHES[number], label=called)
    axes.set_xlim(0.5, len(train) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="best")


def _in_words(epochs: Sequence[Epoch], kept: int) -> str:
    first, last = epochs[0], epochs[-1]
    told = (
        f"Over {len(epochs)} epochs the training loss went from {first.loss:.3g} to {last.loss:.3g} "
        f"and the training accuracy from {percent(first.accuracy)} to {percent(last.accuracy)}"
    )
    if first.val_accuracy is not None and last.val_accuracy is not None:
        told += (
            f"; the validation loss from {first.val_loss:.3g} to {last.val_loss:.3g} "
            f"and the validation accuracy from {percent(first.val_accuracy)} to {percent(last.val_accuracy)}"
        )
    return f"{told}. The weights after epoch {kept} were kept."
