"""The page on which units are marked by eye: what it shows, and its server."""

import csv
import json
import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unitscope.errors import RunError, UsageError
from unitscope.experiments.marks import FILE, Mark, parse_mark, read_marks, write_marks
from unitscope.views.app.requests import PATIENCE, Guard, guard_routes, read_body, show_page

MOST_TEXT = 400
"""Bytes of a request; a mark has about forty."""


@dataclass(eq=False)
class Marking:
    """The units that are shown, in their order, with what is said of each and its pictures as JPEG."""

    path: Path
    units: dict[int, str]
    pictures: dict[int, bytes]
    marks: dict[int, Mark] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """All units and their marks, ready for JSON."""
        rows = [
            {"unit": unit, "text": text, "mark": self.marks.get(unit)} for unit, text in self.units.items()
        ]
        return {"units": rows}

    def mark(self, unit: int, mark: Mark | None) -> None:
        """Marks a unit, or takes its mark back; it is on the disk when this returns.

        Raises `UsageError` for a unit that is not shown, `RunError` where it cannot be written.
        """
        if unit not in self.units:
            raise UsageError("unit must be one that the page shows")
        marks = {**read_marks(self.path), unit: mark}
        kept = {one: given for one, given in marks.items() if given is not None}
        write_marks(self.path, kept)
        self.marks = kept


def open_marking(folder: Path) -> Marking:
    """What `unitscope artifacts` wrote into a folder, ready to be marked.

    Raises `RunError` where it holds no pictures of units, or marks that cannot be read.
    """
    found = {}
    for path in sorted((folder / "pictures").glob("unit-*.jpg")):
        if name := re.fullmatch(r"unit-(\d+)\.jpg", path.name):
            found[int(name[1])] = path.read_bytes()
    try:
        with (folder / "artifacts.csv").open(encoding="utf-8", newline="") as file:
            rows = {int(row["unit"]): _spell(row) for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise RunError(f"cannot read artifacts.csv of {folder} ({error}); {_ADVICE}") from error
    units = {unit: text for unit, text in rows.items() if unit in found}
    if not units:
        raise RunError(f"{folder} has no pictures of units; {_ADVICE}")
    return Marking(folder / FILE, units, found, read_marks(folder / FILE))


_ADVICE = "name a folder that `unitscope artifacts` wrote"


def _spell(row: dict[str, str]) -> str:
    """What is said of a unit: nothing for one that is silent, which has no figures."""
    if not row["frechet"]:
        return ""
    distance, unknown = float(row["frechet"]), 100 * float(row["unknown"])
    ranks = row["rank_frechet"], row["rank_unknown"]
    return f"distance {distance:.2f} (rank {ranks[0]}), nothing known of {unknown:.1f} % (rank {ranks[1]})"


@dataclass(eq=False)
class MarkingServer:
    """The endpoints over one marking."""

    marking: Marking
    patience: float = PATIENCE
    page: dict[str, bytes] = field(default_factory=lambda: read_marking_page())

    def routes(self) -> list[Route]:
        """All that may be asked for."""
        return [
            *show_page(self.page),
            Route("/api/pictures/{unit:int}.jpg", self.show_picture, methods=["GET"]),
            Route("/api/units", self.show_units, methods=["GET"]),
            Route("/api/mark", self.mark, methods=["POST"]),
        ]

    async def show_picture(self, request: Request) -> Response:
        """The pictures of a unit that is shown."""
        picture = self.marking.pictures.get(request.path_params["unit"])
        if picture is None:
            raise HTTPException(404, "there is no such picture")
        return Response(picture, media_type="image/jpeg")

    async def show_units(self, _request: Request) -> Response:
        """All units with their marks."""
        return JSONResponse(self.marking.describe())

    async def mark(self, request: Request) -> Response:
        """Keeps a mark, or takes one back where it is null."""
        try:
            sent = json.loads(await read_body(request, MOST_TEXT, self.patience))
        except (ValueError, RecursionError) as error:
            raise UsageError("the body is not JSON") from error
        if not isinstance(sent, dict) or set(sent) != {"unit", "mark"} or type(sent["unit"]) is not int:
            raise UsageError("the body must be an object with a unit's number and its mark, and nothing else")
        self.marking.mark(sent["unit"], None if sent["mark"] is None else parse_mark(sent["mark"]))
        return JSONResponse(self.marking.describe())


def make_marking_app(marking: Marking, host: str = "127.0.0.1", **options: Any) -> Guard:
    """The server as an ASGI application that knows itself by `host`."""
    return guard_routes(MarkingServer(marking, **options).routes(), host, {})


def read_marking_page() -> dict[str, bytes]:
    """The files of the page by name: all that is ever served of the disk."""
    page, shared = files("unitscope.views.rating") / "marking_page", files("unitscope.views.report")
    found = {entry.name: entry.read_bytes() for entry in page.iterdir()}
    return {**found, "look.css": (shared / "look.css").read_bytes()}
