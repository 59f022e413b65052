"""Losses of 50 fine-tuning steps in PyTorch: makes finetune_losses.json.

    SPECOLA_EXPORT=DIR cargo test --test finetune losses_of_fifty_steps
    python tests/golden/finetune_losses.py DIR > tests/golden/finetune_losses.json

DIR has what Specola starts from: data and base network (data.safetensors), initial weights of each strategy. The file in
the repository is from PyTorch 2.2.2 on a CPU, in 64-bit floats.
"""

import json
import struct
import sys

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
RATE, DECAY, BATCH, RANK, ALPHA = 1e-3, 1e-4, 16, 8, 16.0


def read(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    arrays = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[8 + length + first : 8 + length + last], "<f4").reshape(entry["shape"])
        arrays[name] = torch.tensor(values.astype(np.float64))
    return arrays


def network(arrays, prefix, output=None):
    """The layers of an MLP as (weight, bias); of the last layer only one output."""
    positions = sorted({int(name.split(".")[-2]) for name in arrays if name.startswith(f"{prefix}network.")})
    layers = [[arrays[f"{prefix}network.{i}.{part}"].clone() for part in ("weight", "bias")] for i in positions]
    if output is not None:
        layers[-1] = [part[output : output + 1].clone() for part in layers[-1]]
    return layers


def forward(layers, x, lora=()):
    for i, (weight, bias) in enumerate(layers):
        y = x @ weight.T + bias
        if i < len(lora):
            a, b = lora[i]
            y = y + x @ a.T @ b.T * (ALPHA / RANK)
        x = y.relu() if i + 1 < len(layers) else y
    return x


def model(strategy, data, initial):
    """Trained arrays, and the function from inputs to outputs."""
    base = network(data, "base.", int(data["output"].item()))
    if strategy == "full":
        layers = network(initial, "own.")
        return [part for layer in layers for part in layer], lambda x: forward(layers, x)
    if strategy == "lora":
        names = sorted((n for n in initial if n.startswith("lora.") and n.endswith("lora_A")), key=lambda n: int(n.split(".")[2]))
        lora = [[initial[n].clone(), initial[n.replace("lora_A", "lora_B")].clone()] for n in names]
        return [part for pair in lora for part in pair], lambda x: forward(base, x, lora)
    head = [[initial[f"residual.{i}.{part}"].clone() for part in ("weight", "bias")] for i in (0, 2)]
    return [part for layer in head for part in layer], lambda x: forward(base, x) + forward(head, x)


def losses(strategy, data, initial):
    trained, predict = model(strategy, data, initial)
    for part in trained:
        part.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    x, y = data["x"], data["y"]
    orders = [data[f"order.{i}"].long() for i in range(sum(name.startswith("order.") for name in data))]
    n_train = len(orders[0])

    def loss(rows):
        return ((predict(x[rows]) - y[rows]) ** 2).mean()

    with torch.no_grad():
        train, validation = [loss(slice(0, n_train)).item()], [loss(slice(n_train, None)).item()]
    for order in orders:
        steps = []
        for first in range(0, n_train, BATCH):
            optimiser.zero_grad()
            value = loss(order[first : first + BATCH])
            value.backward()
            optimiser.step()
            steps.append(value.item())
        train.append(sum(steps) / len(steps))
        with torch.no_grad():
            validation.append(loss(slice(n_train, None)).item())
    return {"train": train, "validation": validation}


folder = sys.argv[1]
data = read(f"{folder}/data.safetensors")
print(json.dumps({s: losses(s, data, read(f"{folder}/{s}.safetensors")) for s in ("residual", "lora", "full")}, indent=1))
