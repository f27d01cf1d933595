"""The service: pages that are complete without a script, a JSON interface with a description of itself, health and counts.

    /            values, rights and duties of a situation, or of two versions of it
    /profiles    a rater's value profile, edited, and how the predictions move
    /reports     reports of run folders
    /api/...     the same as JSON; /openapi.json describes it; /health, /metrics

Nothing comes from another host. All text is escaped by the template engine; the policy allows neither inline scripts nor inline
styles. Questions go through one bounded queue (`work`): beyond it the answer is 503 with Retry-After.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pluralign import __version__
from pluralign.errors import DataError, MissingExtraError, PluralignError, UsageError
from pluralign.report.formatting import number, percent, shorten
from pluralign.report.palette import option_colours
from pluralign.web.backend import Backend
from pluralign.web.limits import BodyLimit, SafeHeaders
from pluralign.web.reports import reports_in
from pluralign.web.shapes import (
    MOST_PROFILE,
    MOST_SITUATION,
    Change,
    Comparison,
    Health,
    PredictionAnswer,
    PredictionRequest,
    SituationPair,
    SituationRequest,
    SituationsRequest,
    Surfaced,
    clean_text,
)
from pluralign.web.views import segments
from pluralign.web.work import Busy, Worker

if TYPE_CHECKING:
    import jinja2

try:
    from fastapi import FastAPI, Query, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
    from fastapi.staticfiles import StaticFiles
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from pluralign.web.measured import Measured, Measures
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), extra="serve") from error

__all__ = ["explorer"]

HERE = Path(__file__).parent
REPORT_POLICY = "sandbox allow-same-origin; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Reports are pages without scripts; nothing that a folder holds may run here."""
_BUSY: dict[int | str, dict[str, Any]] = {
    503: {"description": "Too many questions wait; see Retry-After", "content": {"application/json": {}}},
    413: {"description": "The body is too large"},
    502: {"description": "The model did not answer"},
}
_Text = Annotated[str, Query(max_length=MOST_PROFILE)]


def explorer(
    backend: Backend,
    *,
    runs: Path | None = None,
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]", "testserver"),
    most_waiting: int = 64,
    most_at_once: int = 16,
) -> FastAPI:
    """The service over a backend. `runs` is the folder whose run folders' reports are shown; requests that name another host
    than `hosts` are refused, so that a page elsewhere cannot reach it under a name of its own."""

    worker = Worker(most_waiting=most_waiting, most_at_once=most_at_once)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    app = FastAPI(
        title="pluralign explorer",
        version=__version__,
        summary="Values, rights and duties of a situation, and predictions from value profiles",
        description=backend.notice,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.worker, app.state.backend, app.state.runs = worker, backend, runs
    measures = Measures(worker)
    _add_errors(app)
    _add_interface(app, worker, backend, measures)
    _add_pages(app, worker, backend, runs)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_middleware(BodyLimit)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(Measured, measures=measures)
    app.add_middleware(SafeHeaders)
    return app


# what goes wrong


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Busy)
    async def busy(request: Request, error: Busy) -> Response:
        headers = {"Retry-After": str(error.retry_after_s)}
        if _wants_page(request):
            return HTMLResponse(_page("busy.html.j2", request, seconds=error.retry_after_s), status_code=503, headers=headers)
        return JSONResponse({"detail": str(error)}, status_code=503, headers=headers)

    @app.exception_handler(PluralignError)
    async def stated(request: Request, error: PluralignError) -> Response:
        status = 422 if isinstance(error, (DataError, UsageError)) else 502  # what was asked, or who was
        if _wants_page(request):
            return HTMLResponse(_page("problem.html.j2", request, problem=str(error)), status_code=status)
        return JSONResponse({"detail": [{"loc": ["body"], "msg": str(error), "type": "stated"}]}, status_code=status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [{"loc": [str(part) for part in one["loc"]], "msg": one["msg"], "type": one["type"]} for one in error.errors()]
        if _wants_page(request):
            said = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in faults)
            return HTMLResponse(_page("problem.html.j2", request, problem=said), status_code=422)
        return JSONResponse({"detail": faults}, status_code=422)


def _wants_page(request: Request) -> bool:
    return not request.url.path.startswith(("/api/", "/health", "/metrics"))


# JSON


