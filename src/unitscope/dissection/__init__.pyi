from unitscope.dissection.adaptive import dissect_by_quality as dissect_by_quality
from unitscope.dissection.cell_measures import measure_cells as measure_cells
from unitscope.dissection.estimate import estimate_run as estimate_run
from unitscope.dissection.levels import measure_levels as measure_levels
from unitscope.dissection.parts import Part as Part
from unitscope.dissection.parts import dissect_part as dissect_part
from unitscope.dissection.parts import merge_run as merge_run
from unitscope.dissection.reopening import reopen_source as reopen_source
