"""The compiled loops over sets of labels: they are found along rows, and counted where masks are.

Labels come as the tuple of `unitscope.statistics.kernels.tallies`. Coded sets are one plane an image:
segments of one set along rows, `ends` and `ids`, from `row_starts[image * height + row]` on. Id 0 marks void
pixels, and set k has id k + 1.
"""

import numpy as np

from unitscope.statistics.kernels.compiled import between, compiled

_EMPTY = -1


@compiled
def find_set(some, size, slots, starts, members, count):
    """The number of a set among those that are known, or the next one, and its slot in the hash table."""
    hashed = np.uint64(14695981039346656037)
    for k in between(0, size):
        hashed = (hashed ^ np.uint64(some[k])) * np.uint64(1099511628211)
        hashed ^= hashed >> np.uint64(29)
    mask = np.uint64(len(slots) - 1)
    slot = hashed & mask
    while slots[slot] != _EMPTY:
        known = slots[slot]
        if starts[known + 1] - starts[known] == size:
            same = True
            for k in range(size):
                same &= members[starts[known] + k] == some[k]
            if same:
                return known, slot
        slot = (slot + np.uint64(1)) & mask
    return np.int64(count), slot


@compiled
def widen(array):
    """The array with room for as much again."""
    return np.concatenate((array, np.empty_like(array)))


@compiled
def add_set(some, size, known):
    """Adds a set to those that are known, unless it is; its number, and then those that are known.

    `known` are the slots of the hash table, the starts and members of sets, and their number.
    """
    slots, starts, members, count = known
    number, slot = find_set(some, size, slots, starts, members, count)
    if number < count:
        return number, known
    while starts[count] + size > len(members):
        members = widen(members)
    members[starts[count] : starts[count] + size] = some[:size]
    slots[slot] = count
    count += 1
    if count + 1 >= len(starts):
        starts = widen(starts)
    starts[count] = starts[count - 1] + size
    if 2 * count > len(slots):
        slots = np.full(2 * len(slots), _EMPTY, np.int64)
        for old in range(count):
            own = members[starts[old] : starts[old + 1]]
            # None is found: the slot is the free one.
            slots[find_set(own, len(own), slots, starts, members, old)[1]] = old
    return number, (slots, starts, members, count)


@compiled
def know_none():
    """No sets that are known."""
    slots = np.full(1 << 12, _EMPTY, np.int64)
    return slots, np.zeros(1 << 12, np.int64), np.empty(1 << 14, np.uint16), np.int64(0)


@compiled
def add_sets(starts, members, known):
    """Adds sets to those that are known; their numbers, and then those that are known."""
    numbers = np.zeros(len(starts) - 1, np.int32)
    for k in range(len(numbers)):
        number, known = add_set(members[starts[k] : starts[k + 1]], starts[k + 1] - starts[k], known)
        numbers[k] = number
    return numbers, known


@compiled
def insert(some, size, identity):
    """Puts an id into the ascending ids of a set, unless it is there; how many there are then."""
    k = size
    while k > 0 and some[k - 1] > identity:
        k -= 1
    if k > 0 and some[k - 1] == identity:
        return size
    for j in range(size, k, -1):
        some[j] = some[j - 1]
    some[k] = identity
    return size + 1


@compiled
def encode_sets(first, last, width, labels, void):
    """The sets along the rows of some images: row_starts, ends, ids; starts and members of the sets.

    Sets are numbered as they come. A label twice on a pixel counts once.
    """
    planes, row_starts, seg_ends, seg_ids, scalar_starts, scalars = labels[:6]
    height = labels[9]
    rows = np.zeros((last - first) * height + 1, np.int64)
    ends, ids, n = np.empty(1 << 14, np.uint16), np.empty(1 << 14, np.int32), 0
    known_sets = know_none()
    most = np.diff(planes[first : last + 1]).max() + np.diff(scalar_starts[first : last + 1]).max()
    some, at = np.empty(most + 1, np.uint16), np.empty(most + 1, np.int64)
    for image in range(first, last):
        begin, many = np.int64(planes[image]), np.int64(planes[image + 1] - planes[image])
        for y in range(height):
            for p in range(many):
                at[p] = row_starts[(begin + p) * height + y]
            x, before = np.int64(0), n
            while x < width:
                size, stop, known = np.int64(0), np.int64(width), True
                for k in range(scalar_starts[image], scalar_starts[image + 1]):
                    size = insert(some, size, scalars[k])
                for p in range(many):
                    if seg_ends[at[p]] < stop:
                        stop = np.int64(seg_ends[at[p]])
                    identity = seg_ids[at[p]]
                    if identity == void:
                        known = False
                    elif identity > 0:
                        size = insert(some, size, identity)
                number = np.int64(-1)  # of void, as id 0
                if known:
                    number, known_sets = add_set(some, size, known_sets)
                if n > before and ids[n - 1] == number + 1:
                    ends[n - 1] = stop
                else:
                    if n == len(ends):
                        ends, ids = widen(ends), widen(ids)
                    ends[n], ids[n] = stop, number + 1
                    n += 1
                for p in range(many):
                    at[p] += np.int64(seg_ends[at[p]]) == stop
                x = stop
            rows[(image - first) * height + y + 1] = n
    _, starts, members, count = known_sets
    return rows, ends[:n].copy(), ids[:n].copy(), starts[: count + 1].copy(), members[: starts[count]].copy()


