"""The published networks in NumPy with 64-bit numbers, after docs/model-spec.md."""

import numpy as np
from scipy.special import erf


class Weights(dict):
    """Arrays by name; `at` returns the arrays below a prefix."""

    def at(self, prefix):
        return Weights({name[len(prefix) :]: array for name, array in self.items() if name.startswith(prefix)})


def linear(w, name, x):
    y = x @ w[f"{name}weight"].T.astype(float)
    return y + w[f"{name}bias"] if f"{name}bias" in w else y


def layer_norm(w, name, x):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * w[f"{name}weight"] + w[f"{name}bias"]


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def split(x, heads):
    tokens, width = x.shape
    return x.reshape(tokens, heads, width // heads).transpose(1, 0, 2)


def join(x):
    heads, tokens, depth = x.shape
    return x.transpose(1, 0, 2).reshape(tokens, heads * depth)


def lrs_tokens(x):
    mean, std = x.mean(), x.std(ddof=1)
    z = (x - mean) / std
    starts = np.arange(0, len(x) - 10, 10)[:-1]
    tokens = np.zeros((len(starts) + 1, 21))
    tokens[0, 0] = np.log10(std)
    for row, start in enumerate(starts):
        tokens[row + 1, 1:] = z[start : start + 20]
    return tokens


def lrs_encoder(w, x, heads):
    tokens = lrs_tokens(x)
    h = linear(w, "data_embed.", tokens) + w["position_embed.weight"][: len(tokens)]
    depth = h.shape[1] // heads
    block = 0
    while f"blocks.{block}.ln1.weight" in w:
        b = w.at(f"blocks.{block}.")
        a = layer_norm(b, "ln1.", h)
        q = linear(b, "attention.q_proj.", a)
        k, v = np.split(linear(b, "attention.kv_proj.", a), 2, axis=-1)
        logits = split(q, heads) @ split(k, heads).transpose(0, 2, 1) / depth
        h = h + linear(b, "attention.out_proj.", join(softmax(logits) @ split(v, heads)))
        h = h + linear(b, "mlp.2.", gelu(linear(b, "mlp.0.", layer_norm(b, "ln2.", h))))
        block += 1
    return layer_norm(w, "final_layernorm.", h)


def xp_encoder(w, x):
    mean, std = x.mean(), x.std(ddof=1)
    h = linear(w, "input_proj.", np.concatenate([[mean, std], (x - mean) / std]))
    block = 0
    while f"encoder_blocks.{block}.norm.weight" in w:
        b = w.at(f"encoder_blocks.{block}.")
        h = linear(b, "mlp.3.", gelu(linear(b, "mlp.0.", layer_norm(b, "norm.", h))))
        block += 1
    return layer_norm(w, "bottleneck_norm.", linear(w, "bottleneck_down.", h))


def feed_forward(w, name, x):
    return x + linear(w, f"{name}decoder.", gelu(linear(w, f"{name}encoder.", x)))


def attend(w, tokens, heads):
    m = w.at("multihead_attn.")
    width = w["query"].shape[-1]
    if "in_proj_weight" in m:
        q, k, v = np.split(m["in_proj_weight"], 3)
    else:
        q, k, v = (m[f"{part}_proj_weight"] for part in "qkv")
    bias = np.split(m["in_proj_bias"], 3)
    project = lambda x, weight, b: split(x @ weight.T.astype(float) + b, heads)
    q, k, v = project(w["query"][0], q, bias[0]), project(tokens, k, bias[1]), project(tokens, v, bias[2])
    mixed = join(softmax(q @ k.transpose(0, 2, 1) / np.sqrt(width // heads)) @ v)
    return layer_norm(w, "layernorm.", linear(m, "out_proj.", mixed))[0]


def embed_lrs(w, x, heads):
    """Embedding of an LRS spectrum. `heads`: numbers of attention heads, of the encoder, then of each branch."""
    w = w.at("lamost_lrs_encoder.")
    tokens = lrs_encoder(w.at("backbone."), x, heads[0])
    if "cross_attention.query" in w:
        return feed_forward(w, "mlp.", attend(w.at("cross_attention."), tokens, heads[1]))
    branches = [("shared", heads[1]), ("private", heads[2])]
    return np.concatenate([feed_forward(w, f"{b}_mlp.", attend(w.at(f"{b}_attention."), tokens, n)) for b, n in branches])


def embed_xp(w, x):
    w = w.at("gaia_xp_encoder.")
    latent = xp_encoder(w.at("backbone."), x)

    def branch(b):
        inner = linear(w, f"{b}feature_mlp.0.", linear(w, f"{b}projection.", latent))
        inner = gelu(layer_norm(w, f"{b}feature_mlp.1.", inner))
        out = layer_norm(w, f"{b}feature_mlp.4.", linear(w, f"{b}feature_mlp.3.", inner))
        return feed_forward(w, f"{b}mlp.", out)

    return np.concatenate([branch(b) for b in ([""] if "projection.weight" in w else ["shared_", "private_"])])


def mlp(w, x):
    for layer in (0, 4, 8):
        norm = w.at(f"network.{layer + 1}.")
        x = linear(w, f"network.{layer}.", x)
        x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"]
        x = np.maximum(x, 0)
    return linear(w, "network.12.", x)[0]


def softplus(x):
    return np.logaddexp(0, x)


def flow(w, x, z):
    """Samples of a flow of one label from noise `z`, and whether the flow is a MAF."""
    c = (x - w["_embedding_net.0._mean"]) / w["_embedding_net.0._std"]
    t = w.at("_transform._transforms.")
    is_maf = "1.autoregressive_net.context_layer.weight" in t
    for i in (3, 1) if is_maf else (2, 1):
        if is_maf:
            net = t.at(f"{i}.autoregressive_net.")
            masked = lambda name, h: h @ (net[f"{name}weight"] * net[f"{name}mask"]).T + net[f"{name}bias"]
            h = np.tanh(masked("initial_layer.", np.zeros(1)) + np.tanh(linear(net, "context_layer.", c)))
            for block in (0, 1):
                h = np.tanh(masked(f"blocks.{block}.linear.", h))
            u, shift = masked("final_layer.", h)
            z = (z - shift) / (softplus(u) + 1e-3)
        else:
            net = t.at(f"{i}.transform_net.spline_predictor.")
            h = np.maximum(linear(net, "0.", c), 0)
            h = np.maximum(linear(net, "2.", h), 0)
            z = spline_inverse(linear(net, "4.", h), len(h), z)
    return (z - t["0._shift"]) / t["0._scale"], is_maf


def spline_inverse(raw, hidden, y):
    knots = lambda logits: -3 + 6 * np.concatenate([[0], np.cumsum(1e-3 + (1 - 1e-2) * softmax(logits / np.sqrt(hidden)))])
    xs, ys = knots(raw[:10]), knots(raw[10:20])
    slopes = np.concatenate([[1], 1e-3 + softplus(raw[20:]), [1]])
    inside = np.abs(y) <= 3
    k = np.clip(np.searchsorted(ys, y, side="right") - 1, 0, 9)
    width, height = np.diff(xs)[k], np.diff(ys)[k]
    delta, d0 = height / width, slopes[k]
    dy, curvature = y - ys[k], slopes[k] + slopes[k + 1] - 2 * height / width
    a = dy * curvature + height * (delta - d0)
    b = height * d0 - dy * curvature
    root = 2 * (-delta * dy) / (-b - np.sqrt(np.maximum(b**2 + 4 * a * delta * dy, 0)))
    return np.where(inside, root * width + xs[k], y)


def standard_normal(seed, n):
    """Normal numbers by SplitMix64 and the Box–Muller transform, as in src/nn/flow/noise.rs."""
    with np.errstate(over="ignore"):
        state = np.uint64(seed) + np.arange(1, 2 * ((n + 1) // 2) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    u = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / 2.0**53 + 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(u[0::2])), 2 * np.pi * u[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:n].astype("f4").astype(float)


def noise(seed, n):
    """`n` normal numbers: n / 2 drawn numbers, each followed by its negative."""
    half = standard_normal(seed, n // 2)
    return np.stack([half, -half], 1).ravel()
