"""The Triton kernels behind `fused`: one removal step each, and the prices before the first.

The decision hidden here: the layout of the work. Groups of one feature: a program looks
after a run of columns. Wider groups: a program looks after one group, whose small blocks
it keeps in registers, padded to a power of two.

Within one launch nothing is read that another program writes: best prices come in two
sets used in turns, and the blocks of the group being removed are left as they are.

This module needs Triton; import it through `fused`.
"""

from __future__ import annotations

import triton
import triton.language as tl

_NOBODY: tl.constexpr = tl.constexpr(2**62)


@triton.jit
def _cheapest(prices, ids, places, lowest):
    """Return the group of the lowest price, the lowest index if tied, and its place."""
    group = tl.min(tl.where(prices == lowest, ids, _NOBODY), axis=0)
    place = tl.max(tl.where((prices == lowest) & (ids == group), places, 0), axis=0)
    return group, place


@triton.jit
def _offer(pivots, squares, columns, live, barred, ids, best, best_id, best_place, broken, slot):
    """Price single features and leave the best of them in ``slot``."""
    bar = tl.load(barred + columns, mask=live, other=float("inf"))
    price = tl.where(live, tl.maximum(0.5 * squares / pivots, 0.0) + bar, float("inf"))
    lowest = tl.min(price, axis=0)
    who = tl.load(ids + columns, mask=live, other=0)
    group, place = _cheapest(price, who, columns, lowest)
    tl.store(best + slot, lowest)
    tl.store(best_id + slot, group)
    tl.store(best_place + slot, place)
    unsound = tl.max(tl.where(live & ~(pivots > 0), 1, 0), axis=0)
    if unsound > 0:
        tl.store(broken, 1)


@triton.jit(do_not_specialize=["turn"])
def price_features(
    blocks_P,
    blocks_M,
    barred,
    alive,
    ids,
    best,
    best_id,
    best_place,
    control,
    broken,
    programs,
    turn,
    COLUMNS: tl.constexpr,
):
    """Leave the best price of every run of columns, as the first step reads it."""
    program = tl.program_id(0)
    columns = (program * COLUMNS + tl.arange(0, COLUMNS)).to(tl.int64)
    live = columns < tl.load(control)
    live = live & (tl.load(alive + columns, mask=live, other=0) != 0)
    pivots = tl.load(blocks_P + columns, mask=live, other=1.0)
    squares = tl.load(blocks_M + columns, mask=live, other=0.0)
    slot = turn * programs + program
    _offer(pivots, squares, columns, live, barred, ids, best, best_id, best_place, broken, slot)


