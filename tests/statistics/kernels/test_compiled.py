"""How inner loops are compiled."""

from numba.core import caching

from unitscope.statistics.kernels.compiled import compiled


def test_loops_are_compiled_where_no_folder_can_keep_them(monkeypatch):
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])

    def double(number):
        return 2 * number

    assert compiled(double)(4) == 8
