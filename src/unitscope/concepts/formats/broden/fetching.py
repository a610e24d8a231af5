"""Files fetched over a network that breaks, from servers that cannot be trusted.

A download is written to NAME.part, with what the server said of it in NAME.part.json; a broken one is
resumed there, in the same call and in a later one, as long as the server's file is the same. Once it is
whole, its size and digests are checked against those given, or against NAME.json, which keeps what was
fetched first.
"""

import contextlib
import hashlib
import http.client
import io
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import disk_usage
from typing import Any

from unitscope.concepts.formats.broden.archives import Bounds, unpack_archive
from unitscope.errors import DownloadError, UsageError, say_near
from unitscope.progress import BYTES, follow
from unitscope.results import Result
from unitscope.tables import Table
from unitscope.version import __version__

ARCHIVES = {
    f"broden1_{size}": f"http://netdissect.csail.mit.edu/data/broden1_{size}.zip" for size in (224, 227, 384)
}
"""Archives known by name; their authors publish no digests."""

_CHUNK = 1 << 18
_LARGEST = 64 << 30
_KEPT = ("ETag", "Last-Modified")


@dataclass(frozen=True)
class Fetched(Result):
    """A verified file: where it lies, where it comes from, bytes, and hexadecimal digests."""

    path: Path
    url: str
    size: int
    sha256: str
    md5: str

    def tables(self) -> dict[str, Table]:
        """The file in one row."""
        return {"fetched.csv": Table.of([asdict(self) | {"path": str(self.path)}], list(asdict(self)))}

    def text(self) -> str:
        """One line for people, with the digest to give the next time."""
        return f"{self.path}: {self.size} bytes, sha256 {self.sha256}, from {self.url}"


@dataclass(frozen=True)
class Expected:
    """What a file should be: bytes and hexadecimal digests; None where it is not known.

    Raises `UsageError` for a digest that is none.
    """

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        for digest, length in ((self.sha256, 64), (self.md5, 32)):
            if digest is not None and not re.fullmatch(f"[0-9a-fA-F]{{{length}}}", digest):
                raise UsageError(f"{digest!r} is no digest; wanted {length} hexadecimal digits")


ANY = Expected()


def fetch_dataset(
    name: str,
    folder: str | Path,
    *,
    url: str | None = None,
    size: int | None = None,
    sha256: str | None = None,
    md5: str | None = None,
) -> Fetched:
    """A published data set, by its name in `ARCHIVES` (`broden` is `broden1_224`), unpacked in `folder`.

    `url` takes it from another place; size (in bytes) and digests of the archive are checked where they are
    given. Raises as `fetch_archive` does, and `UsageError` where the name is unknown.
    """
    known = {"broden": ARCHIVES["broden1_224"], **ARCHIVES}
    if name not in known:
        near = say_near(name, known)
        raise UsageError(f"there is no data set {name!r} to fetch{near}; wanted {', '.join(known)}")
    return fetch_archive(url or known[name], folder, Expected(size, sha256, md5))


def fetch_archive(
    url: str,
    folder: str | Path,
    expected: Expected = ANY,
    *,
    bounds: Bounds | None = None,
    keep: bool = False,
    attempts: int = 5,
    pause: float = 2.0,
) -> Fetched:
    """A zip file fetched into `folder`, verified and unpacked there; `path` is the unpacked folder.

    `url` may also be a name from `ARCHIVES`. The zip file is deleted afterwards unless `keep`.

    Raises `DownloadError` as `fetch_file` and `unpack_archive` do, and where the folder that would come
    out exists already; `UsageError` for what is neither a known name nor an http address.
    """
    address, root = ARCHIVES.get(url, url), Path(folder)
    target = root / Path(_file_name(address)).stem
    if target.exists():
        raise DownloadError(f"{target} exists already; use it, or delete it to fetch it again")
    fetched = fetch_file(address, root, expected, attempts=attempts, pause=pause)
    unpacked = unpack_archive(fetched.path, root, bounds)
    if not keep:
        fetched.path.unlink()
    return replace(fetched, path=unpacked)


def fetch_file(
    url: str,
    folder: str | Path,
    expected: Expected = ANY,
    *,
    attempts: int = 5,
    pause: float = 2.0,
    timeout: float = 60.0,
) -> Fetched:
    """A file fetched into `folder` under the last name of its address, and verified.

    What the server breaks off is resumed with a Range request, at most `attempts` times in a row without
    progress, with growing pauses from `pause` seconds on. A file that lies there already is verified and
    not fetched again.

    Raises `DownloadError` where the file cannot be fetched or stored, or differs from what is expected (or
    from what an earlier fetch of this address recorded); `UsageError` where the address is not http or https.
    """
    root, name = Path(folder), _file_name(url)
    whole, part, record = (root / f"{name}{ending}" for ending in ("", ".part", ".json"))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        earlier = json.loads(record.read_text(encoding="utf-8"))
        if expected == ANY and earlier["url"] == url:
            expected = Expected(earlier["size"], earlier["sha256"])
    with _storing(whole):
        root.mkdir(parents=True, exist_ok=True)
        if whole.is_file():
            fetched = _verify(whole, url, expected)
        else:
            download = _Download(url, part, expected.size, timeout)
            download.run(attempts, pause)
            fetched = replace(_verify(part, url, expected), path=whole)
            part.rename(whole)
            download.state_path.unlink(missing_ok=True)
        facts = {key: value for key, value in asdict(fetched).items() if key != "path"}
        record.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return fetched


