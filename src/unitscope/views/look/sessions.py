"""A session as one document, and as one HTML file that opens without a server."""

import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, TypeVar

from unitscope.axes import Picture
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import UsageError
from unitscope.files import write_whole
from unitscope.interventions.looking.comparison import compare_sights
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.slides import to_bytes
from unitscope.interventions.looking.switches import Switch
from unitscope.tables import plain
from unitscope.views.look.answers import (
    describe_comparison,
    describe_picture,
    describe_sight,
    describe_turned,
    describe_units,
)
from unitscope.views.look.asked import SessionRequest
from unitscope.views.look.kept import MOST_PICTURES, Kept
from unitscope.views.look.project import LookProject
from unitscope.views.look.uploads import encode_png

FORMAT, VERSION = "unitscope look", 1
Made = TypeVar("Made")
DRAWS = 8
"""So many random sets stand beside switches in a session."""


class Doing(Protocol):
    """Does a piece of work for a visitor, when its turn comes."""

    def __call__(self, work: Callable[[], Made]) -> Awaitable[Made]: ...


_SERVED = (".html", ".js", ".css", ".svg")
_SCRIPT = re.compile(r"<script\b[^>]*\bsrc=\"[^\"]*look\.js\"[^>]*>\s*</script>")
_STYLE = re.compile(r"<link\b[^>]*\bhref=\"[^\"]*look\.css\"[^>]*>")
_ICON = re.compile(r"(<link\b[^>]*\bhref=\")[^\"]*look\.svg(\"[^>]*>)")


async def gather_session(
    project: LookProject,
    do: Doing,
    asked: SessionRequest,
    kept: Sequence[Kept],
) -> dict[str, Any]:
    """Everything that was seen of some pictures, worked out piece by piece: others are answered meanwhile."""
    pictures = []
    for place, one in enumerate(kept):
        sees = {
            layer: await do(partial(tell_sight, project, one, layer, asked.target)) for layer in asked.layers
        }
        turned = await do(partial(_turn, project, one, asked)) if asked.switches else None
        pictures.append(
            {**await do(partial(embed_picture, project, one, str(place))), "sees": sees, "turned": turned}
        )
    compared = None
    if asked.compared is not None:
        first, second = (kept[place] for place in asked.compared)
        compared = {
            layer: await do(partial(tell_comparison, project, first, second, layer)) for layer in asked.layers
        }
    layers = [
        {"layer": layer, "units": await do(partial(describe_units, project.lens, layer))}
        for layer in asked.layers
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "project": await do(project.describe),
        "layers": layers,
        "pictures": pictures,
        "compared": compared,
        "cards": [await do(partial(_embed_card, project, *card)) for card in asked.cards],
        "edits": plain(asked.edits),
        "class": asked.target,
        "state": asked.state,
    }


def tell_sight(project: LookProject, kept: Kept, layer: str, target: int | None) -> dict[str, Any]:
    """What is seen of a picture through a layer."""
    return describe_sight(project.lens, project.see(kept.slide, layer, target))


def tell_comparison(project: LookProject, first: Kept, second: Kept, layer: str) -> dict[str, Any]:
    """Two pictures unit by unit."""
    before, after = (project.see(kept.slide, layer, None) for kept in (first, second))
    return describe_comparison(compare_sights(project.lens, before, after), before.grid.mask_size)


def _turn(project: LookProject, kept: Kept, asked: SessionRequest) -> dict[str, Any]:
    return describe_turned(project.lens, project.turn(kept.slide, asked.switches, DRAWS))


def _embed_card(project: LookProject, layer: str, unit: int) -> dict[str, Any]:
    card = project.describe_unit(layer, unit)
    images = [embed(project.draw_top(layer, unit, rank), "image/jpeg") for rank in range(len(card["tops"]))]
    tops = [{**top, "image": image} for top, image in zip(card["tops"], images, strict=True)]
    return {**card, "tops": tops}


