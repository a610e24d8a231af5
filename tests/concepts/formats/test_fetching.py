"""Files fetched from a server on this machine, which breaks off, ignores ranges, and lies."""

import errno
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from unitscope.concepts.formats.broden.fetching import Expected, fetch_archive, fetch_dataset, fetch_file
from unitscope.errors import DownloadError, UsageError

CONTENT = bytes(range(256)) * 4_000


@dataclass
class Server:
    """What is served, how it misbehaves, and the Range headers it got."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    breaks: list[int] = field(default_factory=list)
    ignores_range: bool = False
    lies_about_range: bool = False
    no_length: bool = False
    status: int = 200
    ranges: list[str | None] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    url: str = ""


def answer(server: Server, request: BaseHTTPRequestHandler) -> None:
    wanted = request.headers.get("Range")
    server.ranges.append(wanted)
    server.agents.append(request.headers.get("User-Agent", ""))
    if server.status != 200:
        request.send_error(server.status)
        return
    start, content = 0, server.content
    same = request.headers.get("If-Range") in (server.etag, server.modified)
    if wanted and same and not server.ignores_range:
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            request.send_error(416)
            return
        request.send_response(206)
        told = start + 1 if server.lies_about_range else start
        request.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
    else:
        request.send_response(200)
    for name, value in {"ETag": server.etag, "Last-Modified": server.modified}.items():
        if value:
            request.send_header(name, value)
    if not server.no_length:
        request.send_header("Content-Length", str(len(content) - start))
    request.end_headers()
    end = start + server.breaks.pop(0) if server.breaks else len(content)
    request.wfile.write(content[start:end])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(state, self)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}/data/set.zip"
        yield state
        http.shutdown()
        thread.join()


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_file_is_fetched_verified_and_recorded(server: Server, tmp_path: Path) -> None:
    fetched = fetch_file(server.url, tmp_path, Expected(sha256=hashlib.sha256(CONTENT).hexdigest().upper()))
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.size, fetched.md5) == (len(CONTENT), hashlib.md5(CONTENT).hexdigest())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip", "set.zip.json"]
    assert json.loads((tmp_path / "set.zip.json").read_text())["sha256"] == fetched.sha256
    assert fetched.sha256 in fetched.text()
    assert fetched.rows()[0] == {"path": str(fetched.path), "url": server.url, "size": len(CONTENT)} | {
        "sha256": fetched.sha256,
        "md5": fetched.md5,
    }
    assert server.agents[0].startswith("unitscope/")


def test_a_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    fetch_file(server.url, tmp_path)
    fetch_file(server.url, tmp_path)
    assert len(server.ranges) == 1


def test_a_broken_download_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [1_000, 300_000]
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=301000-"]


def test_a_later_call_resumes_too(server: Server, tmp_path: Path) -> None:
    server.breaks = [5_000, 0, 0]
    with pytest.raises(DownloadError, match="5000 bytes are kept, run it again to resume"):
        fetch_file(server.url, tmp_path, attempts=2, pause=0.0)
    server.breaks = []
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=5000-"


def test_last_modified_will_do_where_the_etag_is_weak(server: Server, tmp_path: Path) -> None:
    server.etag, server.modified, server.breaks = 'W/"x"', "Sat, 01 Jan 2022 00:00:00 GMT", [1_000]
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_without_a_validator_a_broken_download_starts_anew(server: Server, tmp_path: Path) -> None:
    server.etag, server.breaks = None, [1_000]
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_a_server_that_ignores_ranges_is_coped_with(server: Server, tmp_path: Path) -> None:
    server.ignores_range, server.breaks = True, [1_000]
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_starts_anew(server: Server, tmp_path: Path) -> None:
    server.breaks = [5_000, 0]
    with pytest.raises(DownloadError):
        fetch_file(server.url, tmp_path, attempts=1, pause=0.0)
    server.content, server.etag, server.breaks = CONTENT[::-1], '"two"', []
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT[::-1]


def test_a_file_that_changed_behind_an_old_etag_starts_anew(server: Server, tmp_path: Path) -> None:
    server.breaks = [5_000]
    with pytest.raises(DownloadError):
        fetch_file(server.url, tmp_path, attempts=1, pause=0.0)
    server.content = CONTENT[::-1] + b"more"
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT[::-1] + b"more"


def test_another_range_than_asked_for_is_refused(server: Server, tmp_path: Path) -> None:
    server.breaks, server.lies_about_range = [1_000], True
    with pytest.raises(DownloadError, match="another range than was asked for"):
        fetch_file(server.url, tmp_path, attempts=2, pause=0.0)


def test_a_part_that_is_whole_already_needs_nothing_more(server: Server, tmp_path: Path) -> None:
    server.breaks = [0]
    with pytest.raises(DownloadError):
        fetch_file(server.url, tmp_path, attempts=1, pause=0.0)
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT


def test_a_part_that_is_too_long_starts_anew(server: Server, tmp_path: Path) -> None:
    server.breaks = [0]
    with pytest.raises(DownloadError):
        fetch_file(server.url, tmp_path, attempts=1, pause=0.0)
    (tmp_path / "set.zip.part").write_bytes(CONTENT + b"?")
    assert fetch_file(server.url, tmp_path, pause=0.0).path.read_bytes() == CONTENT


def test_a_server_that_does_not_tell_the_length_is_coped_with(server: Server, tmp_path: Path) -> None:
    server.no_length = True
    assert fetch_file(server.url, tmp_path).path.read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="sends more than the 10 bytes expected"):
        fetch_file(server.url, tmp_path / "other", Expected(size=10))


def test_a_truncated_file_is_told_by_its_size(server: Server, tmp_path: Path) -> None:
    server.no_length, server.breaks = True, [100]
    with pytest.raises(DownloadError, match=f"the size is 100, wanted {len(CONTENT)}"):
        fetch_file(server.url, tmp_path, Expected(size=len(CONTENT)))
    assert not list(tmp_path.glob("set.zip*[!n]"))


def test_another_size_than_wanted_is_told_before_the_download(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"has {len(CONTENT)} bytes; wanted 7"):
        fetch_file(server.url, tmp_path, Expected(size=7))


@pytest.mark.parametrize(("kind", "length"), [("sha256", 64), ("md5", 32)])
def test_a_wrong_digest_is_told_and_the_file_deleted(
    server: Server, tmp_path: Path, kind: str, length: int
) -> None:
    with pytest.raises(DownloadError, match=f"the {kind} is .*, wanted {'0' * length}"):
        fetch_file(server.url, tmp_path, Expected(**{kind: "0" * length}))
    assert not (tmp_path / "set.zip").exists()
    assert not (tmp_path / "set.zip.part").exists()


def test_what_was_fetched_first_is_what_is_wanted_later(server: Server, tmp_path: Path) -> None:
    fetch_file(server.url, tmp_path).path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(DownloadError, match="the sha256 is"):
        fetch_file(server.url, tmp_path)
    assert fetch_file(server.url, tmp_path, Expected(size=len(CONTENT))).path.read_bytes() == CONTENT[::-1]


def test_a_missing_file_is_told_at_once(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match="status 404 Not Found; check the address"):
        fetch_file(server.url, tmp_path, pause=0.0)
    assert len(server.ranges) == 1


def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.status = 503
    with pytest.raises(DownloadError, match="status 503"):
        fetch_file(server.url, tmp_path, attempts=3, pause=0.0)
    assert len(server.ranges) == 3


def test_no_server_is_told(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="refused"):
        fetch_file("http://127.0.0.1:9/set.zip", tmp_path, attempts=1)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "broden", "ftp://host/x.zip", "http:///x.zip"])
def test_other_addresses_are_wrong_usage(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="neither an http address nor one of broden1_224"):
        fetch_archive(url, tmp_path)


def test_a_digest_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wanted 64 hexadecimal digits"):
        Expected(sha256="abc")


def test_a_full_disk_is_told_before_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unitscope.concepts.formats.broden.fetching.disk_usage", lambda _: SimpleNamespace(free=10)
    )
    with pytest.raises(DownloadError, match=f"{len(CONTENT)} bytes are to come and 10 are free"):
        fetch_file(server.url, tmp_path)


def test_a_disk_that_fills_during_the_download_is_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.FileIO):
        def write(self, data: object, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = Path.open

    def fill(path: Path, mode: str = "r", **options: object) -> object:
        if path.suffix == ".part":
            return FullDisk(path, mode.replace("b", ""))
        return opened(path, mode, **options)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(Path, "open", fill)
    with pytest.raises(DownloadError, match=r"set\.zip\.part cannot be written \(No space left"):
        fetch_file(server.url, tmp_path)
    assert len(server.ranges) == 1


def test_an_archive_is_fetched_unpacked_and_deleted(server: Server, tmp_path: Path) -> None:
    server.content = zipped({"set/index.csv": b"image\n", "set/images/a.png": b"x"})
    server.breaks = [40]
    fetched = fetch_archive(server.url, tmp_path, pause=0.0)
    assert fetched.path == tmp_path / "set"
    assert (fetched.path / "images" / "a.png").read_bytes() == b"x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.zip.json"]
    with pytest.raises(DownloadError, match="exists already"):
        fetch_archive(server.url, tmp_path)


def test_an_archive_may_be_kept(server: Server, tmp_path: Path) -> None:
    server.content = zipped({"a.txt": b"x"})
    fetch_archive(server.url, tmp_path, keep=True)
    assert (tmp_path / "set.zip").is_file()
    assert (tmp_path / "set" / "a.txt").is_file()


def test_a_data_set_is_fetched_by_name_from_another_place(server: Server, tmp_path: Path) -> None:
    server.content = zipped({"set/index.csv": b"image\n"})
    fetched = fetch_dataset("broden", tmp_path, url=server.url)
    assert (fetched.path.name, str(fetched)) == ("set", fetched.text())
    with pytest.raises(UsageError, match="no data set 'imagenet' to fetch; wanted broden, broden1_224"):
        fetch_dataset("imagenet", tmp_path)