@dataclass
class _Download:
    """One file on its way: bytes at hand in `part`, and the validators of the server's file."""

    url: str
    part: Path
    size: int | None
    timeout: float

    @property
    def state_path(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def run(self, attempts: int, pause: float) -> None:
        failures = 0
        while True:
            before = self._at_hand()
            try:
                if self._continue(before):
                    return
                reason = "the connection was closed early"
            except urllib.error.HTTPError as error:
                with error:
                    reason = f"status {error.code} {error.reason}"
                if error.code < 500 and error.code not in (408, 416, 429):
                    raise DownloadError(f"{self.url}: {reason}; check the address") from None
            except urllib.error.URLError as error:
                reason = str(error.reason)
            except (http.client.HTTPException, OSError) as error:
                reason = str(error) or type(error).__name__
            at_hand = self._at_hand()
            failures = failures + 1 if at_hand <= before else 1
            if failures >= attempts:
                kept = f"{at_hand} bytes are kept, run it again to resume"
                raise DownloadError(f"{self.url}: {reason}; {kept}") from None
            time.sleep(min(pause * 2 ** (failures - 1), 60.0))

    def _continue(self, at_hand: int) -> bool:
        """Fetches what is missing; False where the server stopped short."""
        state = self._state()
        headers = {"User-Agent": f"unitscope/{__version__}", "Accept-Encoding": "identity"}
        etag = str(state.get("ETag", ""))
        validator = etag if etag and not etag.startswith("W/") else state.get("Last-Modified")
        if at_hand and validator:
            headers |= {"Range": f"bytes={at_hand}-", "If-Range": str(validator)}
        request = urllib.request.Request(self.url, headers=headers)
        try:
            response = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                if at_hand and at_hand == state.get("total"):
                    error.close()
                    return True
                self.part.unlink(missing_ok=True)
            raise
        with response:
            start, total = _extent(response, at_hand)
            now: dict[str, Any] = {key: response.headers[key] for key in _KEPT if response.headers[key]}
            now |= {"total": total, "url": self.url}
            if start and (total != state.get("total") or any(now.get(k) != state.get(k) for k in _KEPT)):
                self.part.unlink(missing_ok=True)  # a server that resumes another file than it began
                return False
            with _storing(self.part):
                if total is not None:
                    self._check_room(start, total)
                self.state_path.write_text(json.dumps(now), encoding="utf-8")
                file = self.part.open("r+b" if start else "wb", buffering=0)
            with file:
                file.seek(start)
                end = self._receive(response, file, start, total)
        return total is None or end == total

    def _receive(self, response: Any, file: io.FileIO, start: int, total: int | None) -> int:
        end, largest, name = start, self.size or total or _LARGEST, self.part.stem
        with follow(total, name, BYTES, start) as work:
            while chunk := response.read1(_CHUNK):
                end += len(chunk)
                if end > largest:
                    file.close()
                    self.part.unlink(missing_ok=True)
                    raise DownloadError(f"{self.url}: sends more than the {largest} bytes expected; stopped")
                with _storing(self.part):
                    file.write(chunk)
                work.update(len(chunk))
        return end

    def _check_room(self, start: int, total: int) -> None:
        if total > _LARGEST or (self.size is not None and total != self.size):
            wanted = self.size if self.size is not None else f"at most {_LARGEST}"
            raise DownloadError(f"{self.url}: the server's file has {total} bytes; wanted {wanted}")
        folder, rest = self.part.parent, total - start
        if rest > (free := disk_usage(folder).free):
            raise DownloadError(f"{folder}: {rest} bytes are to come and {free} are free; make room")

    def _at_hand(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _state(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
            if isinstance(state, dict) and state.get("url") == self.url:
                return state
        return {}


@contextlib.contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DownloadError(f"{path} cannot be written ({reason}); make room and run it again") from None


def _extent(response: Any, at_hand: int) -> tuple[int, int | None]:
    """Where the answer starts in the file, and the file's size if the server says it."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != at_hand:
            raise http.client.HTTPException("the server answered with another range than was asked for")
        return at_hand, int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isascii() and length.isdigit() else None


def _verify(path: Path, url: str, expected: Expected) -> Fetched:
    hashes = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            for digest in hashes:
                digest.update(chunk)
    found = Fetched(path, url, path.stat().st_size, *(digest.hexdigest() for digest in hashes))
    for key, wanted in asdict(expected).items():
        seen = getattr(found, key)
        if wanted is not None and str(seen) != str(wanted).lower():
            path.unlink()
            advice = "the file was deleted, check which one is right"
            raise DownloadError(f"{url}: the {key} is {seen}, wanted {wanted}; {advice}")
    return found


def _file_name(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{url!r} is neither an http address nor one of {', '.join(ARCHIVES)}")
    name = urllib.parse.unquote(parts.path).rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "download"
