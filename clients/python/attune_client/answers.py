"""What is answered, field by field as it comes."""

from typing import Any, NotRequired, TypedDict


class Facts(TypedDict):
    """How an answer came about. `fallback`: why it is not the model's own, or None."""

    decision_id: str
    reason: str
    policy: str
    probability: float
    model: str | None
    model_version: str | None
    workspace_hash: str
    fallback: str | None


class Option(TypedDict):
    """What was considered."""

    key: str
    score: float | None
    probability: float | None
    eligible: bool
    reason: str | None


class Explained(Facts):
    """With `explain="full"` what was considered and gone by, as in the decision's row."""

    options: NotRequired[list[Option]]
    context: NotRequired[dict[str, Any]]


class Reason(TypedDict):
    """Why an item is there, with the items that it cites; the promotion that put it there, or by what it was moved."""

    kind: str
    text: str
    cites: list[str]
    pinned: NotRequired[str]
    boosted: NotRequired[float]


class Item(TypedDict):
    """`score` is None for a promotion; `step`: which step found it. No `reason` with `explain="none"`."""

    item: str
    name: str
    score: float | None
    reason: NotRequired[Reason]
    step: str


class Items(Explained):
    """Best first."""

    items: list[Item]


class Batch(TypedDict):
    """Per customer, in their order."""

    answers: list[Items]


class Flip(TypedDict):
    """Were the effect of `offer` `at`, not `effect`, `then` would win, not `best`."""

    words: str
    offer: str
    effect: float
    at: float
    best: str
    then: str


class Offer(Explained):
    """`offer` is None where silence is best; `effect_lower` to `effect_upper` is an interval of 95 %.

    No `what_would_change` with `explain="none"`.
    """

    offer: str | None
    name: str | None
    code: str | None
    effect: float | None
    effect_lower: float | None
    effect_upper: float | None
    cost: float
    expected_profit: float
    what_would_change: NotRequired[Flip | None]


class Element(TypedDict):
    """A text; HTML with its values escaped in slots of the kinds landing, web and email."""

    text: str
    variant: str
    probability: float


class Slot(Explained):
    """What a slot shows: a text per element, items and an offer."""

    slot: str
    kind: str
    content: str
    held_out: bool
    elements: dict[str, Element]
    items: list[Item]
    offer: str | None
    code: str | None


class Arm(Facts):
    """`in_experiment`: whether the customer counts in it; who does not is answered its control."""

    experiment: str
    arm: str
    in_experiment: bool


class Metric(TypedDict):
    """The mean per customer, and but for the control how far it is from the control's; None while nobody counts."""

    mean: float | None
    difference: NotRequired[float | None]
    lower: NotRequired[float | None]
    upper: NotRequired[float | None]
    p_value: NotRequired[float | None]
    verdict: NotRequired[str]


class ArmReport(TypedDict):
    arm: str
    customers: int
    metrics: dict[str, Metric]


class SampleRatio(TypedDict):
    """Whether the arms are as large as their shares say."""

    p_value: float
    as_planned: bool


class Looks(TypedDict):
    """How far a test has come: looks that are due, the share of the plan, and when the next look and the end are."""

    done: int
    fraction: float | None
    bound: float | None
    next: str | None
    end: str | None


class Point(TypedDict):
    """A difference to the control as it stood on a day."""

    day: str
    customers: int
    difference: float


class Spread(TypedDict):
    """How many customers of each arm brought how much: the bins begin at the edges, the last one is open."""

    edges: list[float]
    arms: dict[str, dict[str, Any]]


class Exposures(TypedDict):
    customers: int
    seen_again: int
    saw_two_arms: int
    beyond_plan: int


class Plan(TypedDict):
    """The hash of the test's definition, that of the first exposure, and since when they differ."""

    hash: str
    at_first_exposure: str
    changed: bool
    since: str | None


class FalseAlarms(TypedDict):
    """In how many placebo splits the test of a metric told the arms apart, with a 95 % interval of the rate."""

    false_alarms: int
    rate: float
    lower: float
    upper: float


Placebo = TypedDict(
    "Placebo",
    {
        "untold": NotRequired[str],
        "splits": NotRequired[int],
        "customers": NotRequired[int],
        "from": NotRequired[str],
        "until": NotRequired[str],
        "metrics": NotRequired[dict[str, FalseAlarms]],
    },
)


class Report(TypedDict):
    """The stored report of a test, and its age."""

    experiment: str
    description: str
    computed_at: str
    window_days: int
    currency: str
    control: str
    arms: list[ArmReport]
    plan: NotRequired[Plan]
    looks: NotRequired[Looks]
    over_time: NotRequired[dict[str, dict[str, list[Point]]]]
    segments: NotRequired[dict[str, Any] | None]
    novelty: NotRequired[dict[str, Any] | None]
    elements: NotRequired[dict[str, Any] | None]
    placebo: NotRequired[Placebo]
    spread: NotRequired[dict[str, Spread]]
    exposures: NotRequired[Exposures]
    warnings: NotRequired[list[str]]
    sample_ratio: SampleRatio
    window_open: int
    saw_two_arms: int
    unknown_arm: int
    left_out: str
    verdict: str
    age_seconds: int


class Customer(TypedDict):
    """All that is known of a customer, and what would be decided now. `segments` is an object where a file is wrong."""

    customer: str
    ids: list[str]
    stage: str | None
    segments: list[str] | dict[str, Any]
    traits: dict[str, Any]
    profile: dict[str, Any]
    features_as_of: str
    models: list[dict[str, Any]]
    consents: dict[str, bool]
    consent_rows: list[dict[str, Any]]
    last_events: list[dict[str, Any]]
    last_decision: dict[str, Any] | None
    would_recommend: dict[str, Any]
    would_offer: dict[str, Any]


class Decision(Facts):
    """The whole row of a decision. `time` is UTC without a zone; `context` is what was asked, and the kind's own."""

    kind: str
    time: str
    customer: str | None
    options: list[Option]
    chosen: list[str]
    context: dict[str, Any]


class Reject(TypedDict):
    event: NotRequired[int]
    reason: NotRequired[str]


class Taken(TypedDict):
    """Events that are in the ledger now, were there before, or cannot be taken."""

    success: bool
    stored: NotRequired[int]
    repeated: NotRequired[int]
    rejected: NotRequired[int]
    rejects: NotRequired[list[Reject]]
