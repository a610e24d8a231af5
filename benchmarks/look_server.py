"""How quickly the live microscope answers, without a browser: from a switch to the answer in JSON.

    python benchmarks/look_server.py [--turns 60] [--large]

For the zoo's classifier, and for EfficientNet-Lite0 at 224 pixels with random weights, which times do not
depend on: of every layer the median and the 95th percentile of the time that a switch takes with one random
set beside it, and how much longer the whole network takes for the same, in time of the processor, all cores
together. `--large` sends pictures of 50 megapixels and a storm of frames instead, and says what became of
memory. Of nonsense, 5,000 requests are sent by
`UNITSCOPE_FUZZ=5000 python -m pytest tests/views/test_look_requests.py -k nothing_that_is_sent`.
"""

import argparse
import io
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.interventions import open_lens, prepare_slide
from unitscope.interventions.looking import switches
from unitscope.interventions.looking.switches import Switch
from unitscope.networks.load import load_network
from unitscope.views.look.project import LookProject
from unitscope.views.look.server import make_app

Clock = Callable[[], float]
STORM = 1000
ZOO = ("zoo:scene-classifier", None, ("layer1", "layer3", "layer5"), "drawn:count=24,seed=3000,size=64")
LARGER = (
    "efficientnet-lite0",
    0,
    ("_blocks.2", "_blocks.4", "_blocks.10", "_blocks.15", "_conv_head"),
    "drawn:count=12,seed=3000,size=224",
)


def time_calls(call: Callable[[int], object], count: int, clock: Clock = time.perf_counter) -> list[float]:
    """Milliseconds of each of some calls."""
    found = []
    for number in range(count):
        begun = clock()
        call(number)
        found.append(1000 * (clock() - begun))
    return found


def spell(values: list[float]) -> str:
    high = sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
    return f"median {statistics.median(values):6.1f} ms, 95 % {high:6.1f} ms"


def measure(name: str, random: int | None, layers: tuple[str, ...], spec: str, turns: int) -> None:
    network, source = load_network(name, random=random), us.open_source(spec)
    quick = Confidences(shifts=0)
    run = us.dissect(network, source, layers, convention="pnas", confidences=quick)
    lens = open_lens(network, run)
    project = LookProject(lens, source, source)
    with TestClient(make_app(project), base_url="http://127.0.0.1") as client:
        visit = {"x-visit": client.post("/api/visit", json={}).json()["visit"]}
        picture = client.post("/api/samples", json={"index": 0}, headers=visit).json()["picture"]
        slide = prepare_slide(lens, source[0].image)
        print(f"{name}, {run.frame.size[0]} x {run.frame.size[1]}, {turns} switches a layer")
        for layer in lens.layers:
            units = len(run[layer])

            def ask(number: int, layer: str = layer, units: int = units) -> None:
                edit = {"layer": layer, "units": [number % units], "level": 0, "strength": 1, "place": None}
                body = {"picture": picture, "edits": [edit], "draws": 1}
                assert client.post("/api/turn", json=body, headers=visit).status_code == 200

            def ask_whole(number: int, layer: str = layer, units: int = units) -> None:
                chosen = [Switch(layer, (number % units,))]
                drawn = switches.draw_others(lens, {layer: [number % units]}, 1, 0)
                edits = [switches.merge_switches(lens, layer, chosen, drawn[layer])]
                switches.run_whole(lens, slide, edits, 2)

            def ask_function(number: int, layer: str = layer, units: int = units) -> None:
                project.turn(slide, [Switch(layer, (number % units,))], 1)

            first = time_calls(ask, 1)[0]
            time_calls(ask_function, 1)
            # Side by side, since other work on the machine comes and goes.
            asked, found, whole = [], [], []
            for number in range(turns):
                asked += time_calls(lambda _, n=number: ask(n), 1)
                # Of the processor's time, which other work on the machine takes less from.
                found += time_calls(lambda _, n=number: ask_function(n), 1, time.process_time)
                whole += time_calls(lambda _, n=number: ask_whole(n), 1, time.process_time)
            ratio = statistics.median(whole) / statistics.median(found)
            print(
                f"  {layer:<12} {spell(asked)}, first {first:6.1f} ms; processor {spell(found)}; "
                f"the whole network {ratio:.1f} times",
                flush=True,
            )


def send_large() -> None:
    """Pictures of 50 megapixels, one after the other, one that is larger, and a storm of frames."""
    network, source = load_network(ZOO[0]), us.open_source(ZOO[3])
    run = us.dissect(network, source, ["layer5"], convention="pnas", confidences=Confidences(shifts=0))
    app = make_app(LookProject(open_lens(network, run), source, source))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        visit = {"x-visit": client.post("/api/visit", json={}).json()["visit"]}
        noise = np.random.default_rng(0).integers(0, 256, (70, 70, 3)).astype(np.uint8)
        for side in (7000, 7071, 7200):
            buffer = io.BytesIO()
            Image.fromarray(noise).resize((side, side)).save(buffer, "JPEG")
            begun, before = time.perf_counter(), read_peak()
            headers = {**visit, "content-type": "image/jpeg"}
            answer = client.post("/api/pictures", content=buffer.getvalue(), headers=headers)
            told = answer.json()
            said = told.get("note") or told.get("error")
            print(
                f"  {side} x {side}: {answer.status_code}, {said}; {time.perf_counter() - begun:.1f} s, "
                f"peak of memory {read_peak():.0f} MB, before {before:.0f} MB"
            )

        statuses: dict[int, int] = {}
        begun, before = time.perf_counter(), read_peak()
        buffer = io.BytesIO()
        Image.fromarray(noise).resize((1280, 720)).save(buffer, "JPEG")
        for _ in range(STORM):
            answer = client.post("/api/pictures", content=buffer.getvalue(), headers=headers)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        print(
            f"  {STORM} frames of a camera in {time.perf_counter() - begun:.1f} s: {statuses}; "
            f"peak of memory {read_peak():.0f} MB, before {before:.0f} MB"
        )


def read_peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--large", action="store_true")
    chosen = parser.parse_args()
    if chosen.large:
        send_large()
        return
    for name, random, layers, spec in (ZOO, LARGER):
        measure(name, random, layers, spec, chosen.turns)


if __name__ == "__main__":
    main()
