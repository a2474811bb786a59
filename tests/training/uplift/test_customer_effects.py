"""The effects of customers come back as they were saved; a row without a name is no customer."""

import numpy as np

from training.uplift.base import Effects
from training.uplift.customer_effects import CustomerEffects


def test_effects_come_back_as_they_were_saved(tmp_path):
    effects = Effects(("mail",), np.array([[0.1], [0.2]]), np.array([[np.nan], [0.1]]))
    CustomerEffects(np.array(["ann", "bob"]), effects).save(tmp_path)
    found = CustomerEffects.load(tmp_path)
    assert (found.row("bob"), found.row("cyd"), found.effects.offers) == (1, None, ("mail",))
    np.testing.assert_array_equal(found.effects.effect, effects.effect)


def test_rows_of_a_log_that_names_nobody_are_positions_and_no_customer(tmp_path):
    effects = Effects(("mail",), np.arange(12.0)[:, None], np.ones((12, 1)))
    CustomerEffects(None, effects).save(tmp_path)
    found = CustomerEffects.load(tmp_path)
    assert found.names.tolist() == [str(row) for row in range(12)]
    assert found.row("5") is None
