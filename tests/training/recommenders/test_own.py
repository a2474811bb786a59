"""A user's own model: what is found, what is refused, and in which words."""

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from training.recommenders import RECOMMENDERS
from training.recommenders.base import ItemFilter, Rankings
from training.recommenders.contract import AS_OF, check, small_log
from training.recommenders.guarded import BrokenModelError, Guarded
from training.recommenders.listed import Listed
from training.recommenders.own import Own
from training.recommenders.scorer import Scorer
from training.recommenders.tifu import Tifu

SMALL = {
    "als": {"factors": 8, "threads": 1},
    "bpr": {"factors": 8},
    "blend": {"threads": 1, "members": {"neighbours": {}, "repeat": {}}},
    "ranker": {"threads": 1, "members": {"neighbours": {}, "repeat": {}}, "rounds": 10},
}
SOURCE = """\
from dataclasses import dataclass
from typing import ClassVar

from training.recommenders.scorer import Scorer

@dataclass
class Favourite(Scorer):
    name: ClassVar[str] = {name!r}

    def scores(self, histories, as_of):
        return histories.purchase_matrix.toarray()
"""


@dataclass
class Favourite(Scorer):
    """What was bought most often."""

    name: ClassVar[str] = "favourite"

    def scores(self, histories, as_of):
        return histories.purchase_matrix.toarray()


def nothing(*_, **__):
    return None


def no_reasons(*_, **__):
    return []


@pytest.fixture
def module(tmp_path):
    """Writes a module into the folder under a name that no other test has; says its name."""

    def write(text):
        name = f"own_{tmp_path.name.replace('-', '_').lower()}_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def named(path, folder):
    return Own.among(["popularity", path], folder)


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_ours_keep_what_a_users_model_must(name):
    check(RECOMMENDERS[name], **SMALL.get(name, {}))


def test_a_class_that_extends_scorer_and_says_scores_only_keeps_the_contract():
    check(Favourite)


def raising(self, histories, k, *, items, as_of):
    raise KeyError("tea")


def one_short(self, histories, k, *, items, as_of):
    answer = Favourite.recommend_for(self, histories, k, items=items, as_of=as_of)
    return Rankings(tuple(ids[:-1] for ids in answer.items), tuple(scores[:-1] for scores in answer.scores))


def unknown(self, histories, k, *, items, as_of):
    answer = Favourite.recommend_for(self, histories, k, items=items, as_of=as_of)
    return Rankings(tuple(np.append(ids[:-1], "row 7") for ids in answer.items), answer.scores)


def twice(self, histories, k, *, items, as_of):
    answer = Favourite.recommend_for(self, histories, k, items=items, as_of=as_of)
    return Rankings(tuple(np.repeat(ids[:1], len(ids)) for ids in answer.items), answer.scores)


def without_filter(self, histories, k, *, items, as_of):
    return Favourite.recommend_for(self, histories, k, items=ItemFilter(), as_of=as_of)


def not_numbers(self, histories, k, *, items, as_of):
    answer = Favourite.recommend_for(self, histories, k, items=items, as_of=as_of)
    return Rankings(answer.items, tuple(scores * np.nan for scores in answer.scores))


def a_list(self, histories, k, *, items, as_of):
    return [["tea"]]


def drawing(self, histories, as_of):
    return np.random.random((len(histories.customers), len(self.items_))).astype(np.float32)  # noqa: NPY002  # the fault to be found


def by_place(self, histories, as_of):
    """The first history of a batch is taken for everybody's."""
    return np.repeat(histories.purchase_matrix[:1].toarray(), len(histories.customers), axis=0)


def changing(self, interactions):
    self.popularity_ = self.popularity_ + 10 * (np.arange(len(self.items_)) == interactions.item[0])
    return self


def one_number(self, ids):
    return np.zeros(1)


def absent(self):
    raise AttributeError


