"""What a training run says on the terminal: the table of models, what tuning found, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.pipelines.recommend_run import Costs, Trained
from training.pipelines.recommend_summary import BASELINE, METRIC


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
