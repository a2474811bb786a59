"""The worlds in which benchmarks know the truth: what a customer does differs by the effect that the world says."""

import numpy as np
import pytest

from benchmarks.uplift_worlds import WORLDS, Log, drawn

CUSTOMERS = 200_000


def log_of(name: str) -> Log:
    return drawn(WORLDS[name], CUSTOMERS, np.random.default_rng(0))


def difference(log: Log, chance: np.ndarray) -> tuple[float, float]:
    """The arms' difference, each row by one over its probability, less the true effect; and its standard error."""
    each = log.outcome * np.where(log.treated, 1 / chance, -1 / (1 - chance)) - log.effect
    return float(each.mean()), float(each.std() / np.sqrt(CUSTOMERS))


@pytest.mark.parametrize("name", WORLDS)
def test_outcomes_differ_between_the_arms_by_the_true_effect(name):
    log, offered = log_of(name), WORLDS[name].offered
    missed, error = difference(log, np.full(CUSTOMERS, 0.5) if offered is None else offered(log.X))
    assert abs(missed) < 4 * error


def test_only_the_confounded_world_misleads_who_compares_the_arms_as_they_are():
    misled = {name: difference(log_of(name), np.full(CUSTOMERS, log_of(name).treated.mean())) for name in WORLDS}
    assert [name for name, (missed, error) in misled.items() if abs(missed) > 6 * error] == ["confounded"]


@pytest.mark.parametrize("name", WORLDS)
def test_a_log_tells_the_probability_of_the_arm_that_was_given_unless_it_is_confounded(name):
    told = log_of(name).exposures.probability
    assert np.isnan(told).all() if name == "confounded" else (told == 0.5).all()


@pytest.mark.parametrize("name", WORLDS)
def test_nobody_earns_more_than_who_knows_the_effects(name):
    world, log = WORLDS[name], log_of(name)
    noisy = log.effect + np.random.default_rng(1).normal(scale=log.effect.std() + 0.01, size=CUSTOMERS)
    most = world.earned(log.effect, log.effect)
    assert most > world.earned(log.effect, noisy)
    assert most >= world.earned(log.effect, np.full(CUSTOMERS, np.inf))
    assert world.earned(log.effect, np.full(CUSTOMERS, -np.inf)) == 0
