"""What went wrong with a model call, as one sentence with the cure. Pure.

`openai` and its HTTP library are imported here at the top: import this module only
once a run has started.
"""

from __future__ import annotations

import email.utils
import re
import ssl
import time
from collections.abc import Mapping

import attrs
import httpx2
import openai

from whet_agent.ports import ModelError

_CONTEXT = re.compile(
    r"context.?length|context.?window|maximum context|too many tokens|prompt is too long"
    r"|input is too long|exceeds? the .*context",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|credit|balance", re.IGNORECASE
)
_NO_MODEL = re.compile(
    r"model_not_found|model.*(not found|does not exist|not exist|unknown)", re.IGNORECASE
)
_TOO_LARGE = re.compile(
    r"max_(completion_)?tokens.*(too large|at most|exceed|must be|maximum)", re.IGNORECASE
)


@attrs.frozen(kw_only=True)
class Endpoint:
    """What sentences may say of the endpoint. Never the key."""

    model: str
    base_url: str
    timeout_s: float
    is_loopback: bool


def explain(error: Exception, endpoint: Endpoint) -> ModelError:
    """The `ModelError` for whatever `openai` or its HTTP library raised."""
    match error:
        case openai.APIStatusError():
            return _explain_status(error, endpoint)
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return _explain_timeout(error, endpoint)
        case openai.APIConnectionError():
            return _explain_connection(error.__cause__ or error, endpoint)
        case openai.APIError():
            return _explain_stream_error(error, endpoint)
        case httpx2.TransportError() | httpx2.StreamError():
            return ModelError(
                f"{endpoint.base_url} dropped the connection in mid-reply; it is tried again.",
                retryable=True,
            )
        case _:
            return not_openai(endpoint, f"{type(error).__name__}: {error}")


def not_openai(endpoint: Endpoint, what: str) -> ModelError:
    """The answer is not of the protocol: a web page, a proxy's notice, another API."""
    return ModelError(
        f"{endpoint.base_url} did not answer as an OpenAI-compatible endpoint ({_short(what)}); "
        "check `base_url`, which mostly ends in /v1.",
        fatal=True,
        billed=False,
    )


def unknown_model(endpoint: Endpoint, listed: tuple[str, ...]) -> ModelError:
    """`listed` are the names that the endpoint offers, nearest first; empty if unknown."""
    if listed:
        names = ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "")
        cure = f"it offers {names}"
    else:
        cure = "check the name, and that `base_url` ends where the endpoint's manual says"
    return ModelError(
        f"{endpoint.base_url} knows no model `{endpoint.model}`; {cure}.", fatal=True, billed=False
    )


def names_no_model(error: openai.APIStatusError) -> bool:
    """Whether the endpoint says that the model does not exist."""
    text = f"{error.code} {error.message}"
    return error.status_code == 404 or (error.status_code == 400 and bool(_NO_MODEL.search(text)))


def unsupported_parameter(error: openai.APIStatusError, names: tuple[str, ...]) -> str | None:
    """Which of the request's optional parameters the endpoint refuses to know."""
    if error.status_code not in {400, 422} or _TOO_LARGE.search(error.message):
        return None
    text = f"{error.param} {error.message} {error.body}"
    # The longest name first: `max_completion_tokens` is often named beside `max_tokens`.
    given = error.param if error.param in names else None
    named = sorted((name for name in names if re.search(rf"\b{name}\b", text)), key=len)
    return given or (named[-1] if named else None)


def _explain_status(error: openai.APIStatusError, endpoint: Endpoint) -> ModelError:
    status, said = error.status_code, _said(error)
    text = f"{error.code} {error.type} {error.message}"
    where = endpoint.base_url
    if status in {401, 403}:
        return ModelError(
            f"{where} refused the key ({status}: {said}); set a valid one, for instance "
            "in WHET_API_KEY, and check that it may use this model.",
            fatal=True, billed=False,
        )  # fmt: skip
    if status == 402 or (status == 429 and _QUOTA.search(text)):
        return ModelError(
            f"The quota at {where} is used up ({said}); top it up or choose another model.",
            fatal=True, billed=False,
        )  # fmt: skip
    if status == 429:
        wait = _retry_after_s(error.response.headers)
        said_when = f" for {wait:g} s" if wait is not None else ""
        return ModelError(
            f"{where} asks to slow down{said_when} (429); it is tried again.",
            retryable=True, retry_after_s=wait, billed=False,
        )  # fmt: skip
    if status >= 500 or status in {408, 409, 425}:
        return ModelError(
            f"{where} failed ({status}: {said}); it is tried again.",
            retryable=True, retry_after_s=_retry_after_s(error.response.headers),
            billed=status not in {500, 503, 529},
        )  # fmt: skip
    return _explain_refusal(error, endpoint, text, said)