def spell_json(value: object) -> str:
    """JSON in ASCII, without a number that is none."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def embed(data: bytes, kind: str) -> str:
    """Bytes as a URL that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def embed_picture(project: LookProject, kept: Kept, name: str) -> dict[str, Any]:
    """A picture of a session: its answer with the image inside, and what the network reads, pixel by pixel.

    What was attacked is there in bytes, which are not quite what the network read.
    """
    image = embed(kept.jpeg, "image/jpeg")
    fitted = embed(encode_png(to_bytes(kept.slide.fitted)), "image/png")
    return {"picture": describe_picture(project.lens, kept, name, image), "fitted": fitted}


def read_page() -> dict[str, bytes]:
    """The built page, by name: all that is ever served of the disk."""
    folder = files("unitscope.views.look") / "page"
    entries = [folder / "index.html", *(folder / "assets").iterdir()]
    return {entry.name: entry.read_bytes() for entry in entries if entry.name.endswith(_SERVED)}


def save_session(
    lens: Lens,
    pictures: Mapping[str, Picture],
    out: str | Path,
    *,
    source: ConceptSource | None = None,
    layers: Sequence[str] | None = None,
    target: int | None = None,
    switches: Sequence[Switch] = (),
    cards: Sequence[tuple[str, int]] = (),
) -> Path:
    """Writes what the microscope shows of some pictures as one HTML file that opens without a server.

    Gives the path of the file. `pictures` are named; of two or more the first two are compared. `layers` are
    by default all of the lens, `target` is the class explained, by default the predicted one. The classes are
    shown with the `switches` too, and `cards` are units, by layer and number, whose cards may be opened:
    `source`, the images of the run, gives their top images. Raises what `see` and `turn` raise, and
    `RunError` where it cannot be written.
    """
    project = LookProject(lens, source, None, None if source else "the images of the run are not here")
    if not 0 < len(pictures) <= MOST_PICTURES:
        raise UsageError(f"{len(pictures)} pictures are given; wanted 1 to {MOST_PICTURES}")
    kept = [project.keep_picture(picture, name, False) for name, picture in pictures.items()]
    edits = [_spell_switch(one) for one in switches]
    chosen, compared = list(layers or lens.layers), (0, 1) if len(kept) > 1 else None
    for layer in chosen:
        lens.find(layer)
    asked = SessionRequest([], chosen, target, edits, list(switches), list(cards), compared, None)

    async def do(work: Callable[[], Made]) -> Made:
        return work()

    session = _run_through(gather_session(project, do, asked, kept))
    path = Path(out)
    write_whole(path, write_page(read_page(), spell_json(session)))
    return path


def _run_through(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """What comes of work that waits for nothing; a loop of events may be running already, as in notebooks."""
    try:
        work.send(None)
    except StopIteration as done:
        found: dict[str, Any] = done.value
        return found
    raise AssertionError("work that was to wait for nothing waited")


def _spell_switch(one: Switch) -> dict[str, Any]:
    brush = one.place
    place = None if brush is None else {"rows": brush.rows, "columns": brush.columns, "runs": brush.runs}
    about = {"level": one.level, "strength": one.strength, "place": place}
    return {"layer": one.layer, "units": list(one.units), **about}


def write_page(page: Mapping[str, bytes], session: str) -> str:
    """The page with its script, its style and a session's JSON inside: it asks for nothing.

    Its own rules let in that script alone.
    """
    text, script, style, icon = (
        page.get(name, b"").decode() for name in ("index.html", "look.js", "look.css", "look.svg")
    )
    # Inside of a script only these would end it, or begin a comment.
    script = script.replace("</script", r"<\/script").replace("<!--", r"<\!--")
    style = style.replace("</style", r"<\/style")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    data = session.replace("<", "\\u003c")
    inline = (
        f'<script type="application/json" id="session">{data}</script>\n'
        f'<script type="module">{script}</script>'
    )
    text = _SCRIPT.sub("", text)
    text = _STYLE.sub(lambda _: f"<style>{style}</style>", text)
    text = _ICON.sub(lambda found: f"{found[1]}{embed(icon.encode(), 'image/svg+xml')}{found[2]}", text)
    head = f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
    text = re.sub(r"<head[^>]*>", lambda found: f"{found[0]}\n{head}", text, count=1)
    # A module begins when the page has been read, wherever it stands.
    return text.replace("</body>", f"{inline}\n</body>") if "</body>" in text else f"{text}\n{inline}"
