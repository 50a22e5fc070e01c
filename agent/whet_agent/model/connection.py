"""The HTTP client of one endpoint: its trust, its headers, and no way to another host."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from whet_agent.ports import ModelError
from whet_agent.settings.keys import Key
from whet_agent.settings.loading import ModelSettings
from whet_agent.settings.table import is_loopback, origin_of

if TYPE_CHECKING:
    import httpx2
    import openai


def connect(settings: ModelSettings, key: Key | None) -> openai.AsyncOpenAI:
    """Imports `openai`; opens nothing yet. Raises `ModelError` for an unusable CA bundle."""
    import httpx2
    import openai

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs URLs, and a query may be secret
    http = openai.DefaultAsyncHttpxClient(
        follow_redirects=False,
        # A proxy must never see, nor break, what is meant for this machine.
        trust_env=not is_loopback(urlsplit(settings.base_url).hostname or ""),
        verify=_tls(settings.ca_bundle),
        timeout=httpx2.Timeout(settings.timeout_s, connect=15.0, write=60.0, pool=60.0),
        event_hooks={"request": [_guard(settings, key)]},
    )
    return openai.AsyncOpenAI(
        api_key="unused",  # `_guard` writes the real one; without a word here openai looks for one
        base_url=settings.base_url,
        max_retries=0,
        default_query=dict(settings.query),
        http_client=http,
    )


def _tls(ca_bundle: str | None) -> ssl.SSLContext | bool:
    """The system's trust, and the private CA besides. Raises `ModelError`."""
    if ca_bundle is None:
        return True
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise ModelError(
            f"`model.ca_bundle` {ca_bundle} cannot be used ({error}); name a PEM file.",
            fatal=True,
            billed=False,
        ) from None
    return context


def _guard(
    settings: ModelSettings, key: Key | None
) -> Callable[[httpx2.Request], Coroutine[Any, Any, None]]:
    """Writes the last word on every request's headers, and sends none to another origin.

    What `openai` takes from environment variables of its own (key, organisation,
    extra headers) is meant for its own host, so it is taken off again.
    """
    origin = origin_of(settings.base_url)

    async def check(request: httpx2.Request) -> None:
        assert origin_of(str(request.url)) == origin, request.url
        for name in ("Authorization", "OpenAI-Organization", "OpenAI-Project"):
            request.headers.pop(name, None)
        if key is not None:
            request.headers["Authorization"] = f"Bearer {key.reveal()}"
        for name, value in settings.headers.items():
            request.headers[name] = value.get_secret_value()

    return check
