"""Roles: what each route asks of who asks. A route that is not in the table cannot be mounted."""

from __future__ import annotations

from functools import lru_cache

from starlette.routing import compile_path

from features.keys import CATALOG, DECIDE, READ, SEND

OPEN = "open"  # nobody is asked for anything: it holds no data
SIGNED = "signed"  # a signature in the path or the headers stands for a key
NEEDED = {
    "/v1/recommend": DECIDE,
    "/v1/recommend/basket": DECIDE,
    "/v1/recommend/similar": DECIDE,
    "/v1/recommend/batch": DECIDE,
    "/v1/offers/select": DECIDE,
    "/v1/decide": DECIDE,
    "/v1/experiments/{key}/assign": DECIDE,
    "/v1/experiments/{key}/report": READ,
    "/v1/customers/{customer}": READ,
    "/v1/decisions/{decision}": READ,
    "/v1/ready": READ,
    "/v1/catalog/items": CATALOG,
    "/v1/outcomes": SEND,
    "/v1/forms/{key}": SEND,  # the key is in the path
    "/v1/receipts/{source}": SIGNED,
    "/v1/pages/{token}": SIGNED,
    **{f"/v1/{name}": SEND for name in ("batch", "import", "b")},  # of these the key may be in the body
    **{f"/v1/{name}": SEND for name in ("track", "identify", "page", "screen", "group", "alias")},
    **{f"/v1/{name}": SEND for name in "tipsga"},
    "/v1/m": OPEN,
    "/v1/openapi.json": OPEN,
    "/v1/docs": OPEN,
    "/v1/attune.js": OPEN,
    "/reports/": READ,
    "/reports/signals": READ,
    **{f"/reports/{kind}/{{name}}": READ for kind in ("experiments", "models", "uplift", "campaigns")},
    "/reports/sign-in": OPEN,  # the form by which somebody says who asks
    "/reports/sign-out": OPEN,
    "/reports/{name}": READ,
    "/api/recommend": DECIDE,
    "/api/offers/select": DECIDE,
    "/api/experiments/assign": DECIDE,
    "/metrics": READ,
    **dict.fromkeys(("/", "/livez", "/readyz", "/healthz", "/schema.json"), OPEN),
}
PAGES = frozenset(  # what a publishable key may ask too, for its own customer; never many at once, and no `alias`
    {
        "/v1/recommend",
        "/v1/recommend/basket",
        "/v1/recommend/similar",
        "/v1/offers/select",
        "/v1/decide",
        "/v1/experiments/{key}/assign",
        *(f"/v1/{name}" for name in ("track", "identify", "page", "screen", "group")),
        *(f"/v1/{name}" for name in "tipsg"),
    }
)
# the id of a customer may hold a slash
_PATTERNS = [(compile_path(path.replace("{customer}", "{customer:path}"))[0], path) for path in NEEDED if "{" in path]


@lru_cache(10_000)
def route_of(path: str) -> str:
    """The route that a path belongs to; `other` where there is none. A path may hold a customer or a key."""
    if path in NEEDED:
        return path
    return next((route for pattern, route in _PATTERNS if pattern.match(path)), "other")
