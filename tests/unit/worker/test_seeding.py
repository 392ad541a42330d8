"""Seeds and orders are functions of (job seed, epoch), equal on every machine."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from fitfleet.worker.seeding import mix, order, orders, seed_state


def test_seeds_never_change_between_versions() -> None:
    # Written down once: a checkpoint of an older fitfleet resumes with these.
    assert mix(0, "init") == 182554928
    assert seed_state(7, 1, 3).tolist() == [mix(7, 1), 3 << 24]


def test_an_order_is_a_permutation_of_its_own_for_each_epoch_and_seed() -> None:
    orders = [order(seed, epoch, 100).numpy() for seed in (0, 1) for epoch in (0, 1)]
    for permutation in orders:
        assert sorted(permutation) == list(range(100))
    assert len({tuple(permutation) for permutation in orders}) == 4
    np.testing.assert_array_equal(orders[3], order(1, 1, 100).numpy())


def test_orders_of_several_jobs_are_those_of_each() -> None:
    several = orders([3, 4], 2, 50, is_shuffled=True)
    np.testing.assert_array_equal(several[1], order(4, 2, 50).numpy())
    plain = orders([3, 4], 2, 50, is_shuffled=False)
    np.testing.assert_array_equal(plain, [np.arange(50)] * 2)


def test_an_order_inside_a_graph_is_that_outside() -> None:
    inside = tf.function(lambda epoch: order(5, epoch, 30))(tf.constant(2, tf.int64))
    np.testing.assert_array_equal(inside, order(5, 2, 30))
