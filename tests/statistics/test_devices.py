import numpy as np
import pytest
from test_quantiles import KINDS, make_maps, tail_results

from unitscope.statistics.devices import pack_on_device, update_on_device
from unitscope.statistics.grids import make_grid
from unitscope.statistics.kernels.packing import pack_cells
from unitscope.statistics.quantiles import TailPlan, empty_tail, update_tail
from unitscope.statistics.threads import open_threads


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upsampling", ["half-pixel", "zero-border"])
@pytest.mark.parametrize("population", ["cells", "pixels"])
@pytest.mark.parametrize(("side", "pixels"), [(5, 20), (9, 6), (1, 8)])
def test_the_torch_path_gives_what_the_compiled_path_gives(kind, upsampling, population, side, pixels):
    maps = make_maps(kind, 12, 4, side, 3)
    plan = TailPlan(
        4, 12, (side, side), make_grid((side, side), (pixels, pixels), upsampling), population, 0.03
    )
    fast, other = empty_tail(plan), empty_tail(plan)
    with open_threads(2) as threads:
        for start in range(0, 12, 4):
            fast = update_tail(fast, maps[start : start + 4], start, threads)
            other = update_on_device(other, maps[start : start + 4], start)
    assert tail_results(fast) == tail_results(other)


@pytest.mark.parametrize("reach", [0, 1])
def test_packing_is_the_same_cell_for_cell(reach):
    maps = make_maps("normal", 6, 5, 7, 1)
    bound = np.array([-np.inf, -1.0, 0.0, 1.5, 99.0], np.float32)
    packed = pack_on_device(maps, bound, reach, 40)
    for mine, wanted in zip(packed.arrays, pack_cells(maps.numpy(), (0, 5), bound, reach, 40), strict=True):
        np.testing.assert_array_equal(mine, wanted)
