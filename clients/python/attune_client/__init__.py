"""Attune's client: `Client(url, key).recommend(customer="c1")`, or `AsyncClient` with `await`."""

from attune_client.client import AsyncClient, Client
from attune_client.errors import AttuneError, RefusedError, UnreachableError

__all__ = ["AsyncClient", "AttuneError", "Client", "RefusedError", "UnreachableError"]
