"""The public names: what each package offers, that it is there, and that it is documented."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import pytest

import casebase

# A name that is added or taken away here is a change for users: it belongs into CHANGELOG.md.
PUBLIC = {
    "casebase": {"CasebaseError", "__version__", "audit_data", "create", "open"},
    "casebase.api": {
        "Association", "Base", "BenchSettings", "CaeOptions", "CaeProgress", "CaeRecipe", "DataAudit", "Demo",
        "Dossier", "EVALUATIONS", "ErrorsChoice", "Evaluation", "Findings", "IndexOptions", "IndexSummary",
        "METHOD_NAMES", "Maps", "MapsWanted", "ModelChoice", "Onlooker", "PrototypeOptions", "PrototypeRecipe",
        "PrototypeSet", "Recipe", "SaliencyOptions", "Stats", "Summary", "SummaryWanted", "TrainOptions", "Trained",
        "TwinOptions", "audit_data", "check", "check_audit", "check_data", "check_maps", "check_out", "check_summary",
        "data_of", "demo", "doctor", "evaluate_saliency", "plan", "preview", "saliency", "train",
    },
    "casebase.evaluate": {
        "BenchSettings", "CaeOptions", "MaskChoice", "PrototypeOptions", "SaliencyOptions", "TwinOptions",
    },
    "casebase.explain": {
        "Choice", "ExplainedNetwork", "Explainer", "METHOD_NAMES", "WalkWanted", "Wanted",
        "association_in_short", "coded", "compose", "dumps",
        "entry_commands", "explain", "gather", "known_projection", "saliency_drawn", "times",
    },
    "casebase.indexer": {
        "IndexSummary", "Progress", "Source", "association_lines", "dry_run", "epoch_in_words", "index", "lines",
        "losses_in_words", "open_source", "stage_lines", "standing_in_words", "training_lines", "write_lesions",
        "write_set",
    },
    "casebase.indexer.toy": {
        "NOTICE", "PARTS", "SPECIES", "Drawing", "Species", "draw", "draw_lesion", "write_lesions", "write_set",
    },
    "casebase.networks": {
        "anatomy", "backbones", "checkpoints", "explained", "fine_tune", "linear_head", "model_folder",
        "open_clip_net", "precision",
    },
    "casebase.storage": {
        "Finding", "Findings", "Stats", "make_store", "open_store", "plan", "repair", "stats", "verify",
    },
}  # fmt: skip


@pytest.mark.parametrize("package", sorted(PUBLIC))
def test_a_package_offers_exactly_these_names(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(PUBLIC[package])
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("package", sorted(PUBLIC))
def test_every_public_name_is_there_and_says_what_it_is(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        found = getattr(module, name, None)
        if found is None:  # a room that loads its modules only when they are asked for
            found = importlib.import_module(f"{package}.{name}")
        if isinstance(found, ModuleType) or inspect.isclass(found) or inspect.isfunction(found):
            assert inspect.getdoc(found), f"{package}.{name} has no docstring"


def test_open_and_create_are_what_the_readme_says() -> None:
    assert list(inspect.signature(casebase.open).parameters) == ["path", "flags"]
    assert list(inspect.signature(casebase.create).parameters) == ["path", "model", "weights", "flags"]


def test_every_error_casebase_raises_on_purpose_has_one_root() -> None:
    from casebase import errors

    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert len(kinds) > 15
    assert all(issubclass(kind, casebase.CasebaseError) for kind in kinds)
