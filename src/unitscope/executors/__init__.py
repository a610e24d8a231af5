"""Work that is cut into numbered files, each made by whichever worker is free: processes, or a cluster.

Nothing here knows what the work is: a `Job` opens what it needs from texts and numbers, and makes file after
file. See `jobs`.
"""
