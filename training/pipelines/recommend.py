"""From the event log to a judged, registered recommender: wiring only.

    events -> consent -> split by time -> fit all on [start, validate), choose on [validate, test)
           -> fit all on [start, test), judge once on [test, end) -> the chosen one again on everything -> MLflow

What a model is fitted on knows itself as of one and two horizons earlier (`Interactions.earlier`), where the log
reaches so far back: so a ranker learns from what followed, and from nothing that it is judged on.

What a run leaves in `workspace.runs / run_id` (per-customer parts never leave the workspace): `interactions.npz` (the
histories that the release answers from), `evaluation.npz` (`customers`, how many items in the `history` of each,
and per model `MODEL:PART:METRIC` and `MODEL:age:GROUP`) and `sample.json` (what each model says to ten customers).
`evaluation.json`, aggregates only, goes to MLflow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.catalog import read_catalog
from features.events import Events
from features.interactions import Interactions
from features.lines import Lines
from features.progress import step
from features.workspace import InteractionSettings, Workspace
from training import registration
from training.cost import Cost, measured
from training.intervals import Interval, mean_interval, paired_difference, verdict
from training.metrics import ranking
from training.pipelines import recommend_ages as ages
from training.pipelines.recommend_evaluation import METRICS, PARTS, Judged, Trial, judge, trial
from training.pipelines.recommend_sample import FILE as SAMPLE
from training.pipelines.recommend_sample import Watch
from training.pipelines.recommend_tuning import Tuned
from training.pipelines.recommend_tuning import tuned as tune_models
from training.recommenders import contract, stored
from training.recommenders.base import ItemFilter, Recommender
from training.recommenders.own import Own, parameters
from training.registration import EVALUATION, KEPT, REGISTERED, Finished, Registered
from training.release import save_model
from training.splits import TimeSplit
from training.tracking import Attempted

if TYPE_CHECKING:
    import pandas as pd

Parameters = Mapping[str, Any]
BASELINE = "popularity"
METRIC = "ndcg"


@dataclass(frozen=True)
class Trained:
    """What one training run found: the model fitted on all events, its evidence and the aggregates."""

    model: Recommender
    interactions: Interactions
    customers: tuple[str, ...]
    judged: Mapping[str, Judged]
    evaluation: Mapping[str, Any]
    as_of: datetime
    history: NDArray[np.int64]  # items that each customer had met before the test period
    costs: Mapping[str, Costs] = field(default_factory=dict)  # apart: they differ from run to run
    sample: Sequence[Mapping[str, Any]] = ()  # customers for a person to look at
    weighed: InteractionSettings = field(default_factory=InteractionSettings)  # how events became the interactions
    tuned: Tuned | None = None


@dataclass(frozen=True)
class Costs:
    """What one model took on [start, test): to fit, and to answer the customers of the test period in every part."""

    fit: Cost
    answer: Cost

    def figures(self) -> dict[str, float]:
        """The numbers that a run logs."""
        peak = max(self.fit.memory_mb, self.answer.memory_mb)
        return {"fit_cpu_s": self.fit.cpu_s, "answer_cpu_s": self.answer.cpu_s, "memory_mb": peak}


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
    own = Own.of(workspace)
    models = own.names(models)
    split = TimeSplit.of(events.span(), workspace.settings.recommender.horizon_days)
    tuned = tuned_on(events, split, workspace, own, models, seed=seed, trials=tune) if tune else None
    workspace = reweighed(workspace, tuned.interactions) if tuned else workspace
    tuned_to: Mapping[str, Parameters] = tuned.parameters if tuned else {}
    settings = workspace.settings
    k = settings.recommender.k
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys([BASELINE, *models]))
    # Small products per customer: threads of BLAS would only wait for each other.
    with threadpool_limits(1, "blas"), step("interactions", total=3 + 2 * len(names)) as bar:
        past = looking_back(events, split.lessons, workspace)

        def judged_between(
            past: Interactions | None, start: datetime, end: datetime, watch: Watch | None
        ) -> tuple[Trial, dict[str, Judged], dict[str, Costs]]:
            train = replace(interactions_before(events, start, workspace), earlier=past)
            found = trial(events, train, start, end, rng)
            bar.advance()
            results, costs = {}, {}
            for name in names:
                bar.say(f"{name} as of {start:%Y-%m-%d}")
                model, results[name], costs[name] = costed(name, found, workspace, own, seed, tuned_to.get(name, {}))
                if watch:
                    watch.look(name, model, found)
                bar.advance()
            return found, results, costs

        chosen_on, validated, _ = judged_between(past, split.validate, split.test, None)
        best = max(models, key=lambda name: (validated[name].mean("all", METRIC), -names.index(name)))
        watch = Watch(settings.recommender, best, *rng.spawn(2))
        tested, judged, costs = judged_between(one_back(chosen_on.train), split.test, split.end, watch)
        bar.say(f"{best} on everything")
        interactions = replace(interactions_before(events, split.end, workspace), earlier=one_back(tested.train))
        model = fitted(best, interactions, own, seed, tuned_to.get(best, {}))
        bar.advance()
    evaluation = summary(judged, validated, best, split, k, rng) | bought(tested) | {"variety": watch.costs()}
    history = np.diff(tested.train.rows(tested.customers).starts)
    if tuned:
        evaluation |= {"tuning": tuned.figures()}
    sample, weighed = watch.sample(), settings.interactions
    return Trained(
        model, interactions, tested.customers, judged, evaluation, split.end, history, costs, sample, weighed, tuned
    )


def tuned_on(
    events: Events, split: TimeSplit, workspace: Workspace, own: Own, models: Sequence[str], *, seed: int, trials: int
) -> Tuned:
    """What tuning finds on the validation period: it is given nothing of the test period."""
    known = trial(
        events,
        interactions_before(events, split.validate, workspace),
        split.validate,
        split.test,
        np.random.default_rng(seed),
    )
    mode, k = workspace.settings.recommender.include_bought, workspace.settings.recommender.k

    @lru_cache(maxsize=1)  # a model's attempts share one
    def weighed_as(settings: str) -> Interactions:
        found = InteractionSettings.model_validate_json(settings)
        return interactions_before(events, split.validate, reweighed(workspace, found))

    def value(name: str, given: Parameters, interactions: InteractionSettings) -> float:
        train = weighed_as(interactions.model_dump_json())
        model = fitted(name, train, own, seed, given)
        return judge(model, replace(known, train=train), k, include_bought=mode).mean("all", METRIC)

    kinds = {name: own.kind(name) for name in models if name != BASELINE}
    table = events.before(split.validate)
    occurring = table.select("name").distinct().to_pyarrow()["name"].to_pylist()
    with threadpool_limits(1, "blas"):
        return tune_models(kinds, workspace.settings.interactions, occurring, value, trials=trials, seed=seed)


def reweighed(workspace: Workspace, interactions: InteractionSettings) -> Workspace:
    """The workspace where events are weighed like this."""
    return Workspace(workspace.folder, workspace.settings.model_copy(update={"interactions": interactions}))


def costed(
    name: str, found: Trial, workspace: Workspace, own: Own, seed: int, given: Parameters
) -> tuple[Recommender, Judged, Costs]:
    """The model of this name and parameters judged on the trial, and what that took."""
    settings = workspace.settings.recommender
    with measured() as fit:
        model = fitted(name, found.train, own, seed, given)
    with measured() as answer:
        judged = judge(model, found, settings.k, include_bought=settings.include_bought)
    return model, judged, Costs(fit, answer)


def bought(found: Trial) -> dict[str, Any]:
    """What there was to choose from, and how concentrated and how old what customers did choose is."""
    items, chosen = found.train.items, found.relevant
    counts = ranking.exposure(chosen, len(items))
    by_age = ages.shares(chosen, items, found.age_groups)
    return {
        "catalogue": len(items),
        "purchases": {"gini": ranking.gini(counts), "top_share": ranking.top_share(counts), "by_age": by_age},
    }


def looking_back(events: Events, moments: Sequence[datetime], workspace: Workspace) -> Interactions | None:
    """The interactions as of the first of these moments, which know themselves as of the next one, and so on."""
    found = None
    for moment in reversed(moments):
        past = before_or_none(events, moment, workspace)
        found = replace(past, earlier=found) if past else found
    return found


def one_back(interactions: Interactions) -> Interactions:
    """The same with one earlier self at most: what is fitted next learns from two steps."""
    earlier = interactions.earlier
    return replace(interactions, earlier=earlier and replace(earlier, earlier=None))


def before_or_none(events: Events, as_of: datetime, workspace: Workspace) -> Interactions | None:
    """The interactions as of this moment, with purchases one by one and the catalogue as it is now: it has no past.

    None: no event yet.
    """
    found = Interactions.build(events, as_of, workspace.settings.interactions)
    if not len(found):
        return None
    return replace(found, lines=Lines.build(events, as_of, found), catalog=read_catalog(workspace))


def interactions_before(events: Events, as_of: datetime, workspace: Workspace) -> Interactions:
    """The interaction matrix as of this moment."""
    found = before_or_none(events, as_of, workspace)
    if found is None:
        raise ValueError(
            f"no event of a known customer with an item before {as_of:%Y-%m-%d}; a recommender needs some to learn from"
        )
    return replace(found, catalog=read_catalog(workspace))


def fitted(name: str, interactions: Interactions, own: Own, seed: int, given: Parameters) -> Recommender:
    """The model of this name with these parameters, fitted; what it draws comes from the seed."""
    chance = {"seed": seed} if stored.takes(own.kind(name), "seed") else {}
    return own.made(name, {**chance, **given}).fit(interactions)


def summary(
    judged: Mapping[str, Judged],
    validated: Mapping[str, Judged],
    best: str,
    split: TimeSplit,
    k: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The aggregates of `evaluation.json`: means, intervals and the difference to the baseline, per model."""
    models = {name: _figures(found, judged[BASELINE], validated[name], rng) for name, found in judged.items()}
    chosen = models[best]
    return {
        "metric": f"{METRIC}@{k}",
        "chosen": best,
        "model": chosen["all"][METRIC],
        "baseline_name": BASELINE,
        "baseline": models[BASELINE]["all"][METRIC],
        **chosen["against_baseline"],
        "unit": f"{METRIC}@{k}, mean over customers",
        "customers": {part: int((~np.isnan(judged[best].values[part][METRIC])).sum()) for part in PARTS},
        "split": {"kind": "time", **{name: moment.isoformat() for name, moment in asdict(split).items()}},
        "models": models,
    }


