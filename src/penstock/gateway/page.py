"""The page that people read: the API's routes, their schemas, and a form to try each. It loads nothing from elsewhere."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse

# The page's own script and style, and requests to this server: whatever an app writes into its descriptions, nothing else.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
routes = APIRouter(include_in_schema=False)


@routes.get("/")
async def show_door() -> RedirectResponse:
    return RedirectResponse("docs")


@routes.get("/docs")
async def show_page() -> HTMLResponse:
    page = files("penstock.gateway").joinpath("page.html").read_text(encoding="utf-8")
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})
