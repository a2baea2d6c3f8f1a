"""Downloads from a server on loopback that does what servers and networks do."""

import contextlib
import hashlib
import http.server
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import typer
from filelock import FileLock
from typer.testing import CliRunner

from jaxsr.commands.fetch import fetch as command
from jaxsr.interop.fetch import cache_path, fetch, fetched, lookup
from jaxsr.interop.public import PUBLIC, PublicFile

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = CONTENT[:150_000][::-1] + CONTENT[150_000:280_000]


class Server(http.server.ThreadingHTTPServer):
    content, etag = CONTENT, '"1"'
    ranges = True  # answered, where If-Range names the file
    heedless = False  # of If-Range
    stated = True  # how long the content is
    chunked = False
    drop: int | None = None  # bytes of an answer after which the line is cut
    status, location = 200, ""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []  # (address or host, Range)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        server, wanted = self.server, self.headers["Range"]
        server.asked.append((self.path, wanted))
        if server.status != 200 and self.path != "/there.pth":
            self.send_response(server.status)
            self.send_header("Location", server.location)
            return self.end_headers()
        start = 0
        if wanted and server.ranges and server.etag in (self.headers["If-Range"], *self.heedless()):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(server.content):
            self.send_response(416)
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            length = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{length - 1}/{length}")
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.stated:
            self.send_header("Content-Length", str(len(server.content) - start))
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head = b"%x\r\n" % len(server.content) if server.chunked else b""
        with contextlib.suppress(ConnectionError):  # who asked has gone
            self.wfile.write(head + server.content[start:][: server.drop])

    def heedless(self):
        return [self.server.etag] if self.server.heedless else []

    def do_CONNECT(self):
        self.server.asked.append((self.path, None))
        self.send_error(403)

    def log_message(self, format, *args):
        pass


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """A cache of the test's own, and no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "net.pth"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(server: Server, **fields) -> PublicFile:
    return PublicFile("a network", server.url, "none", **fields)


def take(file: PublicFile, path: Path, **options) -> list[dict]:
    return list(fetch(file, path, **options))


def cut(server: Server, path: Path, at: int) -> None:
    """Download `at` bytes, then lose the connection."""
    server.drop = at
    with pytest.raises(ConnectionError, match=f"{at} of {len(CONTENT)} bytes.*{path}"):
        take(entry(server), path)
    server.drop = None
    server.asked.clear()


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_a_file_comes_whole(server, path):
    *bytes_, end = take(entry(server, sha256=digest(CONTENT)), path)
    assert end == {"event": "end", "sha256": digest(CONTENT)}
    assert path.read_bytes() == CONTENT and files(path) == ["net.pth"]
    assert [record["done"] for record in bytes_][-1] == bytes_[0]["total"] == len(CONTENT)
    assert len(bytes_) > 1
    assert server.asked == [("/net.pth", None)]


def test_a_file_of_a_length_that_is_not_stated(server, path):
    server.stated = False
    assert take(entry(server), path)[0]["total"] is None
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("wanted", ["", digest(CONTENT)])
def test_a_file_that_is_there_is_only_verified(server, path, wanted):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    end = {"event": "end", "sha256": digest(CONTENT)}
    assert take(entry(server, sha256=wanted), path) == [end]
    assert server.asked == []


def test_a_wrong_file_brought_by_hand_is_refused_and_left(server, path):
    path.parent.mkdir()
    path.write_bytes(OTHER)
    with pytest.raises(ValueError, match=f"{digest(OTHER)}, wanted {digest(CONTENT)}"):
        take(entry(server, sha256=digest(CONTENT)), path)
    assert path.read_bytes() == OTHER and server.asked == []


def test_a_connection_lost_within_a_chunk(server, path):
    server.stated, server.chunked, server.drop = False, True, 200_000
    with pytest.raises(ConnectionError, match=f"IncompleteRead.*{path} "):
        take(entry(server), path)
    assert not path.exists()


AGAIN = [None]  # all of it
REST = ["bytes=199999-"]


@pytest.mark.parametrize(
    "change, asked",
    [
        ({}, REST),
        ({"ranges": False}, REST),
        ({"content": OTHER, "etag": '"2"'}, REST),
        ({"content": OTHER, "etag": '"2"', "heedless": True}, REST + AGAIN),
        ({"content": OTHER[:50_000], "etag": '"2"', "heedless": True}, REST + AGAIN),
    ],
    ids=["rest", "no-ranges", "changed", "changed-heedless", "shrunk-heedless"],
)
def test_an_interrupted_download_goes_on(server, path, change, asked):
    cut(server, path, 200_000)
    assert (path.parent / "net.pth.part").read_bytes() == CONTENT[:200_000]
    for name, value in change.items():
        setattr(server, name, value)
    first = take(entry(server), path)[0]
    assert path.read_bytes() == server.content and files(path) == ["net.pth"]
    assert [wanted for _, wanted in server.asked] == asked
    assert (first["done"] > 200_000) == (change == {})
    assert first["total"] == len(server.content)


def test_two_at_once_do_not_spoil_each_other(server, path):
    path.parent.mkdir()
    with (
        FileLock(path.with_name("net.pth.part.lock")),
        pytest.raises(
            ValueError, match="another jaxsr is fetching .*net.pth.part at this moment; wait"
        ),
    ):
        take(entry(server), path)
    assert server.asked == [] and not path.exists()
    take(entry(server), path)
    assert path.read_bytes() == server.content and files(path) == ["net.pth"]


def test_a_folder_is_no_file(server, tmp_path):
    with pytest.raises(ValueError, match="is a folder; name a file"):
        take(entry(server), tmp_path)


@pytest.mark.parametrize("etag", ["", 'W/"1"'])
def test_what_cannot_be_told_from_a_later_file_is_taken_anew(server, path, etag):
    cut(server, path, 200_000)  # leaves a note of a strong one
    (path.parent / "net.pth.part.etag").unlink()
    server.etag = etag
    cut(server, path, 50_000)
    server.content = OTHER
    take(entry(server), path)
    assert path.read_bytes() == OTHER and server.asked == [("/net.pth", None)]


def test_a_weak_etag_replaces_a_strong_one(server, path):
    cut(server, path, 200_000)
    server.content, server.etag, server.drop = CONTENT[::-1], 'W/"1"', 50_000
    with pytest.raises(ConnectionError):
        take(entry(server), path)
    assert files(path) == ["net.pth.part"]


def test_a_download_stopped_at_its_end_is_not_repeated(server, path):
    records = fetch(entry(server), path)
    while next(records)["done"] < len(CONTENT):
        pass
    records.close()
    server.asked.clear()
    take(entry(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [("/net.pth", f"bytes={len(CONTENT) - 1}-")]


def test_a_wrong_file_is_thrown_away(server, path):
    server.content = OTHER
    with pytest.raises(ValueError, match=f"{digest(OTHER)}, wanted {digest(CONTENT)}"):
        take(entry(server, sha256=digest(CONTENT)), path)
    assert files(path) == []


def test_the_sha256_that_is_given(server, path):
    with pytest.raises(ValueError, match=f"wanted {digest(OTHER)}"):
        take(entry(server), path, sha256=digest(OTHER))
    with pytest.raises(ValueError, match="got the sha256 'ff', wanted 64 hex"):
        take(entry(server), path, sha256="ff")
    stated = entry(server, sha256=digest(CONTENT), page="https://page")
    with pytest.raises(ValueError, match=f"but https://page states {digest(CONTENT)}"):
        take(stated, path, sha256=digest(OTHER))
    take(entry(server), path, sha256=digest(CONTENT).upper())
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 416, 500])
def test_an_error_of_the_server(server, path, status):
    server.status = status
    with pytest.raises(ConnectionError, match=f"{server.url} did not.*{status}.*bring.*{path} "):
        take(entry(server), path)
    assert files(path) == []


def test_a_redirect_keeps_what_is_asked_for(server, path):
    cut(server, path, 200_000)
    server.status, server.location = 302, server.url.replace("net", "there")
    take(entry(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [("/net.pth", *REST), ("/there.pth", *REST)]


@pytest.mark.parametrize("location", ["http://example.org/a", "file:///etc/passwd", "ftp://a.org"])
def test_a_redirect_to_what_is_not_https(server, path, location):
    server.status, server.location = 302, location
    with pytest.raises(ConnectionError, match=f"(redirects to|url ').*{location}.*not"):
        take(entry(server), path)


def test_an_address_that_is_not_https(path):
    for url in ("http://example.org/a", "file:///etc/passwd"):
        with pytest.raises(ValueError, match=f"got the address {url}"):
            take(PublicFile("", url, ""), path)


def test_without_a_network(monkeypatch, path):
    def resolve(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    file = PublicFile("", "https://example.org/net.pth", "")
    with pytest.raises(ConnectionError) as raised:
        take(file, path)
    assert str(raised.value) == (
        "https://example.org/net.pth did not come (Name or service not known); run the same"
        f" command to go on, or bring the file to {path} yourself: the same command then"
        " verifies it"
    )


@pytest.mark.parametrize("scheme, asked", [("http", "http://far/a"), ("https", "far:443")])
def test_the_proxy_of_the_environment(monkeypatch, server, path, scheme, asked):
    monkeypatch.setenv(f"{scheme}_proxy", server.url)
    monkeypatch.setattr("jaxsr.interop.fetch._LOOPBACK", ("far",))
    with contextlib.suppress(ConnectionError):
        take(PublicFile("", f"{scheme}://far/a", ""), path)
    assert server.asked == [(asked, None)]


def test_a_disk_that_takes_no_more(server, path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (140_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"net.pth.part cannot be written \(File too large\)"):
            take(entry(server), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    server.asked.clear()
    take(entry(server), path)
    assert path.read_bytes() == CONTENT and server.asked[0][1] is not None


def test_a_place_where_nothing_can_be_written(server, path):
    path.parent.write_text("a file")
    with pytest.raises(OSError, match="net.pth.part cannot be written"):
        take(entry(server), path)


@pytest.fixture
def listed(monkeypatch, server) -> Server:
    """The server, with a file in the table that can be verified and one that cannot."""
    monkeypatch.setitem(PUBLIC, "known", entry(server, sha256=digest(CONTENT), page="https://page"))
    monkeypatch.setitem(PUBLIC, "unknown", entry(server))
    return server


def test_the_path_of_a_fetched_file(listed):
    with pytest.raises(ValueError, match=f"`jaxsr fetch known` downloads it from {listed.url}"):
        fetched("known")
    take(lookup("known"), cache_path("known"))
    assert fetched("known") == cache_path("known")
    fetched("known").write_bytes(OTHER)
    with pytest.raises(ValueError, match=f"has the sha256 {digest(OTHER)}, wanted"):
        fetched("known")
    with pytest.raises(ValueError, match="called 'RealESRGAN_x4'; did you mean RealESRGAN_x4p"):
        fetched("RealESRGAN_x4")


def jaxsr(*arguments: str, answer: str = ""):
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments, input=answer, catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_the_list(listed):
    cache_path("known").parent.mkdir(parents=True)
    cache_path("known").touch()
    code, printed, _ = jaxsr()
    assert code == 0 and listed.asked == []
    for name, file in PUBLIC.items():
        assert f"{name}: {file.what}\n" in printed and f"  {file.url}\n" in printed
    assert printed.count(", here\n") == 1
    assert printed.count(", no sha256 is known") == 2  # with that of the discriminator


def test_the_command_fetches_and_verifies(listed):
    told = f"{cache_path('known')}: sha256 {digest(CONTENT)}, as https://page states\n"
    for _ in range(2):
        assert jaxsr("known") == (0, told, "")
    assert len(listed.asked) == 1
    assert cache_path("known").read_bytes() == CONTENT


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_what_cannot_be_verified_is_not_downloaded_unasked(listed, answer):
    code, _, errors = jaxsr("unknown", answer=answer)
    assert (code, listed.asked) == (2, [])
    assert f"from {listed.url} cannot be verified. Download it?" in errors
    assert "unknown was not downloaded; give its --sha256, or --yes" in errors


@pytest.mark.parametrize(
    "options, answer, vouched",
    [
        ((), "y\n", "which nothing vouches for"),
        (("--yes",), "", "which nothing vouches for"),
        (("--sha256", digest(CONTENT)), "", "as given"),
    ],
)
def test_what_cannot_be_verified_is_fetched_where_that_is_wanted(
    listed, tmp_path, options, answer, vouched
):
    output = tmp_path / "here.pth"
    code, printed, _ = jaxsr("unknown", "-o", str(output), *options, answer=answer)
    assert code == 0 and printed.endswith(f"{output}: sha256 {digest(CONTENT)}, {vouched}\n")
    assert output.read_bytes() == CONTENT and not cache_path("unknown").exists()


def test_the_errors_of_the_command(listed):
    assert jaxsr("unknwon")[0] == 2
    assert jaxsr("unknown", "--sha256", digest(OTHER))[0] == 2
    listed.status = 404
    code, printed, errors = jaxsr("known")
    assert (code, printed) == (1, "") and "the server answers 404" in errors


SLOW = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
import jaxsr.interop.fetch as module
from jaxsr.interop.public import PUBLIC, PublicFile
import typer
from jaxsr.commands.fetch import fetch
PUBLIC["slow"] = PublicFile("", sys.argv.pop(), "")
app = typer.Typer()
app.command()(fetch)
app()
"""


