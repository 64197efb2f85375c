"""Measure what several processes say to each other in a step: how many bytes, and how long it takes.

Two processes (or more) average gradients of the size of a preset's players, as training does after each move: over gloo on
the CPU, over NCCL where there is a GPU for each.

    python benchmarks/communication.py --preset ganmut-affectnet --preset ganmut-fer2013-cpu
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import types
from pathlib import Path

import torch
from record import record

from mien.methods import METHODS
from mien.presets import PRESETS, configure, find_preset
from mien.processes import average_gradients


def player_sizes(preset: str) -> dict[str, int]:
    """Return the number of parameters of each player."""
    found = find_preset(preset)
    with torch.device("meta"):
        method = METHODS[found.method](configure(found, {})[0])
    return {player: sum(p.numel() for p in parameters) for player, parameters in method.players().items()}


def take_part(rank: int, processes: int, sizes: dict[str, int], repeats: int, out: Path) -> None:
    """Average gradients of these sizes again and again; the first process writes the median seconds of each."""
    gpu = torch.cuda.device_count() >= processes
    torch.distributed.init_process_group("nccl" if gpu else "gloo", rank=rank, world_size=processes)
    device = torch.device("cuda", rank) if gpu else torch.device("cpu")
    torch.set_num_threads(1)
    fabric = types.SimpleNamespace(world_size=processes)
    lines = []
    for player, size in sizes.items():
        parameter = torch.nn.Parameter(torch.zeros(size, device=device))
        parameter.grad = torch.full_like(parameter, float(rank))
        seconds = []
        for _ in range(repeats + 1):
            torch.distributed.barrier()
            start = time.perf_counter()
            average_gradients(fabric, [parameter])
            if gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        assert torch.allclose(parameter.grad, torch.full_like(parameter, (processes - 1) / 2))
        lines.append(f"{player} {statistics.median(seconds[1:])}")
    if rank == 0:
        out.write_text("\n".join(lines))
    torch.distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", choices=list(PRESETS), required=True, help="repeatable")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.jsonl")
    given = parser.parse_args()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29571")
    note = given.out.with_suffix(".communication")
    for preset in given.preset:
        sizes = player_sizes(preset)
        torch.multiprocessing.spawn(  # pyright: ignore[reportPrivateImportUsage]
            take_part, args=(given.processes, sizes, given.repeats, note), nprocs=given.processes
        )
        for line in note.read_text().splitlines():
            player, seconds = line.split()
            facts = {"preset": preset, "player": player, "bytes": 4 * sizes[player], "processes": given.processes}
            record(given.out, "gradient-averaging", float(seconds), unit="s", n=given.repeats, seed=0, **facts)
            print(f"{preset} {player}: {4 * sizes[player] / 1e6:.1f} MB, {1000 * float(seconds):.1f} ms", flush=True)
        note.unlink()


if __name__ == "__main__":
    main()