@pytest.mark.parametrize(
    ("method", "broken", "said"),
    [
        ("recommend_for", raising, r"recommend_for raised KeyError: 'tea'$"),
        ("recommend_for", one_short, r"recommend_for returned \d+ items, must be \d+ \(k == \d+, \d+ allowed\)$"),
        ("recommend_for", unknown, "recommend_for returned the unknown item 'row 7'; it may answer with ids of the"),
        ("recommend_for", twice, "recommend_for returned an item twice$"),
        ("recommend_for", without_filter, "recommend_for returned 'item-.*', which the filter does not allow$"),
        ("recommend_for", not_numbers, "recommend_for returned scores that are not one finite number an item, best"),
        ("recommend_for", a_list, "recommend_for returned a list, must return Rankings$"),
        ("fit", nothing, "fit returned None, must return the model$"),
        ("beside", nothing, "beside returned None, must return the model$"),
        ("beside", changing, "asked again it answers otherwise$"),
        ("reasons", no_reasons, r"reasons returned 0 reasons for \d+ items$"),
        ("alike", nothing, r"alike must return finite numbers of shape \(9, 9\)$"),
        ("chance_of_repeat", one_number, r"chance_of_repeat must return finite numbers of shape \(10,\)$"),
        ("goes_with", no_reasons, r"goes_with returned 0 reasons for \d+ items$"),
        ("admit", nothing, "admit returned None, must return the model$"),
        ("scores", drawing, "a batch answers otherwise than one by one$"),
        ("scores", by_place, "a batch answers otherwise than one by one$"),
    ],
)
def test_what_is_broken_is_said_in_one_line_that_names_the_model(method, broken, said):
    kind = dataclass(type("Broken", (Favourite,), {method: broken}))
    with pytest.raises(BrokenModelError, match=f"^mine.taste:Taste: {said}") as error:
        check(kind, "mine.taste:Taste")
    assert "\n" not in str(error.value)


class First:
    """Answers with these ids, whatever is asked."""

    def __init__(self, ids):
        self.ids = ids

    def recommend_for(self, histories, k, *, items, as_of):
        return Rankings((self.ids,), (np.zeros(len(self.ids), np.float32),))

    def similar(self, item, k, *, items):
        return self.recommend_for(None, k, items=items, as_of=None)


MANY = np.array([f"{number:06d}" for number in range(300_000)])


def test_the_check_of_an_answer_costs_what_is_answered():
    """A sort of all items, or a look at each, takes a hundred times as long."""
    gone, nobody = Listed(MANY[1::2]), small_log().between(0, 1)
    only = ItemFilter(allowed=Listed(MANY), excluded=gone, excluded_each=[MANY[-9:]])
    guarded = Guarded(First(MANY[2:40:2]), "mine:First", MANY)

    def ask():
        guarded.recommend_for(nobody, 19, items=only, as_of=AS_OF)
        guarded.similar(MANY[0], 19, items=only)

    ask()  # what is shared is looked up once
    started = time.thread_time()
    for _ in range(10):
        ask()
    assert time.thread_time() - started < 0.2


@pytest.mark.parametrize(
    ("rule", "ids", "said"),
    [
        ({}, ["0000011"], "returned the unknown item '0000011'"),  # its beginning is an item
        ({"allowed": MANY[:2]}, ["000002"], "returned '000002', which the filter does not allow"),
        ({"required_each": [MANY[:2]]}, ["000002"], "returned '000002', which the filter does not allow"),
        ({"excluded": MANY[:2]}, ["000001"], "returned '000001', which the filter does not allow"),
        ({"excluded_each": [MANY[:2]]}, ["000001"], "returned '000001', which the filter does not allow"),
        ({"allowed": MANY[:5], "excluded": MANY[3:9], "excluded_each": [MANY[2:4]]}, ["000000"], "must be 2 .*2 allow"),
        ({"excluded": MANY[2:], "excluded_each": [MANY[1:9]]}, [], "must be 1 .*1 allowed"),
    ],
)
def test_what_a_filter_bars_or_nobody_knows_is_found_in_an_answer(rule, ids, said):
    guarded = Guarded(First(np.array(ids, np.str_)), "mine:First", MANY)
    with pytest.raises(BrokenModelError, match=said):
        guarded.recommend_for(small_log().between(0, 1), 7, items=ItemFilter(**rule), as_of=AS_OF)


def test_a_fit_that_depends_on_the_order_of_the_log_is_refused():
    def fit(self, interactions):
        Scorer.fit(self, interactions)
        self.popularity_ = self.popularity_ + 10 * (np.arange(len(self.items_)) == interactions.item[0])
        return self

    kind = dataclass(type("Broken", (Favourite,), {"fit": fit}))
    with pytest.raises(BrokenModelError, match=r"the order of the log changes its answers$"):
        check(kind)


def test_a_model_from_before_there_was_beside_keeps_the_contract_and_is_itself_beside_customers():
    kind = dataclass(type("Older", (Favourite,), {"beside": property(absent)}))
    check(kind)
    model = Guarded(kind(), "mine:Older").fit(small_log())
    assert model.beside(small_log()) is model


def test_a_model_that_compares_customers_does_so_beside_them_under_guard():
    log = small_log()
    alone = Guarded(Tifu(), "mine:Alike").fit(log)
    ours, theirs = alone.beside(log), Tifu().fit(log).beside(log)
    answers = [one.recommend_for(log, 5, items=ItemFilter(), as_of=AS_OF) for one in (ours, theirs, alone)]
    scores = [np.concatenate(answer.scores) for answer in answers]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_what_fit_learns_and_does_not_declare_is_missed_when_it_is_loaded():
    def fit(self, interactions):
        Scorer.fit(self, interactions)
        self.factor = 2.0
        return self

    def scores(self, histories, as_of):
        return histories.purchase_matrix.toarray() * self.factor

    kind = dataclass(type("Broken", (Favourite,), {"fit": fit, "scores": scores}))
    with pytest.raises(BrokenModelError, match=r"recommend_for raised AttributeError.*'factor'$"):
        check(kind)


