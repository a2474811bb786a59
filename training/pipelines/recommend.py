"""From the event log to a judged, registered recommender: wiring only.

    events -> consent -> split by time -> fit all on [start, validate), choose on [validate, test)
           -> fit all on [start, test), judge once on [test, end) -> the chosen one again on everything -> MLflow

What a model is fitted on knows itself as of one and two horizons earlier (`Interactions.earlier`), where the log
reaches so far back: so a ranker learns from what followed, and from nothing that it is judged on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from features.events import Events
from features.interactions import Interactions
from features.progress import step
from features.table import FeatureTable
from features.workspace import InteractionSettings, RecommenderSettings, Workspace
from training.cost import measured
from training.pipelines.recommend_champion import Champion, against
from training.pipelines.recommend_evaluation import Judged, Trial, judge, trial
from training.pipelines.recommend_log import Log, one_back
from training.pipelines.recommend_run import Costs, Trained, register
from training.pipelines.recommend_sample import Watch
from training.pipelines.recommend_summary import BASELINE, METRIC, bought, summary
from training.pipelines.recommend_tuning import Tuned
from training.pipelines.recommend_tuning import tuned as tune_models
from training.recommenders import contract, stored
from training.recommenders.base import Recommender
from training.recommenders.own import Own, parameters
from training.registration import Registered
from training.splits import TimeSplit
from training.stability import shapes

Parameters = Mapping[str, Any]


def train(
    workspace: Workspace, models: Sequence[str], *, now: datetime, seed: int, tune: int = 0
) -> tuple[Trained, str, Registered]:
    """Trains, judges and registers; with the line on consent and the version registered.

    A model of the user's own is first held against the contract. `tune`: attempts per model, 0 for none.
    """
    from features.consent import consented
    from features.history import read_events

    own = Own.of(workspace)
    for name in filter(own.is_own, own.names(models)):
        contract.check(own.kind(name), own.path(name))
    events, left_out = consented(read_events(workspace), workspace, purpose="personalisation", as_of=now)
    trained = learned(events, workspace, models, seed=seed, tune=tune)
    return trained, left_out, register(trained, workspace, seed=seed)


def learned(events: Events, workspace: Workspace, models: Sequence[str], *, seed: int, tune: int = 0) -> Trained:
    """The best of these models by the validation period, judged against the baseline on the test period."""
    own, settings = Own.of(workspace), workspace.settings.recommender
    models = own.names(models)
    split = TimeSplit.of(events.span(), settings.horizon_days)
    log = Log.of(events, workspace)
    tuned = tuned_on(log, split, workspace, models, seed=seed, trials=tune) if tune else None
    log = log.weighed(tuned.interactions) if tuned else log
    tuned_to: Mapping[str, Parameters] = tuned.parameters if tuned else {}
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys([BASELINE, *models]))
    # Small products per customer: threads of BLAS would only wait for each other.
    with threadpool_limits(1, "blas"), step("interactions", total=3 + 2 * len(names)) as bar:

        def judged_between(
            past: Interactions | None, start: datetime, end: datetime, watch: Watch | None
        ) -> tuple[Trial, dict[str, Judged], dict[str, Costs]]:
            found = trial(events, replace(log.before(start), earlier=past), start, end, rng)
            bar.advance()
            results, costs = {}, {}
            for name in names:
                bar.say(f"{name} as of {start:%Y-%m-%d}")
                model, results[name], costs[name] = costed(name, found, settings, own, seed, tuned_to.get(name, {}))
                if watch:
                    watch.look(name, model, found)
                bar.advance()
            return found, results, costs

        chosen_on, validated, _ = judged_between(log.looking_back(split.lessons), split.validate, split.test, None)
        best = max(models, key=lambda name: (validated[name].mean("all", METRIC), -names.index(name)))
        watch = Watch(settings, best, *rng.spawn(2))
        tested, judged, costs = judged_between(one_back(chosen_on.train), split.test, split.end, watch)
        bar.say(f"{best} on everything")
        interactions = replace(log.before(split.end), earlier=one_back(tested.train))
        model = fitted(best, interactions, own, seed, tuned_to.get(best, {}))
        bar.advance()
    evaluation = summary(judged, validated, best, split, settings.k, rng) | bought(tested)
    evaluation |= {"variety": watch.costs()} | ({"tuning": tuned.figures()} if tuned else {})
    evaluation |= {"features": shapes(_table(events, split.end, workspace))}
    evaluation |= _facing(workspace, log, split, tested, judged, best, tuned_to, seed=seed)
    return Trained(
        model=model,
        interactions=interactions,
        customers=tested.customers,
        judged=judged,
        evaluation=evaluation,
        as_of=split.end,
        history=np.diff(tested.train.rows(tested.customers).starts),
        costs=costs,
        sample=watch.sample(),
        weighed=log.settings,
        tuned=tuned,
    )


def _table(events: Events, as_of: datetime, workspace: Workspace) -> FeatureTable:
    """What is known of the customers as of the training: a report says later whether they are still like that."""
    settings = workspace.settings
    return FeatureTable.build(events, as_of, traits=settings.traits, currency=settings.currency)


def _facing(
    workspace: Workspace,
    log: Log,
    split: TimeSplit,
    tested: Trial,
    judged: Mapping[str, Judged],
    best: str,
    tuned_to: Mapping[str, Parameters],
    *,
    seed: int,
) -> dict[str, Any]:
    """How the best does against the champion on the test period; nothing where the champion is the same again."""
    own, settings, champion = Own.of(workspace), workspace.settings.recommender, Champion.of(workspace)
    if champion is None:
        return {}
    ours = {name: parameters(own.made(name, _given(name, own, seed, tuned_to.get(name, {})))) for name in judged}
    same = next((name for name, given in ours.items() if champion.made_like(name, given, log.settings)), None)
    if same == best:
        return {}
    if same is None:
        weighed = log.weighed(champion.weighed or log.settings)
        train = weighed.looking_back([split.test, split.validate, *split.lessons[:1]]) or tested.train
        with threadpool_limits(1, "blas"):
            model = fitted(champion.name, train, own, seed, champion.parameters)
            theirs = judge(model, replace(tested, train=train), settings.k, include_bought=settings.include_bought)
    else:
        theirs = judged[same]
    return {"champion": against(champion, best, judged[best], theirs, np.random.default_rng(seed))}


def tuned_on(
    log: Log, split: TimeSplit, workspace: Workspace, models: Sequence[str], *, seed: int, trials: int
) -> Tuned:
    """What tuning finds on the validation period: it is given nothing of the test period."""
    own, settings = Own.of(workspace), workspace.settings.recommender
    rng = np.random.default_rng(seed)
    known = trial(log.events, log.before(split.validate), split.validate, split.test, rng)

    @lru_cache(maxsize=1)  # a model's attempts share one
    def weighed_as(given: str) -> Interactions:
        return log.weighed(InteractionSettings.model_validate_json(given)).before(split.validate)

    def value(name: str, given: Parameters, interactions: InteractionSettings) -> float:
        train = weighed_as(interactions.model_dump_json())
        model = fitted(name, train, own, seed, given)
        found = judge(model, replace(known, train=train), settings.k, include_bought=settings.include_bought)
        return found.mean("all", METRIC)

    kinds = {name: own.kind(name) for name in models if name != BASELINE}
    table = log.events.before(split.validate)
    occurring = table.select("name").distinct().to_pyarrow()["name"].to_pylist()
    with threadpool_limits(1, "blas"):
        return tune_models(kinds, log.settings, occurring, value, trials=trials, seed=seed)


def costed(
    name: str, found: Trial, settings: RecommenderSettings, own: Own, seed: int, given: Parameters
) -> tuple[Recommender, Judged, Costs]:
    """The model of this name and parameters judged on the trial, and what that took."""
    with measured() as fit:
        model = fitted(name, found.train, own, seed, given)
    with measured() as answer:
        judged = judge(model, found, settings.k, include_bought=settings.include_bought)
    return model, judged, Costs(fit, answer)


def fitted(name: str, interactions: Interactions, own: Own, seed: int, given: Parameters) -> Recommender:
    """The model of this name with these parameters, fitted, beside its customers as it is in a release.

    What it draws comes from the seed.
    """
    return own.made(name, _given(name, own, seed, given)).fit(interactions).beside(interactions)


def _given(name: str, own: Own, seed: int, given: Parameters) -> Parameters:
    """The parameters, with the seed where the model draws."""
    return {**({"seed": seed} if stored.takes(own.kind(name), "seed") else {}), **given}
