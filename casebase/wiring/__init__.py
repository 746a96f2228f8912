"""Settings in, ready objects out: the one place where concrete classes meet.

``stores`` opens the store · ``asking`` loads the networks of a finished base, ``explaining`` keeps what explains its
answers · ``choices`` decides which network a new one is made with, ``indexing`` plans its run · ``training`` makes a
model folder, ``trained_folder`` reads what it remembers · ``measuring`` finds the evaluation of a kind,
``saliency_bench`` what the bench of maps is given · ``prototypes`` learns, keeps and opens prototypes,
``association_training`` and ``association`` a class association embedding, ``looking`` reads what both learn from ·
``data_audit`` looks at a data set before training, ``generating`` and ``pairing`` make one · ``machine`` tells what
there is to compute on · ``demo`` trains the demo's network.
"""

from casebase.networks.cae.recipe import CaeRecipe
from casebase.networks.cae.recipe import Progress as CaeProgress
from casebase.networks.prototypes.recipe import PrototypeRecipe
from casebase.wiring.asking import networks_of, random_cases
from casebase.wiring.association import association
from casebase.wiring.association_training import train_association
from casebase.wiring.choices import ModelChoice, network_alone
from casebase.wiring.data_audit import audit_data, check_audit
from casebase.wiring.demo import examples, fetch_pets, train_drawn
from casebase.wiring.explaining import Explainers
from casebase.wiring.generating import GenerateOptions, generate
from casebase.wiring.indexing import Prepared, Scope, dry_plan, prepare, tidy
from casebase.wiring.machine import environment, workers
from casebase.wiring.measuring import EVALUATIONS, compare_saliency, evaluate, evaluation_writer
from casebase.wiring.pairing import PairOptions, pair
from casebase.wiring.prototypes import prototype_set, train_prototypes
from casebase.wiring.stores import (
    association_pages,
    check_maps,
    check_out,
    check_summary,
    dossier_pages,
    file_hashes,
    made_anew,
    maps_pages,
    prototype_pages,
    renderer,
    save_picture,
    store_for_looking,
    store_for_reading,
    store_for_writing,
    summary_pages,
    thumbnails,
)
from casebase.wiring.trained_folder import LEAKS, leaks_told
from casebase.wiring.training import Recipe, TrainOptions, train

__all__ = [
    "EVALUATIONS",
    "LEAKS",
    "CaeProgress",
    "CaeRecipe",
    "Explainers",
    "GenerateOptions",
    "ModelChoice",
    "PairOptions",
    "Prepared",
    "PrototypeRecipe",
    "Recipe",
    "Scope",
    "TrainOptions",
    "association",
    "association_pages",
    "audit_data",
    "check_audit",
    "check_maps",
    "check_out",
    "check_summary",
    "compare_saliency",
    "dossier_pages",
    "dry_plan",
    "environment",
    "evaluate",
    "evaluation_writer",
    "examples",
    "fetch_pets",
    "file_hashes",
    "generate",
    "leaks_told",
    "made_anew",
    "maps_pages",
    "network_alone",
    "networks_of",
    "pair",
    "prepare",
    "prototype_pages",
    "prototype_set",
    "random_cases",
    "renderer",
    "save_picture",
    "store_for_looking",
    "store_for_reading",
    "store_for_writing",
    "summary_pages",
    "thumbnails",
    "tidy",
    "train",
    "train_association",
    "train_drawn",
    "train_prototypes",
    "workers",
]
