"""PyTorch on the CPU as one of the engines of the benchmark.

Each request and each response is a line of JSON (remote.js).
Weights and inputs are made as in numbers.js, and the networks have the structure of networks.js.
"""

import json
import math
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

PIXELS = 1462
ENCODERS = {
    "paper": {"length": 20, "overlap": 10, "width": 768, "layers": 6, "heads": 6, "positions": 150},
    "shipped": {"length": 40, "overlap": 20, "width": 128, "layers": 6, "heads": 4, "positions": 80},
}

# Training steps whose losses are compared with the other engines, and AdamW's settings, as in the other engines.
COMPARED_STEPS = 8
LEARNING_RATE, WEIGHT_DECAY = 1e-5, 1e-4


def pseudo_random(name, count, first=0, scale=1.0, shift=0.0):
    seed = 0x811C9DC5
    for letter in name.encode():
        seed = ((seed ^ letter) * 0x01000193) & 0xFFFFFFFF
    x = np.arange(first, first + count, dtype=np.uint32) * np.uint32(0x9E3779B1) ^ np.uint32(seed)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    x = x ^ (x >> np.uint32(16))
    unit = (x >> np.uint32(8)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    return torch.from_numpy(unit * np.float32(scale) + np.float32(shift))


def weights(name, shape):
    count = math.prod(shape)
    if len(shape) == 2:
        return pseudo_random(name, count, scale=math.sqrt(3 / shape[1])).reshape(shape)
    is_norm = name.endswith(("ln1.weight", "ln2.weight", "layernorm.weight"))
    return pseudo_random(name, count, scale=0.1, shift=1.0 if is_norm else 0.0)


def initialise(network):
    """Sets the pseudo-random weights that belong to the names of a network's arrays; returns the network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(weights(name, tuple(parameter.shape)))
    return network


class Mlp(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers = []
        for n_in, n_out in zip(widths, widths[1:]):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.network = nn.Sequential(*layers[:-1])

    def forward(self, x):
        return self.network(x)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.kv_proj = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        depth = width // self.heads
        projections = (self.q_proj(x), *self.kv_proj(x).chunk(2, -1))
        q, k, v = (p.view(batch, tokens, self.heads, depth).transpose(1, 2) for p in projections)
        mixed = F.scaled_dot_product_attention(q, k, v, scale=1 / depth)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln1, self.attention, self.ln2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h):
        h = h + self.attention(self.ln1(h))
        return h + self.mlp(self.ln2(h))


class Encoder(nn.Module):
    def __init__(self, length, overlap, width, layers, heads, positions):
        super().__init__()
        self.length, self.step = length, length - overlap
        self.data_embed = nn.Linear(length + 1, width)
        self.position_embed = nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.final_layernorm = nn.LayerNorm(width)

    def tokens(self, x):
        std, mean = torch.std_mean(x, 1, keepdim=True)
        slices = ((x - mean) / std).unfold(1, self.length, self.step)
        # The published code drops the last slice, which may be padded.
        count = -(-(PIXELS - self.length + self.step) // self.step) - 1
        slices = F.pad(slices[:, :count], (1, 0))
        std_token = F.pad(torch.log10(std)[:, None], (0, self.length))
        return torch.cat([std_token, slices], 1)

    def forward(self, x):
        tokens = self.tokens(x)
        h = self.data_embed(tokens) + self.position_embed.weight[: tokens.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.final_layernorm(h).mean(1)


class ForwardPass:
    """Forward passes of an MLP or an encoder."""

    def __init__(self, case):
        first, batch = case.get("first", 0), case["batch"]
        if case["kind"] == "mlp":
            self.network, pixels, distribution = Mlp(case["widths"]), case["widths"][0], {"scale": math.sqrt(3)}
        else:
            self.network, pixels, distribution = Encoder(**ENCODERS[case["size"]]), PIXELS, {"scale": 0.2, "shift": 1.0}
        initialise(self.network).eval()
        self.x = pseudo_random("input", batch * pixels, first * pixels, **distribution).reshape(batch, pixels)

    def outputs(self):
        return self.run().flatten().tolist()

    def run(self):
        with torch.inference_mode():
            return self.network(self.x)


class Training:
    """Training steps of all weights of an MLP."""

    def __init__(self, case):
        self.case = case
        width, batch = case["widths"][0], case["batch"]
        x = [pseudo_random("input", batch * width, i * batch * width, math.sqrt(3)) for i in range(case["steps"])]
        y = [pseudo_random("target", batch, i * batch) for i in range(case["steps"])]
        self.batches = [(x.reshape(batch, width), y.reshape(batch, 1)) for x, y in zip(x, y)]
        self.network, self.optimiser = self.new_network()

    def new_network(self):
        """A network with initial weights, and its optimiser."""
        network = initialise(Mlp(self.case["widths"]))
        return network, torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)

    @staticmethod
    def step(network, optimiser, x, y):
        optimiser.zero_grad(set_to_none=True)
        loss = F.mse_loss(network(x), y)
        loss.backward()
        optimiser.step()
        return loss

    def outputs(self):
        network, optimiser = self.new_network()
        return [self.step(network, optimiser, *self.batches[0]).item() for _ in range(COMPARED_STEPS)]

    def run(self):
        for x, y in self.batches:
            self.step(self.network, self.optimiser, x, y)


def main():
    job = None
    for line in sys.stdin:
        request = json.loads(line)
        response = {}
        try:
            match request["do"]:
                case "start":
                    torch.set_num_threads(request["threads"])
                    response["version"] = torch.__version__
                case "open":
                    job = None
                    job = (Training if request["case"]["kind"] == "train" else ForwardPass)(request["case"])
                    response["outputs"] = job.outputs()
                case "run":
                    start = time.perf_counter()
                    for _ in range(request["repeats"]):
                        job.run()
                    response["ms"] = (time.perf_counter() - start) * 1e3
                case _:
                    job = None
        except Exception as error:  # The benchmark reports the error and continues with the other engines.
            response = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(response), flush=True)


main()