def _figures(found: Judged, baseline: Judged, validated: Judged, rng: np.random.Generator) -> dict[str, Any]:
    figures: dict[str, Any] = {
        part: {metric: _finite(found.mean(part, metric)) for metric in METRICS} for part in PARTS
    }
    ours, theirs = found.values["all"][METRIC], baseline.values["all"][METRIC]
    counted = ~np.isnan(ours)
    difference = paired_difference(ours[counted], theirs[counted], rng)
    return figures | {
        "coverage": found.coverage,
        "gini": _finite(found.gini),
        "top_share": _finite(found.top_share),
        "answered_by_age": found.answered,
        "interval": _ends(mean_interval(ours[counted], rng), 0.0),
        "validation": _finite(validated.mean("all", METRIC)),
        "against_baseline": {
            "difference": _finite(difference.estimate),
            **_ends(difference, -1.0),
            "verdict": verdict(difference),
        },
    }


def _ends(interval: Interval, least: float) -> dict[str, float]:
    """The ends within what is possible: too few customers give all of it, from `least` to 1."""
    return {"lower": max(interval.lower, least), "upper": min(interval.upper, 1.0)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def register(trained: Trained, workspace: Workspace, *, seed: int) -> Registered:
    """The run in MLflow with the per-customer parts in the workspace; what was registered before stays as it is."""
    name, evaluation = trained.model.name, trained.evaluation
    params = {"model": name, "seed": seed, **parameters(trained.model), **_settings(workspace)}
    own = Own.of(workspace)
    code = {own.path(name): own.code(name)} if own.is_own(name) else {}
    weighed = trained.weighed.model_dump()
    params |= {f"interactions_{name}": value for name, value in weighed.items()}
    facts: dict[str, Any] = {"kind": "recommender", "name": name, "as_of": trained.as_of.isoformat()}
    facts |= {"params": params, "interactions": weighed}
    metrics, mark = _flat(evaluation["models"]) | _costs(trained.costs), fingerprint(trained.interactions)
    with registration.building(workspace) as folder:
        _keep(trained, folder / KEPT)
        _plot(evaluation, folder / "models.png")
        save_model(trained.model, folder / REGISTERED, facts)
        finished = Finished("recommender", params, mark, metrics, *_example(trained.model), code, _trials(trained))
        return registration.register(workspace, finished, folder)


def _trials(trained: Trained) -> list[Attempted]:
    """The attempts of the tuning, for MLflow."""
    if trained.tuned is None:
        return []
    return [
        Attempted(f"{stage} {number}", {"model": stage, **attempt.given}, {METRIC: attempt.value})
        for stage, made in trained.tuned.attempts.items()
        for number, attempt in enumerate(made)
    ]


def fingerprint(interactions: Interactions) -> str:
    """A name for the data: the same log has the same."""
    from training import tracking

    log = interactions.bought_together
    arrays = (interactions.customers, log.items, log.customer, log.item, log.weight)
    return tracking.fingerprint([array.tobytes() for array in arrays])


def lines(trained: Trained) -> list[str]:
    """The table of models against the baseline, what each took, and the verdict on the chosen one."""
    evaluation = trained.evaluation
    head = f"  {'model':<12} {'recall':>7} {'NDCG':>7}  {'95 % interval':<16} {'hits':>6} {'cover':>6} "
    shown = [
        f"{evaluation['metric']} on {evaluation['customers']['all']:,} customers who bought from "
        f"{evaluation['split']['test'][:10]} to {evaluation['split']['end'][:10]}",
        head + f"{'known':>6} {'new':>6} {'repeat':>6} {'explore':>7} {'fit CPU s':>9} {'answer':>6} {'MB':>5}"
        f"  against {BASELINE}",
    ]
    shown += [_line(name, figures, trained.costs[name]) for name, figures in evaluation["models"].items()]
    shown += [_tuned_line(stage, found) for stage, found in evaluation.get("tuning", {}).items()]
    shown.append(f"chosen by the validation period: {evaluation['chosen']}, {_said(evaluation)}")
    return shown


def _tuned_line(stage: str, found: Mapping[str, Any]) -> str:
    """One stage of the tuning: on the validation period, so that nobody takes it for a result."""
    best = ", ".join(f"{name} {value:.4g}" for name, value in found["best"].items())
    return (
        f"tuned {stage}: {METRIC} {found['untuned']:.4f} -> {found['validation']:.4f} on the validation period "
        f"in {found['attempts']} attempts: {best}"
    )


def _said(evaluation: Mapping[str, Any]) -> str:
    if evaluation["chosen"] == BASELINE:
        return "the baseline itself"
    link = "from" if evaluation["verdict"] == "not distinguishable" else "than"
    return f"{evaluation['verdict']} {link} {BASELINE}"


def _line(name: str, figures: Mapping[str, Any], costs: Costs) -> str:
    whole, against = figures["all"], figures["against_baseline"]
    parts = " ".join(
        f"{_number(figures[part][METRIC]):>{width}}"
        for part, width in (("known", 6), ("new", 6), ("repeat", 6), ("explore", 7))
    )
    said = "" if name == BASELINE else f"{against['difference']:+.4f} {_range(against)} {against['verdict']}"
    return (
        f"  {name:<12} {whole['recall']:>7.4f} {whole[METRIC]:>7.4f}  {_range(figures['interval']):<16} "
        f"{whole['hit_rate']:>6.3f} {figures['coverage']:>6.3f} {parts} {_took(costs)}  {said}"
    ).rstrip()


def _took(costs: Costs) -> str:
    took = costs.figures()
    return f"{took['fit_cpu_s']:>9.2f} {took['answer_cpu_s']:>6.2f} {took['memory_mb']:>5.0f}"


def _range(ends: Mapping[str, float]) -> str:
    return f"[{ends['lower']:.4f}, {ends['upper']:.4f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _settings(workspace: Workspace) -> dict[str, Any]:
    return {f"setting_{name}": value for name, value in workspace.settings.recommender.model_dump().items()}


def _flat(models: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, figures in models.items():
        for part in PARTS:
            flat |= {f"{name}.{part}.{metric}": value for metric, value in figures[part].items() if value is not None}
        flat[f"{name}.coverage"] = figures["coverage"]
    return flat


def _costs(costs: Mapping[str, Costs]) -> dict[str, float]:
    return {f"{name}.{figure}": value for name, took in costs.items() for figure, value in took.figures().items()}


def _keep(trained: Trained, folder: Path) -> None:
    trained.interactions.save(folder)
    rows = {
        f"{name}:{part}:{metric}": found.values[part][metric]
        for name, found in trained.judged.items()
        for part in PARTS
        for metric in METRICS
    }
    rows |= {
        f"{name}:age:{age}": recall for name, found in trained.judged.items() for age, recall in found.by_age.items()
    }
    customers = np.array(trained.customers, dtype=np.str_)
    np.savez_compressed(folder / "evaluation.npz", customers=customers, history=trained.history, **rows)  # type: ignore[arg-type]  # numpy types the keyword `allow_pickle` among them
    (folder / EVALUATION).write_text(json.dumps(trained.evaluation, indent=1) + "\n", encoding="utf-8")
    (folder / SAMPLE).write_text(json.dumps(trained.sample, indent=1) + "\n", encoding="utf-8")


def _plot(evaluation: Mapping[str, Any], path: Path) -> None:
    import altair as alt
    import pandas as pd

    rows = [
        {"model": name, "value": figures["all"][METRIC], **figures["interval"]}
        for name, figures in evaluation["models"].items()
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(y=alt.Y("model:N", sort="-x", title=None))
    bars = base.mark_bar().encode(x=alt.X("value:Q", title=evaluation["unit"]))
    whiskers = base.mark_rule(strokeWidth=2).encode(x="lower:Q", x2="upper:Q")
    (bars + whiskers).properties(width=480, title="Recommenders on the test period").save(path, scale_factor=2)


def _example(model: Recommender) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One history and its answer, from which MLflow reads the signature; names items, no customer."""
    import pandas as pd

    nobody = np.empty(0, dtype=np.int32)
    never, none = np.empty(0, dtype="M8[us]"), np.empty(0, dtype=np.float32)
    empty = np.array([""], dtype=np.str_)
    history = Interactions(empty, np.empty(0, dtype=np.str_), nobody, nobody, none, none, never, never)
    items = model.recommend_for(history, 10, items=ItemFilter(), as_of=None).items[0].tolist()
    return pd.DataFrame({"history": [items[:2]]}), pd.DataFrame({"items": [items]})