@triton.jit(do_not_specialize=["filled"])
def remove_feature(
    P,
    M,
    panels,
    blocks_P,
    blocks_M,
    barred,
    alive,
    ids,
    order,
    prices,
    best,
    best_id,
    best_place,
    control,
    broken,
    filled,
    stride,
    capacity,
    programs,
    PROGRAMS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Remove the cheapest single feature."""
    step = tl.load(control + 1) + filled
    if step < tl.load(control + 2):
        program = tl.program_id(0)
        turn = filled % 2
        slots = tl.arange(0, PROGRAMS)
        offered = slots < programs
        rivals = tl.load(best + turn * programs + slots, mask=offered, other=float("inf"))
        lowest = tl.min(rivals, axis=0)
        rival_ids = tl.load(best_id + turn * programs + slots, mask=offered, other=0)
        rival_places = tl.load(best_place + turn * programs + slots, mask=offered, other=0)
        group, place = _cheapest(rivals, rival_ids, rival_places, lowest)

        columns = (program * COLUMNS + tl.arange(0, COLUMNS)).to(tl.int64)
        live = columns < tl.load(control)
        live = live & (tl.load(alive + columns, mask=live, other=0) != 0)
        gone = columns == place
        at = tl.where(columns <= place, place * stride + columns, columns * stride + place)
        C = tl.load(P + at, mask=live, other=0.0)
        R = tl.load(M + at, mask=live, other=0.0)
        U = panels
        V = panels + capacity * stride
        for first in range(0, filled, CHUNK):
            rows = (first + tl.arange(0, CHUNK)).to(tl.int64)
            full = rows < filled
            tile = rows[:, None] * stride + columns[None, :]
            inside = full[:, None] & live[None, :]
            u = tl.load(U + tile, mask=inside, other=0.0)
            v = tl.load(V + tile, mask=inside, other=0.0)
            u_at = tl.load(U + rows * stride + place, mask=full, other=0.0)
            v_at = tl.load(V + rows * stride + place, mask=full, other=0.0)
            C -= tl.sum(u_at[:, None] * u, axis=0)
            R -= tl.sum(u_at[:, None] * v + v_at[:, None] * u, axis=0)
        pivot = tl.load(blocks_P + place)
        square = tl.load(blocks_M + place)
        scale = 1.0 / tl.sqrt(pivot)
        new_u = C * scale
        new_v = R * scale - (0.5 * square * scale * scale) * new_u
        row = filled.to(tl.int64) * stride + columns
        tl.store(U + row, new_u, mask=live)
        tl.store(V + row, new_v, mask=live)

        tl.store(alive + columns, 0, mask=gone)
        tl.store(barred + columns, float("inf"), mask=gone)
        if program == 0:
            tl.store(order + step, group)
            tl.store(prices + step, lowest)
        live = live & ~gone
        pivots = tl.load(blocks_P + columns, mask=live, other=1.0) - new_u * new_u
        squares = tl.load(blocks_M + columns, mask=live, other=0.0) - 2.0 * new_u * new_v
        tl.store(blocks_P + columns, pivots, mask=live)
        tl.store(blocks_M + columns, squares, mask=live)
        slot = (1 - turn) * programs + program
        _offer(pivots, squares, columns, live, barred, ids, best, best_id, best_place, broken, slot)


@triton.jit
def _row(tile, which, k):
    return tl.sum(tl.where(which[:, None] == k, tile, 0.0), axis=0)


@triton.jit
def _column(tile, which, k):
    return tl.sum(tl.where(which[None, :] == k, tile, 0.0), axis=1)


@triton.jit
def _price_block(P, M, lanes, here, factors, pivots, broken, g):
    """Return the price of a group by removing its features one after the other.

    What each of those removals needs of the group's own blocks is left in ``factors``
    (groups, g, 2, g) and ``pivots`` (groups, g, 2), for when the group is really removed.
    """
    total = tl.full((), 0.0, tl.float64)
    for k in range(g):
        p_row = _row(P, lanes, k)
        a_column = _column(P, lanes, k)
        m_row = _row(M, lanes, k)
        m_column = _column(M, lanes, k)
        d = tl.sum(tl.where(lanes == k, p_row, 0.0), axis=0)
        m = tl.sum(tl.where(lanes == k, m_row, 0.0), axis=0)
        if ~(d > 0):
            tl.store(broken, 1)
        inverse = 1.0 / d
        total += 0.5 * m * inverse
        a_column *= inverse
        a_row = p_row * inverse
        at = (here * g + k) * 2
        tl.store(factors + at * g + lanes, a_column, mask=lanes < g)
        tl.store(factors + (at + 1) * g + lanes, m_column, mask=lanes < g)
        tl.store(pivots + at, d)
        tl.store(pivots + at + 1, m)
        P -= a_column[:, None] * p_row[None, :]
        M -= a_column[:, None] * (m_row - m * a_row)[None, :] + m_column[:, None] * a_row[None, :]
    return tl.maximum(total, 0.0)


@triton.jit(do_not_specialize=["turn"])
def price_blocks(
    blocks_P,
    blocks_M,
    barred,
    alive,
    best,
    factors,
    pivots,
    control,
    broken,
    programs,
    turn,
    g,
    LANES: tl.constexpr,
):
    """Leave the price of every group, as the first step reads it."""
    here = tl.program_id(0).to(tl.int64)
    price = tl.full((), float("inf"), tl.float64)
    if here < tl.load(control):
        if tl.load(alive + here) != 0:
            lanes = tl.arange(0, LANES)
            tile = lanes[:, None] * g + lanes[None, :]
            inside = (lanes < g)[:, None] & (lanes < g)[None, :]
            block = here * g * g
            own_P = tl.load(blocks_P + block + tile, mask=inside, other=0.0)
            own_M = tl.load(blocks_M + block + tile, mask=inside, other=0.0)
            price = _price_block(own_P, own_M, lanes, here, factors, pivots, broken, g)
            price += tl.load(barred + here)
    tl.store(best + turn * programs + here, price)


@triton.jit(do_not_specialize=["filled"])
def remove_block(
    P,
    M,
    panels,
    blocks_P,
    blocks_M,
    barred,
    alive,
    ids,
    order,
    prices,
    best,
    factors,
    pivots,
    control,
    broken,
    filled,
    stride,
    capacity,
    programs,
    g,
    PROGRAMS: tl.constexpr,
    LANES: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Remove the cheapest group of several features."""
    step = tl.load(control + 1) + filled // g
    if step < tl.load(control + 2):
        here = tl.program_id(0).to(tl.int64)
        turn = (filled // g) % 2
        slots = tl.arange(0, PROGRAMS)
        offered = slots < tl.load(control)
        rivals = tl.load(best + turn * programs + slots, mask=offered, other=float("inf"))
        lowest = tl.min(rivals, axis=0)
        who = tl.load(ids + slots, mask=offered, other=0)
        group, place = _cheapest(rivals, who, slots.to(tl.int64), lowest)
        if here == 0:
            tl.store(order + step, group)
            tl.store(prices + step, lowest)

        price = tl.full((), float("inf"), tl.float64)
        if here == place:
            tl.store(alive + here, 0)
            tl.store(barred + here, float("inf"))
        elif here < tl.load(control):
            if tl.load(alive + here) != 0:
                lanes = tl.arange(0, LANES)
                real = lanes < g
                inside = real[:, None] & real[None, :]
                tile = lanes[:, None] * g + lanes[None, :]
                down_lanes = lanes[:, None]
                rows = place * g + down_lanes  # (LANES, 1)
                columns = here * g + lanes[None, :]  # (1, LANES)
                if place > here:
                    at = rows * stride + columns
                else:
                    at = columns * stride + rows
                C = tl.load(P + at, mask=inside, other=0.0)
                R = tl.load(M + at, mask=inside, other=0.0)
                U = panels
                V = panels + capacity * stride
                for first in range(0, filled, CHUNK):
                    for more in tl.static_range(CHUNK):
                        line = first + more
                        down = line.to(tl.int64) * stride
                        there = line < filled
                        at_rows = (down_lanes < g) & there
                        at_columns = (lanes[None, :] < g) & there
                        u_at = tl.load(U + down + rows, mask=at_rows, other=0.0)
                        v_at = tl.load(V + down + rows, mask=at_rows, other=0.0)
                        u = tl.load(U + down + columns, mask=at_columns, other=0.0)
                        v = tl.load(V + down + columns, mask=at_columns, other=0.0)
                        C -= u_at * u
                        R -= u_at * v + v_at * u
                block = here * g * g
                own_P = tl.load(blocks_P + block + tile, mask=inside, other=0.0)
                own_M = tl.load(blocks_M + block + tile, mask=inside, other=0.0)
                for k in range(g):
                    factor = (place * g + k) * 2
                    a_column = tl.load(
                        factors + factor * g + down_lanes, mask=down_lanes < g, other=0.0
                    )
                    m_column = tl.load(
                        factors + (factor + 1) * g + down_lanes, mask=down_lanes < g, other=0.0
                    )
                    d = tl.load(pivots + factor)
                    m = tl.load(pivots + factor + 1)
                    c_row = _row(C, lanes, k)
                    r_row = _row(R, lanes, k)
                    scale = 1.0 / tl.sqrt(d)
                    a_own = c_row * scale * scale
                    new_u = c_row * scale
                    new_v = r_row * scale - (0.5 * m * scale * scale) * new_u
                    down = (filled + k).to(tl.int64) * stride + here * g
                    tl.store(U + down + lanes, new_u, mask=real)
                    tl.store(V + down + lanes, new_v, mask=real)
                    own_P -= new_u[:, None] * new_u[None, :]
                    mixed = new_u[:, None] * new_v[None, :]
                    own_M -= mixed + new_v[:, None] * new_u[None, :]
                    R -= a_column * (r_row - m * a_own)[None, :] + m_column * a_own[None, :]
                    C -= a_column * c_row[None, :]
                tl.store(blocks_P + block + tile, own_P, mask=inside)
                tl.store(blocks_M + block + tile, own_M, mask=inside)
                price = _price_block(own_P, own_M, lanes, here, factors, pivots, broken, g)
                price += tl.load(barred + here)
        tl.store(best + (1 - turn) * programs + here, price)