def _add_interface(app: FastAPI, worker: Worker, backend: Backend, measures: Measures) -> None:
    @app.post("/api/values", responses=_BUSY)
    async def values(asked: SituationRequest) -> Surfaced:
        """Values, rights and duties of a situation."""
        (found,) = await worker.ask(backend.surface, asked.situation)
        return found

    @app.post("/api/values/batch", responses=_BUSY)
    async def values_batch(asked: SituationsRequest) -> list[Surfaced]:
        """The same of several situations, in their order."""
        return await worker.ask(backend.surface, *asked.situations)

    @app.post("/api/values/compare", responses=_BUSY)
    async def compare(asked: SituationPair) -> Comparison:
        """Two versions of a situation: what enters, leaves or flips."""
        (found,) = await worker.ask(backend.compare, asked)
        return found

    @app.post("/api/profiles/predict", responses=_BUSY)
    async def predict(asked: PredictionRequest) -> PredictionAnswer:
        """Predicted ratings with a rater's own profile, and with another text in its place."""
        (found,) = await worker.ask(backend.predict, asked)
        return found

    @app.get("/health")
    async def health() -> Health:
        """Whether the service answers."""
        return Health(status="ok", model=backend.model_name, version=__version__, n_waiting=worker.stats.n_waiting)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Counts and times, in Prometheus' text format."""
        return PlainTextResponse(measures.text(), media_type="text/plain; version=0.0.4")


# pages


def _add_pages(app: FastAPI, worker: Worker, backend: Backend, runs: Path | None) -> None:
    @app.get("/", include_in_schema=False)
    async def values_page(request: Request, situation: _Text = "", other: _Text = "") -> HTMLResponse:
        first, second = _checked("situation", situation), _checked("other", other)
        found: list[Surfaced] = []
        changes: list[Change] = []
        if first and second:
            (compared,) = await worker.ask(backend.compare, SituationPair(situation=first, other=second))
            found, changes = [compared.situation, compared.other], compared.changes
        elif first or second:
            found = await worker.ask(backend.surface, first or second)
        text = _page(
            "values.html.j2", request, situation=first, other=second, found=found, changes=changes, most=MOST_SITUATION
        )
        return HTMLResponse(text)

    @app.get("/profiles", include_in_schema=False)
    async def profiles_page(
        request: Request,
        rater: Annotated[str, Query(max_length=200)] = "",
        profile: _Text | None = None,
        own: Annotated[str, Query(max_length=1)] = "",
    ) -> HTMLResponse:
        known = {one.rater_id: one.profile for one in backend.raters}
        chosen = rater if rater in known else next(iter(known), None)
        text = known.get(chosen or "", "") if profile is None or own else _checked("profile", profile, most=MOST_PROFILE)
        answer = None
        if chosen is not None or profile is not None:
            (answer,) = await worker.ask(backend.predict, PredictionRequest(rater=chosen, profile=text))
        return HTMLResponse(
            _page("profiles.html.j2", request, raters=list(known), rater=chosen, profile=text, answer=answer, most=MOST_PROFILE)
        )

    @app.get("/reports", include_in_schema=False)
    async def reports_page(request: Request) -> HTMLResponse:
        found = reports_in(runs)
        return HTMLResponse(_page("reports.html.j2", request, reports=list(found.values()), is_given=runs is not None))

    @app.get("/reports/{key}", include_in_schema=False)
    async def report(request: Request, key: str) -> Response:
        one = reports_in(runs).get(key)
        if one is None:
            return HTMLResponse(_page("problem.html.j2", request, problem="there is no such report"), status_code=404)
        return FileResponse(one.path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})


def _checked(name: str, text: str, *, most: int = MOST_SITUATION) -> str:
    """The text as it is asked; raises RequestValidationError for one that cannot be."""
    try:
        cleaned = str(clean_text(text))
    except ValueError as error:
        raise RequestValidationError([{"loc": ("query", name), "msg": str(error), "type": "value_error"}]) from error
    if len(cleaned) > most:
        said = f"at most {most:,} characters, not {len(cleaned):,}"
        raise RequestValidationError([{"loc": ("query", name), "msg": said, "type": "string_too_long"}])
    return cleaned


def _page(template: str, request: Request, **names: Any) -> str:
    backend: Backend = request.app.state.backend
    shown = {"notice": backend.notice, "model": backend.model_name, "examples": backend.examples, "path": request.url.path}
    return _environment().get_template(template).render(**shown, **names)


def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(num=number, pct=percent, shorten=shorten)
    environment.globals.update(segments=segments, colours=option_colours, version=__version__)
    return environment
