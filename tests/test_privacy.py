"""Nothing touches the network: every command runs where every connection raises."""

import subprocess
import sys

import pytest
from toy_run import PIXEL, environment, waves, write_config

GUARD = """
import ipaddress, os, socket, sys

def local(host):
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def guarded(function, host_of):
    def guard(*arguments, **options):
        host = host_of(*arguments)
        if not local(host):
            print(f"NETWORK: {host}", file=sys.stderr, flush=True)
            os._exit(1)  # also from a thread
        return function(*arguments, **options)
    return guard

def of_address(sock, address, *_):
    return address[0] if isinstance(address, tuple) else None  # a path is a Unix socket

socket.socket.connect = guarded(socket.socket.connect, of_address)
socket.socket.connect_ex = guarded(socket.socket.connect_ex, of_address)
socket.socket.sendto = guarded(socket.socket.sendto, lambda s, d, *a: of_address(s, a[-1]))
socket.create_connection = guarded(socket.create_connection, lambda a, *_: a[0])
socket.getaddrinfo = guarded(socket.getaddrinfo, lambda host, *_: host)
socket.gethostbyname = guarded(socket.gethostbyname, lambda host: host)
"""

WORK = """
from pathlib import Path
import jax
from jaxsr.cli import app
from jaxsr.networks.generators import DCGANGenerator
from jaxsr.networks.weights import init_weights, save_weights

config, pictures, folder = sys.argv[1:]
noise = init_weights(jax.random.key(0), DCGANGenerator(size=8, num_features=2))
save_weights(f"{folder}/noise.safetensors", noise)
picture = str(sorted(Path(pictures).iterdir())[0])
for command in (
    ["train", config, "--run-dir", f"{folder}/run"],
    ["upscale", pictures, "-o", f"{folder}/out", "-w", f"{folder}/run"],
    ["evaluate", "--data", pictures, "-w", f"{folder}/run"],
    ["explain", picture, "-w", f"{folder}/run", "-o", f"{folder}/why.png"],
    ["convert", f"{folder}/run", f"{folder}/run.pth"],
    ["info", f"{folder}/run.pth"],
    ["export", f"{folder}/run.pth", f"{folder}/run.mlir"],
    ["fetch"],
    ["sample", "-w", f"{folder}/noise.safetensors", "-n", "4", "-o", f"{folder}/grid.png"],
):
    try:
        app(command)
    except SystemExit as end:
        assert not end.code, (command, end.code)
assert len(list(Path(folder, "out").glob("*.png"))) == 2
print("done")
"""

CALLS = [
    'socket.create_connection(("192.0.2.1", 9))',
    'socket.getaddrinfo("example.org", 443)',
    'socket.socket().connect(("192.0.2.1", 9))',
    'socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 9))',
    'import threading; threading.Thread(target=socket.getaddrinfo, args=("a.org", 1)).start()',
    'import urllib.request; urllib.request.urlopen("http://example.org")',
]


def run(program, *arguments, env):
    command = [sys.executable, "-c", GUARD + program, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)


def test_the_commands_ask_nobody(tmp_path):
    pictures = waves(tmp_path / "pictures", count=2)
    data = {"train": str(pictures), "val": str(pictures)}
    config = write_config(tmp_path / "toy.toml", PIXEL, data=data, train={"steps": 2})
    ended = run(WORK, config, pictures, tmp_path, env=environment(tmp_path / "compiled"))
    assert ended.returncode == 0 and ended.stdout.endswith("done\n"), ended


@pytest.mark.parametrize("call", CALLS)
def test_the_guard_sees_a_call(call, tmp_path):
    ended = run(call, env=environment(tmp_path))
    assert ended.returncode == 1 and "NETWORK" in ended.stderr
