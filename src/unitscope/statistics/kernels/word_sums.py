"""The compiled loop of words: rows of a table are added up, place by place."""

from unitscope.statistics.kernels.compiled import between, compiled


@compiled
def add_rows(table, rows, found):
    """Adds row `rows[place]` of the table to `found[place]`, for every place."""
    for place in between(0, len(rows)):
        row = rows[place]
        for column in between(0, found.shape[1]):
            found[place, column] += table[row, column]
