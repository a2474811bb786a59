"""Digest: what the stored reports say first, as one mail; and computing them anew before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from features.events import utc
from features.words import many
from features.workspace import Workspace
from serving.reports.listed import ago
from serving.reports.shelf import Entry, every

KINDS = ("impact", "journey", "experiments")
FRESH = timedelta(days=30)  # an older report is of a test that has ended and was told long ago
COLOURS = {"good": "#14714a", "bad": "#b3261e"}


@dataclass(frozen=True)
class Digest:
    """The mail: its subject, and the same words as text and as HTML."""

    subject: str
    text: str
    html: str
    moment: datetime


def digest(workspace: Workspace, now: datetime, faults: Sequence[str] = ()) -> Digest:
    """Of the reports of the last 30 days; an error where there is none and nothing failed."""
    entries = [one for one in every(workspace.reports) if one.kind in KINDS and utc(now) - one.computed_at < FRESH]
    if not entries and not faults:
        raise ValueError(
            f"{workspace.folder}: no report of the last {FRESH.days} days is stored; run `attune report --all`"
        )
    base = (workspace.settings.reports.url or "").rstrip("/")
    subject = f"{workspace.settings.name}: {_counted(entries)}"
    return Digest(
        subject, "\n".join(_text(entries, faults, base, now)), _html(subject, entries, faults, base, now), now
    )


def recomputed(workspace: Workspace, now: datetime) -> list[str]:
    """Computes the report of every test, of impact and of the journey anew; what could not be, in words."""
    from serving.experiments.challenges import all_experiments
    from serving.experiments.report import build
    from serving.impact import journey as walked
    from serving.impact import report as brought
    from serving.reports import experiment, impact, journey

    jobs: dict[str, Callable[[], object]] = {
        f"experiment {key}": lambda test=test: experiment.write(workspace, build(workspace, test, now))  # type: ignore[misc]  # the loop's own
        for key, test in all_experiments(workspace).items()
    }
    jobs["impact"] = lambda: impact.write(workspace, brought.build(workspace, None, None, now))
    jobs["journey"] = lambda: journey.write(workspace, walked.build(workspace, None, None, now))
    return [f"{name}: {fault}" for name, job in jobs.items() if (fault := _tried(job))]


def _tried(job: Callable[[], object]) -> str:
    """What was wrong, in words; nothing where it was done, or is to come."""
    from serving.experiments.gathered import NotBegunError

    try:
        job()
    except NotBegunError:
        return ""
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def _counted(entries: Sequence[Entry]) -> str:
    """How many reports, and what there is to do."""
    told = many(len(entries), "report")
    firsts = [one.headline.split(" ", 1)[0].lower() for one in entries if one.kind == "experiments"]
    said = [f"{count} to {word}" for word in ("ship", "stop") if (count := firsts.count(word))]
    broken = firsts.count("broken")
    return ", ".join([told, *said, *([f"{broken} broken"] if broken else [])])


def _text(entries: Sequence[Entry], faults: Sequence[str], base: str, now: datetime) -> Iterator[str]:
    for one in entries:
        yield f"{one.title}: {one.headline}" if one.headline else one.title
        if one.detail:
            yield f"  {one.detail}"
        yield f"  computed {_age(one, now)}: {base}/reports/{one.path}"
        yield ""
    for fault in faults:
        yield f"Not computed: {fault}"
    yield f"All reports: {base}/reports/"


def _html(subject: str, entries: Sequence[Entry], faults: Sequence[str], base: str, now: datetime) -> str:
    rows = "".join(_row(one, base, now) for one in entries)
    failed = "".join(f"<p>Not computed: {escape(fault)}</p>" for fault in faults)
    all_ = f'<p><a href="{escape(base)}/reports/">All reports</a></p>' if base else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(subject)}</title></head>'
        f'<body style="font:16px/1.5 sans-serif;color:#1c2430;max-width:40rem">{rows}{failed}{all_}</body></html>'
    )


def _row(one: Entry, base: str, now: datetime) -> str:
    title = escape(one.title)
    link = f'<a href="{escape(base)}/reports/{escape(one.path)}">{title}</a>' if base else title
    colour = COLOURS.get(one.tone, "#6b5a00")
    return (
        f'<div style="border-left:5px solid {colour};padding:0 0 0 12px;margin:0 0 20px">{link}<br>'
        f"<strong>{escape(one.headline)}</strong><br>{escape(one.detail)}<br>"
        f'<span style="color:#5b6675">computed {_age(one, now)}</span></div>'
    )


def _age(one: Entry, now: datetime) -> str:
    return ago(max(0, int((utc(now) - one.computed_at).total_seconds())))