def _explain_refusal(
    error: openai.APIStatusError, endpoint: Endpoint, text: str, said: str
) -> ModelError:
    if 300 <= error.status_code < 400:
        target = error.response.headers.get("location", "another place")
        return ModelError(
            f"{endpoint.base_url} redirects to {target}; Whet follows no redirect with a key, set `base_url` "
            "to the final address.",
            fatal=True, billed=False,
        )  # fmt: skip
    if error.status_code == 413 or _CONTEXT.search(text):
        return _too_long(endpoint, said)
    if "content_filter" in text or "content_policy" in text:
        return ModelError(
            f"{endpoint.base_url} filtered the prompt ({said}); the next turn asks differently.",
            billed=False,
        )
    if _TOO_LARGE.search(error.message):
        return ModelError(
            f"`{endpoint.model}` cannot write replies that long ({said}); lower "
            "`policy.max_completion_tokens`.",
            fatal=True, billed=False,
        )  # fmt: skip
    return ModelError(
        f"{endpoint.base_url} refused the request ({error.status_code}: {said}); "
        "see whether `model` and `base_url` belong together.",
        fatal=True, billed=False,
    )  # fmt: skip


def _explain_timeout(error: Exception, endpoint: Endpoint) -> ModelError:
    cause = error.__cause__ if isinstance(error, openai.APITimeoutError) else error
    if isinstance(cause, httpx2.ConnectTimeout):
        return ModelError(
            f"{endpoint.base_url} cannot be reached (no connection in time); "
            "check the network and the proxy.",
            retryable=True, billed=False,
        )  # fmt: skip
    return ModelError(
        f"{endpoint.base_url} said nothing for {endpoint.timeout_s:g} s; it is tried again "
        "(`model.timeout_s` waits longer).",
        retryable=True,
    )


def _explain_connection(cause: BaseException, endpoint: Endpoint) -> ModelError:
    where, said = endpoint.base_url, _short(str(cause))
    roots = _chain(cause)
    if any(isinstance(root, ssl.SSLCertVerificationError) for root in roots) or (
        "CERTIFICATE_VERIFY_FAILED" in said
    ):
        return ModelError(
            f"The certificate of {where} is not trusted ({said}); name your CA's PEM file in "
            "`model.ca_bundle`.",
            fatal=True, billed=False,
        )  # fmt: skip
    if isinstance(cause, httpx2.ProxyError):
        return ModelError(
            f"The proxy on the way to {where} refused ({said}); check HTTPS_PROXY and NO_PROXY.",
            fatal=True, billed=False,
        )  # fmt: skip
    if isinstance(cause, httpx2.ConnectError):
        cure = "is the server running?" if endpoint.is_loopback else "check the name and network"
        return ModelError(
            f"No connection to {where} ({said}); {cure}", retryable=True, billed=False
        )
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return ModelError(f"`base_url` {where} cannot be used ({said}); mend it.", fatal=True)
    return ModelError(
        f"{where} dropped the connection before it answered; it is tried again.", retryable=True
    )


def _explain_stream_error(error: openai.APIError, endpoint: Endpoint) -> ModelError:
    """An error object inside the stream, after the status already said 200."""
    text, said = f"{error.code} {error.type} {error.message}", _said(error)
    if _CONTEXT.search(text):
        return _too_long(endpoint, said)
    if _QUOTA.search(text):
        return ModelError(
            f"The quota at {endpoint.base_url} is used up ({said}); top it up.", fatal=True
        )
    return ModelError(
        f"{endpoint.base_url} broke off its reply ({said}); it is tried again.", retryable=True
    )


def _too_long(endpoint: Endpoint, said: str) -> ModelError:
    return ModelError(
        f"The prompt is too long for `{endpoint.model}` ({said}); lower `policy.ancestors`, or "
        "choose a model with a larger context.",
        billed=False,
    )


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, milliseconds or an HTTP date; never negative."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        return None if value is None else max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (ValueError, KeyError):
        return None
    return max(0.0, when.timestamp() - time.time())


def _said(error: openai.APIError) -> str:
    """The endpoint's own words, as far as it gave any."""
    inner = error.body.get("message") if isinstance(error.body, dict) else None
    text = inner if isinstance(inner, str) else re.sub(r"^Error code: \d+ - ", "", error.message)
    return _short(text)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _short(text: str, limit: int = 200) -> str:
    """One line, of bounded length, without the markup of an error page."""
    plain = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