@compiled
def sum_areas(fold, sets, areas):
    """Adds to areas[fold[image], id] the pixels of every set."""
    row_starts, ends, ids, height = sets
    for image in range(len(fold)):
        into = areas[fold[image]]
        for row in range(image * height, (image + 1) * height):
            x = np.int64(0)
            for s in range(row_starts[row], row_starts[row + 1]):
                into[ids[s]] += np.int64(ends[s]) - x
                x = np.int64(ends[s])


@compiled
def meet_sets(runs, start, stop, sets, image, counts, met, n):
    """Adds to counts[id] what one mask shares with an image's sets; ids that are new go to `met`."""
    row_starts, ends, ids, height = sets
    first, one = np.uint64(image) * np.uint64(height), np.uint64(1)  # in unsigned numbers: see `between`
    for k in between(start, stop):
        x, last = np.int64(runs[k, 1]), np.int64(runs[k, 2])
        s = np.uint64(row_starts[first + np.uint64(runs[k, 0])])
        while ends[s] <= x:
            s += one
        while x < last:
            e = min(np.int64(ends[s]), last)
            identity = ids[s]
            if counts[identity] == 0:
                met[n] = identity
                n += 1
            counts[identity] += e - x
            x = e
            s += one
    return n


@compiled
def tally_sets(masks, sets, order, place, plan, ranks):
    """What units share with every set, by parts: lengths[unit * parts + part], rows and pixels of all.

    `masks` are counts by unit, images, sizes and runs. `plan` is how many blocks there are, the images of a
    slot, the slots of a block, and how many of them are counted. In slot s of a block masks meet the labels
    that lie s slots on; images behind the blocks are dealt to four rests. `ranks[id]` is the row of a set.
    """
    mask_counts, image, mask_size, runs = masks
    blocks, width, ways, counted = plan
    parts, span = blocks * counted + 4, width * ways
    lengths = np.zeros(len(mask_counts) * parts, np.int64)
    rows, pixels, n = np.empty(1 << 12, np.uint32), np.empty(1 << 12, np.uint32), 0
    counts, met = np.zeros(len(ranks), np.int64), np.empty(len(ranks), np.int64)
    starts = np.zeros(len(mask_size) + 1, np.int64)
    for m in range(len(mask_size)):
        starts[m + 1] = starts[m] + mask_size[m]
    first = 0
    for u in range(len(mask_counts)):
        last = first + mask_counts[u]
        places = place[image[first:last]]
        groups = np.empty(len(places), np.int64)
        for j in range(len(places)):
            inside = places[j] < blocks * span
            groups[j] = places[j] // span if inside else blocks + places[j] % 4
        chosen = np.argsort(groups, kind="mergesort")
        after = 0
        for group in range(blocks + 4):
            before = after
            while after < len(chosen) and groups[chosen[after]] == group:
                after += 1
            for slot in range(counted if group < blocks else 1):
                seen = 0
                for j in chosen[before:after]:
                    mask, target = first + j, np.int64(image[first + j])
                    if slot:
                        within = (places[j] - group * span + slot * width) % span
                        target = order[group * span + within]
                    seen = meet_sets(runs, starts[mask], starts[mask + 1], sets, target, counts, met, seen)
                found, many = sort_met(met[:seen], ranks)
                while n + many > len(rows):
                    rows, pixels = widen(rows), widen(pixels)
                for j in range(many):
                    rows[n], pixels[n] = ranks[found[j]], counts[found[j]]
                    n += 1
                counts[met[:seen]] = 0
                part = group * counted + slot if group < blocks else blocks * (counted - 1) + group
                lengths[u * parts + part] = many
        first = last
    return lengths, rows[:n].copy(), pixels[:n].copy()


@compiled
def sort_met(met, ranks):
    """The ids of sets, without void, by their ranks; and how many they are."""
    found, many = np.empty(len(met), np.int64), 0
    for identity in met:
        if identity:
            found[many] = ranks[identity] << 32 | identity
            many += 1
    found = np.sort(found[:many])
    for k in range(many):
        found[k] &= 0xFFFFFFFF
    return found, many
