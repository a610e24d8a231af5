"""One digest of everything the pages are built from; beside each lies the one it was built from."""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent


def digest_sources() -> str:
    """SHA-256 over the names and contents of the sources, in order of their names."""
    found = hashlib.sha256()
    files = [path for path in FOLDER.iterdir() if path.suffix in (".json", ".js")]
    for path in sorted([*files, *(path for path in (FOLDER / "src").rglob("*") if path.is_file())]):
        found.update(f"{path.relative_to(FOLDER).as_posix()} {path.stat().st_size}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    print(digest_sources())
