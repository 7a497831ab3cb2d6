"""Pages: what a browser that comes back from a provider is shown when the log-in came to nothing."""

from html import escape
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse

from chassis import problems
from chassis.texts import Language, Texts, choose_language
from services.auth.identity_providers.errors import LogInFailed

AGAIN = "Go to the log-in page"
"""To be translated, like the refusals."""


class Pages:
    """Says it in the language that the person reads; without script, style or picture, under the strictest policy."""

    def __init__(self, log_in_page: str) -> None:
        self._texts = Texts(Path(__file__).parents[1] / "locales")
        self._log_in_page = log_in_page

    def failed(self, failure: LogInFailed, language: Language) -> HTMLResponse:
        """Say why somebody is not logged in, and where to begin again."""
        title, _, rest = self._texts.gettext(language)(problems.text_of(type(failure))).partition("\n\n")
        again = self._texts.gettext(language)(AGAIN)
        page = (
            f'<!doctype html><html lang="{language.value}"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
            f"<body><main><h1>{escape(title)}</h1><p>{escape(rest)}</p>"
            f'<p><a href="{escape(self._log_in_page)}">{escape(again)}</a></p></main></body></html>'
        )
        headers = {"Content-Language": language.value}
        if failure.retry_after is not None:
            headers["Retry-After"] = str(failure.retry_after)
        return HTMLResponse(page, problems.status_of(failure.kind), headers=headers)


def language_of(request: Request) -> Language:
    """Choose the language that a request asks for; Bokmål where it asks for none of ours."""
    return choose_language(", ".join(request.headers.getlist("accept-language")) or None, Language.NB)


def wants_page(request: Request) -> bool:
    """Tell whether it is a browser that shows the answer to a person."""
    return "text/html" in request.headers.get("accept", "")
