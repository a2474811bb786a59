"""What the uplift report says in words: the verdict, the warnings and the method."""

from __future__ import annotations

from typing import Any

from training.reports.page import interval, shown, signed

FLAT = "not distinguishable"
DIFFERENCE = 0.1  # Austin 2009: beyond it the arms differ
RATIO_P = 0.001  # a sample ratio, an AUC or a difference this unlikely is a fault of the test, not chance
BASELINES = {"response-linear": "choosing the likeliest to respond", "constant": "choosing at random"}
Figures = dict[str, Any]

METHOD = (
    (
        "How effects were predicted without looking at the answer",
        "Every prediction here is out of fold: it comes from a model that never saw that customer. “The choice” weighs "
        "the learners by a doubly robust loss and shrinks what they say to what the other customers bear out; for each "
        "fold, weights and shrinking are learned from the other folds only.",
    ),
    (
        "Qini and the baselines",
        "The Qini curve (Radcliffe 2007) is, at each share treated, the share of treated customers among the best "
        "ranked times the difference of the arms’ means there. Qini is its mean height above the straight line of "
        "chance. “By likelihood to respond” ranks by who buys anyway: the usual practice, and the baseline to beat.",
    ),
    (
        "Intervals",
        "Means, effects and Qini: intervals whose errors are summed per customer first (Qini’s from each customer’s "
        "influence on it); comparisons are paired. Curves: a bootstrap over customers, the same draws for all. "
        "Over several offers the verdict’s interval is the mean of theirs, which is on the safe side.",
    ),
    (
        "What a policy would earn",
        "The doubly robust estimate (Dudík and others 2011): the money expected by outcome models that did not see the "
        "customer, corrected by their weighted error where the policy agrees with what was given. “Worth rows” is how "
        "many rows drawn from the policy itself would say as much (Kish 1965); “outside” the share of the policy’s "
        "choices that the log could not contain.",
    ),
    (
        "How many to give it to, and the budget",
        "The profit of a share or of a budget is the mean of doubly robust scores of money among those who would be "
        "given the offer. Its band is a bootstrap over customers. The best share comes as all shares that no other is "
        "shown to be better than (the best among many, Hsu 1984); what it earns is measured in each fold with the "
        "share that is best in the others. A budget’s plan is that of attune plan, made from predictions alone.",
    ),
    (
        "The four kinds",
        "With m1 and m0 the probability of the outcome with the offer and without, of customers who look alike, the "
        "persuadable are at least max(0, m1 − m0) and at most min(m1, 1 − m0) of them, and so on for the other kinds "
        "(Tian and Pearl 2000; Fan and Park 2010). Which side counts is told by models of other customers, the side is "
        "measured by doubly robust scores: where the models are wrong the bounds are wider, not false (Ji, Lei and "
        "Spector 2023).",
    ),
    (
        "Segments",
        "Categories and values as they are, numbers in quarters, each feature alone, with at least 50 rows per arm. "
        "Intervals are Bonferroni-corrected for every segment of every offer. Segments show where to look next; "
        "a segment found here deserves its own test.",
    ),
    (
        "Calibration slope and scikit-uplift’s figures",
        "The slope is of a doubly robust score regressed on the prediction: 1 is calibrated, below 1 the model "
        "exaggerates the differences between customers. scikit-uplift’s qini_auc_score and uplift_at_k (top 30 %, "
        "strategy overall) are shown for outcomes of 0 and 1, unweighted and on that library’s own scale.",
    ),
)


def baseline_in_words(name: str) -> str:
    """`response-linear and constant` as a person says it."""
    return " and ".join(BASELINES.get(one, one) for one in name.split(" and "))


def headline(found: Figures) -> tuple[str, str]:
    """Whether choosing customers by uplift was worth it, and by how much."""
    baseline, offers = baseline_in_words(found["baseline"]), len(found["offers"])
    over = f", mean of {offers} offers" if offers > 1 else ""
    by = (
        f"Choosing by predicted uplift against {baseline}: {signed(found['difference'])} {found['unit']} "
        f"(95 % interval {interval(found['lower'], found['upper'])}, over all shares treated{over})."
    )
    if found["lower"] > 0:
        return "Choosing customers by uplift is better than the simpler rule", by
    if found["upper"] < 0:
        return "Choosing customers by uplift is worse than the simpler rule", f"{by} Do not use this model to choose."
    title = f"Choosing customers by uplift: {FLAT} from the simpler rule"
    return title, f"{by} The interval holds 0: this test does not show that the model chooses better."


def effect_words(offer: str, one: Figures, unit: str) -> tuple[str, str]:
    """Whether the offer works on average."""
    effect = one["effect"]
    by = f"{signed(effect['value'])} {unit} (95 % interval {interval(effect['lower'], effect['upper'])})."
    if effect["lower"] > 0:
        return f"{offer} works on average", by
    return (f"{offer} hurts on average", by) if effect["upper"] < 0 else (f"{offer}: {FLAT} from no offer", by)


def ranking_words(offer: str, one: Figures) -> str:
    """For one offer, how the choice compares with its better baseline."""
    against = one["against"]
    baseline = baseline_in_words(against["baseline"])
    by = f"{signed(against['difference'])} in Qini, 95 % interval {interval(against['lower'], against['upper'])}"
    if against["lower"] > 0:
        return f"For {offer}, choosing by uplift is better than {baseline} ({by})."
    if against["upper"] < 0:
        return f"For {offer}, choosing by uplift is worse than {baseline} ({by}): do not choose by it."
    return f"For {offer}, choosing by uplift is {FLAT} from {baseline} ({by})."


def warnings_of(found: Figures) -> list[str]:
    """What speaks against believing the numbers; empty where nothing does."""
    return [line for offer, one in found["offers"].items() for line in _doubts(offer, one)]


def _doubts(offer: str, one: Figures) -> list[str]:
    said, checks = [], one["checks"]
    guess, ratio = checks["predictability"], checks["sample_ratio"]
    coin = guess["p_value"]
    if coin is not None and coin < RATIO_P:
        said.append(
            f"{offer}: who was given it can be told from the features (AUC {shown(guess['value'])}, 0.5 is a coin; "
            f"p = {shown(coin)}). This was not a fair coin: effects may be those of who was picked."
        )
    if ratio is not None and ratio < RATIO_P:
        said.append(f"{offer}: the arms are not in their planned ratio (p = {shown(ratio)}). Rows may be missing.")
    said += checks.get("warnings", [])  # a run from before they were kept has none
    unlike = [row["feature"] for row in one["balance"] if _unlike(row) and not checks.get("different")]
    if unlike:
        said.append(
            f"{offer}: the arms differ in {', '.join(unlike[:5])} by more than {DIFFERENCE} deviations, "
            "which chance hardly gives."
        )
    return said


def _unlike(row: Figures) -> bool:
    return bool(abs(row["difference"]) > DIFFERENCE and row["p_value"] < RATIO_P)
