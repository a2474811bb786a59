"""What was wrong with an input, in words: counted by reason, with examples."""

from __future__ import annotations

from features.imported import ImportResult


def described(result: ImportResult) -> str:
    """What an import read, stored, noted and rejected; one line each."""
    if result.again:
        return (
            f"{result.source}: this very file was imported before; nothing changed ({result.stored:,} rows stored then)"
        )
    lines = [f"{result.source}: {result.read:,} rows read, {result.stored:,} stored"]
    lines += [f"  noted     {count:>9,}  {reason}" for reason, count in result.noted.items()]
    for reason, count in result.rejected.items():
        lines.append(f"  rejected  {count:>9,}  {reason}")
        lines += [f"             e.g.  {example}" for example in result.examples.get(reason, [])[:1]]
    if result.rejects:
        lines.append(f"  the rejected rows are kept in {result.rejects}")
    return "\n".join(lines)
