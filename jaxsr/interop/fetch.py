"""Public weights on the user's machine: downloaded where asked for, and verified."""

import difflib
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import platformdirs
from filelock import FileLock, Timeout

from jaxsr.interop.public import PUBLIC, PublicFile

_CHUNK = 2**17  # bytes
_TIMEOUT = 30  # seconds without any
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def lookup(name: str) -> PublicFile:
    """Return what is known of the file of that name; ValueError names the nearest for another."""
    if name not in PUBLIC:
        plain = {known.lower(): known for known in PUBLIC}
        bare = name.lower().removesuffix(".pth").replace("realesrgan-", "realesrgan_")
        near = difflib.get_close_matches(bare, plain, 1)
        meant = f"; did you mean {plain[near[0]]}" if near else ""
        raise ValueError(f"no public weights are called {name!r}{meant}; `jaxsr fetch` lists all")
    return PUBLIC[name]


def cache_path(name: str) -> Path:
    """Return where the file of that name is kept, whether it is there or not."""
    folder = platformdirs.user_cache_path("jaxsr", appauthor=False) / "weights"
    return folder / (name + PurePosixPath(lookup(name).url).suffix)


def fetched(name: str) -> Path:
    """Return the path of a file that was fetched, verified again where its sha256 is known.

    Raises ValueError where it is not there, with the command that fetches it, or is another file.
    """
    file, path = lookup(name), cache_path(name)
    if not path.exists():
        raise ValueError(
            f"{name} is not on this machine; `jaxsr fetch {name}` downloads it from {file.url}"
        )
    _verify(path, wanted=file.sha256)
    return path


def fetch(
    file: PublicFile, path: Path, *, sha256: str = ""
) -> Generator[dict[str, Any], None, None]:
    """Bring a file to `path` and verify it; only verify it where it is there already.

    Yields {"event": "bytes", "done", "total"} as it comes, `total` None where the server does not
    say, and last {"event": "end", "sha256"}. What has come of it is kept beside `path` until all
    has, so that a later call goes on from there. `sha256` is for a file whose own is not known.
    Raises ConnectionError for what a server or the network does, OSError for the disk, and
    ValueError for a file that is not the one wanted.
    """
    wanted, part = _wanted(file, sha256), path.with_name(path.name + ".part")
    if not _secure(file.url, file.url):
        raise ValueError(f"got the address {file.url}, wanted one of https")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file")
    if path.exists():
        yield {"event": "end", "sha256": _verify(path, wanted=wanted)}
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            yield from _download(file.url, part)
            digest = _accepted(file.url, part, path, wanted=wanted)
    except ConnectionError as error:
        raise ConnectionError(
            f"{file.url} did not come ({error}); run the same command to go on, or bring the file"
            f" to {path} yourself: the same command then verifies it"
        ) from error
    except OSError as error:
        raise OSError(
            f"{part} cannot be written ({error.strerror}); make room or choose another place"
        ) from error
    yield {"event": "end", "sha256": digest}


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Keep other processes from writing to `part`; ValueError where one does."""
    path = part.with_name(part.name + ".lock")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ValueError(f"another jaxsr is fetching {part} at this moment; wait for it") from error
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)


def _accepted(url: str, part: Path, path: Path, *, wanted: str) -> str:
    """Give a whole file its name, if it is the one wanted, and return its sha256."""
    digest = _digest(part)
    _etag_file(part).unlink(missing_ok=True)
    if wanted not in ("", digest):
        part.unlink()
        raise ValueError(
            f"{url} gave a file of the sha256 {digest}, wanted {wanted};"
            " it was thrown away, so fetch it again"
        )
    part.replace(path)
    return digest


def _wanted(file: PublicFile, given: str) -> str:
    """The sha256 that the file must have, or nothing where none is known."""
    given = given.lower()
    if given and not re.fullmatch("[0-9a-f]{64}", given):
        raise ValueError(f"got the sha256 {given!r}, wanted 64 hexadecimal digits")
    if given and file.sha256 not in ("", given):
        raise ValueError(
            f"got the sha256 {given}, but {file.page} states {file.sha256}; leave yours out"
        )
    return given or file.sha256


def _verify(path: Path, *, wanted: str) -> str:
    digest = _digest(path)
    if wanted not in ("", digest):
        raise ValueError(
            f"{path} has the sha256 {digest}, wanted {wanted}; remove it and fetch it again"
        )
    return digest


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _download(url: str, part: Path) -> Iterator[dict[str, Any]]:
    """Complete `part`, or make it anew where what it holds is not of what the server has now."""
    response, done = _ask(url, part)
    with response:
        length = response.headers["Content-Length"]
        total = None if length is None else done + int(length)
        if not done:
            part.unlink(missing_ok=True)
            _note_etag(part, response)
        with part.open("r+b" if done else "wb") as sink:
            sink.seek(done)
            while chunk := _read(response):
                sink.write(chunk)
                done += len(chunk)
                yield {"event": "bytes", "done": done, "total": total}
    if total is not None and done < total:
        raise ConnectionError(f"it ended after {done} of {total} bytes")


def _ask(url: str, part: Path) -> tuple[Any, int]:
    """Ask for the rest of `part`, else for all; return the answer and the byte it begins at."""
    note = _etag_file(part)
    if part.exists() and note.exists() and part.stat().st_size:
        # Not from the next byte: a part that is complete could not be told from one too long.
        start, etag = part.stat().st_size - 1, note.read_text()
        response = _open(url, {"Range": f"bytes={start}-", "If-Range": etag})
        if response.status == 200:  # another file, or a server that gives no parts
            return response, 0
        begins = response.headers["Content-Range"] or ""
        if response.headers["ETag"] == etag and begins.startswith(f"bytes {start}-"):
            return response, start
        response.close()
    return _open(url, {}), 0


def _etag_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _note_etag(part: Path, response: Any) -> None:
    """Keep what tells this file from a later one at its address, where the server gives such."""
    etag = response.headers["ETag"]
    if etag and not etag.startswith("W/"):  # weak ones are also those of files that differ a little
        _etag_file(part).write_text(etag)
    else:
        _etag_file(part).unlink(missing_ok=True)


def _open(url: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "jaxsr"} | headers)
    opener = urllib.request.build_opener(_Redirects)  # and the proxies of the environment
    try:
        return opener.open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
            return error
        error.close()
        raise ConnectionError(f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise ConnectionError(getattr(error.reason, "strerror", None) or error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(str(error)) from error


def _read(response: Any) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(str(error)) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any):
        if not _secure(newurl, req.full_url):
            fp.close()
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _secure(url: str, before: str) -> bool:
    """Whether to ask for `url`, having been sent there by `before`."""
    there, here = urlsplit(url), urlsplit(before)
    within = there.hostname in _LOOPBACK and here.hostname in _LOOPBACK
    return there.scheme == "https" or (there.scheme == "http" and within)
