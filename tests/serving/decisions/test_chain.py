"""The chain alone: which step answers what. `tea` and `coffee` are liked, `milk`, `salt` and `soap` only popular."""

import numpy as np
import pytest

from serving.decisions.chain import Chain, Found, Step
from serving.decisions.pace import FailedError, LetDownError
from training.recommenders.base import ItemFilter, Rankings, Reason

EVERYTHING = ("coffee", "milk", "salt", "soap", "tea")
WHY = Reason("because")


def ranking(scores: dict[str, float]):
    """A step of a model with these scores, best first, as its filter allows."""

    def ask(k: int, items: ItemFilter):
        ids = np.array(sorted(scores))
        allowed = ids[items.mask(ids, 1)[0]].tolist()
        best = sorted(allowed, key=lambda one: -scores[one])[:k]
        values = np.array([scores[one] for one in best], np.float32)
        return Rankings((np.array(best, np.str_),), (values,)), [WHY] * len(best)

    return ask


def failing(error: LetDownError):
    def ask(_k: int, _items: ItemFilter):
        raise error

    return ask


LIKES_TEA = ranking({"tea": 1.0, "milk": -0.1, "salt": -0.2, "soap": -0.3, "coffee": -0.4})
LIKES_COFFEE = ranking({"coffee": 1.0, "milk": -0.1, "salt": -0.2, "soap": -0.3, "tea": -0.4})
POPULAR = ranking({"milk": 0.9, "salt": 0.8, "soap": 0.7, "tea": 0.6, "coffee": 0.5})
COUNTED = ranking({"soap": 0.9, "salt": 0.8, "milk": 0.7, "tea": 0.6, "coffee": 0.5})


def asked(*steps: Step, k: int = 3, without: tuple[str, ...] = (), popular=POPULAR) -> Found:
    return Chain(steps, popular, COUNTED).answered(k, ItemFilter(excluded=np.array(without, np.str_)))


def test_a_step_answers_what_the_one_before_left_empty() -> None:
    found = asked(Step("personal", LIKES_TEA), Step("session", LIKES_COFFEE))
    assert found.items == ("tea", "coffee", "milk")
    assert found.steps == ("personal", "session", "popular")
    assert found.answered == {"personal": 1, "session": 1, "popular": 1}
    assert found.failed is None


def test_what_a_model_has_no_opinion_on_is_popular_and_comes_without_asking_it_again() -> None:
    found = asked(Step("personal", LIKES_TEA), popular=failing(LetDownError("asked")))
    assert (found.items, found.steps) == (("tea", "milk", "salt"), ("personal", "popular", "popular"))
    assert found.failed is None


def test_all_of_a_sure_step_is_its_own() -> None:
    shelf = ranking({"soap": 0.0, "salt": -0.1})
    found = asked(Step("popular-in-category", shelf, sure=True))
    assert (found.items, found.steps[:2]) == (("soap", "salt", "milk"), ("popular-in-category",) * 2)


@pytest.mark.parametrize("k", range(1, 8))
@pytest.mark.parametrize("without", [(), ("tea",), ("tea", "coffee", "milk"), EVERYTHING])
@pytest.mark.parametrize("error", [None, FailedError("the model took too long")])
def test_exactly_k_while_k_are_allowed_whichever_steps_fail(k: int, without: tuple[str, ...], error) -> None:
    personal = Step("personal", failing(error) if error else LIKES_TEA)
    for steps in [(), (personal,), (personal, Step("session", LIKES_COFFEE))]:
        for popular in (POPULAR, failing(FailedError("no"))):
            found = asked(*steps, k=k, without=without, popular=popular)
            assert len(found.items) == len(set(found.items)) == min(k, len(EVERYTHING) - len(without))
            assert not set(found.items) & set(without)
            assert len(found.items) == len(found.steps) == len(found.reasons) == len(found.scores)


def test_the_first_step_that_fails_is_told_with_its_name_and_the_next_answers() -> None:
    slow = FailedError("the model took too long")
    found = asked(Step("personal", failing(slow)), Step("session", LIKES_COFFEE))
    assert (found.items[0], found.steps[0]) == ("coffee", "session")
    assert found.failed == "the model took too long at the step personal"
    found = asked(Step("personal", failing(slow)), popular=failing(FailedError("the model has no time left")))
    assert (found.items[0], found.failed) == ("soap", "the model took too long at the step personal")
    assert asked(popular=failing(LetDownError("no model"))).failed == "no model"