def test_an_answer_under_a_filter_that_leaves_less_than_k_is_whole():
    log = small_log()
    answer = Guarded(Favourite(), "mine:Favourite").fit(log).recommend_for(
        log, 10, items=ItemFilter(allowed=log.items[:3], excluded=log.items[:1]), as_of=AS_OF
    )  # fmt: skip
    assert {len(ids) for ids in answer.items} == {2}


def test_a_module_of_the_folder_is_found_and_its_model_has_its_own_name(tmp_path, module):
    path = f"{module(SOURCE.format(name='favourite'))}:Favourite"
    own = named(path, tmp_path)
    assert own.names(["popularity", path, "favourite"]) == ["popularity", "favourite", "favourite"]
    model = own.made("favourite", {}).fit(small_log())
    model.save(tmp_path / "model")
    loaded = own.loaded("favourite", tmp_path / "model")
    ours, theirs = (one.recommend_for(small_log(), 5, items=ItemFilter(), as_of=AS_OF) for one in (model, loaded))
    assert [ids.tolist() for ids in ours.items] == [ids.tolist() for ids in theirs.items]
    assert own.code("favourite") == tmp_path / f"{path.partition(':')[0]}.py"
    assert str(tmp_path) not in sys.path


def test_a_package_of_the_folder_is_carried_whole(tmp_path):
    package = tmp_path / f"own_{tmp_path.name.replace('-', '_').lower()}"
    package.mkdir()
    (package / "taste.py").write_text(SOURCE.format(name="favourite"))
    assert named(f"{package.name}.taste:Favourite", tmp_path).code("favourite") == package


def test_nothing_is_imported_because_a_release_says_so(tmp_path, module):
    mark = tmp_path / "imported"
    name = module(f"open({str(mark)!r}, 'w')\n" + SOURCE.format(name="favourite"))
    with pytest.raises(ValueError, match=r"the release names 'favourite'; known recommender models are \['als'"):
        Own.among(["popularity"], tmp_path).loaded("favourite", tmp_path)
    with pytest.raises(ValueError, match=rf"'{name}:Favourite' is not among recommender.models of attune.yaml"):
        Own.among(["popularity"], tmp_path).names([f"{name}:Favourite"])
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_like_this", "its import raised ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("class Favourite(", "its import raised SyntaxError: "),
        ("Favorite = 1", r"there is no such class in the module \(recommender.models of attune.yaml\)"),
        ("class Favourite: fit = print", "the class lacks recommend_for, similar, complete, .*; one that extends "),
        (SOURCE.format(name="als"), "name == 'als', is one of ours; another is needed"),
        (SOURCE.format(name="my model"), "name == 'my model', must be small letters, digits and '-'"),
        (SOURCE.format(name="favourite").replace("@dataclass\n", "\n") + "\n", None),
    ],
)
def test_a_class_that_cannot_be_a_recommender_is_one_line(tmp_path, module, text, said):
    path = f"{module(text)}:Favourite"
    if said is None:  # a subclass of a dataclass is one
        assert named(path, tmp_path).names([path]) == ["favourite"]
        return
    with pytest.raises((ValueError, BrokenModelError), match=f"^{path}: {said}") as error:
        named(path, tmp_path).names([path])
    assert "\n" not in str(error.value)


def test_a_file_that_python_never_reads_because_of_its_name_is_refused(tmp_path):
    (tmp_path / "json.py").write_text(SOURCE.format(name="favourite"))
    with pytest.raises(ValueError, match=r"json:Favourite: the module 'json' is .* already; give json.py another name"):
        named("json:Favourite", tmp_path).names(["json:Favourite"])


def test_two_models_of_one_name_are_refused(tmp_path, module):
    first, second = (f"{module(SOURCE.format(name='favourite'))}:Favourite" for _ in range(2))
    with pytest.raises(ValueError, match=re.escape(f"{first} and {second} both have the name 'favourite'")):
        Own.among([first, second], Path(tmp_path)).path("favourite")


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path, module):
    own = named(f"{module(SOURCE.format(name='favourite'))}:Favourite", tmp_path)
    for given, near in (("favorite", "favourite"), ("neighbors", "neighbours")):
        with pytest.raises(ValueError, match=f"recommender '{given}' is not known; did you mean '{near}'"):
            own.names([given])
