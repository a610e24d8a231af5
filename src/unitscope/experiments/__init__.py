"""What units of your network do, over many images: each verb measures, and gives a result.

Units are removed from a classifier (`study_removal`), erased from a generator's pictures (`study_erasure`),
put into them (`study_placement`) and searched for artifacts (`study_artifacts`), watched while images are
attacked (`study_attacks`) or restyled (`measure_twins`), and shown to people (`draw_questions`,
`read_ratings`). A result has `text()`, `to_frame()`, `save()` and, but for twins, `page()`.
`study_spread` follows insertions to the picture, `measure_concept_levels` says how high units are where a
concept is. `fit_directions` finds other directions than units in what a layer gives.
"""

from unitscope.doors import open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)