def test_ctrl_c_leaves_what_came(server, path):
    with socket.create_server(("127.0.0.1", 0)) as stalling:
        stalling.settimeout(30)
        address = f"http://127.0.0.1:{stalling.getsockname()[1]}/net.pth"
        arguments = ["slow", "--yes", "-o", str(path), address]
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, *arguments], stderr=subprocess.PIPE, text=True
        )
        line, _ = stalling.accept()
        with line:
            line.recv(2**16)
            headers = f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {len(CONTENT)}\r\n\r\n'
            line.sendall(headers.encode() + CONTENT[:200_000])
            part = path.parent / "net.pth.part"
            while process.poll() is None and not (part.exists() and part.stat().st_size):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "stopped; the same command goes on from here\n")
    kept = part.stat().st_size
    take(entry(server), path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [("/net.pth", f"bytes={kept - 1}-")]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_table(name):
    file = PUBLIC[name]
    address = urlsplit(file.url)
    assert address.scheme == "https" and address.path.endswith(".pth")
    assert re.fullmatch("[A-Za-z0-9_-]+", name) and file.what and file.licence
    assert bool(file.sha256) == file.page.startswith("https://")
    assert re.fullmatch("([0-9a-f]{64})?", file.sha256)
    # torchvision and BasicSR put the first digits of the sha256 into the names of their files.
    stated = re.search(r"-([0-9a-f]{8})\.pth$", address.path)
    assert not stated or file.sha256.startswith(stated[1])


def test_the_table_holds_no_file_twice():
    assert len({file.url for file in PUBLIC.values()}) == len(PUBLIC)
    assert len({file.sha256 or name for name, file in PUBLIC.items()}) == len(PUBLIC)
