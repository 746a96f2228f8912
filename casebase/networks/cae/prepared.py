"""Placeholder until the wiring lands."""

from collections import Counter


def enough(labels, predicted, recipe, known):
    named = predicted if recipe.target == "predicted" else labels
    return [n for n, c in Counter(named).items() if c >= 10]
