"""What ``casebase.open()`` and ``casebase.create()`` return, and everything else the command line can do."""

from __future__ import annotations

from casebase.api.alone import (
    audit_data,
    check,
    check_audit,
    check_data,
    check_maps,
    check_out,
    check_summary,
    doctor,
    evaluate_saliency,
    generate,
    pair,
    preview,
    saliency,
    train,
)
from casebase.api.base import Base
from casebase.api.first_look import Demo, demo
from casebase.api.inputs import IndexOptions, data_of
from casebase.association import Association
from casebase.data_audit import DataAudit
from casebase.datasets import Generated, Paired
from casebase.dossiers import Dossier
from casebase.evaluate import BenchSettings, CaeOptions, PrototypeOptions, SaliencyOptions, TwinOptions
from casebase.evaluations import Evaluation
from casebase.explain import METHOD_NAMES
from casebase.explain import Choice as ErrorsChoice
from casebase.indexer import IndexSummary
from casebase.maps import Maps, MapsWanted
from casebase.prototypes import PrototypeSet
from casebase.storage import Findings, Stats, plan
from casebase.summaries import Summary, SummaryWanted
from casebase.trained import Onlooker, Trained
from casebase.wiring import (
    EVALUATIONS,
    CaeProgress,
    CaeRecipe,
    GenerateOptions,
    ModelChoice,
    PairOptions,
    PrototypeRecipe,
    Recipe,
    TrainOptions,
)

__all__ = [
    "EVALUATIONS",
    "METHOD_NAMES",
    "Association",
    "Base",
    "BenchSettings",
    "CaeOptions",
    "CaeProgress",
    "CaeRecipe",
    "DataAudit",
    "Demo",
    "Dossier",
    "ErrorsChoice",
    "Evaluation",
    "Findings",
    "GenerateOptions",
    "Generated",
    "IndexOptions",
    "IndexSummary",
    "Maps",
    "MapsWanted",
    "ModelChoice",
    "Onlooker",
    "PairOptions",
    "Paired",
    "PrototypeOptions",
    "PrototypeRecipe",
    "PrototypeSet",
    "Recipe",
    "SaliencyOptions",
    "Stats",
    "Summary",
    "SummaryWanted",
    "TrainOptions",
    "Trained",
    "TwinOptions",
    "audit_data",
    "check",
    "check_audit",
    "check_data",
    "check_maps",
    "check_out",
    "check_summary",
    "data_of",
    "demo",
    "doctor",
    "evaluate_saliency",
    "generate",
    "pair",
    "plan",
    "preview",
    "saliency",
    "train",
]
