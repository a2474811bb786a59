"""Liquid: how texts are parsed and rendered. Nothing is evaluated beyond it, and nothing is read but `templates/`.

What a text says of a customer may be missing: tests and `| default:` take that, any other use of it fails, and the
caller then shows another text. Loops, output, what is assigned and how deep templates call each other are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency
from liquid import DictLoader, Environment
from liquid.exceptions import FilterArgumentError, LiquidError
from liquid.template import BoundTemplate
from liquid.undefined import FalsyStrictUndefined, Undefined

LOCALE = "en"  # of a price, where the text names none
MOST = 300  # characters of what a template says went wrong


class Missing(FalsyStrictUndefined):
    """What is not known: false in a test, replaced by `| default:`, an error where it would be shown."""

    force_liquid_default = True


class Limited(Environment):
    """Every limit is set: a text ends, and stays of a size that a page or a mail takes."""

    context_depth_limit = 10  # templates that call templates
    loop_iteration_limit = 2_000  # of nested loops the product
    local_namespace_limit = 200_000  # bytes of what is assigned
    output_stream_limit = 200_000  # bytes; mail programs cut a body at half of that


class Files(DictLoader):
    """`templates/` as it was read, each parsed once."""

    def __init__(self, templates: dict[str, str]) -> None:
        super().__init__(templates)
        self._parsed: dict[str, BoundTemplate] = {}

    def load(self, env: Environment, name: str, **_said: object) -> BoundTemplate:
        """The template of this name."""
        if name not in self._parsed:
            self._parsed[name] = super().load(env, name)
        return self._parsed[name]


class BrokenTextError(Exception):
    """A text cannot be rendered with what is known."""


def environment(files: Mapping[str, str], currency: str, *, escaped: bool) -> Environment:
    """How texts are parsed: `files` is `templates/`; what is put into an `escaped` text is escaped for HTML."""
    made = Limited(loader=Files(dict(files)), undefined=Missing, autoescape=escaped)
    made.add_filter("price", _price(currency))
    return made


def rendered(template: BoundTemplate, given: Mapping[str, object]) -> str:
    """The text, with what it may know."""
    try:
        return template.render(given)
    except LiquidError as error:
        raise BrokenTextError(" ".join(str(error.message).split())[:MOST]) from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:  # of a filter
        raise BrokenTextError(f"{type(error).__name__}: {' '.join(str(error).split())}"[:MOST]) from None


def _price(currency: str) -> Callable[..., str]:
    """The filter that writes an amount in the workspace's currency: `{{ item.price | price: "de" }}`."""

    def price(value: object, locale: str = LOCALE) -> str:
        if isinstance(value, Undefined):
            return str(value)  # says what is missing
        if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
            raise FilterArgumentError(f"price == {value!r:.40}, must be a number", token=None)
        return str(format_currency(Decimal(str(value)), currency, locale=_locale(locale)))

    return price


def _locale(name: object) -> Locale:
    try:
        return Locale.parse(str(name).replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        raise FilterArgumentError(f"price: {name!r:.40} is no locale; one like 'de' is needed", token=None) from None
