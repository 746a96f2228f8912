"""Evaluate: metrics and studies, each figure with its n and its interval, beside its controls."""

from casebase.evaluate.cae.options import CaeOptions
from casebase.evaluate.prototypes.options import PrototypeOptions
from casebase.evaluate.saliency.metric import BenchSettings
from casebase.evaluate.saliency.options import MaskChoice, SaliencyOptions
from casebase.evaluate.twin_options import TwinOptions

__all__ = ["BenchSettings", "CaeOptions", "MaskChoice", "PrototypeOptions", "SaliencyOptions", "TwinOptions"]
