"""A microscope for the hidden units of vision networks.

The one door: sources of concepts and networks go in, `dissect` relates them in one pass, and a
`Dissection` comes out, which is saved, shown and compared.

>>> import unitscope
>>> "dissect" in unitscope.__all__
True
"""

from unitscope.doors import NOTEBOOKS, PAGES, TEXTS, open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)

_RUN, _LAYER = "unitscope.dissection.result:Dissection", "unitscope.dissection.result:LayerDissection"
_WORDS = "unitscope.experiments.describing.descriptions"
_ARTIFACTS = "unitscope.experiments.artifact_removal"
NOTEBOOKS[_RUN] = "unitscope.views.notebook:dissection_html"
NOTEBOOKS[_LAYER] = "unitscope.views.notebook:layer_html"
NOTEBOOKS["unitscope.dissection.formula_names:FormulaNames"] = "unitscope.views.formulas:formulas_html"
TEXTS[_RUN] = "unitscope.views.terminal:show_dissection"
TEXTS[_LAYER] = "unitscope.views.terminal:show_layer"
PAGES |= {
    _RUN: "unitscope.views.report:draw_report",
    f"{_WORDS}:Descriptions": "unitscope.views.words_page:write_words_page",
    "unitscope.dissection.formula_names:FormulaNames": "unitscope.views.formulas:write_formulas",
    f"{_ARTIFACTS}:ArtifactStudy": "unitscope.views.artifact_pages:write_artifact_page",
    "unitscope.experiments.erasure_result:Erasure": "unitscope.views.generator_pages:write_erasure_page",
    "unitscope.experiments.movement:AttackStudy": "unitscope.views.attack_sheet:write_attacks",
    "unitscope.experiments.placement:Placement": "unitscope.views.generator_pages:write_placement_page",
    "unitscope.experiments.removal_result:Removal": "unitscope.views.removal:write_removal_page",
    "unitscope.interventions.deletion:DeletionTest": "unitscope.views.explanation_sheet:write_deletion",
    "unitscope.interventions.detection:Detection": "unitscope.views.detector_sheet:write_detection",
    "unitscope.interventions.explained_images:Explanations": "unitscope.views.explanation_sheet:write_sheets",
}
